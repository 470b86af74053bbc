"""An answer that stands in a text: where it begins and ends, or that there is none."""

import dataclasses
import heapq
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from jaxprompt.data.tasks.answers.answers import Answers
from jaxprompt.data.tasks.answers.passages import Passage, Passages
from jaxprompt.data.vocabulary.tokens import Pair

if TYPE_CHECKING:
    from jaxprompt.data.tasks.task import Example, Task

START, END, NOWHERE, FIRST, LAST = range(5)
"""The targets of a row, each a place: the answer's first token and its last one; the
token that stands for no answer; and the first and the last token of the text. Only the
first two are learnt."""

BEST = 20
"""Spans of a window, and of all windows, that are looked at."""

NEVER = -1e8
"""Below any score of a span that there is."""


class Found(NamedTuple):
    """A span that a head found.

    Attributes:
        score: The sum of those of its ends.
        text: Its text; "" for no answer.
        place: Its first character in the whole text, and the one behind it.
    """

    score: float
    text: str
    place: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Spans(Answers):
    """A span of a text that is read in windows.

    Attributes:
        passages: How texts are read; None where there is no task.
        null_threshold: The answer is "" where the score of no answer is higher than
            that of the best span by more than this; None where every text has one.
    """

    kind: ClassVar[str] = "spans"
    passages: Passages | None = None
    null_threshold: float | None = None

    @classmethod
    def made_up(cls) -> "Spans":
        """Returns spans of no text."""
        return cls()

    @property
    def columns(self) -> int:
        """Two: a score for the answer's first token, and one for its last."""
        return 2

    def encode(self, task: "Task", examples: "Sequence[Example]") -> list[Pair]:
        """Puts the question in front of the text, or of a window of it."""
        return [self._encode(task, passage_of(example)) for example in examples]

    def _encode(self, task: "Task", passage: Passage) -> Pair:
        passages = self._passages
        question, ids = passages.question(passage), passages.tokens(passage.text).ids
        begun, behind = passage.window or (0, len(ids))
        inputs = task.framed([*question, *ids[begun:behind].tolist()])
        if task.causal:
            # A token of its own stands for no answer.
            inputs = np.append(inputs, np.int32(task.end))
        first = len(question) + len(task.vocabulary.first)
        nowhere = task.place_of_text(inputs)
        span = passages.place_of_answer(passage)
        places = np.full(5, nowhere, np.int32)
        if span is not None:
            places[START], places[END] = (first + place - begun for place in span)
        places[FIRST], places[LAST] = first, first + behind - begun - 1
        if behind == begun:
            places[FIRST] = places[LAST] = -1
        targets = np.array([1, 1, 0, 0, 0], np.int32)
        return Pair(inputs, targets, places=places)

    @property
    def _passages(self) -> Passages:
        assert self.passages is not None
        return self.passages

    def decode(self, found: np.ndarray, read: "Sequence[Example]") -> str:
        """Returns the text of the best span of all windows; see `Answers.decode`."""
        return self._best(found, read).text

    def place(
        self, found: np.ndarray, read: "Sequence[Example]"
    ) -> tuple[int, int] | None:
        """Returns where that span stands; see `Answers.place`."""
        return self._best(found, read).place

    def likelihoods(
        self, found: np.ndarray, likely: np.ndarray, read: "Sequence[Example]"
    ) -> dict[str, float]:
        """Returns text -> its share among the best spans, the likeliest first.

        Where there may be no answer, "" is one of these.
        """
        del likely
        spans = list(self._ranked(found, read))
        if self.null_threshold is not None or not spans:
            spans.append(Found(_nowhere(found), ""))
        scores = np.array([span.score for span in spans])
        weights = np.exp(scores - scores.max())
        shares: dict[str, float] = {}
        for span, share in zip(spans, (weights / weights.sum()).tolist(), strict=True):
            shares[span.text] = shares.get(span.text, 0.0) + share
        ranked = sorted(shares.items(), key=lambda one: -one[1])
        return {text: round(share, 6) for text, share in ranked}

    def _best(self, found: np.ndarray, read: "Sequence[Example]") -> Found:
        """Returns the best span, or no answer where that is likelier."""
        nowhere = Found(_nowhere(found), "")
        best = next(self._ranked(found, read), nowhere)
        threshold = self.null_threshold
        if threshold is not None and nowhere.score - best.score > threshold:
            return nowhere
        return best

    def _ranked(self, found: np.ndarray, read: "Sequence[Example]") -> Iterator[Found]:
        """Yields the best spans of all windows that hold any text, the best first."""
        spans = (
            (float(score), window, int(first), int(last))
            for window, of_window in enumerate(found)
            for first, last, score in of_window[1:]
            if score > NEVER
        )
        # Of equal scores the first window wins, as in any order of a file.
        ranked = heapq.nsmallest(BEST, spans, key=lambda one: (-one[0], *one[1:]))
        for score, window, first, last in ranked:
            passage = passage_of(read[window])
            start, stop = self._passages.place(passage, first, last)
            if start < stop:
                yield Found(score, passage.text[start:stop], (start, stop))


def passage_of(example: "Example") -> Passage:
    """Returns what an example asks; of one in plain words, the question alone."""
    return example.passage or Passage(example.inputs, "")


def _nowhere(found: np.ndarray) -> float:
    """Returns the lowest score of no answer in any window.

    Source: Devlin et al. 2019, sec. 4.3 (arXiv:1810.04805), and the released code for
    several windows.
    """
    return float(found[:, 0, 2].min())
