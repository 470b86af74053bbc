"""Rows of a results table: of each task and method, its score over seeds."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxprompt.evaluate.aggregate import SUPERGLUE, superglue_score

SUPERGLUE_TITLE = "SuperGLUE (mean of 8)"
"""What the mean over the eight tasks is called, where others have a task."""

METRIC_OF_MEAN = "mean of each task's"
"""Likewise, where others have metrics."""

COMPARED = ("metric", "split", "examples")
"""Fields of a member that scores must share to have a mean."""


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """What a method reaches on a task, over its seeds.

    Scores are in points, 0 to 100: the mean of the task's metrics.

    Attributes:
        task: The task; of a domain shift "trained on -> scored on".
        method: What was done.
        metric: Names of the metrics whose mean is the score, joined by "+".
        backbone: The model.
        seeds: In ascending order.
        scores: The score with each seed.
        majority: Score of the most frequent class of the same split.
        untuned: Score of the frozen model alone.
        hand_written: Score of the frozen model behind a prompt in words.
        vote: Score of the majority vote of all these seeds.
        x: Place on a numeric axis, as the prompt's length.
        illegal: Mean share of answers that are none of the task's label words, 0 to 1.
        metrics: Mean of each metric that all seeds have.
        split: The split that is scored; None if there are several.
        examples: How many examples of it; None if there are several splits.
    """

    task: str
    method: str
    metric: str
    backbone: str
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    majority: float | None = None
    untuned: float | None = None
    hand_written: float | None = None
    vote: float | None = None
    x: float | None = None
    illegal: float | None = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    split: str | None = None
    examples: int | None = None

    def __post_init__(self) -> None:
        if not self.scores or len(self.seeds) != len(self.scores):
            raise ValueError(
                f"{len(self.seeds)} seeds and {len(self.scores)} scores of task "
                f"{self.task}: give one score for each seed, and one or more"
            )

    @property
    def mean(self) -> float:
        """Mean score."""
        return statistics.fmean(self.scores)

    @property
    def stddev(self) -> float | None:
        """Sample standard deviation of the scores; None for one seed."""
        return sample_stddev(self.scores)

    @property
    def best(self) -> float:
        """Highest score; NaN only where no other is there."""
        return max(self.scores, key=lambda score: (not math.isnan(score), score))


def sample_stddev(scores: Sequence[float]) -> float | None:
    """Returns the sample standard deviation of scores; None for one.

    It is NaN if one of them is, as of a metric that is not defined: `statistics` raises
    an AttributeError then, in Python 3.11.
    """
    if len(scores) < 2:
        return None
    return statistics.stdev(scores) if all(map(math.isfinite, scores)) else math.nan


METHODS: Mapping[str, str] = {
    "model": "model tuning",
    "model+head": "full tuning",
    "head": "head alone",
    "prompt+head": "prompt and head tuning",
}
"""What a run trains -> what its method is called; any other is prompt tuning."""


def method_of(result: Mapping[str, Any]) -> str:
    """Names the method of a run after what it trains.

    Args:
        result: Content of its result.json.
    """
    method = METHODS.get(result.get("trains", ""), "prompt tuning")
    if result.get("trains") not in ("model", "model+head"):
        return method
    tasks = {member["task"] for member in members_of(result)}
    return method if len(tasks) == 1 else f"multi-task {method}"


def members_of(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Returns the members of a run, which is one itself if it has no others."""
    return result.get("members", [result])


def rows_of(
    method: str, results: Iterable[Mapping[str, Any]], x: float | None = None
) -> list[ResultRow]:
    """Makes the rows of a method from all of its runs, one for each task and model.

    Domain shifts have rows of their own, as "qqp -> mrpc". A row has a vote if all of
    its seeds are of one bank.

    Args:
        method: What to call it.
        results: Contents of result.json files.
        x: Place on a numeric axis.

    Returns:
        The rows, in the order in which the tasks come.

    Raises:
        ValueError: If a seed comes twice, or if scores of a task cannot be compared.
    """
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for number, result in enumerate(results):
        votes = {vote["task"]: vote["vote"] for vote in result.get("votes", [])}
        for member in members_of(result):
            task, backbone = member["task"], member["backbone"]
            known = {"seed": member["seed"], "run": number}
            one = {"vote": votes.get(task), **member, **known}
            rows.setdefault((task, backbone), []).append(one)
            for other, shifted in member.get("shift", {}).items():
                name = f"{task} -> {other}"
                rows.setdefault((name, backbone), []).append({**shifted, **known})
    return [
        _row(task, method, backbone, sorted(members, key=lambda one: one["seed"]), x)
        for (task, backbone), members in rows.items()
    ]


