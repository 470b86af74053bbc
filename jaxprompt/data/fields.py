"""Fields of a row that are more than a text: labels, numbers, rows within a row."""

import json
from collections.abc import Mapping
from typing import Any

from jaxprompt.data.files import Row, field_text


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
            f"{row.where}: {name} {label!r} is not one of {', '.join(labels)}"
        )
    return labels[label]


def field_number(row: Row, name: str) -> int:
    """Returns a whole number of 0 or more; ValueError if the field holds none."""
    number = field_text(row, name)
    if not number.isdecimal():
        raise ValueError(f"{row.where}: {name} {number!r} is not a whole number")
    return int(number)


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
        raise ValueError(f"{row.where}: {name} is {_short(values)}: use a list")
    return [_row(x, f"{row.where}: {name}[{i}]") for i, x in enumerate(values)]


def _value(row: Row, name: str) -> Any:
    if name not in row.fields:
        raise ValueError(
            f"{row.where}: no field {name!r}: the row has "
            f"{', '.join(row.fields) or 'no fields'}"
        )
    return row.fields[name]


def _row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise ValueError(
            f'{where} is {_short(value)}: use an object, {{"field": value, ...}}'
        )
    return Row(where, value)


def _short(value: Any) -> str:
    return json.dumps(value)[:40]
