"""Which examples a training batch holds: the seeded order, without reading any."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxprompt.data.rows.batches import shuffled_rows
from jaxprompt.data.rows.position import Position


class ExampleNumber(NamedTuple):
    """An example of a batch.

    Attributes:
        task: Place of its task among those that share the batch.
        number: Its number in the task's split, from 0.
    """

    task: int
    number: int


def examples_of(
    sizes: Sequence[int], position: Position, *, batch_size: int, seed: int
) -> list[ExampleNumber]:
    """Lists the examples of an unpacked batch, in the order of its rows.

    Args:
        sizes: Examples in the split of each task: one for `batches.train_batches`,
            all of them for `mixture.mixed_batches`.
        position: The one that came with the batch.
        batch_size: Rows of the batch on all hosts.
        seed: Seed of the shuffles.

    Returns:
        One for each row.
    """
    order = shuffled_rows(sum(sizes), seed, position.epoch)
    rows = order[(position.batch - 1) * batch_size : position.batch * batch_size]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    tasks = np.searchsorted(starts, rows, side="right") - 1
    pairs = zip(tasks.tolist(), (rows - starts[tasks]).tolist(), strict=True)
    return [ExampleNumber(task, number) for task, number in pairs]
