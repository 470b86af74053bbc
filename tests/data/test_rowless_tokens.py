"""A token without a row in the model's table is named, and never reaches a prompt."""

import json
from pathlib import Path

import numpy as np
import pytest
from official_rows import write_jsonl

from jaxprompt.data.pretraining.passages import text_task
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.requests import request_rows
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.vocabulary import (
    Vocabulary,
    load_vocabulary,
    rowless_note,
)
from jaxprompt.models.families.gpt2 import GPT2Config

REFUSED = r"holds the token '<new>' of id \d+, but the model's embedding table has"
SOFT = np.arange(3)


@pytest.fixture(scope="module")
def grown(spiece: Path, tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """A T5's vocabulary with two tokens more than the table has rows."""
    folder = tmp_path_factory.mktemp("grown")
    (folder / "spiece.model").write_bytes(spiece.read_bytes())
    rows = load_vocabulary(spiece).vocab_size
    tokens = {"<new>": rows, "<newer>": rows + 1}
    (folder / "added_tokens.json").write_text(json.dumps(tokens))
    return load_vocabulary(folder, rows=rows)


def test_other_texts_are_written_as_ever(grown: Vocabulary, spiece: Path):
    text = "a kettle <extra_id_0> <newest"
    assert grown.encode(text) == load_vocabulary(spiece).encode(text)


def test_a_text_that_holds_the_token_is_refused(grown: Vocabulary):
    with pytest.raises(ValueError, match=f"the text 'film<new>' {REFUSED}"):
        grown.encode("film<new>")
    with pytest.raises(ValueError, match="'<newer>' of id"):
        grown.encode_all(["film", "film <newer>"])


def test_the_note_names_the_tokens(grown: Vocabulary, spiece: Path):
    assert list(grown.rowless.values()) == ["<new>", "<newer>"]
    note = rowless_note(grown)
    assert note is not None
    assert (
        "without a row in the model's embedding table: 2 ('<new>', '<newer>')" in note
    )
    assert rowless_note(load_vocabulary(spiece, rows=10_000)) is None


def test_a_table_without_rows_for_sentinels_has_none(spiece: Path):
    with_sentinels = load_vocabulary(spiece, rows=10_000)
    pieces = with_sentinels.vocab_size - 100
    small = load_vocabulary(spiece, rows=pieces + 5)
    assert small.vocab_size == pieces
    assert rowless_note(small) is None
    text = "a kettle <extra_id_0>"
    assert max(small.encode(text)) < pieces < max(with_sentinels.encode(text))


def test_where_the_token_stands_is_said(grown: Vocabulary, tmp_path: Path):
    rows = [{"q": "rain", "a": "yes"}, {"q": "the <new> rain", "a": "no"}]
    files = {name: tmp_path / f"{name}.jsonl" for name in ("train", "validation")}
    write_jsonl(files["train"], rows)
    write_jsonl(files["validation"], rows[:1])
    task = file_task(
        "own",
        files=files,
        inputs="{q}",
        target="a",
        labels={"yes": "yes", "no": "no"},
        vocabulary=grown,
    )
    task.check_tokens("validation")
    with pytest.raises(ValueError, match=f"example 1 of split 'train' .*{REFUSED}"):
        task.check_tokens("train")
    requests = {
        0: Row("asked:1", {"q": "rain"}),
        3: Row("asked:4", {"inputs": "<new>"}),
    }
    with pytest.raises(ValueError, match=f"asked:4: .*{REFUSED}"):
        request_rows(task, requests, Lengths(8, 4), SOFT)


def test_a_label_word_that_holds_the_token_is_refused(
    grown: Vocabulary, tmp_path: Path
):
    path = tmp_path / "train.jsonl"
    write_jsonl(path, [{"q": "rain", "a": "yes"}])
    labels = {"yes": "<new>", "no": "no"}
    task = file_task(
        "own",
        files={"train": path},
        inputs="{q}",
        target="a",
        labels=labels,
        vocabulary=grown,
    )
    with pytest.raises(ValueError, match=REFUSED):
        task.label_ids(8)


def test_sentinels_without_rows_are_refused(spiece: Path, tmp_path: Path):
    (tmp_path / "a.txt").write_text("the rain. " * 100)
    rows = load_vocabulary(spiece).vocab_size - 10
    with pytest.raises(ValueError, match=r"needs sentinels; tokens .* without a row"):
        text_task(
            "text",
            tmp_path,
            objectives={"span_corruption": 1.0},
            vocabulary=load_vocabulary(spiece, 100, rows=rows),
        )


def test_a_padded_row_is_no_tokens_row():
    # GPT-2's table is rounded up with rows of zeros.
    config = GPT2Config(vocab_size=300, width=4, heads=2, ffn_width=4, layers=1)
    assert config.text_rows == 300 < config.vocab_rows
