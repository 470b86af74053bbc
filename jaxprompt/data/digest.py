"""SHA-256 of what a run learns from: the examples, or the files that hold them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from jaxprompt.data.libraries import tf
from jaxprompt.data.sources import Columns
from jaxprompt.data.task import Task


def data_hashes(task: Task, splits: Iterable[str]) -> dict[str, str]:
    """Hashes a task's examples, so that a change between two starts shows.

    Args:
        task: The task, whose splits are read.
        splits: The splits that count.

    Returns:
        Name -> SHA-256: of each file of raw text; else of each split's examples, which
        are the same from files and from TFDS.
    """
    if task.source.hashes:
        return {f"file {name!r}": found for name, found in task.source.hashes.items()}
    return {
        f"split {split!r}": _hash_columns(task.source.columns(split))
        for split in dict.fromkeys(splits)
    }


def _hash_columns(columns: Columns) -> str:
    found = hashlib.sha256()
    for name, column in _flat("", columns):
        found.update(f"\n{name} {column.dtype} {column.shape}\n".encode())
        if column.dtype == object:  # Texts, as bytes of any length.
            for text in column.ravel():
                found.update(len(text).to_bytes(8) + text)
        else:
            found.update(column.tobytes())
    return found.hexdigest()


def _flat(name: str, column: Any) -> Iterable[tuple[str, Any]]:
    """Yields the NumPy arrays of a column, of which a ragged one has several."""
    if isinstance(column, Mapping):
        for key in sorted(column):
            yield from _flat(f"{name}/{key}", column[key])
        return
    for place, part in enumerate(tf.nest.flatten(column, expand_composites=True)):
        yield f"{name}.{place}", part.numpy()
