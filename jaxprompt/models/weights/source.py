"""Where one leaf of the params is stored: the names, and the way to its layout."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np


class Tensors(Protocol):
    """The tensors of a checkpoint on disk, read by slices."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """All files that hold them."""
        ...

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        """Reads a part of one tensor in the dtype that it is stored in."""
        ...


class Levels(NamedTuple):
    """Those tensors of a checkpoint that are stored as int8 levels, by blocks of a row.

    Attributes:
        values: The levels, from -128 to 127.
        scales: The size of one level in each block: as many numbers in a row as it has
            blocks.
    """

    values: Tensors
    scales: Tensors


@dataclasses.dataclass(frozen=True)
class TensorSource:
    """Where one leaf of the params is stored.

    Attributes:
        names: One tensor; or where `stacked`, one for each layer in order.
        stacked: Whether the leaf has a layer axis N, which the tensors lack.
        transposed: Whether the tensors are stored the other way round.
        columns: Which columns of each tensor the leaf is, rows where it is transposed:
            the first, the one behind the last, and how many there are; None for all.
        padding: Rows of zeros behind the leaf, which its one tensor lacks.
    """

    names: tuple[str, ...]
    stacked: bool = False
    transposed: bool = False
    columns: tuple[int, int, int] | None = None
    padding: int = 0

    def stored(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape of each tensor of a leaf of this shape."""
        shape = shape[1:] if self.stacked else shape
        shape = (shape[0] - self.padding, *shape[1:])
        if self.columns is not None:
            shape = (*shape[:-1], self.columns[2])
        return shape[::-1] if self.transposed else shape

    def read(self, tensors: Tensors, index: tuple[slice, ...]) -> Iterator[np.ndarray]:
        """Reads a part of the leaf, one tensor at a time, as the leaf holds it."""
        names = self.names
        if self.stacked:
            names, index = names[index[0]], index[1:]
        if self.columns is not None:
            first, columns = self.columns[0], index[-1]
            stored = slice(first + columns.start, first + columns.stop)
            index = (*index[:-1], stored)
        for name in names:
            if self.transposed:
                yield tensors.read(name, index[::-1]).T
            elif self.padding:
                yield self._read_padded(tensors, name, index)
            else:
                yield tensors.read(name, index)

    def to_store(self, leaf: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what the leaf has of each tensor, by name, as the tensor holds it."""
        layers = leaf if self.stacked else [leaf]
        found = {}
        for name, layer in zip(self.names, layers, strict=True):
            own = layer[: len(layer) - self.padding]
            found[name] = own.T if self.transposed else own
        return found

    def _read_padded(
        self, tensors: Tensors, name: str, index: tuple[slice, ...]
    ) -> np.ndarray:
        rows, wanted = tensors.shapes[name][0], index[0]
        if wanted.start >= rows:
            return np.zeros([part.stop - part.start for part in index], np.float32)
        own = slice(wanted.start, min(wanted.stop, rows))
        values = tensors.read(name, (own, *index[1:]))
        behind = wanted.stop - own.stop
        return np.pad(values, ((0, behind), *[(0, 0)] * (values.ndim - 1)))
