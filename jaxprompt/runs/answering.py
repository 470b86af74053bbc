"""Answering rows by prompts that share one model: any number of them, compiled once."""

import collections
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.reading import Reading, told_by_row
from jaxprompt.data.rows.requests import request_rows
from jaxprompt.data.rows.row_batches import (
    Progress,
    join_members,
    predict_rows,
    sorted_batches,
)
from jaxprompt.evaluate.score import Predict
from jaxprompt.prompts.prompt import Prompt, lengthen, stack
from jaxprompt.prompts.trained import join_heads
from jaxprompt.runs.ready.job import Job
from jaxprompt.shapes import Params

PROBABILITIES = "probabilities"
"""Where it stands how likely each label is, if that is asked for."""


class Answering(NamedTuple):
    """A prompt that answers rows.

    Attributes:
        job: Its run and its task, on the model that all share.
        prompt: The prompt.
        head: The weights of its head; {} for words.
    """

    job: Job
    prompt: Prompt
    head: Params


class Answered(NamedTuple):
    """The answer of each row, and what stands beside it.

    Attributes:
        texts: The answers.
        more: Further fields of each row; None for none.
    """

    texts: list[str]
    more: list[dict[str, Any]] | None


class Answerer:
    """Prompts that answer rows together, each row by the prompt that it belongs to.

    Rows of different prompts share batches and one compiled program, unless they are
    ranked by label words that differ. How many prompts there are is part of a program,
    so that numbers of them are rounded up to powers of two.

    Args:
        members: The prompts.
        probabilities: Whether answers say how likely each label is.
    """

    def __init__(self, members: Sequence[Answering], *, probabilities: bool = False):
        self._members, self._job = members, members[0].job
        self._probabilities = probabilities
        capacity = 1 << (len(members) - 1).bit_length()
        filled = [*members, *[members[-1]] * (capacity - len(members))]
        longest = max(member.prompt.length for member in members)
        self._params = self._job.frozen.join(
            stack([lengthen(member.prompt, longest) for member in filled]),
            join_heads([member.head for member in filled]),
        )
        self._seeds = [member.job.run.seed for member in filled]

    def __call__(
        self, rows: Mapping[int, Row], owners: Sequence[int], advance: Progress
    ) -> Answered:
        """Answers rows.

        Args:
            rows: Number of the row among all, from 0 -> row; one or more. What is drawn
                at random for a row depends on its number.
            owners: For each, the number of its prompt.
            advance: Told after each batch how many rows it held.

        Raises:
            ValueError: If a row does not fit its task; names file and line.
        """
        members, size = self._members, self._job.run.evaluation.batch_size
        places_of: dict[int, list[int]] = collections.defaultdict(list)
        for place, owner in enumerate(owners):
            places_of[owner].append(place)
        numbered = list(rows.items())
        readings = {
            owner: self._read(owner, dict(numbered[place] for place in places))
            for owner, places in places_of.items()
        }
        # Only ranking needs a program of its own, for each set of label words.
        shared: dict[Predict, list[int]] = collections.defaultdict(list)
        for owner in places_of:
            task = members[owner].job.task
            shared[self._job.predict(task, self._seeds)].append(owner)
        texts = [""] * len(rows)
        more: list[dict[str, Any]] = [{}] * len(rows)
        for predict, together in shared.items():
            joined = join_members(
                [(owner, readings[owner].batch) for owner in together]
            )
            counts = [readings[owner].count for owner in together]
            answer = functools.partial(predict, self._params)
            told = told_by_row(advance, [readings[owner] for owner in together])
            batches = sorted_batches(joined, size)
            found = predict_rows(answer, batches, sum(counts), told)
            likely = found
            if self._probabilities:
                measure = functools.partial(self._job.likely, self._params)
                batches = sorted_batches(joined, size)
                likely = predict_rows(measure, batches, sum(counts))
            ends = np.cumsum([0, *counts])
            for owner, a, b in zip(together, ends[:-1], ends[1:], strict=True):
                reading, places = readings[owner], places_of[owner]
                said = reading.answers(found[a:b])
                for place, text in zip(places, said, strict=True):
                    texts[place] = text
                if self._probabilities:
                    shares = reading.likelihoods(found[a:b], likely[a:b])
                    for place, share in zip(places, shares, strict=True):
                        more[place] = {PROBABILITIES: share}
        return Answered(texts, more if self._probabilities else None)

    def _read(self, owner: int, rows: Mapping[int, Row]) -> Reading:
        """Returns a member's rows as it reads them, behind its soft tokens."""
        job, prompt, _ = self._members[owner]
        soft_ids = job.frozen.soft_ids(prompt.length)
        return request_rows(job.task, rows, job.lengths, soft_ids)
