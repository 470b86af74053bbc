"""T5X checkpoint folders: a msgpack index, large tensors beside it in zarr."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.models.families import FAMILIES
from jaxprompt.models.weights.checkpoint import Checkpoint
from jaxprompt.models.weights.t5x_index import (
    INDEX,
    PROMPT,
    open_leaves,
    read_index,
)

# Bytes that a byte of gzip can stand for. Source: zlib's technical details.
_MOST_PACKED = 1032


def is_checkpoint(folder: Path) -> bool:
    """Tells whether a folder is a T5X checkpoint."""
    return (folder / INDEX).is_file()


def open_checkpoint(folder: Path) -> Checkpoint:
    """Opens a T5X checkpoint of a model whose layers are not scanned.

    A prompt that is in it is left where it is.

    Args:
        folder: Holds `checkpoint` and the folders `target.*`.

    Raises:
        ValueError: If the index cannot be read, or the tensors are not those of a
            family that T5X trains.
    """
    tensors = _T5XTensors(folder)
    # The index names no family; only one has such checkpoints.
    (form,) = (family.t5x for family in FAMILIES if family.t5x is not None)
    config = form.read_config(tensors.shapes, folder)
    sources = form.layout(config).sources
    return Checkpoint(folder, config, tensors, sources, frozenset((PROMPT,)))


def _check_files(name: str, array: Any, folder: Path) -> None:
    """Refuses a zarr folder whose files cannot hold the shape that it claims.

    A missing chunk would be read as zeros, which no weight that trained is.
    """
    found = [p for p in folder.rglob("*") if p.is_file() and not _is_metadata(p)]
    wanted = math.prod(
        -(-size // chunk)
        for size, chunk in zip(
            array.shape, array.chunk_layout.read_chunk.shape, strict=True
        )
    )
    if len(found) < wanted:
        raise ValueError(
            f"{folder} has {len(found)} files of the {wanted} that {name} of shape "
            f"{tuple(array.shape)} has: fetch the whole checkpoint folder again"
        )
    claimed = math.prod(array.shape) * array.dtype.numpy_dtype.itemsize
    held = _MOST_PACKED * sum(path.stat().st_size for path in found)
    if claimed > held:
        raise ValueError(
            f"{folder}: {name} of shape {tuple(array.shape)} has {claimed} bytes, but "
            f"its files unpack to {held} at most: fetch the whole checkpoint folder "
            "again"
        )


def _is_metadata(path: Path) -> bool:
    return path.name.startswith(".")


class _T5XTensors:
    """Small tensors lie in the index itself, large ones in a zarr folder each."""

    def __init__(self, folder: Path) -> None:
        self.files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._arrays = open_leaves(folder, read_index(folder))
        for name, array in self._arrays.items():
            if not isinstance(array, np.ndarray):
                _check_files(name, array, folder / f"target.{name}")
        self.shapes = {name: tuple(array.shape) for name, array in self._arrays.items()}

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        part = self._arrays[name][index]
        return part if isinstance(part, np.ndarray) else part.read().result()
