"""What a frozen model's lower layers make of rows: computed once, then looked up.

Below the first layer that reads a deep prompt, what a model makes of a row stays the
same while the prompt trains. Here it is kept for all rows, and found by the ids that a
model reads of a row: so it does not matter in which order, batch or member rows come,
or how much padding stands behind them.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Float

from jaxprompt.data.rows.row_batches import Progress, padding_share, sorted_batches
from jaxprompt.data.rows.widths import used_columns
from jaxprompt.shapes import Batch, LowerStates
from jaxprompt.sharding import fetch

Ids: TypeAlias = tuple[bytes, bytes]
"""All that the states of a row follow from: of its source, and of its target inputs."""

_CHUNK = 2**24
"""Bytes of a file that are written at once."""


class _Row(NamedTuple):
    ids: Ids
    inputs: int
    targets: int


@dataclasses.dataclass(frozen=True)
class RowPlaces:
    """Where the states of each row are to stand in one array, row behind row.

    Attributes:
        starts: Each row's first token, from 0; rows that are alike have one place.
        tokens: Tokens S of all of these rows.
        like: What is kept, as shapes: its width and dtype, whether target inputs have
            states, and of which layers.
    """

    starts: Mapping[Ids, int]
    tokens: int
    like: LowerStates

    @property
    def nbytes(self) -> int:
        """Bytes of all states."""
        states = self.like.inputs
        return self.tokens * states.shape[-1] * states.dtype.itemsize


def place_rows(batches: Iterable[Batch], like: LowerStates) -> RowPlaces:
    """Gives each row that differs from those before it a place.

    Args:
        batches: All rows, as NumPy arrays; none is packed.
        like: From `prompts.join.prompted_lower`, of any of them, as shapes.
    """
    starts: dict[Ids, int] = {}
    tokens = 0
    for batch in batches:
        for row in _rows(batch, like):
            if row.ids not in starts:
                starts[row.ids] = tokens
                tokens += row.inputs + row.targets
    return RowPlaces(starts, tokens, like)


@dataclasses.dataclass(frozen=True, eq=False)
class KeptStates:
    """The states of rows.

    Attributes:
        places: Where each row's stand: those of its source, then of its target inputs.
        states: Of every token, in the dtype that the model computes in.
    """

    places: RowPlaces
    states: Float[np.ndarray, "S D"]

    def join(self, batch: Batch) -> Batch:
        """Returns a batch with its rows' states; zeros on padding and for empty rows.

        Args:
            batch: Some of the rows, as NumPy arrays, with any padding behind them.

        Raises:
            KeyError: If a row is none of these.
        """
        like, (count, width) = self.places.like, batch.inputs.shape
        states: Any = np.zeros((count, width, self.states.shape[1]), self.states.dtype)
        targets: Any = None
        if like.targets is not None:
            shape = (count, batch.target_inputs.shape[1], self.states.shape[1])
            targets = np.zeros(shape, self.states.dtype)
        for number, row in enumerate(_rows(batch, like)):
            if not row.inputs + row.targets:
                continue
            start = self.places.starts[row.ids]
            end = start + row.inputs
            states[number, : row.inputs] = self.states[start:end]
            if targets is not None:
                found = self.states[end : end + row.targets]
                targets[number, : row.targets] = found
        lower = LowerStates(states, targets, like.layers)
        return dataclasses.replace(batch, lower=lower)


def keep_states(
    read: Callable[[Batch], LowerStates],
    batches: Iterable[Batch],
    places: RowPlaces,
    *,
    batch_size: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> KeptStates:
    """Reads each row once. The same rows give the same bits, on the same devices.

    Args:
        read: From a batch of NumPy arrays to its states on the devices.
        batches: Those that the places are of.
        places: From `place_rows`.
        batch_size: Rows that are read at once.
        folder: Where to keep the states in a file without a name, which ends with the
            process, however it ends; None keeps them in memory.
        progress: Called with the number of rows that were read, and the share of their
            source tokens that is padding.

    Raises:
        OSError: If the folder's disk has no room for them.
    """
    states = _make_room(places, folder)
    waiting = set(places.starts)
    for batch in batches:
        rows = list(_rows(batch, places.like))
        # Of rows that are alike, the last is read.
        last = {row.ids: number for number, row in enumerate(rows)}
        numbers = np.array([last[ids] for ids in last if ids in waiting], int)
        waiting -= last.keys()
        some = jax.tree.map(lambda leaf, n=numbers: leaf[n], batch)
        for part in sorted_batches(some, batch_size):
            found = read(part.batch)
            inputs = fetch(found.inputs)
            targets = None if found.targets is None else fetch(found.targets)
            for place, number in enumerate(part.numbers[part.numbers >= 0]):
                row = rows[numbers[number]]
                start = places.starts[row.ids]
                end = start + row.inputs
                states[start:end] = inputs[place, : row.inputs]
                if targets is not None:
                    states[end : end + row.targets] = targets[place, : row.targets]
            if progress is not None:
                progress(part.num_examples, padding_share(part.batch))
    return KeptStates(places, states)


def _rows(batch: Batch, like: LowerStates) -> Iterator[_Row]:
    """Yields what a model reads of each row, without the padding behind it."""
    types = batch.input_types
    types = np.zeros_like(batch.inputs) if types is None else types
    source = np.stack([batch.inputs, batch.input_segments, types], axis=1)
    target = np.stack([batch.target_inputs, batch.target_segments], axis=1)
    if like.targets is None:
        target = target[..., :0]
    sizes = zip(used_columns(source[:, 1]), used_columns(target[:, 1]), strict=True)
    for row, (inputs, targets) in enumerate(sizes):
        parts = source[row, :, :inputs], target[row, :, :targets]
        yield _Row((parts[0].tobytes(), parts[1].tobytes()), int(inputs), int(targets))


def _make_room(places: RowPlaces, folder: Path | None) -> Float[np.ndarray, "S D"]:
    states = places.like.inputs
    shape = places.tokens, states.shape[-1]
    if folder is None:
        return np.empty(shape, states.dtype)
    with TemporaryFile(dir=folder) as file:
        # A mapped file whose disk is full ends the process without a word.
        left = places.nbytes
        while left:
            left -= file.write(bytes(min(left, _CHUNK)))
        file.flush()
        return np.memmap(file, states.dtype, "r+", shape=shape)
