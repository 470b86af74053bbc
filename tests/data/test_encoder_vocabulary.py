"""What an encoder reads: its own tokenizer's ids and token types, whatever it cuts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import tokenizers
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors

from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary, load_vocabulary

TEXTS = [
    "A kettle sings, on the stove!",
    "caf\u00e9 cafe\u0301",
    "  two  spaces ",
    "[SEP] a</s>b",
    "don't \u65e5\u672c",
    "",
]


def word_piece() -> Any:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", "!", "'", "t", "on"]
    words += ["a", "kettle", "sing", "##s", "the", "stove", "cafe", "two", "don", "b"]
    made = tokenizers.Tokenizer(
        models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    special = dict(zip(("pad", "unk", "cls", "sep", "mask"), words, strict=False))
    return made, special


def byte_level() -> Any:
    words = ["<s>", "<pad>", "</s>", "<unk>"]
    words += sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {w: n for n, w in enumerate([*words, "\u0120t", "\u0120a", "<mask>"])}
    made = tokenizers.Tokenizer(models.BPE(ids, [("\u0120", "t"), ("\u0120", "a")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    special = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>"}
    return made, special | {"mask": "<mask>"}


def unigram() -> Any:
    words = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "\u2581",
        *"abcdefghijklmnopqrstuvwxyz,!'",
    ]
    pieces = [(word, -float(n)) for n, word in enumerate([*words, "<mask>"])]
    made = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=3))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    special = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>"}
    return made, special | {"mask": "<mask>"}


@pytest.fixture(params=[word_piece, byte_level, unigram])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Vocabulary]:
    """transformers' own, and ours of its folder, which cuts at 6 tokens and pads."""
    made, special = request.param()
    made.add_special_tokens([*special.values()])
    names = {f"{name}_token": token for name, token in special.items()}
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names)
    wrapped.save_pretrained(tmp_path)
    again = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    again.enable_truncation(6)
    again.enable_padding(length=20)
    again.save(str(tmp_path / "tokenizer.json"))
    return wrapped, load_vocabulary(tmp_path, encoder_only=True)


def rows_of(vocabulary: Vocabulary, inputs: str, rows: list[dict[str, str]]) -> Any:
    """Lays requests out behind two soft tokens."""
    task = file_task(
        "own", files={}, inputs=inputs, target="x", vocabulary=vocabulary, labels={}
    ).put_to("classes")
    read = [task.read_request(Row("here:1", row), 0) for row in rows]
    pairs = task.encode([x._replace(targets="") for x in task.write(read)])
    return layout_of(task, Lengths(80, 1), np.array([500, 501])).padded(pairs)


def test_ids_are_those_of_the_tokenizer(both):
    theirs, ours = both
    batch = rows_of(ours, "{text}", [{"text": text} for text in TEXTS])
    for text, row, segments in zip(
        TEXTS, batch.inputs, batch.input_segments, strict=True
    ):
        expected = [500, 501, *theirs(text)["input_ids"]]
        assert row[segments > 0].tolist() == expected
    # A class is read at the first token of the text, behind the soft ones.
    assert batch.target_places.tolist() == [[2]] * len(TEXTS)


def test_two_texts_have_their_separator_and_two_types(both):
    theirs, ours = both
    pairs = [(a.strip() or "a", "the stove") for a in TEXTS if "</s>" not in a]
    rows = [{"a": a, "b": b} for a, b in pairs]
    batch = rows_of(ours, "{a}{sep:1}{b}", rows)
    for (a, b), *row in zip(
        pairs, batch.inputs, batch.input_segments, batch.input_types, strict=True
    ):
        ids, segments, types = row
        found = theirs(a, b)
        expected = [500, 501, *found["input_ids"]]
        assert ids[segments > 0].tolist() == expected
        first = ids[segments > 0].tolist().index(ours.separator)
        assert types[segments > 0].tolist() == [
            int(place > first) for place in range(np.count_nonzero(segments))
        ]
        again = theirs(a, b, return_token_type_ids=True)
        if theirs.sep_token == "[SEP]":  # The others have a single type.
            assert types[segments > 0][2:].tolist() == again["token_type_ids"]


def test_a_sentencepiece_model_alone_is_that_of_xlm_r(tmp_path):
    """Its ids are one up, behind four tokens of fairseq's, and the mask is the last."""
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 40)
    file = tmp_path / "xlmr" / "sentencepiece.bpe.model"
    file.parent.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(tmp_path / "made"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "made.model").rename(file)
    (file.parent / "config.json").write_text('{"model_type": "xlm-roberta"}')
    made = sentencepiece.SentencePieceProcessor(model_file=str(file))
    vocabulary = load_vocabulary(str(file.parent), encoder_only=True)
    assert vocabulary.separator_text == "</s></s>"
    pieces = [number + 1 for number in made.encode("the fox")]
    assert vocabulary.encode("the fox") == pieces
    assert vocabulary.encode("<mask>") == [made.get_piece_size() + 1]
