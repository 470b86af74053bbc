"""Rows as raw text, the objective of the next token, and a vocabulary for both."""

import json

import numpy as np
import pytest
import sentencepiece

from jaxprompt.config import Tokenizer
from jaxprompt.data.pretraining.passages import text_task
from jaxprompt.data.pretraining.tokenizer import train_vocabulary, write_vocabulary
from jaxprompt.data.read.text import read_text
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

SPECIAL = ["<unk>", "<s>", "</s>", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
ROWS = 400


def text_of(number):
    return f"{number}番の町は何?答えは町{number * 7}。"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    rows = [
        {"question": f"{n}番の町は\u3000何?", "answers": [f"町{n * 7}", "別"]}
        for n in range(ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


FORM = "{question}答えは{answers}。"


def read(file, **options):
    return read_text(file, validation_share=0.2, row_text=FORM, **options)


@pytest.fixture(scope="module")
def pieces(file):
    return train_vocabulary(
        read(file).passages["train"], pieces=150, layout="rinna", leading_space=False
    )


@pytest.fixture(scope="module")
def vocabulary(pieces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    return load_vocabulary(write_vocabulary(folder, pieces, 0, "rinna"), causal=True)


def test_a_passage_is_a_row_or_several_and_no_row_is_lost(file):
    one, three = read(file), read(file, passage_rows=3)
    spaced = {text_of(n).replace("何", " 何") for n in range(ROWS)}
    for text in (one, three):
        rows = [row for split in text.passages.values() for p in split for row in p]
        assert len(rows) == ROWS
        assert set(rows) == spaced
    assert {len(passage) for passage in one.passages["train"]} == {1}
    assert max(len(passage) for passage in three.passages["train"]) == 3
    # How many make a passage moves no row to the other split.
    assert [row for p in one.passages["validation"] for row in p] == [
        row for p in three.passages["validation"] for row in p
    ]
    assert list(one.hashes) == ["train.jsonl"]


def test_a_folder_is_read_for_its_text_alone(file, tmp_path):
    (tmp_path / "dev.jsonl").write_text(file.read_text())
    with pytest.raises(FileNotFoundError, match=r"no \*\.txt .*a \.jsonl file by its"):
        read(tmp_path)
    sentences = " ".join(f"Sentence {i} stands here." for i in range(900))
    (tmp_path / "a.txt").write_text(sentences)
    assert list(read(tmp_path).hashes) == ["a.txt"]
    assert read(tmp_path / "a.txt").passages == read(tmp_path).passages


def test_a_mistake_is_one_clear_error(file, tmp_path):
    with pytest.raises(ValueError, match=r"train\.jsonl:1: no field 'text'"):
        read_text(file)
    with pytest.raises(ValueError, match="passage_rows 0: use 1 row or more"):
        read(file, passage_rows=0)
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"text": "a"}\n{"text": " "}\n')
    with pytest.raises(ValueError, match=r"empty\.jsonl:2: the text '\{text\}' is em"):
        read_text(empty)
    with pytest.raises(FileNotFoundError, match="no folder of text"):
        read_text(tmp_path / "nowhere.jsonl")


def test_the_next_token_is_that_of_the_whole_passage(file, vocabulary):
    task = text_task(
        "text",
        file,
        objectives={"next_token": 1.0},
        vocabulary=vocabulary,
        validation_share=0.2,
        row_text=FORM,
        passage_rows=2,
    )
    count = task.num_examples("train")
    layout = layout_of(task, Lengths(8, 96), np.zeros(0, np.int32))
    rows = layout.padded(task.pairs("train", range(count)))
    assert not rows.input_segments.any()
    ids = rows.targets[0][rows.target_segments[0] > 0].tolist()
    passage = " ".join(read(file, passage_rows=2).passages["train"][0])
    assert ids == [*vocabulary.encode(passage), vocabulary.eos_id]
    assert len(rows.targets) == count
    # A text starts behind the end of another.
    assert rows.target_inputs[0, 0] == vocabulary.eos_id
    assert (rows.weights.sum(axis=1) > 2).all()


def test_the_special_ids_are_those_of_rinnas_vocabulary(pieces, shared):
    theirs = shared / "data" / "vocab" / "rinna-ja-gpt" / "google_sp.model"
    rinna = sentencepiece.SentencePieceProcessor(model_file=str(theirs))
    ours = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    for model in (ours, rinna):
        assert [model.id_to_piece(i) for i in range(len(SPECIAL))] == SPECIAL
        assert (model.unk_id(), model.bos_id(), model.eos_id()) == (0, 1, 2)
        assert [model.is_control(i) for i in range(7)] == [False] + [True] * 6
        assert model.pad_id() == -1


def test_the_separator_is_one_id(vocabulary):
    assert (vocabulary.start_id, vocabulary.unk_id, vocabulary.eos_id) == (None, 0, 2)
    question, sep = vocabulary.encode("7番の町は何?"), vocabulary.encode("[SEP]")
    assert sep == [5]
    assert vocabulary.encode("7番の町は何?[SEP]町") == [
        *question,
        *sep,
        *vocabulary.encode("町"),
    ]
    assert vocabulary.decode([*question, vocabulary.eos_id]) == "7番の町は何?"


def test_without_a_leading_space_a_text_begins_as_it_goes_on(file, vocabulary):
    assert vocabulary.decode(vocabulary.encode("町")[:1]) == "町"
    spaced = train_vocabulary(read(file).passages["train"], pieces=150, layout="rinna")
    model = sentencepiece.SentencePieceProcessor(model_proto=spaced)
    assert model.encode("町", out_type=str)[0].startswith("\u2581")


def test_transformers_reads_the_vocabulary_with_the_same_special_ids(pieces, tmp_path):
    transformers = pytest.importorskip("transformers")
    write_vocabulary(tmp_path, pieces, 0, "rinna")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.convert_tokens_to_ids(SPECIAL) == list(range(7))
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 3)
    assert (tokenizer.sep_token_id, tokenizer.bos_token_id) == (5, 1)
    assert len(tokenizer) == 150


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="unknown layout 'gpt': use one of"):
        Tokenizer(layout="gpt")
    with pytest.raises(ValueError, match=r"96 sentinels .* use sentinels 0"):
        Tokenizer(layout="rinna")
    with pytest.raises(ValueError, match="unknown layout 'gpt'"):
        train_vocabulary([("a",)], pieces=20, layout="gpt")
