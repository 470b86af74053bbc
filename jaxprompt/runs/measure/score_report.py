"""What a run measures by its answers: for its curves, its result and its examples."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxprompt.data.tasks.few_shot import DEVELOPMENT
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.evaluation_set import EvaluationSet, Scores
from jaxprompt.evaluate.gold import make_gold, score_gold
from jaxprompt.evaluate.score import Report, evaluate, vote_of
from jaxprompt.evaluate.surprise import make_surprise
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.prompts.trained import unstack_head
from jaxprompt.report.pages.page import ShownExample
from jaxprompt.report.results.answers import Answered
from jaxprompt.report.text.bar import example_bar
from jaxprompt.runs.measure.measured import Measured
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.together import score_settings, task_settings
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.loop import Validation

NUM_EXAMPLES = 8
"""Answers that are shown."""


class _Scored(NamedTuple):
    """Rows that some members of one task answer.

    Attributes:
        rows: The rows.
        place: Number of the task.
        members: Numbers of the members.
    """

    rows: EvaluationSet
    place: int
    members: list[int]


class ScoreReport:
    """A split of each task, tokenised once, and the way to its answers."""

    def __init__(
        self,
        job: Job,
        split: str,
        prompt_length: int,
        members: Sequence[tuple[int, int]] | None = None,
    ):
        """Tokenises the split, behind prompts of this length.

        Args:
            job: The run.
            split: The split.
            prompt_length: Soft tokens P; 0 for none.
            members: (number of the task, seed) of each prompt; None for the run's.

        Raises:
            ValueError: If the run's method or its baselines do not fit a task, so that
                nothing is trained that could not be scored.
        """
        self._job = job
        self._split = split
        self._length = prompt_length
        if members is None and job.run.tunes_model:
            members = [(place, job.run.seed) for place in range(len(job.tasks))]
        self._members = job.members if members is None else list(members)
        for task in job.tasks:
            job.predict(task)
            job.asked_by_hand(task)
        self._scored = self._tokenised()

    def limits(self) -> list[str]:
        """Says why scores may not mean what they seem to; see `EvaluationSet`."""
        if self._split == DEVELOPMENT:
            return list(dict.fromkeys(map(self._tell_few, self._scored)))
        scored = [(self._labels[of.place], of.rows) for of in self._scored]
        return [
            f"{label}: {sentence}"
            for label, rows in [*scored, *self._shift_rows.items()]
            for sentence in rows.limits()
        ]

    @property
    def batches(self) -> list[Batch]:
        """The rows that `validate` scores, as a model reads them, task by task."""
        return [of.rows.batch for of in self._scored]

    def validate(
        self, params: Params, join: Callable[[Batch], Batch] | None = None
    ) -> Validation:
        """Scores every member for the log; a tuned model has one score, their mean.

        Args:
            params: The joined tree.
            join: Gives batches what is known of their rows, as `KeptStates.join`.
        """
        scores = self._score(self._scored, params, self._split, leave=False, join=join)
        mean = float(np.mean([score.score for score in scores]))
        scalars = {"score": mean}
        for name, score in zip(self._names(), scores, strict=True):
            found = {"score": score.score, "illegal": score.illegal, **score.metrics}
            if len(scores) == 1:
                scalars |= found
            else:
                scalars |= {f"{name}/{field}": x for field, x in found.items()}
        if self._job.run.tunes_model:
            return Validation([mean], scalars)
        return Validation([score.score for score in scores], scalars)

    def measure(self, params: Params) -> Measured:
        """Scores a joined tree and its baselines for result.json."""
        members: dict[int, dict[str, Any]] = {}
        votes = []
        examples: list[ShownExample] = []
        answers: list[Answered] = []
        for place in range(len(self._job.tasks)):
            report = self.compare(params, place)
            numbers = self._numbers(place)
            for number, tuned in zip(numbers, report.tuned, strict=True):
                members[number] = self._result(place, number, report, tuned)
            if self._job.run.evaluation.gold:
                self._add_gold(params, place, members, report)
            if report.vote:
                votes.append(self._vote(place, report))
            examples = examples or _choose_examples(report)
            answers.append(self._answered(place, report))
        for label, shifted in self._shift(params).items():
            for number, scores in shifted.items():
                members[number].setdefault("shift", {})[label] = scores
        scored = [members[m] for m in sorted(members)]
        return Measured(scored, votes, examples, answers)

    def compare(self, params: Params, place: int = 0) -> Report:
        """Scores a task's members and baselines, behind a bar."""
        job, task, rows = self._job, self._job.tasks[place], self._scored[place].rows
        baselines = {
            self._settled_by(one[0], place): one for one in self._baselines(task)
        }
        known = {key: scores for key, scores in job.known.items() if key in baselines}
        places = self._places(place)
        total = (len(places) + len(baselines) - len(known)) * rows.num_examples
        with example_bar(total, f"{self._labels[place]} {self._split}") as advance:
            report = evaluate(
                job.predict(task, self._seeds),
                (rows, params),
                *(baselines | known).values(),
                members=places,
                batch_size=job.scored_rows(len(places) * rows.num_examples),
                progress=advance,
                pack=self._pack,
            )
        found = (report.untuned, report.hand_written)
        job.known.update(zip(baselines, filter(None, found), strict=True))
        return report

    def _settled_by(self, asked: EvaluationSet, place: int) -> str:
        """Names all that decides the scores of the frozen model on these rows."""
        run = self._job.run
        draws = run.evaluation.method == "nucleus"
        decides = {
            **score_settings(run, self._split),
            **task_settings(run.data.tasks[place]),
            "place": place,
            "head": repr(run.head) if run.head.has_weights else "",
            "seed": run.seed if run.head.has_weights or draws else None,
            "folds": self._job.frozen.folds,
            "pack": self._pack,
        }
        told = [f"{name}={value!r}" for name, value in sorted(decides.items())]
        digest = hashlib.sha256("\n".join([*told, repr(asked.targets)]).encode())
        batch = asked.batch
        digest.update(repr(batch.lead).encode())
        for leaf in jax.tree.leaves(batch):
            digest.update(f"{leaf.dtype} {leaf.shape}".encode() + leaf.tobytes())
        return digest.hexdigest()

    def surprises(self, params: Params, place: int = 0) -> list[float]:
        """Returns how unlikely the true answer of each row of a task is.

        Args:
            params: The joined tree.
            place: Number of the task.

        Returns:
            Its cross-entropy in nats, the mean over the members; see
            `evaluate.surprise`.
        """
        job, rows, places = self._job, self._scored[place].rows, self._places(place)
        measure = make_surprise(job.frozen.backbone, job.head, job.frozen.place_batch)
        total = len(places) * rows.num_examples
        with example_bar(total, f"{self._labels[place]} true answers") as advance:
            of_batch = functools.partial(measure, params)
            size = job.run.evaluation.batch_size
            nats_MR = rows.measure_members(of_batch, size, places, advance)
        return nats_MR.mean(axis=0).tolist()

    def _baselines(self, task: Task) -> list[tuple[EvaluationSet, Params]]:
        """Tokenises the split without a prompt, and behind the hand-written one.

        A head is as a new one starts, with the run's first seed.
        """
        job = self._job
        heads = unstack_head(job.start_head(new=True), len(job.members))
        first_of = {id(one): place for place, one in enumerate(job.tasks)}
        untuned_head = heads[first_of[id(task)] * job.run.seeds]
        empty = empty_prompt(job.frozen.backbone.width)
        untuned = job.frozen.join(empty, untuned_head)
        return [
            (self._tokenise(asked, self._split, 0), untuned)
            for asked in (task, job.asked_by_hand(task))
            if asked is not None
        ]

    def _add_gold(
        self,
        params: Params,
        place: int,
        members: Mapping[int, dict[str, Any]],
        report: Report,
    ) -> None:
        """Measures the true answers for the members of a task, and its baselines."""
        job, task, rows = self._job, self._job.tasks[place], self._scored[place].rows
        end: Any = task.vocabulary.eos_id
        measure = make_gold(
            job.frozen.backbone,
            end,
            job.frozen.place_batch,
            opening=len(task.opening_ids),
        )
        sets = [(rows, params, self._places(place))]
        sets += [(other, frozen, [0]) for other, frozen in self._baselines(task)]
        total = sum(len(places) * one.num_examples for one, _, places in sets)
        found: list[list[dict[str, float]]] = []
        with example_bar(total, f"{self._labels[place]} true answers") as advance:
            for one, joined, places in sets:
                of_batch = functools.partial(measure, joined)
                size = job.run.evaluation.batch_size
                found.append(score_gold(of_batch, one, size, places, advance))
        tuned, baselines = found[0], [scores[0] for scores in found[1:]]
        named = {"untuned": report.untuned, "hand_written": report.hand_written}
        scored = [(name, x) for name, x in named.items() if x is not None]
        for number, gold in zip(self._numbers(place), tuned, strict=True):
            member = members[number]
            member["metrics"] = {**member["metrics"], **gold}
            for (name, scores), of_frozen in zip(scored, baselines, strict=True):
                member[f"{name}_metrics"] = {**scores.metrics, **of_frozen}

    @property
    def _pack(self) -> bool:
        """Whether rows hold several examples: decoding needs a row for each.

        So does a decoder-only model, whose answers follow on what they are asked, and a
        head, which reads the places of one answer.
        """
        run, task = self._job.run, self._job.task
        by_rank = run.evaluation.method == "rank" and task.answers is None
        return run.data.pack and by_rank and not task.causal

    @property
    def _labels(self) -> list[str]:
        return [task.label for task in self._job.run.data.tasks]

    @property
    def _seeds(self) -> list[int]:
        return [seed for _, seed in self._members]

    def _names(self) -> list[str]:
        return [f"{self._labels[place]}-{seed}" for place, seed in self._members]

    def _numbers(self, place: int) -> list[int]:
        """Numbers of the members of a task."""
        return [m for m, (task, _) in enumerate(self._members) if task == place]

    def _places(self, place: int) -> list[int]:
        """Where these stand in the bank; a tuned model answers all tasks itself."""
        tuned = self._job.run.tunes_model
        return [0] if tuned else self._numbers(place)

    def _score(
        self,
        sets: Sequence[_Scored],
        params: Params,
        name: str,
        *,
        leave: bool,
        join: Callable[[Batch], Batch] | None = None,
    ) -> list[Scores]:
        """Scores members on their sets; in the order of the members."""
        scores: dict[int, Scores] = {}
        tuned = self._job.run.trains == "model"  # It answers all tasks itself.
        total = sum(len(of.members) * of.rows.num_examples for of in sets)
        with example_bar(total, name, leave=leave) as advance:
            for rows, place, members in sets:
                task = self._job.tasks[place]
                predict: Callable[..., Any] = functools.partial(
                    self._job.predict(task, self._seeds), params
                )
                if join is not None:
                    predict = _composed(predict, join)
                found = rows.score_members(
                    predict,
                    self._job.scored_rows(len(members) * rows.num_examples),
                    [0] if tuned else members,
                    advance,
                    pack=self._pack,
                )
                scores |= dict(zip(members, found, strict=True))
        return [scores[m] for m in sorted(scores)]

    def _shift(self, params: Params) -> dict[str, dict[int, dict[str, Any]]]:
        """Scores every member on each task of the domain shift."""
        split, found = self._job.run.data.shift_split, {}
        for label, rows in self._shift_rows.items():
            name = f"{label} {split}"
            sets = [_Scored(rows, of.place, of.members) for of in self._scored]
            scores = self._score(sets, params, name, leave=True)
            majority = rows.majority().score
            votes = [
                vote_of(rows, [scores[number] for number in self._numbers(place)])
                for place, _ in self._members
            ]
            found[label] = {
                number: {
                    "split": split,
                    "examples": rows.num_examples,
                    "metric": score.metric,
                    "score": score.score,
                    "majority": majority,
                    "illegal": score.illegal,
                    "metrics": score.metrics,
                    **({"vote": vote.score} if vote else {}),
                }
                for number, (score, vote) in enumerate(zip(scores, votes, strict=True))
            }
        return found

    @functools.cached_property
    def _shift_rows(self) -> dict[str, EvaluationSet]:
        """The tasks of the domain shift by their labels, tokenised once."""
        data = self._job.run.data
        return {
            settings.label: self._tokenise(task, data.shift_split, self._length)
            for settings, task in zip(data.shift_to, self._job.shift_to, strict=True)
        }

    def _tokenised(self) -> list[_Scored]:
        """Tokenises the split of each task; of few-shot learning, each member's own."""
        job = self._job
        if self._split != DEVELOPMENT:
            found = [self._tokenise(x, self._split, self._length) for x in job.tasks]
            return [_Scored(x, n, self._numbers(n)) for n, x in enumerate(found)]
        own = []
        for number, (place, seed) in enumerate(self._members):
            few = job.sample(job.learned(place, seed), self._split, self._length)
            rows = EvaluationSet(dataclasses.replace(few, num_examples=None))
            own.append(_Scored(rows, place, [number]))
        return own

    def _tell_few(self, scored: _Scored) -> str:
        count = scored.rows.num_examples
        return (
            f"{self._labels[scored.place]}: {count} rows of each seed choose its best "
            f"step, where a share of right answers has a standard error of up to "
            f"{50 / count**0.5:.0f} points"
        )

    def _tokenise(self, task: Task, split: str, prompt_length: int) -> EvaluationSet:
        return EvaluationSet(self._job.sample(task, split, prompt_length))

    def _result(
        self, place: int, number: int, report: Report, tuned: Scores
    ) -> dict[str, Any]:
        hand_written = {}
        if report.hand_written is not None:
            hand_written = {
                "hand_written": report.hand_written.score,
                "hand_written_illegal": report.hand_written.illegal,
            }
        return {
            "task": self._labels[place],
            "split": self._split,
            "examples": len(tuned.predictions),
            "metric": tuned.metric,
            "score": tuned.score,
            "majority": report.majority.score,
            "untuned": report.untuned.score,
            "illegal": tuned.illegal,
            "untuned_illegal": report.untuned.illegal,
            "unwritable": self._scored[place].rows.unwritable,
            **hand_written,
            "metrics": tuned.metrics,
            "backbone": self._job.frozen.backbone.name,
            "seed": self._members[number][1],
        }

    def _answered(self, place: int, report: Report) -> Answered:
        rows, answers = self._scored[place].rows, self._job.tasks[place].answers
        of_words = answers is not None and answers.of_words
        labels = self._job.tasks[place].labels or (answers.labels if answers else ())
        predicted = [tuned.predictions for tuned in report.tuned]
        return Answered(
            task=self._labels[place],
            places=rows.places,
            inputs=report.inputs,
            expected=rows.expected,
            predicted=predicted,
            right=[rows.right(texts) for texts in predicted],
            seeds=[self._members[number][1] for number in self._numbers(place)],
            labels=() if of_words else labels,
        )

    def _vote(self, place: int, report: Report) -> Mapping[str, Any]:
        scores = [tuned.score for tuned in report.tuned]
        assert report.vote is not None
        return {
            "task": self._labels[place],
            "metric": report.vote.metric,
            "members": len(scores),
            "average": float(np.mean(scores)),
            "best": max(scores),
            "vote": report.vote.score,
            "metrics": report.vote.metrics,
        }


def _composed(
    predict: Callable[[Batch], Any], join: Callable[[Batch], Batch]
) -> Callable[[Batch], Any]:
    return lambda batch: predict(join(batch))


def _choose_examples(report: Report) -> list[ShownExample]:
    """Takes rows evenly from the whole split: no answer decides which are shown."""
    last = len(report.inputs) - 1
    places = np.unique(np.linspace(0, last, NUM_EXAMPLES).round().astype(int))
    first = report.tuned[0]
    return [
        ShownExample(report.inputs[i], report.targets[i], first.predictions[i])
        for i in places
    ]
