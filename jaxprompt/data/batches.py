"""Training batches: endless, shuffled, resumable, each host its share."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from jaxtyping import Int

from jaxprompt.data.pipeline import Lengths, model_features, sample_rows, to_batch
from jaxprompt.data.task import Task
from jaxprompt.shapes import Batch


@dataclasses.dataclass(frozen=True)
class Position:
    """Where in the endless order of batches to go on.

    Attributes:
        epoch: Passes over the split that are behind.
        batch: Batches of this epoch that are behind; all of them is the next epoch.
    """

    epoch: int = 0
    batch: int = 0


START = Position()


class TruncatedShare(NamedTuple):
    """How much of a split is cut.

    Attributes:
        inputs: Share of the examples whose inputs are cut, 0 to 1.
        targets: Share of the examples whose targets are cut, 0 to 1.
        examples: Examples looked at.
    """

    inputs: float
    targets: float
    examples: int


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
    num_examples, all_rows = task.num_examples(split), batch_size * count
    num_batches = num_examples // all_rows
    too_few = (
        f"split {split!r} of task {task.name} has {num_examples} examples, which do "
        f"not fill a {'packed ' * pack}batch of {all_rows} rows: use a smaller batch"
    )
    if num_batches < 1:
        raise ValueError(too_few)

    def order_of(epoch: np.int64, first: np.int64) -> np.ndarray:
        rows = np.random.default_rng((seed, int(epoch))).permutation(num_examples)
        if pack:
            return rows
        batches = rows[: num_batches * all_rows].reshape(num_batches, count, batch_size)
        return batches[first:, index].reshape(-1)

    def batches_of(epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        rows = tf.numpy_function(order_of, [epoch, first], tf.int64, stateful=False)
        rows.set_shape([None])
        features = model_features(task, split, rows, lengths, soft_ids, pack=pack)
        if not pack:
            return features.batch(batch_size, drop_remainder=True).enumerate(first)
        joint = features.batch(all_rows, drop_remainder=True)
        mine = slice(index * batch_size, (index + 1) * batch_size)
        own = joint.map(lambda batch: {name: x[mine] for name, x in batch.items()})
        return own.enumerate().skip(first)

    if (
        pack
        and next(
            iter(batches_of(tf.constant(0, tf.int64), tf.constant(0, tf.int64))), None
        )
        is None
    ):
        raise ValueError(too_few)
    return _iterate(batches_of, start)


def _iterate(
    batches_of: Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset], start: Position
) -> Iterator[tuple[Batch, Position]]:
    def batches(epoch: tf.Tensor) -> tf.data.Dataset:
        first = tf.where(epoch == start.epoch, tf.constant(start.batch, tf.int64), 0)
        return batches_of(epoch, first).map(lambda i, batch: (epoch, i, batch))

    # One pipeline for all epochs: building one takes longer than a small epoch.
    endless = tf.data.Dataset.counter(start.epoch).flat_map(batches)
    for epoch, i, features in endless.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
        yield to_batch(features), Position(int(epoch), int(i) + 1)


def truncated_share(
    task: Task, split: str, lengths: Lengths, limit: int = 10_000
) -> TruncatedShare:
    """Measures how many examples do not fit, on at most `limit` rows at random."""
    num_examples = task.num_examples(split)
    rows = sample_rows(num_examples, limit)
    examples = task.seqio_task.replace(source=task.source.pick(split, rows))
    dataset = examples.get_dataset(split=split, shuffle=False)
    sizes = dataset.map(
        lambda example: (tf.size(example["inputs"]), tf.size(example["targets"]))
    )
    inputs, targets = np.array(list(sizes.as_numpy_iterator())).T
    return TruncatedShare(
        inputs=float(np.mean(inputs > lengths.inputs)),
        targets=float(np.mean(targets > lengths.targets)),
        examples=len(rows),
    )