def _row(
    task: str,
    method: str,
    backbone: str,
    members: Sequence[Mapping[str, Any]],
    x: float | None,
) -> ResultRow:
    seeds = tuple(member["seed"] for member in members)
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise ValueError(
            f"two scores of seed {twice[0]} of task {task} and method {method!r}: give "
            "the runs two names, or leave one out"
        )
    for field in COMPARED:
        values = list(dict.fromkeys(member.get(field) for member in members))
        if len(values) > 1:
            raise ValueError(
                f"task {task} is scored with {field} {values[0]} and with {values[1]}, "
                f"both as method {method!r}: these do not compare, so give them two "
                "names"
            )
    # One run may have measured more than another, as the loss of the true answers.
    of_all = set.intersection(*({*member.get("metrics", {})} for member in members))
    return ResultRow(
        task=task,
        method=method,
        metric=members[0]["metric"],
        backbone=backbone,
        seeds=seeds,
        scores=tuple(float(member["score"]) for member in members),
        majority=_mean(members, "majority"),
        untuned=_mean(members, "untuned"),
        hand_written=_mean(members, "hand_written"),
        vote=_mean(members, "vote") if _from_one(members) else None,
        x=x,
        illegal=_mean(members, "illegal"),
        metrics={
            name: statistics.fmean(member["metrics"][name] for member in members)
            for name in sorted(of_all)
        },
        split=members[0].get("split"),
        examples=members[0].get("examples"),
    )


BEST_OF_GRID = "best of grid (chosen on the split that it is scored on)"
"""What `best_rows` calls its method."""


def best_rows(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Returns the best score of each task and model over all methods and seeds.

    It is the highest of many draws, and so above what the same settings reach again.

    Args:
        rows: From `rows_of`.
    """
    best: dict[tuple[str, str], ResultRow] = {}
    for row in rows:
        there = best.get((row.task, row.backbone))
        if there is None or row.best > there.best or math.isnan(there.best):
            best[row.task, row.backbone] = row
    return [
        dataclasses.replace(
            row,
            method=BEST_OF_GRID,
            seeds=(row.seeds[row.scores.index(row.best)],),
            scores=(row.best,),
            vote=None,
            x=None,
            illegal=None,
            metrics={},
        )
        for row in best.values()
    ]


def _mean(members: Sequence[Mapping[str, Any]], field: str) -> float | None:
    values = [member.get(field) for member in members]
    known = [float(value) for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _from_one(members: Sequence[Mapping[str, Any]]) -> bool:
    return len({member["run"] for member in members}) == 1


def superglue_rows(
    method: str, results: Sequence[Mapping[str, Any]], x: float | None = None
) -> list[ResultRow]:
    """Makes the mean over SuperGLUE's eight tasks, for each model that has them all.

    Its seeds are those that all eight tasks have, and it has a vote if they all do. A
    seed has NaN where a metric of one of them is not defined.

    Args:
        method: What to call it.
        results: Contents of result.json files.
        x: Place on a numeric axis.

    Returns:
        A row for each model; none where a task is missing.

    Raises:
        ValueError: As `rows_of`.

    Source: Lester et al. 2021, table 3 (arXiv:2104.08691).
    """
    rows = rows_of(method, results, x)
    metrics: dict[tuple[str, int], dict[str, Mapping[str, float]]] = {}
    for member in itertools.chain.from_iterable(map(members_of, results)):
        of_seed = metrics.setdefault((member["backbone"], member["seed"]), {})
        of_seed[member["task"]] = _scored_by(member)
    found = []
    for name in dict.fromkeys(row.backbone for row in rows):
        scores = {
            seed: _superglue(by_task)
            for (backbone, seed), by_task in sorted(metrics.items())
            if backbone == name and all(map(by_task.get, SUPERGLUE))
        }
        if not scores:
            continue
        eight = [row for row in rows if row.backbone == name and row.task in SUPERGLUE]
        found.append(
            ResultRow(
                task=SUPERGLUE_TITLE,
                method=method,
                metric=METRIC_OF_MEAN,
                backbone=name,
                seeds=tuple(scores),
                scores=tuple(scores.values()),
                majority=_mean_of(eight, "majority"),
                untuned=_mean_of(eight, "untuned"),
                hand_written=_mean_of(eight, "hand_written"),
                vote=_mean_of(eight, "vote"),
                x=x,
                illegal=_mean_of(eight, "illegal"),
            )
        )
    return found


def undefined_metrics(result: Mapping[str, Any]) -> list[str]:
    """Names the metrics of a run's scores that are no number.

    Such a score makes every mean that it is part of no number either.

    Args:
        result: Content of its result.json.

    Returns:
        A text for each, as "f1 of cb with seed 0 is nan".
    """
    return [
        f"{name} of {member['task']} with seed {member['seed']} is {value}"
        for member in members_of(result)
        for name, value in _scored_by(member).items()
        if not math.isfinite(value)
    ]


def _scored_by(member: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics whose mean is a member's score.

    What else was measured, as the loss of the true answers, is no part of it.
    """
    names = member["metric"].split("+")
    measured = member.get("metrics", {})
    return {name: value for name, value in measured.items() if name in names}


def _superglue(by_task: Mapping[str, Mapping[str, float]]) -> float:
    """Returns the SuperGLUE score; NaN where a metric is not defined."""
    values = [value for task in SUPERGLUE for value in by_task[task].values()]
    return superglue_score(by_task) if all(map(math.isfinite, values)) else math.nan


def _mean_of(rows: Sequence[ResultRow], field: str) -> float | None:
    """Averages a field; None unless every row has it."""
    values = [getattr(row, field) for row in rows]
    return None if None in values else statistics.fmean(values)
