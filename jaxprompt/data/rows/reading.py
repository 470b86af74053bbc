"""Rows as a model reads them, each whole or in windows, and the answers to each."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxprompt.data.rows.layout import Layout
from jaxprompt.data.rows.row_batches import Progress
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.shapes import Batch


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """Rows of a task as a model reads them.

    Attributes:
        task: The task.
        layout: How its examples become rows of a batch.
        parts: Of each row, the examples that it is read as: one, or its windows.
        numbers: Of each row, its number in its split or file.
    """

    task: Task
    layout: Layout
    parts: Sequence[Sequence[Example]]
    numbers: Int[np.ndarray, " rows"]

    @functools.cached_property
    def batch(self) -> Batch:
        """All examples, a row of the batch for each, as NumPy arrays."""
        examples = [*itertools.chain.from_iterable(self.parts)]
        numbers = np.repeat(self.numbers, [*map(len, self.parts)])
        return self.layout.padded(self.task.encode(examples), numbers)

    @property
    def count(self) -> int:
        """Rows of the batch, which are those that are predicted."""
        return sum(map(len, self.parts))

    def answers(self, found: Shaped[np.ndarray, "batch ..."]) -> list[str]:
        """Returns the answer to each row.

        Args:
            found: Of each row of the batch its target ids, or what a head found in it.
        """
        answers = self.task.answers
        if answers is None:
            return self.task.decode(found)
        pairs = zip(self._by_row(found), self.parts, strict=True)
        return [answers.decode(own, read) for own, read in pairs]

    def likelihoods(
        self,
        found: Shaped[np.ndarray, "batch ..."],
        likely: Shaped[np.ndarray, "batch ..."],
    ) -> list[Any]:
        """Returns how likely a head's answers to each row are, for JSON.

        Args:
            found: What the head found in each row of the batch.
            likely: How likely that is.
        """
        answers = self.task.answers
        assert answers is not None
        each = zip(self._by_row(found), self._by_row(likely), self.parts, strict=True)
        return [answers.likelihoods(own, shares, read) for own, shares, read in each]

    def sums(self, found: Float[np.ndarray, " batch"]) -> Float[np.ndarray, " rows"]:
        """Adds up what was measured of the rows of the batch, for each row."""
        return np.array([own.sum() for own in self._by_row(found)])

    def _by_row(self, found: np.ndarray) -> Iterator[np.ndarray]:
        ends = np.cumsum([0, *map(len, self.parts)])
        return (found[a:b] for a, b in itertools.pairwise(ends))


def told_by_row(progress: Progress | None, readings: Sequence[Reading]) -> Any:
    """Makes progress through batches progress through rows, which may be fewer.

    Args:
        progress: Told of rows; None for nobody.
        readings: Whose batches are joined.
    """
    rows = sum(len(one.parts) for one in readings)
    count, done = sum(one.count for one in readings), 0
    if progress is None or count == rows:
        return progress

    def told(examples: int, padding: float) -> None:
        nonlocal done
        before = done * rows // count
        done += examples
        progress(done * rows // count - before, padding)

    return told
