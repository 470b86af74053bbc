"""Rows of a Python program: dicts, a data frame, a data set, or a file of rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.bundled import resolve
from jaxprompt.data.read.files import Row, read_rows
from jaxprompt.data.read.shares import splits_by_label
from jaxprompt.screen.quoting import listed, quoted

_KINDS = (
    "a list of dicts, a pandas DataFrame, a datasets.Dataset, or the path of a .jsonl, "
    ".csv or .tsv file"
)

_MISSING = ("NAType", "NaTType")
"""Types of what stands for a missing value in a data frame, besides None and NaN."""


def read_data(data: Any, name: str, used: Sequence[str]) -> list[Row]:
    """Reads rows of any kind, and checks the fields that are used.

    Args:
        data: A list of dicts, or anything else that yields dicts, as a
            `datasets.Dataset`; a data frame of pandas or polars; or the path of a file.
        name: What messages call it, as "data".
        used: Fields that each row has to have, with a value.

    Raises:
        ValueError: If it is of no such kind, has no rows, or a row lacks a field or its
            value; names the row and the column.
        FileNotFoundError: If there is no such file.
    """
    rows = _rows_of(data, name)
    for row in rows:
        for field in used:
            if field not in row.fields:
                raise ValueError(
                    f"{row.where}: no column {field!r}: there are {listed(row.fields)}"
                )
            if row.fields[field] is None:
                raise ValueError(
                    f"{row.where}: column {field!r} has no value: leave such rows out, "
                    f"as {_without_missing(data, field)}"
                )
    return rows


def read_asked(rows: Any, name: str, fields: Sequence[str]) -> list[Row]:
    """Reads rows to answer, of which some may be texts.

    Args:
        rows: As `data` of `read_data`, but a path; or texts.
        name: What messages call them, as "rows".
        fields: Fields of the template that is filled in. If it is one, a text stands
            for it.

    Raises:
        ValueError: As `read_data`; or if a text has several fields to stand for, or
            none, as of an official task, which writes its inputs itself.
    """
    if isinstance(rows, str | Path):
        raise ValueError(f"{name} is one text: put it into a list, as [text]")
    items = _items_of(rows, name)
    for number, item in enumerate(items):
        if isinstance(item, str) and not fields:
            raise ValueError(
                f"{name}[{number}] is a text, but the prompt's task writes its inputs "
                "of a row's fields: give rows with these, or {'inputs': text} for a "
                "text that is whole"
            )
        if isinstance(item, str) and len(fields) > 1:
            raise ValueError(
                f"{name}[{number}] is a text, but the prompt's template has the fields "
                f"{listed(fields)}: give rows, as {{{fields[0]!r}: ..., "
                f"{fields[1]!r}: ...}}"
            )
    return _as_rows([{fields[0]: x} if isinstance(x, str) else x for x in items], name)


def split_rows(
    rows: Sequence[Row], share: float, target: Callable[[Row], str] | None, seed: int
) -> tuple[list[Row], list[Row]]:
    """Parts rows into those to learn from and those to choose by, in their order.

    Args:
        rows: The rows.
        share: Share of the second part, above 0 and below 1.
        target: The label of a row, of each of which both parts get their share, one row
            or more; None where there are no labels.
        seed: Of the choice, which depends on nothing else.

    Raises:
        ValueError: If the share is out of range, or a part would be empty.
    """
    if not 0 < share < 1:
        raise ValueError(
            f"validation {share}: use a share of the rows above 0 and below 1, or give "
            "rows of their own"
        )
    labels = ["" if target is None else target(row) for row in rows]
    shares = {"train": 1 - share, "validation": share}
    splits = splits_by_label(labels, shares, seed)
    if "validation" not in splits:
        raise ValueError(
            f"{len(rows)} rows, and no two of one label: too few to take a share of "
            f"{share} for validation: give more, or validation rows of their own"
        )
    train, validation = (
        [row for row, split in zip(rows, splits, strict=True) if split == wanted]
        for wanted in shares
    )
    return train, validation


def _rows_of(data: Any, name: str) -> list[Row]:
    if isinstance(data, str | Path):
        return read_rows(resolve(data))
    items = _items_of(data, name)
    if not items:
        raise ValueError(f"{name} has no rows: give one or more")
    return _as_rows(items, name)


def _items_of(data: Any, name: str) -> list[Any]:
    """Lists what there is, of which each should be a dict."""
    if hasattr(data, "to_dicts"):  # A data frame of polars.
        return data.to_dicts()
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # Of pandas.
        return data.to_dict("records")
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        what = (
            f"a dict of {listed(map(str, data))}" if isinstance(data, Mapping) else ""
        )
        raise ValueError(f"{name} is {what or quoted(data)}: give {_KINDS}")
    return list(data)


def _as_rows(items: Sequence[Any], name: str) -> list[Row]:
    rows = []
    for number, item in enumerate(items):
        where = f"{name}[{number}]"
        if not isinstance(item, Mapping):
            raise ValueError(f"{where} is {quoted(item)}, no dict: give {_KINDS}")
        rows.append(Row(where, {str(key): plain(item[key]) for key in item}))
    return rows


def plain(value: Any) -> Any:
    """Returns a value as JSON has it: NumPy's own numbers as Python's, none as None."""
    if isinstance(value, np.generic):
        value = value.item()
    is_nan = isinstance(value, float) and value != value
    return None if is_nan or type(value).__name__ in _MISSING else value


def _without_missing(data: Any, field: str) -> str:
    if hasattr(data, "dropna"):
        return f"data.dropna(subset=[{field!r}])"
    return f"[row for row in data if row[{field!r}] is not None]"
