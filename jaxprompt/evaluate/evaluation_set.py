"""A split, scored with its task's metrics, beside the majority class."""

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

from jaxprompt.data.rows.coverage import show_lost
from jaxprompt.data.rows.reading import Reading, told_by_row
from jaxprompt.data.rows.row_batches import (
    Progress,
    RowBatch,
    join_members,
    packed_batches,
    predict_rows,
    sorted_batches,
)
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.answers.spans import Spans
from jaxprompt.data.tasks.metrics import squad_words
from jaxprompt.data.vocabulary.writing import come_back
from jaxprompt.screen.quoting import listed, quoted
from jaxprompt.shapes import Batch


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a set of predictions is worth, on t5's scale of 0 to 100.

    Attributes:
        metrics: Metric name -> value.
        score: Mean of the task's headline metrics, which are all of them where it
            names none: as SuperGLUE averages within a task.
        predictions: The predicted text of every example.
        illegal: Share of the predictions that are no label word, 0 to 1; 0 for free
            text.
        headline: Names of the metrics that the score averages; empty for all.
    """

    metrics: dict[str, float]
    score: float
    predictions: list[str]
    illegal: float
    headline: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """What the score is, as "acc+f1"."""
        return "+".join(self.headline or self.metrics)


class EvaluationSet:
    """A split, read and tokenised once, that can be scored again and again."""

    def __init__(self, sample: Sample):
        """Reads the split; its rows are tokenised when they are first scored."""
        self._sample, self._task, self._split = sample, sample.task, sample.split
        self._numbers = sample.numbers.tolist()
        self._examples = self._task.examples(self._split, self._numbers)
        rows = self._task.source.rows(self._split)
        self._fields = self._task.fields([rows[number] for number in self._numbers])

    @functools.cached_property
    def _reading(self) -> Reading:
        """The rows as they are read; these are not needed before they are scored."""
        task, layout = self._task, self._sample.layout
        parts = [[example] for example in self._examples]
        if task.windows is not None:
            rows = task.source.rows(self._split)
            asked = [rows[number] for number in self._numbers]
            parts = task.read_as(asked, layout.lengths.inputs)
        return Reading(task, layout, parts, self._sample.numbers)

    @property
    def batch(self) -> Batch:
        """All rows as a model reads them, each whole or in windows; NumPy arrays."""
        return self._reading.batch

    @property
    def num_examples(self) -> int:
        """Rows that are scored."""
        return len(self._examples)

    @property
    def inputs(self) -> list[str]:
        """The input texts, uncut and without soft tokens."""
        return [example.inputs for example in self._examples]

    @property
    def texts(self) -> list[str]:
        """The true target texts, uncut."""
        return [example.targets for example in self._examples]

    @property
    def expected(self) -> list[str]:
        """The true target texts as a model writes them, where it can."""
        return [
            text if written is None else written
            for written, text in zip(self._written, self.texts, strict=True)
        ]

    @property
    def places(self) -> list[str]:
        """Where each row stands: its file and line, if known."""
        return self._task.source.places(self._split, self._numbers)

    def right(self, predictions: Sequence[str]) -> list[bool]:
        """Says of each row whether its answer is the true one, or one of these."""
        found = self._compared(predictions, is_target=False)
        targets = self._compared(self.expected, is_target=True)
        stands = isinstance(self._task.answers, Spans)
        alike = squad_words if stands else self._as_written
        return [_is_right(*pair, alike) for pair in zip(targets, found, strict=True)]

    def _as_written(self, text: str) -> str:
        written = self._task.written(text)
        return text if written is None else written

    @property
    def targets(self) -> list[Any]:
        """The true targets as the metrics see them: class indices, or texts."""
        return self._compared(self.texts, is_target=True)

    def _compared(self, texts: Sequence[str], *, is_target: bool) -> list[Any]:
        return [
            self._task.compare(text, example=fields, is_target=is_target)
            for text, fields in zip(texts, self._fields, strict=True)
        ]

    def batches(
        self, batch_size: int, members: Sequence[int] = (0,), *, pack: bool = False
    ) -> Iterator[RowBatch]:
        """Yields all rows in batches of like lengths, as often as wanted.

        Args:
            batch_size: Rows B; the last batch is filled up with empty rows.
            members: Members of the bank: all rows, or their windows, come for each,
                and batches are shared between them. Numbers of rows count on from
                member to member.
            pack: Whether a row holds as many examples as fit.

        Raises:
            ValueError: If rows of a decoder-only model are to be packed.
        """
        if pack and self._task.causal:
            raise ValueError(
                f"packed rows of task {self._task.name} for a decoder-only model: an "
                "answer follows on the end of its row, so do not pack"
            )
        rows = self.batch
        joined = join_members([(member, rows) for member in members])
        return (packed_batches if pack else sorted_batches)(joined, batch_size)

    def score(
        self,
        predict: Callable[[Batch], Int[Array, "B L"]],
        batch_size: int,
        progress: Progress | None = None,
    ) -> Scores:
        """Predicts every row behind the first member's prompt; see `score_members`."""
        return self.score_members(predict, batch_size, (0,), progress)[0]

    def score_members(
        self,
        predict: Callable[[Batch], Int[Array, "B *E L"]],
        batch_size: int,
        members: Sequence[int],
        progress: Progress | None = None,
        *,
        pack: bool = False,
    ) -> list[Scores]:
        """Predicts every row with every member, in shared batches, and scores it.

        Args:
            predict: From a batch to target ids of each of its examples.
            batch_size: Rows B of a batch.
            members: Numbers of the members in the bank.
            progress: As of `data.rows.row_batches.predict_rows`.
            pack: Whether a row of a batch holds as many examples as fit.

        Returns:
            The scores of each member.
        """
        batches = self.batches(batch_size, members, pack=pack)
        found = self._by_member(predict, batches, len(members), progress)
        return [self.score_texts(self._reading.answers(own)) for own in found]

    def measure_members(
        self,
        measure: Callable[[Batch], Float[Array, " B"]],
        batch_size: int,
        members: Sequence[int],
        progress: Progress | None = None,
    ) -> Float[np.ndarray, "M rows"]:
        """Measures every row with every member, in shared batches.

        Args:
            measure: From a batch to a number for each of its rows.
            batch_size: Rows B of a batch.
            members: Numbers of the members in the bank.
            progress: As of `data.rows.row_batches.predict_rows`.

        Returns:
            Of each member the number of each row: the sum over its windows.
        """
        batches = self.batches(batch_size, members)
        found = self._by_member(measure, batches, len(members), progress)
        return np.stack([self._reading.sums(own) for own in found])

    def _by_member(
        self,
        program: Callable[..., Any],
        batches: Iterator[RowBatch],
        members: int,
        progress: Progress | None,
    ) -> list[np.ndarray]:
        """Returns what a program finds in all rows, or their windows, by member."""
        told = told_by_row(progress, [self._reading])
        count = self._reading.count
        found = predict_rows(program, batches, count * members, told)
        return [found[place * count :][:count] for place in range(members)]

    def majority(self) -> Scores:
        """Scores the most frequent target of this very split as every prediction.

        Ties go to the first label, or for free text to the first text met.
        """
        answers = self._task.answers
        if answers is not None and answers.of_words:
            # Of each word alone: most words of most sentences are in no span.
            return self.score_texts([""] * self.num_examples)
        # The label words lead, so that a tie goes to the first of them.
        counts = collections.Counter([*(self._task.labels or ()), *self.expected])
        text, _ = counts.most_common(1)[0]
        return self.score_texts([text] * self.num_examples)

    def perfect(self) -> Scores:
        """Scores, as its prediction, the target of each row as a model writes it."""
        vocabulary = self._task.vocabulary
        return self.score_texts(
            [
                come_back(vocabulary, text) if written is None else written
                for written, text in zip(self._written, self.texts, strict=True)
            ]
        )

    @functools.cached_property
    def _written(self) -> list[str | None]:
        return [self._task.written(text) for text in self.texts]

    @functools.cached_property
    def unwritable(self) -> float:
        """Share of the targets that the vocabulary cannot write, 0 to 1."""
        return float(np.mean([written is None for written in self._written]))

    def limits(self) -> list[str]:
        """Says in words why a score of this split may not mean what it seems to.

        Returns:
            A sentence each on targets that the vocabulary cannot write, or writes
            otherwise than they are; on label words that no row has; on metrics that
            right answers do not bring to 100; and on those that empty answers bring
            above 0.
        """
        return [
            *self._limits_of_texts(),
            *self._limits_of_labels(),
            *self._limits_of_metrics(),
        ]

    def score_texts(self, predictions: Sequence[str]) -> Scores:
        """Scores predicted texts, one for each row in order.

        Raises:
            ValueError: If their number is not that of the rows, or a metric comes out
                as no number.
        """
        if len(predictions) != self.num_examples:
            raise ValueError(
                f"{len(predictions)} predictions for {self.num_examples} rows of split "
                f"{self._split!r}: predict every row once"
            )

        targets = self.targets
        compared = self._compared(predictions, is_target=False)
        metrics = {
            name: float(value)
            for metric in self._task.metrics
            for name, value in metric(targets, compared).items()
        }
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise ValueError(
                    f"metric {name} of task {self._task.name} on split "
                    f"{self._split!r} is {value}, no number: it is not defined for "
                    f"these {self.num_examples} rows, so use another metric"
                )
        headline = self._task.headline or tuple(metrics)
        labels = self._task.labels
        illegal = [labels is not None and text not in labels for text in predictions]
        return Scores(
            metrics=metrics,
            score=float(np.mean([metrics[name] for name in headline])),
            predictions=list(predictions),
            illegal=float(np.mean(illegal)),
            headline=self._task.headline,
        )

    def _limits_of_texts(self) -> Iterator[str]:
        triples = list(zip(self._numbers, self.texts, self._written, strict=True))
        where = f"targets of split {self._split!r}"
        lost = [(row, text) for row, text, written in triples if written is None]
        if lost:
            yield (
                f"{len(lost)} of {len(triples)} {where} hold characters that the "
                "vocabulary cannot write: no answer can equal them. The first: "
                f"{show_lost(self._task, self._split, lost)}"
            )
        changed = [(a, b) for _, a, b in triples if b is not None and a != b]
        if changed:
            text, written = changed[0]
            yield (
                f"{len(changed)} of {len(triples)} {where} come back otherwise from "
                f"the vocabulary, as {quoted(text)}, which it writes {quoted(written)}"
            )

    def _limits_of_labels(self) -> Iterator[str]:
        absent = [x for x in self._task.labels or () if x not in set(self.texts)]
        if absent:
            yield (
                f"no row of split {self._split!r} has the label {listed(absent)}, "
                f"of {len(self._task.labels or ())} labels"
            )

    def _limits_of_metrics(self) -> Iterator[str]:
        of_split = f"on split {self._split!r}"
        if self._task.targets_are_right:
            found = self.perfect().metrics
            low = {name: x for name, x in found.items() if x < _HIGHEST - 1e-6}
            if low:
                yield f"right answers score {_listed(low)}, not 100, {of_split}"
        found = self.score_texts([""] * self.num_examples).metrics
        high = {name: x for name, x in found.items() if x > 1e-6}
        if high:
            yield f"empty answers score {_listed(high)}, not 0, {of_split}"


def _is_right(target: Any, found: Any, alike: Callable[[str], Any]) -> bool:
    """Whether an answer is a target, or one of the answers that a target lists.

    Args:
        target: The target as metrics see it.
        found: The answer as they do.
        alike: From one of several texts to what has to be equal.
    """
    if isinstance(target, Mapping):
        target = target.get("answers", ())
    several = isinstance(target, list | tuple | set | frozenset)
    if several and isinstance(found, str):
        return alike(found) in [alike(text) for text in target]
    return target == found


_HIGHEST = 100.0
"""Of every metric, on t5's scale."""


def _listed(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in metrics.items())
