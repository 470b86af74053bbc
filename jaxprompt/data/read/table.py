"""Rows that a program has in memory, in the place of a file of rows."""

import dataclasses
import functools
import hashlib
import json

from jaxprompt.data.read.files import Row


@dataclasses.dataclass(frozen=True, repr=False)
class Table:
    """Rows in memory.

    Attributes:
        rows: The rows, one or more; `where` of each is its place, for messages.
    """

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return "rows in memory"

    def __repr__(self) -> str:
        return f"{len(self.rows)} rows in memory, SHA-256 {self.digest}"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the fields of all rows, as JSON."""
        found = hashlib.sha256()
        for row in self.rows:
            found.update(f"{json.dumps(row.fields, default=repr)}\n".encode())
        return found.hexdigest()
