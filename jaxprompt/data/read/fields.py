"""Fields of a row that are more than a text: labels, numbers, rows within a row."""

from collections.abc import Iterable, Mapping
from typing import Any

from jaxprompt.data.read.files import Row, field_text
from jaxprompt.files.strict_json import as_json
from jaxprompt.screen.quoting import listed, quoted

_LARGEST = 2**31 - 1
"""Of a number of a row: TFDS keeps it in int32, and so do digests."""


def field_label(row: Row, name: str, labels: Mapping[str, int]) -> int:
    """Reads a label.

    Args:
        row: The row.
        name: The field.
        labels: A label as written in the files -> class index.

    Returns:
        The class index.

    Raises:
        ValueError: If there is no such field, or no such label.
    """
    label = field_text(row, name)
    if label not in labels:
        raise ValueError(
            f"{row.where}: {name} {quoted(label)} is not one of {listed(labels)}"
        )
    return labels[label]


def field_number(row: Row, name: str) -> int:
    """Returns a whole number from 0 to 2**31 - 1; ValueError if it holds none."""
    text = field_text(row, name)
    if not text.isdecimal():
        raise ValueError(f"{row.where}: {name} {quoted(text)} is not a whole number")
    # Python refuses to read thousands of digits.
    if len(text.lstrip("0")) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise ValueError(
            f"{row.where}: {name} {quoted(text)} is too large: use at most {_LARGEST}"
        )
    return int(text)


def check_ids(ids: Iterable[tuple[str, tuple[int, ...]]], names: str) -> None:
    """Checks that no two parts of a file have the same id.

    Args:
        ids: (where it stands, its id) of each part; an id may have several numbers.
        names: What the numbers of an id are, as "passage and query".

    Raises:
        ValueError: If an id stands twice: scores, which group rows by it, would take
            the two for one.
    """
    seen: dict[tuple[int, ...], str] = {}
    for where, found in ids:
        if found in seen:
            numbers = ", ".join(map(str, found))
            raise ValueError(
                f"{where}: the idx of {names} is {numbers}, which {seen[found]} has "
                "too: give each its own"
            )
        seen[found] = where


def field_row(row: Row, name: str) -> Row:
    """Returns a JSON object within a row; its errors say where it stands.

    Raises:
        ValueError: If the row has no such field, or it is no object.
    """
    return _row(_value(row, name), f"{row.where}: {name}")


def field_rows(row: Row, name: str) -> list[Row]:
    """Returns a list of JSON objects within a row, as `field_row`.

    Raises:
        ValueError: If the row has no such field, or it is no list of objects.
    """
    values = _value(row, name)
    if not isinstance(values, list):
        raise ValueError(f"{row.where}: {name} is {as_json(values)}: use a list")
    return [_row(x, f"{row.where}: {name}[{i}]") for i, x in enumerate(values)]


def _value(row: Row, name: str) -> Any:
    if name not in row.fields:
        raise ValueError(
            f"{row.where}: no field {name!r}: the row has {listed(row.fields)}"
        )
    return row.fields[name]


def _row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise ValueError(
            f'{where} is {as_json(value)}: use an object, {{"field": value, ...}}'
        )
    return Row(where, value)
