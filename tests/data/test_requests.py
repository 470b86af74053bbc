"""Rows to predict take the same way as training rows, in order."""

import io
from pathlib import Path

import numpy as np
import pytest

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.batches import Lengths
from jaxprompt.data.rows.requests import decode, read_jsonl, request_batches
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import file_task
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.soft_ids import prefix

LENGTHS = Lengths(inputs=40, targets=20)
SOFT_IDS = prefix(num_rows=500, length=3)


@pytest.fixture(scope="module")
def cb(official: Path, vocabulary):
    return load_task("cb", vocabulary=vocabulary, data_dir=official)


def inputs(task, rows: list[dict], batch_size: int = 2) -> list[str]:
    batches = request_batches(task, rows, LENGTHS, SOFT_IDS, batch_size)
    found = [""] * len(rows)
    for batch, numbers in batches:
        assert len(batch.inputs) == len(numbers) == batch_size
        assert not batch.inputs[numbers < 0].any()
        assert (batch.inputs[numbers >= 0, :3] == SOFT_IDS).all()
        texts = decode(task.vocabulary, batch.inputs[:, 3:])
        for number, text in zip(numbers, texts, strict=True):
            if number >= 0:
                found[number] = text
    return found


def test_the_same_ids_as_in_evaluation(cb, official: Path):
    lines = (official / "superglue" / "CB" / "val.jsonl").read_text().splitlines()
    rows = list(read_jsonl(lines, "val.jsonl"))
    ((ours, _),) = request_batches(cb, rows, LENGTHS, SOFT_IDS, batch_size=4)
    ((theirs, _),) = EvaluationSet(Sample(cb, "validation", LENGTHS, SOFT_IDS)).batches(
        4
    )
    np.testing.assert_array_equal(ours.inputs, theirs.inputs)
    np.testing.assert_array_equal(ours.input_segments, theirs.input_segments)


def test_rows_come_back_in_order_with_raw_text_between(cb):
    rows = [
        {"premise": "rain 1", "hypothesis": "wet"},
        {"inputs": "kettle sings"},
        {"hypothesis": "dry", "premise": "rain 2", "label": "whatever", "idx": "a"},
    ]
    assert inputs(cb, rows) == [
        "hypothesis: wet premise: rain 1",
        "kettle sings",
        "hypothesis: dry premise: rain 2",
    ]
    assert inputs(cb, []) == []


def test_own_tasks_fill_their_template(vocabulary, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("q,a\nx,yes\n")
    task = file_task(
        "own",
        files=tmp_path / "rows.csv",
        inputs="question: {q}",
        target="a",
        labels={"yes": "positive"},
        vocabulary=vocabulary,
    )
    assert inputs(task, [{"q": "rain"}, {"q": "tea", "a": "perhaps"}]) == [
        "question: rain",
        "question: tea",
    ]


def test_errors_name_file_and_line_before_any_batch(cb):
    rows = [{"inputs": "fine"}, {"premise": "rain"}]
    with pytest.raises(
        ValueError, match=r"asked.jsonl:2: no field 'hypothesis': the row has premise"
    ):
        request_batches(cb, rows, LENGTHS, SOFT_IDS, 2, where="asked.jsonl")
    with pytest.raises(ValueError, match="standard input:2: not JSON"):
        list(read_jsonl(io.StringIO('{"inputs": "x"}\n{oh\n'), "standard input"))
    stream = io.TextIOWrapper(io.BytesIO(b'{"inputs": "\xff"}\n'), "utf-8")
    with pytest.raises(ValueError, match="standard input: not UTF-8"):
        list(read_jsonl(stream, "standard input"))
