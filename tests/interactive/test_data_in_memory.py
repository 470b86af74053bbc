"""Rows of a Python program: every kind gives the same rows."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxprompt.data.read.table import Table
from jaxprompt.interactive.rows import read_asked, read_data, split_rows

ROWS = [{"text": f"film {n}", "label": n % 3} for n in range(9)]


class Frame:
    """What is used of a pandas DataFrame, where pandas is not installed."""

    def __init__(self, rows: list[dict[str, Any]]):
        self.rows, self.columns = rows, [*rows[0]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)  # As pandas does: not the rows.

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return self.rows

    def dropna(self, subset: list[str]) -> "Frame":
        raise NotImplementedError


def frame_of(rows: list[dict[str, Any]]) -> Any:
    """Makes a real data frame where pandas is there, as in many notebooks."""
    try:
        import pandas
    except ImportError:
        return Frame(rows)
    return pandas.DataFrame(rows)


class Dataset:
    """What is used of a `datasets.Dataset`: it yields dicts."""

    column_names = ("text", "label")

    def __init__(self, rows: list[dict[str, Any]]):
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)


def digest(data: Any) -> str:
    return Table(tuple(read_data(data, "data", ["text", "label"]))).digest


def test_every_kind_of_data_gives_the_same_rows(tmp_path: Path):
    expected = digest(ROWS)
    assert digest(frame_of(ROWS)) == expected
    assert digest(Dataset(ROWS)) == expected
    assert digest(iter(ROWS)) == expected
    assert (
        digest([{**row, "label": np.int64(row["label"])} for row in ROWS]) == expected
    )
    lines = "".join(f'{{"text": "film {n}", "label": {n % 3}}}\n' for n in range(9))
    (tmp_path / "rows.jsonl").write_text(lines)
    assert digest(tmp_path / "rows.jsonl") == expected
    assert digest(str(tmp_path / "rows.jsonl")) == expected
    assert digest(ROWS[:-1]) != expected


def test_missing_values_of_a_frame_are_told_with_their_row_and_column():
    frame = frame_of([*ROWS, {"text": None, "label": 0}])
    with pytest.raises(
        ValueError,
        match=r"data\[9\]: column 'text' has no value: "
        r"leave such rows out, as data\.dropna\(subset=\['text'\]\)",
    ):
        digest(frame)  # fmt: skip
    # A column that nobody asks for may hold anything.
    others = [{**row, "at": datetime.date(2026, 1, 1), "more": [1]} for row in ROWS]
    assert len(read_data(others, "data", ["text"])) == 9


def test_a_share_is_of_each_label_alike_and_follows_from_the_seed():
    rows = read_data(ROWS, "data", [])
    parts = [
        split_rows(rows, 0.3, lambda row: str(row.fields["label"]), seed)
        for seed in (0, 0, 1, 2)
    ]
    for learned, kept in parts:
        assert sorted(row.fields["label"] for row in kept) == [0, 1, 2]
        assert sorted(row.where for row in (*learned, *kept)) == sorted(
            row.where for row in rows
        )
        assert learned == sorted(learned, key=lambda row: row.where)
    assert parts[0] == parts[1]
    assert len({tuple(row.where for row in kept) for _, kept in parts}) > 1
    # A label of one row stays where it can be learned.
    few = split_rows(rows[:4], 0.5, lambda row: str(row.fields["label"]), 0)
    assert [len(part) for part in few] == [3, 1]


def test_a_text_stands_for_one_field_and_for_no_row_of_an_official_task():
    asked = read_asked(["a film", {"text": "a song"}], "rows", ["text"])
    assert [row.fields for row in asked] == [{"text": "a film"}, {"text": "a song"}]
    with pytest.raises(ValueError, match=r"rows\[1\] is a text, but the prompt's task"):
        read_asked([{"sentence": "a film"}, "a song"], "rows", ())
