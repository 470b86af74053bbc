"""Hashes of data change with what a run reads, and with nothing else."""

import json

import pytest
from byte_vocabulary import byte_vocabulary

from jaxprompt.data.pretraining.passages import text_task
from jaxprompt.data.read.sources import Source, SplitRows
from jaxprompt.data.tasks.digest import data_hashes
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.tasks.task import Task

ROWS = [{"text": f"row {n}", "answer": "yes" if n % 2 else "no"} for n in range(4)]


@pytest.fixture
def hashes_of(tmp_path):
    def hashes(rows, indent=None):
        path = tmp_path / "rows.jsonl"
        separators = (",", ":") if indent is None else (" , ", " : ")
        lines = [json.dumps(row, separators=separators) for row in rows]
        path.write_text("\n".join(lines) + "\n")
        task = file_task(
            "rows",
            files={"train": path, "validation": path},
            inputs="{text}",
            target="answer",
            vocabulary=byte_vocabulary(),
        )
        return data_hashes(task, ["train"])

    return hashes


def test_any_change_of_a_row_shows(hashes_of):
    before = hashes_of(ROWS)
    assert list(before) == ["split 'train'"]
    assert len(before["split 'train'"]) == 64
    assert hashes_of(ROWS, indent=1) == before, "spaces in the file are no change"
    others = [
        [*ROWS[:3], {"text": "row 3", "answer": "no"}],
        [{"text": "row 0 ", "answer": "no"}, *ROWS[1:]],
        [ROWS[1], ROWS[0], *ROWS[2:]],
        ROWS[:3],
    ]
    found = [hashes_of(rows)["split 'train'"] for rows in others]
    assert len({before["split 'train'"], *found}) == 5


def test_lists_and_numbers_count(tmp_path):
    def hashes(**features):
        rows = [{"inputs": "a", "targets": "b", "idx": 0, **features}] * 2
        task = Task(
            name="lists",
            source=Source("lists", lambda: {"train": SplitRows(lambda: rows)}),
            vocabulary=byte_vocabulary(),
            read_request=lambda row, number: {},
        )
        return data_hashes(task, ["train"])["split 'train'"]

    found = [
        hashes(answers=["a", "b"], nested={"start": ["x"], "deep": {"x": 1.5}}),
        hashes(answers=["ab"], nested={"start": ["x"], "deep": {"x": 1.5}}),
        hashes(answers=["a", "b"], nested={"start": ["x", ""], "deep": {"x": 1.5}}),
        hashes(answers=["a", "b"], nested={"start": ["x"], "deep": {"x": 2.5}}),
    ]
    assert len(set(found)) == 4


def test_raw_text_names_its_files(tmp_path):
    (tmp_path / "a.txt").write_text("One sentence here. Another one there. " * 40)
    task = text_task(
        "text",
        tmp_path,
        objectives={"prefix_lm": 1.0},
        vocabulary=byte_vocabulary(),
        validation_share=0.3,
    )
    assert list(data_hashes(task, ["train"])) == ["file 'a.txt'"]
