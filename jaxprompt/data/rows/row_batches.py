"""Rows in memory -> batches to evaluate: sorted by length, or packed; back in order."""

import bisect
import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from jaxprompt.data.rows.lead import common_beginning
from jaxprompt.data.rows.widths import fitting_width
from jaxprompt.shapes import Batch, put_back, resize
from jaxprompt.sharding import fetch

Progress = Callable[[int, float], object]
"""Told after each batch how many examples it held, and what share was padding."""


class RowBatch(NamedTuple):
    """Some rows of a split, and which.

    Attributes:
        batch: Their tokens, as NumPy arrays.
        numbers: Row number of each example, from 0, and -1 where there is none: [B],
            or [B, E] where E examples share a row.
    """

    batch: Batch
    numbers: Int[np.ndarray, "B *E"]

    @property
    def num_examples(self) -> int:
        """How many examples there are."""
        return int(np.sum(self.numbers >= 0))


def join_members(parts: Sequence[tuple[int, Batch]]) -> Batch:
    """Puts rows of several members one below the other, padded to the widest inputs.

    Args:
        parts: (member of the bank, its rows as NumPy arrays, one example a row). Of
            several leads, what all of them begin with is the lead.
    """
    kept = len(common_beginning(rows.lead for _, rows in parts))
    parts = [(member, put_back(rows, kept)) for member, rows in parts]
    width = max(rows.inputs.shape[1] for _, rows in parts)
    owned = [
        dataclasses.replace(
            rows,
            inputs=_widened(rows.inputs, width),
            input_segments=_widened(rows.input_segments, width),
            input_types=_widened(rows.input_types, width),
            members=np.full_like(rows.members, member),
        )
        for member, rows in parts
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *owned)


def _widened(rows: Any, width: int) -> Any:
    if rows is None:
        return None
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))


def swap_inputs(rows: Batch, order: Int[np.ndarray, " rows"]) -> Batch:
    """Gives each row the input of another row, in front of its own targets.

    The last input token of a decoder-only model is the first target input; an
    encoder-decoder model has the same start there in every row.

    Args:
        rows: One example a row, NumPy arrays.
        order: Number of the row whose input each row gets.
    """
    target_inputs: Any = np.array(rows.target_inputs)
    target_inputs[:, 0] = rows.target_inputs[order, 0]
    return dataclasses.replace(
        rows,
        inputs=rows.inputs[order],
        input_segments=rows.input_segments[order],
        target_inputs=target_inputs,
    )


def sorted_batches(rows: Batch, batch_size: int) -> Iterator[RowBatch]:
    """Cuts rows into batches of like lengths, the longest first.

    So a batch holds little padding; and what does not fit in memory fails at once.

    Args:
        rows: One example a row, NumPy arrays.
        batch_size: Rows B; the last batch is filled up with empty rows.

    Yields:
        Batches of B rows, cut to one of a few widths that hold their inputs.

    Raises:
        ValueError: If the batch size is below 1.
    """
    _check(batch_size)
    sizes = np.count_nonzero(rows.input_segments, axis=1)
    order = np.argsort(-sizes, kind="stable")
    full = rows.inputs.shape[1]
    for first in range(0, len(order), batch_size):
        numbers = order[first : first + batch_size]
        width = fitting_width(int(sizes[numbers[0]]), full)
        yield _filled(resize(rows, width), numbers, numbers, batch_size)


def packed_batches(rows: Batch, batch_size: int) -> Iterator[RowBatch]:
    """Lets several examples of one member share a row, each behind its soft tokens.

    Longest first, each goes to that of its member's rows which it fills most. Targets
    are left out: what is to be predicted has none.

    Args:
        rows: One example a row, NumPy arrays.
        batch_size: Rows B; the last batch is filled up with empty rows.

    Yields:
        Batches of B rows, all of the given width.

    Raises:
        ValueError: If the batch size is below 1.

    Source: best fit decreasing, as in Johnson 1973 ("Near-optimal bin packing
    algorithms"); the packing of training keeps the order of a stream instead.
    """
    _check(batch_size)
    inputs, members = np.asarray(rows.inputs), np.asarray(rows.members)
    sizes = np.count_nonzero(rows.input_segments, axis=1)
    full = inputs.shape[1]
    shared, owners = _fill_rows(sizes.tolist(), members.tolist(), full)
    most = max(map(len, shared), default=1)
    packed = np.zeros((len(shared), full), inputs.dtype)
    segments, numbers = np.zeros_like(packed), np.full((len(shared), most), -1)
    for place, examples in enumerate(shared):
        start = 0
        for segment, number in enumerate(examples):
            span = slice(start, start + sizes[number])
            packed[place, span] = inputs[number, : sizes[number]]
            segments[place, span] = segment + 1
            numbers[place, segment] = number
            start = span.stop
    empty = np.zeros((len(shared), rows.targets.shape[1]), np.int32)
    arrays: dict[str, Any] = {
        "inputs": packed,
        "input_segments": segments,
        "targets": empty,
        "target_inputs": empty,
        "target_segments": empty,
        "weights": empty.astype(np.float32),
        "members": owners,
        "lead": rows.lead,
    }
    batch = Batch(**arrays)
    for first in range(0, len(shared), batch_size):
        places = np.arange(first, min(first + batch_size, len(shared)))
        yield _filled(batch, places, numbers[places], batch_size)


