"""Answering rows by prompts that share one model: any number of them, compiled once."""

import collections
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from jaxprompt.config import WORDS, Run
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.reading import Reading, told_by_row
from jaxprompt.data.rows.requests import request_rows
from jaxprompt.data.rows.row_batches import (
    Progress,
    join_members,
    predict_rows,
    sorted_batches,
)
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.likelihood import with_answers
from jaxprompt.evaluate.score import Predict
from jaxprompt.prompts.prompt import Prompt, lengthen, stack
from jaxprompt.prompts.trained import join_heads
from jaxprompt.runs.ready.frozen import Frozen
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import check_slots, may_fold
from jaxprompt.shapes import Batch, Params

PROBABILITIES = "probabilities"
"""Where it stands how likely each label is, if that is asked for."""

PROBABILITY = "probability"
"""Where it stands how likely an answer is that was decoded."""

CANDIDATES = "candidates"
"""Where the likeliest answers stand, if several are asked for: a list of objects."""

CANDIDATE = "prediction"
"""In such an object, the answer; `PROBABILITY` stands beside it."""


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


def make_answering(
    frozen: Frozen,
    runs: Sequence[Run],
    tasks: Sequence[Task],
    prompts: Sequence[Prompt],
    heads: Sequence[Params],
) -> list[Answering]:
    """Puts prompts that are to answer together on their model.

    Args:
        frozen: The model.
        runs: Of each prompt, its run.
        tasks: Its task, put to the head of its run.
        prompts: The prompts.
        heads: The weights of their heads.

    Raises:
        ValueError: If a template has places for another number of soft tokens.
    """
    for task, prompt in zip(tasks, prompts, strict=True):
        check_slots(task, [prompt.length])
    has_deep = any(prompt.deep for prompt in prompts)
    if has_deep or not all(may_fold(run) for run in runs):
        frozen = frozen.unfolded()
    return [
        Answering(Job(frozen, run, (task,)), prompt, head)
        for run, task, prompt, head in zip(runs, tasks, prompts, heads, strict=True)
    ]


class RowAnswers(NamedTuple):
    """The answer of each row, and what stands beside it.

    Attributes:
        texts: The answers.
        more: Further fields of each row.
    """

    texts: list[str]
    more: list[dict[str, Any]]


