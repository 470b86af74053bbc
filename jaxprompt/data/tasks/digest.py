"""SHA-256 of what a run learns from: the examples, or the files that hold them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxprompt.data.read.sources import Features
from jaxprompt.data.tasks.task import Task


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
        f"split {split!r}": _hash_rows(task.source.rows(split))
        for split in dict.fromkeys(splits)
    }


def _hash_rows(rows: Sequence[Features]) -> str:
    found = hashlib.sha256()
    for name, column in _columns("", rows):
        found.update(f"\n{name} {column.dtype} {column.shape}\n".encode())
        if column.dtype == object:  # Texts, as bytes of any length.
            for text in column:
                found.update(len(text).to_bytes(8) + text)
        else:
            found.update(column.tobytes())
    return found.hexdigest()


def _columns(name: str, values: Sequence[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the values of each feature as arrays; a list of texts has two.

    Numbers have the types that TFDS gives them, so that a file and TFDS agree.
    """
    match values[0]:
        case Mapping() as first:
            for key in sorted(first):
                yield from _columns(f"{name}/{key}", [value[key] for value in values])
        case list() | np.ndarray():
            texts = [text for value in values for text in value]
            yield f"{name}.0", _texts(texts)
            ends = np.cumsum([0, *(len(value) for value in values)], dtype=np.int64)
            yield f"{name}.1", ends
        case int() | np.integer():
            of_label = name.rsplit("/", 1)[-1] == "label"
            yield f"{name}.0", np.array(values, np.int64 if of_label else np.int32)
        case float() | np.floating():
            yield f"{name}.0", np.array(values, np.float32)
        case _:
            yield f"{name}.0", _texts(values)


def _texts(values: Sequence[str | bytes]) -> np.ndarray:
    column = np.empty(len(values), object)
    column[:] = [x.encode() if isinstance(x, str) else x for x in values]
    return column
