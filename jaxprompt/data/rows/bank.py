"""Training batches of a bank: each member's own rows, one below the other."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from jaxprompt.data.rows.batches import train_batches
from jaxprompt.data.rows.layout import Lengths
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
    streams = [
        train_batches(
            member.task,
            split,
            lengths,
            soft_ids,
            batch_size=batch_size,
            seed=member.seed,
            start=start,
            pack=pack,
            shard=shard,
        )
        for member, start in zip(members, starts, strict=True)
    ]
    return _joined(streams)


def _joined(
    streams: Sequence[Iterator[tuple[Batch, Position]]],
) -> Iterator[tuple[Batch, tuple[Position, ...]]]:
    for parts in zip(*streams, strict=True):
        batches, positions = zip(*parts, strict=True)
        yield join_batches(batches), positions


def join_batches(batches: Sequence[Batch]) -> Batch:
    """Puts the batches of members 0, 1, ... one below the other.

    Args:
        batches: NumPy arrays, of equal widths; all rows are the first member's.

    Returns:
        One batch, whose rows name their members.
    """
    owned = [
        dataclasses.replace(batch, members=np.full_like(batch.members, member))
        for member, batch in enumerate(batches)
    ]
    return jax.tree.map(lambda *parts: np.concatenate(parts), *owned)
