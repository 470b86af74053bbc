"""Rows and their answers -> the text of a file: JSON lines, or a table."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxprompt.data.read.files import Row, field_text
from jaxprompt.screen.quoting import listed

TABLES = (".csv", ".tsv")
"""Endings of files that have columns; any other is JSON lines."""

_NO_CELL = str.maketrans("\t\n\r", "   ")
"""What a cell of a .tsv cannot hold -> a space."""


class Written(NamedTuple):
    """The content of a file of answers.

    Attributes:
        text: The content.
        changed: Answers with a tab or a line end, for which a .tsv has spaces.
    """

    text: str
    changed: int = 0


def check_writable(row: Row, first: Row, suffix: str) -> None:
    """Checks that a file can hold a row, before there is an answer.

    Args:
        row: The row.
        first: The file's first row.
        suffix: The file's ending; only those of `TABLES` cannot hold every row.

    Raises:
        ValueError: If the row has other fields than the first, or a value that is no
            cell: a list, an object, null, or in a .tsv a text with a tab or a line end.
    """
    if suffix not in TABLES:
        return
    if list(row.fields) != list(first.fields):
        raise ValueError(
            f"{row.where}: the fields are {listed(row.fields)}, but those of "
            f"{first.where} are {listed(first.fields)}: a {suffix} has the same "
            "columns everywhere, so write a .jsonl"
        )
    for name in row.fields:
        text = field_text(row, name)
        if suffix == ".tsv" and text.translate(_NO_CELL) != text:
            raise ValueError(
                f"{row.where}: field {name!r} holds a tab or a line end, which a "
                ".tsv cannot: write a .csv or a .jsonl"
            )
        if suffix == ".tsv" and name.translate(_NO_CELL) != name:
            raise ValueError(
                f"{first.where}: the field {name!r} has a tab or a line end in "
                "its name, which a .tsv cannot: write a .csv or a .jsonl"
            )


def write_answers(
    rows: Sequence[Row],
    answers: Sequence[str],
    field: str,
    suffix: str,
    more: Sequence[Mapping[str, Any]] | None = None,
    *,
    columns: Sequence[str] = (),
    header: bool = True,
) -> Written:
    """Writes each row with its answer behind its own fields.

    Args:
        rows: The rows, which `check_writable` took.
        answers: The answer of each.
        field: Name of the field that gets it.
        suffix: The file's ending: .csv and .tsv are tables, as
            `data.read.files.read_rows` reads them; any other is one JSON object a line.
        more: Fields behind the answer of each row; None for none.
        columns: Of a table, those that have these, by their names as of `flat`.
        header: Whether the rows are the first ones, so that a table's names come first.
    """
    beside = more or [{}] * len(rows)
    if suffix not in TABLES:
        lines = (
            json.dumps({**row.fields, field: answer, **other}, ensure_ascii=False)
            + "\n"
            for row, answer, other in zip(rows, answers, beside, strict=True)
        )
        return Written("".join(lines))
    names = [*(rows[0].fields if rows else ()), field]
    names += [name.translate(_NO_CELL) for name in columns]
    table, changed = [names] if header else [], 0
    for row, answer, other in zip(rows, answers, beside, strict=True):
        own = [field_text(row, name) for name in row.fields]
        found = flat(other)
        said = [answer, *(str(found.get(name, "")) for name in columns)]
        if suffix == ".tsv":
            cells = [cell.translate(_NO_CELL) for cell in said]
            changed += cells != said
            said = cells
        table.append([*own, *said])
    if suffix == ".tsv":
        return Written("".join("\t".join(line) + "\n" for line in table), changed)
    text = io.StringIO(newline="")
    # Not "\n", or a lone carriage return within a text would stand unquoted.
    csv.writer(text, lineterminator="\r\n").writerows(table)
    return Written(text.getvalue())


def flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Gives what is nested a name of its own, as "candidates.0.probability".

    Args:
        fields: Name -> a text, a number, or a list or an object of such.

    Source: the names of pandas.json_normalize, for lists too.
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = {str(number): one for number, one in enumerate(value)}
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": one for inner, one in flat(value).items()}
        else:
            found[name] = value
    return found