class Answerer:
    """Prompts that answer rows together, each row by the prompt that it belongs to.

    Rows of different prompts share batches and one compiled program, unless they are
    ranked by label words that differ. How many prompts there are is part of a program,
    so that numbers of them are rounded up to powers of two.

    Args:
        members: The prompts.
        scores: Whether answers say how likely they are: a field `PROBABILITIES` with
            the probability of each label, where these are ranked, or with what a head
            says; else `PROBABILITY`, that the model writes this answer and then ends.
        top_k: How many answers to each row there are in a field `CANDIDATES`, the
            likeliest first; 0 for no such field.

    Raises:
        ValueError: If there is one answer only, of tags or of a method that finds one.
    """

    def __init__(
        self, members: Sequence[Answering], *, scores: bool = False, top_k: int = 0
    ):
        self._members, self._job = members, members[0].job
        self._scores, self._top_k = scores, top_k
        for member in members:
            check_top_k(member.job.run, top_k)
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
    ) -> RowAnswers:
        """Answers rows.

        Args:
            rows: Number of the row among all, from 0 -> row; one or more. What is drawn
                at random for a row depends on its number.
            owners: For each, the number of its prompt.
            advance: Told after each batch how many rows it held.

        Raises:
            ValueError: If a row does not fit its task; names file and line.
        """
        members = self._members
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
            told = told_by_row(advance, [readings[owner] for owner in together])
            task = members[together[0]].job.task
            found = self._run(predict, task, joined, told)
            ends = np.cumsum([0, *counts])
            for owner, a, b in zip(together, ends[:-1], ends[1:], strict=True):
                answered = self._tell(readings[owner], found.part(a, b))
                for at, place in enumerate(places_of[owner]):
                    texts[place], more[place] = answered.texts[at], answered.more[at]
        return RowAnswers(texts, more)

    @property
    def _asked(self) -> bool:
        """Whether anybody asks how likely answers are."""
        return self._scores or self._top_k > 0

    def _run(
        self, predict: Predict, task: Task, rows: Batch, told: Progress
    ) -> "_Found":
        """Runs the programs that answer rows, all of them as those of this task."""
        job = self._job
        if task.answers is not None:
            found = self._each(predict, rows, told)
            return _Found(found, self._each(job.likely, rows) if self._asked else None)
        if self._asked and by_label_scores(job.run):
            return _Found(None, self._each(job.word_scores(task), rows, told))
        if self._top_k:
            ids_RKL = self._each(job.candidates(self._top_k), rows, told)
        else:
            ids_RKL = self._each(predict, rows, told)[:, None]
        if not self._asked:
            return _Found(ids_RKL, None)
        nats = [
            self._each(job.likelihood, with_answers(rows, ids_RKL[:, k]))
            for k in range(ids_RKL.shape[1])
        ]
        return _Found(ids_RKL, np.stack(nats, axis=1))

    def _each(
        self,
        program: Callable[[Params, Batch], Any],
        rows: Batch,
        told: Progress | None = None,
    ) -> np.ndarray:
        """Runs a program on rows in batches; what comes out is in their order."""
        batches = sorted_batches(rows, self._job.run.evaluation.batch_size)
        count = len(np.asarray(rows.inputs))
        return predict_rows(
            functools.partial(program, self._params), batches, count, told
        )

    def _tell(self, reading: Reading, found: "_Found") -> RowAnswers:
        """Returns the answers of a prompt's rows, and what stands beside them."""
        task, (ids, likely) = reading.task, found
        if task.answers is not None:
            assert ids is not None
            texts, of_rows = reading.answers(ids), None
            if likely is not None:
                of_rows = reading.likelihoods(ids, likely)
            return RowAnswers(
                texts, [self._beside(x) for x in of_rows or [{}] * len(texts)]
            )
        if ids is None:
            assert likely is not None
            shares = softmax(likely.astype(np.float64), axis=-1).tolist()
            of_labels = [dict(zip(task.row_labels, row, strict=True)) for row in shares]
            best = np.argmax(likely, axis=-1)
            return RowAnswers(
                [task.row_labels[place] for place in best],
                [self._beside(row) for row in of_labels],
            )
        texts = task.decode(ids[:, 0])
        if likely is None:
            return RowAnswers(texts, [{}] * len(texts))
        more = []
        for row, shares in zip(ids, np.exp(likely.astype(float)).tolist(), strict=True):
            candidates = told_once(zip(task.decode(row), shares, strict=True))
            beside: dict[str, Any] = {}
            if self._scores:
                beside[PROBABILITY] = candidates[0][PROBABILITY]
            if self._top_k:
                beside[CANDIDATES] = candidates
            more.append(beside)
        return RowAnswers(texts, more)

    def _beside(self, likely: Any) -> dict[str, Any]:
        """Returns what stands beside an answer of which there are known others.

        Args:
            likely: Answer -> probability; or of tags that of each word's.
        """
        beside = {PROBABILITIES: likely} if self._scores else {}
        if self._top_k:
            ranked = sorted(likely.items(), key=lambda one: -one[1])
            beside[CANDIDATES] = told_once(ranked[: self._top_k])
        return beside

    def _read(self, owner: int, rows: Mapping[int, Row]) -> Reading:
        """Returns a member's rows as it reads them, behind its soft tokens."""
        job, prompt, _ = self._members[owner]
        soft_ids = job.frozen.soft_ids(prompt.length)
        return request_rows(job.task, rows, job.lengths, soft_ids)


class _Found(NamedTuple):
    """What programs found of rows.

    Attributes:
        found: Target ids [R, K, L] of K answers to each, or what a head found; None
            where the scores of labels say the answer.
        likely: Scores of labels [R, C] or of answers [R, K], in nats, or what
            `Head.likely` gives; None where nobody asks for them.
    """

    found: np.ndarray | None
    likely: np.ndarray | None

    def part(self, first: int, last: int) -> "_Found":
        """Returns that of some of the rows."""
        return _Found(*(None if x is None else x[first:last] for x in self))


def told_once(ranked: Iterable[tuple[str, float]]) -> list[dict[str, Any]]:
    """Tells each answer once: one that is written in several ways has their sum.

    The same text may end with another id, or be of other tokens.
    """
    shares: dict[str, float] = {}
    for text, share in ranked:
        shares[text] = shares.get(text, 0.0) + share
    return [{CANDIDATE: text, PROBABILITY: share} for text, share in shares.items()]


def by_label_scores(run: Run) -> bool:
    """Whether answers are chosen by scores, of labels or by a head, and not decoded."""
    return run.evaluation.method == "rank" or run.head.kind != WORDS


def check_top_k(run: Run, top_k: int) -> None:
    """Raises ValueError unless a run finds so many answers to a row."""
    evaluation = run.evaluation
    if top_k < 0:
        raise ValueError(f"top_k {top_k}: use a number of answers, 0 for none")
    if not top_k:
        return
    if run.head.kind == "tags":
        raise ValueError(
            f"top_k {top_k} for tags, of which every word has one: leave it out"
        )
    if by_label_scores(run):
        return
    if evaluation.method != "beam" or evaluation.beams < top_k:
        raise ValueError(
            f"top_k {top_k} with method {evaluation.method!r} of {evaluation.beams} "
            "beams: decoding finds several answers by beam search, so use method "
            f"'beam' and {top_k} beams or more, as --gin.METHOD=\"'beam'\" "
            f"--gin.Evaluation.beams={max(top_k, evaluation.beams)}"
        )
