"""Text files -> rows: JSONL, CSV and TSV, with one clear error per malformed row."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        where: "file:line", for error messages.
        fields: Column or key -> value.
    """

    where: str
    fields: dict[str, Any]


def read_rows(path: str | Path, *, skip_short: bool = False) -> list[Row]:
    """Reads every row of a .jsonl, .csv or .tsv file.

    A .csv file quotes as spreadsheets do. A .tsv file has no quoting at all, as in
    GLUE: a quote is a character like any other.

    Args:
        path: The file; UTF-8, with or without a byte-order mark.
        skip_short: Whether to leave out the rows of a .tsv file that have too few
            columns, for they are torn apart by a line break.

    Returns:
        The rows in file order; blank lines of a table are skipped.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the extension is unknown, a row is malformed (with its line),
            or there is no row.
    """
    path = Path(path)
    check_file(path)
    if path.suffix == ".jsonl":
        rows = list(read_jsonl(_lines(path), path))
    elif path.suffix == ".csv":
        rows = list(_read_csv(path))
    else:
        rows = list(_read_tsv(path, skip_short))
    if not rows:
        raise ValueError(f"{path}: no rows: the file is empty")
    return rows


def check_file(path: Path) -> None:
    """Raises an error unless `read_rows` knows the extension and the file is there."""
    if path.suffix not in (".jsonl", ".csv", ".tsv"):
        raise ValueError(
            f"{path}: unknown extension {path.suffix!r}: use .jsonl, .csv or .tsv"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        raise ValueError(
            f"{path}:{line}: byte 0x{err.object[err.start]:02x} is not UTF-8: convert "
            "the file, for example with iconv -f WINDOWS-1252 -t UTF-8"
        ) from err


def _lines(path: Path) -> Iterable[str]:
    # newline=None: a carriage return ends a line too, as it does for TFDS.
    return io.StringIO(_read_text(path), newline=None)


def read_jsonl(lines: Iterable[str], where: str | Path) -> Iterator[Row]:
    """Reads JSON objects, one a line; only the end may be blank.

    Args:
        lines: An open text file, or standard input.
        where: Name of the stream, for error messages.

    Yields:
        The rows in order.

    Raises:
        ValueError: If a line is no JSON object; names the line.
    """
    blank = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            blank = blank or number
            continue
        if blank is not None:
            raise ValueError(
                f"{where}:{blank}: blank line: write one JSON object a line"
            )
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as err:
            raise ValueError(
                f"{where}:{number}: not JSON: {err.msg} at column {err.colno}: write "
                "one JSON object a line"
            ) from err
        if not isinstance(fields, dict):
            raise ValueError(
                f"{where}:{number}: a JSON {type(fields).__name__}, not an object: "
                'write {"field": value, ...}'
            )
        yield Row(f"{where}:{number}", fields)


def field_text(row: Row, name: str) -> str:
    """Returns a field as text: numbers as written, true and false as in JSON.

    Raises:
        ValueError: If the row has no such field, or it is null, a list or an object.
    """
    if name not in row.fields:
        raise ValueError(
            f"{row.where}: no field {name!r}: the row has "
            f"{', '.join(row.fields) or 'no fields'}"
        )
    value = row.fields[name]
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError(
            f"{row.where}: field {name!r} is {json.dumps(value)[:40]}: use a text or a "
            "number"
        )
    return str(value)


def _read_tsv(path: Path, skip_short: bool) -> Iterator[Row]:
    lines = _lines(path)
    cells = ((n, line.rstrip("\n").split("\t")) for n, line in enumerate(lines, 1))
    filled = ((n, row) for n, row in cells if row != [""])
    return _with_header(path, filled, skip_short)


def _read_csv(path: Path) -> Iterator[Row]:
    # csv itself must see the line ends: a quoted field may hold some.
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    return _with_header(path, _numbered(path, reader))


def _numbered(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as err:
            raise ValueError(f"{path}:{line}: not CSV: {err}") from err
        if cells is None:
            return
        if cells:
            yield line, cells


def _with_header(
    path: Path, numbered: Iterator[tuple[int, list[str]]], skip_short: bool = False
) -> Iterator[Row]:
    line, header = next(numbered, (1, []))
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{path}:{line}: the header names {', '.join(repeated)} more than once"
        )
    for line, cells in numbered:
        if skip_short and len(cells) < len(header):
            continue
        if len(cells) != len(header):
            raise ValueError(
                f"{path}:{line}: {len(cells)} columns, but the header has "
                f"{len(header)}: {', '.join(header)}"
            )
        yield Row(f"{path}:{line}", dict(zip(header, cells, strict=True)))
