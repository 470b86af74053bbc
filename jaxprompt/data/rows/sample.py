"""Rows of a labelled split, always the same ones, and how they are laid out."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Int

from jaxprompt.data.rows.layout import Layout, layout_of, sample_rows
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.task import Task


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Rows of a labelled split, the same random ones every time, behind a prompt.

    Attributes:
        task: The task.
        split: Its split, which has labels.
        lengths: Longest texts.
        soft_ids: int32 ids of the prompt [P]; empty for no prompt.
        num_examples: How many rows; None for all.

    Raises:
        ValueError: If there is no such split, or it is unlabelled.
    """

    task: Task
    split: str
    lengths: Lengths
    soft_ids: Int[np.ndarray, " P"]
    num_examples: int | None = None

    def __post_init__(self) -> None:
        self.task.check_labelled(self.split)

    @functools.cached_property
    def numbers(self) -> Int[np.ndarray, " rows"]:
        """Numbers of the rows in their split, in order.

        Raises:
            ValueError: If there are to be less than one.
        """
        return sample_rows(self.task.num_examples(self.split), self.num_examples)

    @property
    def layout(self) -> Layout:
        """How they become rows of a batch."""
        return layout_of(self.task, self.lengths, self.soft_ids)
