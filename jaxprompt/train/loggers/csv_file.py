"""The curves of a run as a table: WORKDIR/metrics.csv."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.screen.quoting import quoted
from jaxprompt.train.loggers.logger import LogStart

FILE = "metrics.csv"

_COLUMNS = ("step", "name", "value")


class CsvFile:
    """Writes WORKDIR/metrics.csv, a row for each number: step, name, value.

    Training and validation have names of their own, which are not known beforehand, so
    that none is a column. A pivot table makes columns of them.
    """

    def __init__(self, start: LogStart):
        path = start.workdir / FILE
        rows = [row for row in _read_rows(path) if int(row[0]) <= start.first_step]
        write_atomically(path, _lines([_COLUMNS, *rows]).encode())
        self._file = path.open("a", encoding="utf-8", newline="")

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the rows of a step, and flushes them."""
        rows = [(str(step), name, repr(float(x))) for name, x in scalars.items()]
        self._file.write(_lines(rows))
        self._file.flush()

    def sync(self) -> None:
        """Returns when all that was written is on disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file."""
        self._file.close()


def _lines(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read_rows(path: Path) -> Iterator[tuple[str, ...]]:
    """Yields the rows of a file, if there is one; one that a kill has cut is none.

    Raises:
        ValueError: If a row is none of such a file; names it.
    """
    if not path.exists():
        return
    whole, _, _ = read_utf8(path).rpartition("\n")
    rows = csv.reader(whole.splitlines())
    if tuple(next(rows, _COLUMNS)) != _COLUMNS:
        raise _no_row(path, 1, ",".join(_COLUMNS))
    for number, row in enumerate(rows, 2):
        if len(row) != len(_COLUMNS) or not row[0].isdecimal():
            raise _no_row(path, number, "a step, a name and a value")
        yield tuple(row)


def _no_row(path: Path, number: int, wanted: str) -> ValueError:
    return ValueError(
        f"{path}:{number}: not {quoted(wanted)}: delete the file, which then begins "
        "at the step where the run goes on"
    )
