"""A vocabulary trained on text: T5's ids, the same bytes every time, its sentinels."""

import random

import pytest

from jaxprompt.data.pretraining.tokenizer import (
    tokens_per_word,
    train_vocabulary,
    write_vocabulary,
)
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

PIECES = 200


@pytest.fixture(scope="module")
def passages():
    draw = random.Random(0)
    syllables = "ba ke lo mi nu pra sto tri vel won".split()
    words = ["".join(draw.choices(syllables, k=3)) for _ in range(300)]
    return [
        (" ".join(draw.choices(words, k=12)).capitalize() + ".",) for _ in range(400)
    ]


@pytest.fixture(scope="module")
def model(passages):
    return train_vocabulary(passages, pieces=PIECES)


def test_it_has_t5s_special_ids_and_its_sentinels_come_last(model, tmp_path):
    vocabulary = load_vocabulary(write_vocabulary(tmp_path, model, sentinels=56))
    assert (vocabulary.start_id, vocabulary.eos_id, vocabulary.unk_id) == (0, 1, 2)
    assert vocabulary.vocab_size == 256
    assert vocabulary.decode([255]) == "<extra_id_0>"
    assert vocabulary.decode([200]) == "<extra_id_55>"
    assert vocabulary.decode(vocabulary.encode("Loba kenu.")) == "Loba kenu."


def test_every_printable_ascii_character_has_a_piece(model, tmp_path):
    vocabulary = load_vocabulary(write_vocabulary(tmp_path, model, sentinels=0))
    ids = vocabulary.encode('Zx0189 ({[<=>]})&%$#@!?"~_')
    assert vocabulary.unk_id not in ids


def test_the_same_text_gives_the_same_bytes(model, passages):
    assert train_vocabulary(passages, pieces=PIECES) == model


def test_transformers_reads_it_with_the_same_ids(model, tmp_path):
    transformers = pytest.importorskip("transformers")
    vocabulary = load_vocabulary(write_vocabulary(tmp_path, model, sentinels=56))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    # Without sentinels: around these the two libraries put spaces differently.
    text = "Loba kenu trivel."
    assert len(tokenizer) == vocabulary.vocab_size
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") == 255
    assert tokenizer.convert_tokens_to_ids("<extra_id_55>") == 200
    assert tokenizer(text, add_special_tokens=False).input_ids == vocabulary.encode(
        text
    )


def test_fineness_counts_tokens_and_unknowns(model):
    fine, unknown = tokens_per_word(model, [("Lo mi.",), ("ba ke lo mi nu.",)])
    assert fine > 1
    assert unknown == 0
    _, unknown = tokens_per_word(model, [("ж",)])
    assert unknown == pytest.approx(1 / 2)  # The space before it is known.


def test_a_mistake_is_one_clear_error(passages):
    with pytest.raises(ValueError, match="no vocabulary of 50000 pieces from 400"):
        train_vocabulary(passages, pieces=50_000)
    with pytest.raises(ValueError, match="no vocabulary of 20 pieces"):
        train_vocabulary(passages, pieces=20)
    with pytest.raises(ValueError, match=r"character_coverage 1\.5"):
        train_vocabulary(passages, pieces=PIECES, character_coverage=1.5)
