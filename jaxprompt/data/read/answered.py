"""Rows and their answers -> the text of a file: JSON lines, or a table."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxprompt.data.read.files import Row, field_text
from jaxprompt.quoting import listed

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
    header: bool = True,
) -> Written:
    """Writes each row with its answer behind its own fields.

    Args:
        rows: The rows, which `check_writable` took.
        answers: The answer of each.
        field: Name of the field that gets it.
        suffix: The file's ending: .csv and .tsv are tables, as
            `data.read.files.read_rows` reads them; any other is one JSON object a line.
        more: Fields behind the answer of each row, for JSON lines; None for none.
        header: Whether the rows are the first ones, so that a table's names come first.
    """
    if suffix not in TABLES:
        lines = (
            json.dumps({**row.fields, field: answer, **beside}, ensure_ascii=False)
            + "\n"
            for row, answer, beside in zip(
                rows, answers, more or [{}] * len(rows), strict=True
            )
        )
        return Written("".join(lines))
    names = [[*(rows[0].fields if rows else ()), field]] if header else []
    own = [[field_text(row, name) for name in row.fields] for row in rows]
    if suffix == ".csv":
        text = io.StringIO(newline="")
        # Not "\n", or a lone carriage return within a text would stand unquoted.
        table = csv.writer(text, lineterminator="\r\n")
        table.writerows(names)
        table.writerows([*row, said] for row, said in zip(own, answers, strict=True))
        return Written(text.getvalue())
    cells = [answer.translate(_NO_CELL) for answer in answers]
    changed = sum(cell != answer for cell, answer in zip(cells, answers, strict=True))
    lines = [*names, *([*row, cell] for row, cell in zip(own, cells, strict=True))]
    return Written("".join("\t".join(line) + "\n" for line in lines), changed)
