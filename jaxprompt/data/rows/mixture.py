"""Training batches of several tasks at once, for a model that learns all of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxprompt.data.rows.batches import shuffled_rows, train_batches
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.position import Position
from jaxprompt.data.tasks.task import Task
from jaxprompt.shapes import Batch

NO_PROMPT = np.zeros(0, np.int32)


def mixed_batches(
    tasks: Sequence[Task],
    split: str,
    lengths: Lengths,
    *,
    batch_size: int,
    seed: int,
    start: Position,
    pack: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Batch, Position]]:
    """Returns endless batches without soft tokens, the same for the same arguments.

    Every epoch is another shuffle of all rows of all tasks, so each task has its share
    of the examples, and every row is seen once.

    Args:
        tasks: One or more.
        split: Their split.
        lengths: Longest texts, of all tasks alike.
        batch_size: Rows B of this host.
        seed: Seed of the shuffles, 0 or more.
        start: The position that came with the last batch.
        pack: Whether a row may hold several examples; of a single task only.
        shard: (index, count) of this host among the hosts.

    Returns:
        Iterator of (batch, position at which to go on after it).

    Raises:
        ValueError: As `train_batches`; or if several tasks are to be packed.

    Source: examples-proportional mixing, without a limit: Raffel et al. 2020,
    sec. 3.5.2 (arXiv:1910.10683).
    """
    if len(tasks) == 1:
        return train_batches(
            tasks[0],
            split,
            lengths,
            NO_PROMPT,
            batch_size=batch_size,
            seed=seed,
            start=start,
            pack=pack,
            shard=shard,
        )
    if pack:
        raise ValueError(
            f"packing of {len(tasks)} tasks: set Data.pack to False, or train on one"
        )
    for task in tasks:
        task.check_labelled(split)
    sizes = [task.num_examples(split) for task in tasks]
    if sum(sizes) < batch_size * shard[1]:
        raise ValueError(
            f"the {sum(sizes)} examples of split {split!r} of {len(tasks)} tasks do "
            f"not fill a batch of {batch_size * shard[1]} rows: use a smaller batch"
        )
    return _mixed(tasks, sizes, split, lengths, batch_size, seed, start, shard)


def _mixed(
    tasks: Sequence[Task],
    sizes: Sequence[int],
    split: str,
    lengths: Lengths,
    batch_size: int,
    seed: int,
    start: Position,
    shard: tuple[int, int],
) -> Iterator[tuple[Batch, Position]]:
    index, count = shard
    first_rows = np.concatenate([[0], np.cumsum(sizes)])
    num_batches = sum(sizes) // (batch_size * count)
    layouts = [layout_of(task, lengths, NO_PROMPT) for task in tasks]
    epoch, done = start.epoch, start.batch
    while True:
        shuffled = shuffled_rows(sum(sizes), seed, epoch)
        shaped = shuffled[: num_batches * count * batch_size].reshape(
            num_batches, count, batch_size
        )
        rows = shaped[done:, index].reshape(-1)
        chosen = np.searchsorted(first_rows, rows, side="right") - 1
        pairs = [
            task.pairs(
                split,
                (rows[chosen == place] - first_rows[place] + epoch * size).tolist(),
            )
            for place, (task, size) in enumerate(zip(tasks, sizes, strict=True))
        ]
        for of_batch in chosen.reshape(-1, batch_size).tolist():
            done += 1
            examples = [
                [layouts[place].prompted(next(pairs[place]))] for place in of_batch
            ]
            yield layouts[0].rows(examples), Position(epoch, done)
        epoch, done = epoch + 1, 0
