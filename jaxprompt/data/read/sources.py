"""Where the rows of a task come from: found, validated and kept in memory by split.

A malformed row is one clear error before training starts. Nothing is looked for before
a split is asked for: a task answers rows of a user without any files.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.data.read.files import check_exists

Features = dict[str, Any]
"""A row: feature name -> a text, a number, a list of texts, or features again."""


class SplitRows(NamedTuple):
    """The rows of a split, which are still to be read.

    Attributes:
        read: Reads and validates them.
        file: The file that holds them; None where they lie in no single file.
        places: Lists where each row stands, as "file:line"; None if it is not known.
        note: Says what to know of them before training; empty for nothing.
    """

    read: Callable[[], Sequence[Features]]
    file: Path | None = None
    places: Callable[[], Sequence[str]] | None = None
    note: Callable[[], str] = str


class Source:
    """The rows of a task, read split by split on first use.

    Attributes:
        streams: Whether rows are made as they are asked for, each with its answer, and
            are not kept.
    """

    streams = False

    def __init__(self, task_name: str, find: Callable[[], Mapping[str, SplitRows]]):
        """Makes a source, and looks for none of its files.

        Args:
            task_name: For error messages.
            find: Returns the splits that are there, and the rows of each; called when
                the source is first asked for its splits, or for one of them.
        """
        self._task_name = task_name
        self._find = functools.cache(find)
        self._read: dict[str, Sequence[Features]] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there; FileNotFoundError if no file of the task is."""
        return tuple(self._find())

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of the files that rows come from, where a source records it."""
        return {}

    def check(self, split: str) -> None:
        """Checks that a split is there, and reads no row of it.

        Raises:
            ValueError: If the task has no such split.
            FileNotFoundError: If the split's file is missing.
        """
        file = self._rows_of(split).file
        if file is not None:
            check_exists(file)

    def rows(self, split: str) -> Sequence[Features]:
        """Returns every row of a split; reads it if this has not happened yet.

        Raises:
            ValueError: If there is no such split, or a row is malformed.
        """
        if split not in self._read:
            self._read[split] = self._rows_of(split).read()
        return self._read[split]

    def notes(self, split: str) -> list[str]:
        """Says what to know of a split before training; empty for nothing."""
        note = self._rows_of(split).note()
        return [note] if note else []

    def place(self, split: str, row: int) -> str:
        """Returns where a row stands, for messages: its file and line if known."""
        return self.places(split, [row])[0]

    def places(self, split: str, rows: Sequence[int]) -> list[str]:
        """Returns where rows stand, each as `place` does; their file is read once."""
        find = self._rows_of(split).places
        if find is None:
            return [f"row {row + 1} of split {split!r}" for row in rows]
        known = find()
        return [known[row] for row in rows]

    def _rows_of(self, split: str) -> SplitRows:
        found = self._find()
        if split not in found:
            raise ValueError(
                f"no split {split!r} in task {self._task_name}: it has "
                f"{', '.join(found)}"
            )
        return found[split]


def find_files(
    task_name: str,
    data_dir: str | Path,
    folders: Sequence[str],
    files: Mapping[str, Sequence[str]],
) -> dict[str, Path]:
    """Finds a task's official files below DATA_DIR.

    Args:
        task_name: For error messages.
        data_dir: The user's folder.
        folders: Folders below it where the files may lie, in the order of search.
        files: Split -> names that its file may have.

    Returns:
        Split -> path, for the splits that are in the first folder that has any.

    Raises:
        FileNotFoundError: If no split is there; lists what was looked for.
    """
    candidates = [Path(data_dir) / folder for folder in folders]
    for candidate in candidates:
        found = {}
        for split, names in files.items():
            paths = (candidate / name for name in names)
            path = next((path for path in paths if path.is_file()), None)
            if path is not None:
                found[split] = path
        if found:
            return found
    names = [name for names in files.values() for name in names]
    raise FileNotFoundError(
        f"no files of task {task_name} below DATA_DIR {str(data_dir)!r}: looked for "
        f"{', '.join(names)} in {', '.join(map(str, candidates))}"
    )
