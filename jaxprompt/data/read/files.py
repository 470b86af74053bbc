"""Text files -> rows: JSONL, CSV and TSV, with one clear error per malformed row."""

import collections
import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.files.strict_json import NotJson, as_json, parse_json
from jaxprompt.files.utf8 import NotUtf8, utf8_lines
from jaxprompt.screen.quoting import listed, quoted_path
from jaxprompt.screen.suggest import path_hint

EXTENSIONS = (".jsonl", ".csv", ".tsv")
"""Of files of rows."""

PACKED = (".gz", ".parquet", ".xlsx")
"""Of files that hold no lines of text."""

_CURES = {
    ".json": "write one object a line into a .jsonl, as jq -c '.[]' {path} > {rows}",
    ".gz": "unpack it first, as gunzip --keep {path}, and name {stem}",
    ".parquet": "write a .jsonl in Python, as pandas.read_parquet('{path}')"
    ".to_json('{rows}', orient='records', lines=True)",
    ".xlsx": "save it as a .csv",
}
"""Ending of a file that is no file of rows yet -> what makes it one."""


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
        The rows in file order; blank lines of a table are skipped, unless it has one
        column: there such a line could be an empty text, and is an error.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the extension is unknown, a row is malformed (with its line),
            or there is no row.
    """
    path = Path(path)
    check_extension(path)
    check_exists(path)
    rows = list(stream_rows(path, skip_short=skip_short))
    if not rows:
        raise ValueError(f"{path}: no rows: the file is empty")
    return rows


def stream_rows(path: Path, *, skip_short: bool = False) -> Iterator[Row]:
    """Reads the rows one after the other, in the memory of one; see `read_rows`.

    Args:
        path: A file that is there, with one of the three extensions.
        skip_short: As for `read_rows`.
    """
    if path.suffix == ".jsonl":
        return read_jsonl(read_lines(path), path)
    if path.suffix == ".csv":
        return _with_header(path, _read_csv(path))
    lines = (line.rstrip("\n") for line in read_lines(path))
    cells = ((n, line.split("\t") if line else []) for n, line in enumerate(lines, 1))
    return _with_header(path, cells, skip_short)


def check_extension(path: Path) -> None:
    """Raises ValueError unless `read_rows` knows the extension."""
    if path.suffix in EXTENSIONS:
        return
    cure = "use .jsonl, .csv or .tsv"
    if path.suffix.lower() in EXTENSIONS:
        cure = f"rename it to {path.with_suffix(path.suffix.lower()).name}"
    elif path.suffix in _CURES:
        cure = _CURES[path.suffix].format(
            path=path, stem=path.with_suffix(""), rows=path.with_suffix(".jsonl")
        )
    raise ValueError(f"{path}: unknown extension {path.suffix!r}: {cure}")


def check_exists(path: Path) -> None:
    """Raises FileNotFoundError unless the file is there."""
    # Not Path.is_file, which fails on a name that is too long.
    if not os.path.isfile(path):
        hint = path_hint(str(path))
        raise FileNotFoundError(f"{quoted_path(path)}: no such file{hint}")


def stream_lines(stream: io.TextIOWrapper, where: str) -> Iterator[str]:
    """Reads a stream of UTF-8 line by line, whatever encoding it was opened with.

    Args:
        stream: Of which nothing was read.
        where: Its name, for error messages.

    Raises:
        ValueError: If it is not UTF-8; names the line.
    """
    lines: Any = stream.buffer
    try:
        for text in utf8_lines(lines):
            yield from _split_lines(text)
    except NotUtf8 as err:
        raise ValueError(f"{where}: not UTF-8: line {err.line}: {err.reason}") from err


def read_lines(path: Path, *, newline: str | None = None) -> Iterator[str]:
    """Reads a text file line by line.

    Args:
        path: The file; UTF-8, with or without a byte-order mark.
        newline: "" keeps line ends as they are; None makes each a line feed.

    Raises:
        ValueError: If it is not UTF-8; names the line.
    """
    try:
        with path.open("rb") as file:
            for text in utf8_lines(file):
                yield from _split_lines(text, newline)
    except NotUtf8 as err:
        raise ValueError(f"{path}:{err.line}: {err.reason}") from err


def _split_lines(text: str, newline: str | None = None) -> Iterable[str]:
    """Splits a text at line feeds and carriage returns, and at nothing else.

    A carriage return ends a line too, as it does for TFDS. A JSON text may hold all
    other line ends of Unicode, such as U+2028.
    """
    return io.StringIO(text, newline=newline)


def read_jsonl(lines: Iterable[str], where: str | Path) -> Iterator[Row]:
    """Reads JSON objects, one a line; only the end may be blank.

    Args:
        lines: An open text file, or standard input; a byte-order mark is skipped.
        where: Name of the stream, for error messages.

    Yields:
        The rows in order.

    Raises:
        ValueError: If a line is no JSON object; names the line.
    """
    blank = None
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix("\ufeff")
        if not line.strip():
            blank = blank or number
            continue
        if blank is not None:
            raise ValueError(
                f"{where}:{blank}: blank line: write one JSON object a line"
            )
        try:
            fields = parse_json(line)
        except NotJson as err:
            raise ValueError(
                f"{where}:{number}: not JSON: {err.reason}: write one JSON object a "
                "line"
            ) from err
        if not isinstance(fields, dict):
            raise ValueError(
                f"{where}:{number}: a JSON {type(fields).__name__}, not an object: "
                'write {"field": value, ...}'
            )
        yield Row(f"{where}:{number}", fields)


def field_text(row: Row, name: str) -> str:
    """Returns a field as text: whole numbers as written, true and false as in JSON.

    Other numbers come as Python writes them: 0.50 as "0.5", and 1e2 as "100.0". Of an
    object within the row "name.field" is a field, where the row has none of that name.

    Raises:
        ValueError: If the row has no such field, or it is null, a list or an object.
    """
    within, _, field = name.partition(".")
    inner = row.fields.get(within)
    if name not in row.fields and field and isinstance(inner, dict):
        return field_text(Row(f"{row.where}: {within}", inner), field)
    if name not in row.fields:
        raise ValueError(
            f"{row.where}: no field {name!r}: the row has {listed(row.fields)}"
        )
    value = row.fields[name]
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError(
            f"{row.where}: field {name!r} is {as_json(value)}: use a text or a number"
        )
    return str(value)


def _read_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    # csv itself must see the line ends: a quoted field may hold some.
    reader = csv.reader(read_lines(path, newline=""), strict=True)
    size = path.stat().st_size
    while True:
        line = reader.line_num + 1
        # csv takes a field of 131,072 characters for an error; a text may be longer.
        usual = csv.field_size_limit(size + 1)
        try:
            cells = next(reader, None)
        except csv.Error as err:
            raise ValueError(f"{path}:{line}: not CSV: {err}") from err
        finally:
            csv.field_size_limit(usual)
        if cells is None:
            return
        yield line, cells


def _with_header(
    path: Path, numbered: Iterator[tuple[int, list[str]]], skip_short: bool = False
) -> Iterator[Row]:
    """Makes rows of cells, which are none where a line is blank."""
    line, header = next((found for found in numbered if found[1]), (1, []))
    counts = collections.Counter(header)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise ValueError(
            f"{path}:{line}: the header names {listed(repeated)} more than once"
        )
    blank = None
    for line, cells in numbered:
        if not cells:
            blank = blank or line
            continue
        if blank is not None and len(header) == 1:
            raise ValueError(
                f"{path}:{blank}: blank line, which in a table of one column may be an "
                "empty text: take it out, or write JSONL"
            )
        blank = None
        if skip_short and len(cells) < len(header):
            continue
        if len(cells) != len(header):
            raise ValueError(
                f"{path}:{line}: {len(cells)} columns, but the header has "
                f"{len(header)}: {listed(header)}"
            )
        yield Row(f"{path}:{line}", dict(zip(header, cells, strict=True)))
