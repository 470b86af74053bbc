"""Training batches: endless, shuffled, resumable, each host its share."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxprompt.data.libraries import tf
from jaxprompt.data.pipeline import Lengths, model_features, to_batch
from jaxprompt.data.position import START, Position
from jaxprompt.data.task import Task
from jaxprompt.shapes import Batch


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
            bit-identical batches. What is skipped is not tokenised, unless packed.
        pack: Whether a row may hold several examples. Every host then tokenises the
            rows of all of them, for the batches to stay in step.
        shard: (index, count) of this host among the hosts.

    Returns:
        Iterator of (batch, position at which to go on after it).

    Raises:
        ValueError: If the split is unlabelled, holds too few examples for a batch, or
            a number is out of range.
    """
    index, count = shard
    if batch_size < 1 or not 0 <= index < count or seed < 0:
        raise ValueError(
            f"batch size {batch_size}, shard {index} of {count}, seed {seed}: use 1 or "
            "more rows, shards from 0, a seed of 0 or more"
        )
    task.check_labelled(split)
    stream = _Stream(task, split, lengths, soft_ids, batch_size, seed, index, count)
    stream.check_full(task.num_examples(split) // (batch_size * count))
    return stream.packed(start) if pack else stream.padded(start)


@dataclasses.dataclass(frozen=True)
class _Stream:
    """The arguments of `train_batches`."""

    task: Task
    split: str
    lengths: Lengths
    soft_ids: Int[np.ndarray, " P"]
    batch_size: int
    seed: int
    index: int
    count: int

    def padded(self, start: Position) -> Iterator[tuple[Batch, Position]]:
        """One example a row: the skipped rows are left out of the order itself."""
        num_batches = self.task.num_examples(self.split) // self.joint_size
        shape = (num_batches, self.count, self.batch_size)

        def order_of(epoch: np.int64) -> np.ndarray:
            batches = self.order(epoch)[: math.prod(shape)].reshape(shape)
            first = start.batch if epoch == start.epoch else 0
            return batches[first:, self.index].reshape(-1)

        epochs = tf.data.Dataset.counter(start.epoch)
        features = self.features(epochs.flat_map(_rows(order_of)), pack=False)
        position = start
        for batch in _arrays(features.batch(self.batch_size)):
            if position.batch >= num_batches:
                position = Position(position.epoch + 1, 0)
            position = Position(position.epoch, position.batch + 1)
            yield to_batch(batch), position

    def packed(self, start: Position) -> Iterator[tuple[Batch, Position]]:
        """Several examples a row: how many, and so what to skip, shows in packing."""
        # One pipeline serves all epochs: building it may take longer than an epoch.
        epoch = tf.Variable(tf.constant(0, tf.int64), trainable=False)
        rows = tf.data.Dataset.range(1).map(lambda _: epoch).flat_map(_rows(self.order))
        features = self.features(rows, pack=True)
        batches = features.batch(self.joint_size, drop_remainder=True)
        mine = slice(self.index * self.batch_size, (self.index + 1) * self.batch_size)
        for number in itertools.count(start.epoch):
            epoch.assign(number)
            first = start.batch if number == start.epoch else 0
            done = 0
            for done, batch in enumerate(_arrays(batches), start=1):
                if done > first:
                    own = {name: x[mine] for name, x in batch.items()}
                    yield to_batch(own), Position(number, done)
            self.check_full(done)

    def features(self, rows: tf.data.Dataset, pack: bool) -> tf.data.Dataset:
        return model_features(
            self.task, self.split, rows, self.lengths, self.soft_ids, pack=pack
        )

    def order(self, epoch: np.int64) -> Int[np.ndarray, " rows"]:
        rows = self.task.num_examples(self.split)
        shuffled = shuffled_rows(rows, self.seed, int(epoch))
        # Row numbers count on: text is noised anew in every epoch.
        return epoch * rows + shuffled

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


def _rows(
    order_of: Callable[[np.int64], np.ndarray],
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    def rows(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.numpy_function(order_of, [epoch], tf.int64)
        order.set_shape([None])
        return tf.data.Dataset.from_tensor_slices(order)

    return rows


def _arrays(dataset: tf.data.Dataset) -> Iterator[Any]:
    return dataset.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()
