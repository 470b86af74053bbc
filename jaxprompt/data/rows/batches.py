"""Training batches: endless, shuffled, resumable, each host its share."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from jaxprompt.data.rows.layout import Layout, layout_of, with_sure_lead
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.position import START, Position
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.shapes import Batch

Rows: TypeAlias = Sequence[Sequence[Pair]]
"""The examples of each row of a batch."""


def shuffled_rows(count: int, seed: int, epoch: int) -> Int[np.ndarray, " rows"]:
    """Returns the order of the rows in an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def train_batches(
    task: Task,
    split: str,
    lengths: Lengths,
    soft_ids: Int[np.ndarray, " P"],
    *,
    batch_size: int,
    seed: int,
    start: Position = START,
    pack: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Batch, Position]]:
    """Returns endless training batches, the same ones for the same arguments.

    Every epoch is another shuffle of the whole split, and drops its last, partial
    batch. The hosts' batches, one below the other, are the batches of a single host
    with their joint batch size.

    Args:
        task: The task.
        split: The split; read and validated before this returns.
        lengths: Longest texts. With `pack` also the room of a row, which holds as
            many examples as fit, each with its own soft ids, into P + inputs source
            tokens and the given target tokens.
        soft_ids: int32 ids of the prompt [P], put before every example.
        batch_size: Rows B of this host.
        seed: Seed of the shuffles, 0 or more.
        start: The position that came with the last batch; going on there gives
            bit-identical batches.
        pack: Whether a row may hold several examples. Every host then lays out the
            rows of all of them, for the batches to stay in step.
        shard: (index, count) of this host among the hosts.

    Returns:
        Iterator of (batch, position at which to go on after it).

    Raises:
        ValueError: If the split is unlabelled, holds too few examples for a batch, or
            a number is out of range.
    """
    layout = layout_of(task, lengths, soft_ids)
    if shard[1] > 1:
        layout = with_sure_lead(layout)
    found = train_rows(
        task,
        split,
        layout,
        batch_size=batch_size,
        seed=seed,
        start=start,
        pack=pack,
        shard=shard,
    )
    return ((layout.rows(rows), position) for rows, position in found)


def train_rows(
    task: Task,
    split: str,
    layout: Layout,
    *,
    batch_size: int,
    seed: int,
    start: Position = START,
    pack: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Rows, Position]]:
    """Returns what `train_batches` lays out: of each row its examples, prompted."""
    index, count = shard
    if batch_size < 1 or not 0 <= index < count or seed < 0:
        raise ValueError(
            f"batch size {batch_size}, shard {index} of {count}, seed {seed}: use 1 or "
            "more rows, shards from 0, a seed of 0 or more"
        )
    task.check_labelled(split)
    stream = _Stream(task, split, layout, batch_size, seed, index, count)
    stream.check_full(task.num_examples(split) // (batch_size * count))
    return stream.packed(start) if pack else stream.padded(start)


@dataclasses.dataclass(frozen=True)
class _Stream:
    """The arguments of `train_rows`."""

    task: Task
    split: str
    layout: Layout
    batch_size: int
    seed: int
    index: int
    count: int

    def padded(self, start: Position) -> Iterator[tuple[Rows, Position]]:
        """One example a row: the skipped rows are left out of the order itself."""
        num_batches = self.task.num_examples(self.split) // self.joint_size
        # An epoch that is over is the start of the next one.
        epoch, done = start.epoch, start.batch
        pairs = self.task.pairs(self.split, self._numbers(start, num_batches))
        while True:
            if done >= num_batches:
                epoch, done = epoch + 1, 0
            done += 1
            some = itertools.islice(pairs, self.batch_size)
            rows = [self.layout.together(pair) for pair in some]
            yield rows, Position(epoch, done)

    def _numbers(self, start: Position, num_batches: int) -> Iterator[int]:
        """Yields the numbers of this host's examples, epoch after epoch."""
        for epoch in itertools.count(start.epoch):
            kept = self.order(epoch)[: num_batches * self.joint_size]
            batches = kept.reshape(num_batches, self.count, self.batch_size)
            first = start.batch if epoch == start.epoch else 0
            yield from batches[first:, self.index].ravel().tolist()

    def packed(self, start: Position) -> Iterator[tuple[Rows, Position]]:
        """Several examples a row: how many, and so what to skip, shows in packing."""
        mine = slice(self.index * self.batch_size, (self.index + 1) * self.batch_size)
        for epoch in itertools.count(start.epoch):
            pairs = self.task.pairs(self.split, self.order(epoch).tolist())
            rows = self.layout.packed(pairs)
            first = start.batch if epoch == start.epoch else 0
            done = 0
            for done, batch in enumerate(self._full(rows), start=1):
                if done > first:
                    yield batch[mine], Position(epoch, done)
            self.check_full(done)

    def _full(self, rows: Iterator[list[Pair]]) -> Iterator[Sequence[list[Pair]]]:
        """Yields the rows of whole batches, of all hosts."""
        while len(batch := list(itertools.islice(rows, self.joint_size))) > 0:
            if len(batch) == self.joint_size:
                yield batch

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Returns the numbers of an epoch's examples, which count on by epoch."""
        rows = self.task.num_examples(self.split)
        return epoch * rows + shuffled_rows(rows, self.seed, epoch)

    @property
    def joint_size(self) -> int:
        """Rows of a batch of all hosts."""
        return self.batch_size * self.count

    def check_full(self, num_batches: int) -> None:
        """Raises ValueError if an epoch has no batch."""
        if num_batches < 1:
            raise ValueError(
                f"the {self.task.num_examples(self.split)} examples of split "
                f"{self.split!r} of task {self.task.name} do not fill a batch of "
                f"{self.joint_size} rows: use a smaller batch"
            )