def _fill_rows(
    sizes: Sequence[int], members: Sequence[int], full: int
) -> tuple[list[list[int]], Int[np.ndarray, " rows"]]:
    """Returns the examples of each row, by their numbers, and the row's member."""
    shared: list[list[int]] = []
    owners: list[int] = []
    # Of each member, the rows with a given room, and the rooms that there are, sorted:
    # no more than a row has tokens, however many rows there are.
    rows_with: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
    rooms: dict[int, list[int]] = collections.defaultdict(list)
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        size, member = sizes[number], members[number]
        there = rooms[member]
        place = bisect.bisect_left(there, size)
        if place < len(there):
            room = there[place]
            row = rows_with[member, room].pop()
            if not rows_with[member, room]:
                del there[place]
        else:
            room, row = full, len(shared)
            shared.append([])
            owners.append(member)
        shared[row].append(number)
        left = room - size
        if not rows_with[member, left]:
            bisect.insort(there, left)
        rows_with[member, left].append(row)
    return shared, np.array(owners, np.int32)


def predict_rows(
    predict: Callable[..., Any],
    batches: Iterator[RowBatch],
    num_rows: int,
    progress: Progress | None = None,
) -> np.ndarray:
    """Predicts batches, and puts what comes out in the order of the rows.

    While the devices work on a batch, the next one is made and sent to them.

    Args:
        predict: From a batch to an array whose first axis is its rows B, such as target
            ids; for packed batches, from a batch and the number E to [B, E, ...].
        batches: From `sorted_batches` or `packed_batches`.
        num_rows: Rows that they hold in all.
        progress: Called after each batch with the number of its examples, and the
            share of its source tokens that is padding.

    Returns:
        [rows, ...]; empty where there is no row.
    """
    ordered: Any = None
    asked = ((rows, predict(rows.batch, *rows.numbers.shape[1:])) for rows in batches)
    for rows, answer in _one_ahead(asked):
        real = rows.numbers >= 0
        found = fetch(answer)[real]
        if ordered is None:
            ordered = np.zeros((num_rows, *found.shape[1:]), found.dtype)
        ordered[rows.numbers[real]] = found
        if progress is not None:
            progress(rows.num_examples, padding_share(rows.batch))
    return np.zeros((0, 1), np.int32) if ordered is None else ordered


def _one_ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Yields each item when the one behind it has been asked for."""
    for item, _ in itertools.pairwise(itertools.chain(items, [None])):
        yield item


def padding_share(*parts: Batch) -> float:
    """Returns the share of a batch's source tokens that are padding, 0 to 1.

    Of the target tokens where there is no source, as in next-token prediction.

    Args:
        *parts: The batch, or all parts of it.
    """
    sources = [np.asarray(part.input_segments) for part in parts]
    if not any(source.any() for source in sources):
        sources = [np.asarray(part.target_segments) for part in parts]
    return sum(np.sum(x == 0) for x in sources) / sum(x.size for x in sources)


def _check(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size}: use 1 or more rows")


def _filled(
    rows: Batch,
    places: Int[np.ndarray, " rows"],
    numbers: Int[np.ndarray, "rows *E"],
    batch_size: int,
) -> RowBatch:
    """Takes some rows as a batch, with empty rows behind them."""
    missing = batch_size - len(places)

    def take(x: Any, filler: int = 0) -> Any:
        widths = [(0, missing), *[(0, 0)] * (x.ndim - 1)]
        return np.pad(x, widths, constant_values=filler)

    batch = jax.tree.map(lambda x: take(x[places]), rows)
    return RowBatch(batch, take(numbers, -1))
