"""Few-shot learning: few rows of a split to train on, and as many to choose a step."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data.read.sources import Features, SplitRows
from jaxprompt.data.tasks.task import Task

DEVELOPMENT = "development"
"""The split of the rows that choose the best step; no official task has one."""


@dataclasses.dataclass(frozen=True)
class FewRows:
    """How many rows there are to train on; as many choose the best step.

    Attributes:
        per_class: Rows of each label; 0 where `examples` says how many there are.
        examples: Rows in all.
        balanced: Whether these are of all labels in equal shares; None for tasks that
            have labels.
    """

    per_class: int = 0
    examples: int = 0
    balanced: bool | None = None

    def __post_init__(self) -> None:
        counts = (self.per_class, self.examples)
        if min(counts) < 0 or all(counts) or not any(counts):
            raise ValueError(
                f"{self.per_class} shots per class and {self.examples} training "
                "examples: use 1 or more of one of them, and 0 of the other"
            )
        if self.per_class and self.balanced is False:
            raise ValueError(
                f"{self.per_class} shots per class are balanced: leave balanced out, "
                "or give the number of all training examples"
            )


class DrawnRows(NamedTuple):
    """Numbers of the rows of a split that were drawn.

    Attributes:
        train: Of those to train on, in order.
        development: Of those that choose the best step, in order; none of the former.
    """

    train: list[int]
    development: list[int]


def few_shot_task(task: Task, split: str, few: FewRows, seed: int) -> Task:
    """Leaves few rows of a split to train on; other splits stay as they are.

    Args:
        task: The task, of any kind but raw text.
        split: The split that training reads.
        few: How many rows.
        seed: Of the draw, 0 or more. With more rows of the same seed, those that were
            there stay.

    Returns:
        The task, whose split `split` has the rows to train on, and whose split
        "development" has those that choose the best step.

    Raises:
        ValueError: As `choose_rows`.
    """
    chosen = choose_rows(task, split, few, seed)

    def some(numbers: list[int]) -> SplitRows:
        def read() -> list[Features]:
            rows = task.source.rows(split)
            return [rows[number] for number in numbers]

        def places() -> list[str]:
            return [task.source.place(split, number) for number in numbers]

        return SplitRows(read, places=places)

    return task.with_rows(
        {split: some(chosen.train), DEVELOPMENT: some(chosen.development)}
    )


def choose_rows(task: Task, split: str, few: FewRows, seed: int) -> DrawnRows:
    """Draws the rows of few-shot learning.

    Args:
        task: The task.
        split: A labelled split.
        few: How many rows.
        seed: Of the draw, 0 or more.

    Raises:
        ValueError: If the task is raw text, if its answers are no labels but are to be
            balanced, or if the split, or one label in it, has too few rows.

    Source: Gu et al. 2022, sec. 3.1 (arXiv:2109.04332): 32 rows to train on, of labels
    in equal shares, and a development set of the same size.
    """
    if task.draw is not None:
        raise ValueError(
            f"few rows of task {task.name}, which is raw text: leave SHOTS_PER_CLASS "
            "and TRAIN_EXAMPLES out"
        )
    task.check_labelled(split)
    has_labels = task.labels is not None
    if not has_labels and (few.per_class or few.balanced):
        raise ValueError(
            f"balanced rows of task {task.name}, whose answers are no label words: set "
            "--gin.TRAIN_EXAMPLES=32 and leave the balance out"
        )
    draw = np.random.default_rng(seed)
    if not (has_labels if few.balanced is None else few.balanced or few.per_class):
        order = draw.permutation(task.num_examples(split))
        return _ends([order], [few.examples], [f"split {split!r} of task {task.name}"])
    classes = task.classes(split)
    labels = task.labels or ()
    counts = [few.per_class] * len(labels)
    if few.examples:
        share, left = divmod(few.examples, len(labels))
        counts = [share] * len(labels)
        for place in draw.permutation(len(labels))[:left]:
            counts[place] += 1
    orders = [
        draw.permutation(np.flatnonzero(classes == c)) for c in range(len(labels))
    ]
    names = [
        f"label {label!r} in split {split!r} of task {task.name}" for label in labels
    ]
    fix = "leave SHOTS_PER_CLASS out, set --gin.TRAIN_EXAMPLES and "
    fix = f", or {fix if few.per_class else ''}--gin.Data.balanced=False"
    return _ends(orders, counts, names, fix)


def _ends(
    orders: list[Int[np.ndarray, " rows"]],
    counts: list[int],
    names: list[str],
    fix: str = "",
) -> DrawnRows:
    """Takes rows to train on from the front of each order, the others from behind.

    So the rows that were drawn stay among those of a larger draw.
    """
    train: list[int] = []
    development: list[int] = []
    for order, count, name in zip(orders, counts, names, strict=True):
        if 2 * count > len(order):
            raise ValueError(
                f"{name} has {len(order)} rows, but {count} to train on and as many to "
                f"choose the best step are {2 * count}: use fewer{fix}"
            )
        train += order[:count].tolist()
        development += order[len(order) - count :].tolist()
    return DrawnRows(sorted(train), sorted(development))
