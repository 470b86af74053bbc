"""Training examples as text, to be put before an input: in-context learning."""

import numpy as np
import tensorflow as tf

from jaxprompt.data.task import Task


def training_examples(task: Task, split: str, count: int, seed: int) -> list[str]:
    """Draws rows at random and writes each as its input and its target.

    Args:
        task: The task.
        split: A labelled split.
        count: Rows, without repeats.
        seed: Of the draw, 0 or more.

    Returns:
        A text for each row: "input target", whole.

    Raises:
        ValueError: If the split is unlabelled or has fewer rows.

    Source: Brown et al. 2020, sec. 2 (arXiv:2005.14165), draw them from the training
    set likewise.
    """
    task.check_labelled(split)
    rows = task.num_examples(split)
    if count > rows:
        raise ValueError(
            f"{count} shots, but split {split!r} of task {task.name} has {rows} rows: "
            "use fewer"
        )
    numbers = np.random.default_rng(seed).choice(rows, count, replace=False)
    source = task.source.pick(split, tf.data.Dataset.from_tensor_slices(numbers))
    examples = task.seqio_task.replace(source=source).get_dataset(
        split=split, shuffle=False
    )
    return [
        f"{row['inputs_pretokenized'].decode()} {row['targets_pretokenized'].decode()}"
        for row in examples.as_numpy_iterator()
    ]
