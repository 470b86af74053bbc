"""Tasks of hostile rows: every text reaches the model's inputs, once and in order."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amounts import examples
from hostile_input import LONG, STRANGE, one_error, texts, wrong_values
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxprompt.bundled import resolve
from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.batches import Lengths
from jaxprompt.data.rows.requests import request_rows
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary, load_vocabulary

ROOM = 24
SOFT_IDS = np.arange(9000, 9003, dtype=np.int32)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary(resolve("bundled:nano"))


def own_task(path: Path, vocabulary: Vocabulary) -> Task:
    return file_task(
        "own", files=path, inputs="{text}", target="answer", vocabulary=vocabulary
    )


def rows_of(path: Path, pairs: list[tuple[str, str]]) -> Path:
    rows = [{"text": text, "answer": answer} for text, answer in pairs]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@given(pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=8))
@example(pairs=[(text, text) for text in STRANGE])
@settings(max_examples=examples(40))
def test_own_rows_keep_their_texts_and_their_order(tmp_path: Path, vocabulary, pairs):
    task = own_task(rows_of(tmp_path / "rows.jsonl", pairs), vocabulary)
    assert [example[:2] for example in task.examples("train")] == pairs


@given(asked=st.lists(texts, min_size=1, max_size=30))
@example(asked=[*STRANGE, *reversed(STRANGE)])
@settings(max_examples=examples(8))
def test_requests_are_tokenised_once_each_and_in_order(
    tmp_path: Path, vocabulary, asked: list[str]
):
    task = own_task(rows_of(tmp_path / "rows.jsonl", [("a", "b")]), vocabulary)
    # Every other row is raw text, of no field of the task.
    names = ["inputs" if place % 2 else "text" for place in range(len(asked))]
    rows = {
        number: Row(f"asked.jsonl:{number + 1}", {name: text})
        for number, (name, text) in enumerate(zip(names, asked, strict=True))
    }
    found = request_rows(task, rows, Lengths(ROOM, 2), SOFT_IDS).batch.inputs
    assert len(found) == len(asked)
    for ids, text in zip(found, asked, strict=True):
        expected = [*SOFT_IDS, *vocabulary.encode(text)[: ROOM - 1], 1]
        np.testing.assert_array_equal(ids[: len(expected)], expected)
        assert not ids[len(expected) :].any()


OFFICIAL: dict[str, tuple[str, dict[str, Any]]] = {
    "boolq": (
        "BoolQ/train.jsonl",
        {"question": "is it", "passage": "it is", "label": True, "idx": 0},
    ),
    "cb": (
        "CB/train.jsonl",
        {"premise": "a", "hypothesis": "b", "label": "neutral", "idx": 0},
    ),
    "multirc": (
        "MultiRC/train.jsonl",
        {
            "idx": 0,
            "passage": {
                "text": "a",
                "questions": [
                    {
                        "question": "b",
                        "idx": 0,
                        "answers": [{"text": "c", "idx": 0, "label": 1}],
                    }
                ],
            },
        },
    ),
    "record": (
        "ReCoRD/train.jsonl",
        {
            "idx": 0,
            "passage": {"text": "Ann ran", "entities": [{"start": 0, "end": 2}]},
            "qas": [
                {"query": "@placeholder ran", "idx": 0, "answers": [{"text": "Ann"}]}
            ],
        },
    ),
    "wsc": (
        "WSC/train.jsonl",
        {
            "idx": 0,
            "label": True,
            "text": "Ann says she ran",
            "target": {
                "span1_text": "Ann",
                "span2_text": "she",
                "span1_index": 0,
                "span2_index": 2,
            },
        },
    ),
    "squad": (
        "squad/train-v1.1.json",
        {
            "data": [
                {
                    "paragraphs": [
                        {
                            "context": "a",
                            "qas": [
                                {"id": "0", "question": "b", "answers": [{"text": "a"}]}
                            ],
                        }
                    ]
                }
            ]
        },
    ),
    "mrqa_race": (
        "mrqa/RACE.jsonl",
        {"context": "a", "qas": [{"qid": "0", "question": "b", "answers": ["a"]}]},
    ),
}
"""Task -> its file, and a sound row of it."""


def places(value: Any) -> list[tuple[Any, ...]]:
    """Lists the way to every value within a value."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [(), *((key, *rest) for key, x in inner for rest in places(x))]


def put(row: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    row = copy.deepcopy(row)
    at = row
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return row


def write_official(folder: Path, task: str, row: Any) -> Path:
    path = folder / OFFICIAL[task][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row) + "\n")
    return path


def read_official(folder: Path, vocabulary, task: str) -> int:
    split = "validation" if task.startswith("mrqa") else "train"
    return load_task(task, vocabulary=vocabulary, data_dir=folder).num_examples(split)


@pytest.mark.parametrize("task", OFFICIAL)
def test_the_sound_rows_are_read(tmp_path: Path, vocabulary, task: str):
    write_official(tmp_path, task, OFFICIAL[task][1])
    assert read_official(tmp_path, vocabulary, task) == 1


@st.composite
def damaged_rows(draw) -> tuple[str, Any]:
    task = draw(st.sampled_from(sorted(OFFICIAL)))
    row = OFFICIAL[task][1]
    return task, put(row, draw(st.sampled_from(places(row))), draw(wrong_values))


@given(damaged=damaged_rows())
@example(("cb", put(OFFICIAL["cb"][1], ("idx",), 2**40)))
@example(("cb", put(OFFICIAL["cb"][1], ("idx",), "1" * 5000)))
@example(("cb", put(OFFICIAL["cb"][1], ("idx",), "\u0663")))
@example(("cb", put(OFFICIAL["cb"][1], ("label",), LONG)))
@example(("cb", put(OFFICIAL["cb"][1], ("premise",), LONG)))
@example(("cb", {LONG: 1, "a\nb": 2}))
@example(("wsc", put(OFFICIAL["wsc"][1], ("target", "span2_text"), "(")))
@example(("wsc", put(OFFICIAL["wsc"][1], ("target", "span2_text"), "\\9")))
@example(("wsc", put(OFFICIAL["wsc"][1], ("target", "span2_index"), 99_999)))
@example(("wsc", put(OFFICIAL["wsc"][1], ("text",), LONG)))
@example(("record", put(OFFICIAL["record"][1], ("passage", "entities"), [])))
@example(("multirc", put(OFFICIAL["multirc"][1], ("passage", "questions"), [])))
@example(("squad", "[" * 100_000))
@settings(max_examples=examples(150))
def test_a_wrong_value_in_an_official_row(tmp_path: Path, vocabulary, damaged):
    task, row = damaged
    path = write_official(tmp_path, task, row)
    # Of WSC one error is about all rows together: that none of them is to train on.
    named = () if task == "wsc" else (path,)
    one_error(lambda: read_official(tmp_path, vocabulary, task), *named)


@given(table=st.lists(st.lists(texts, max_size=3), min_size=1, max_size=4))
@example(table=[["nan\t0"], ["inf\t1"]])
@settings(max_examples=examples(60))
def test_any_table_of_glue(tmp_path: Path, vocabulary, table):
    text = "\n".join("\t".join(row) for row in table)
    for task, folder, header in (
        ("sst2", "SST-2", "sentence\tlabel\n"),
        ("stsb", "STS-B", "sentence1\tsentence2\tscore\n"),
        ("cola", "CoLA", ""),
        ("qqp", "QQP", "question1\tquestion2\tis_duplicate\n"),
    ):
        path = tmp_path / folder / "train.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(header + text, "utf-8")
        one_error(lambda task=task: read_official(tmp_path, vocabulary, task), path)
