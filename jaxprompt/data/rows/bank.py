"""Training batches of a bank: each member's own rows, one below the other."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data.rows.batches import Rows, train_rows
from jaxprompt.data.rows.layout import (
    Layout,
    Lengths,
    layout_of,
    with_one_lead,
    with_sure_lead,
)
from jaxprompt.data.rows.position import Position
from jaxprompt.data.tasks.task import Task
from jaxprompt.shapes import Batch


class Member(NamedTuple):
    """What one member of a bank learns from.

    Attributes:
        task: Its task.
        seed: Seed of its shuffles, 0 or more.
    """

    task: Task
    seed: int


def bank_batches(
    members: Sequence[Member],
    split: str,
    lengths: Lengths,
    soft_ids: Int[np.ndarray, " P"],
    starts: Sequence[Position],
    *,
    batch_size: int,
    pack: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Batch, tuple[Position, ...]]]:
    """Returns endless batches in which every member has the rows that it has alone.

    Each member's batches are those of `train_batches` for it, whatever the others'.

    Args:
        members: In the order of the bank.
        split: The split of every member's task.
        lengths: Longest texts, of all tasks alike.
        soft_ids: int32 ids of the prompts [P], which have one length.
        starts: The positions that came with the last batch, one for each member.
        batch_size: Rows B of each member, on this host.
        pack: Whether a row may hold several examples of its member.
        shard: (index, count) of this host among the hosts.

    Returns:
        Iterator of (batch of M*B rows, positions at which to go on after it).

    Raises:
        ValueError: As `train_batches`.
    """
    layouts = with_one_lead(
        [layout_of(member.task, lengths, soft_ids) for member in members]
    )
    if shard[1] > 1:
        layouts = [with_sure_lead(layout) for layout in layouts]
    streams = [
        train_rows(
            member.task,
            split,
            layout,
            batch_size=batch_size,
            seed=member.seed,
            start=start,
            pack=pack,
            shard=shard,
        )
        for member, layout, start in zip(members, layouts, starts, strict=True)
    ]
    return _joined(streams, layouts[0])


def _joined(
    streams: Sequence[Iterator[tuple[Rows, Position]]], layout: Layout
) -> Iterator[tuple[Batch, tuple[Position, ...]]]:
    """Lays out the rows of members 0, 1, ... one below the other."""
    for parts in zip(*streams, strict=True):
        batches, positions = zip(*parts, strict=True)
        rows = layout.rows([row for batch in batches for row in batch])
        members: Any = np.repeat(
            np.arange(len(batches), dtype=np.int32), len(batches[0])
        )
        yield dataclasses.replace(rows, members=members), positions
