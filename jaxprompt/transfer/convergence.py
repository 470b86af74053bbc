"""When has training converged, and how much sooner does another prompt's start do so?

The published code has no rule of convergence, so this project writes one down: training
has converged at its first evaluation whose score is within `EPSILON` of the best of the
run. It depends on how often a run is evaluated, so that interval stands beside it.
"""

import dataclasses
import statistics
from collections.abc import Mapping

EPSILON = 0.5
"""Points below the best score of a run that count as converged."""


@dataclasses.dataclass(frozen=True)
class Learning:
    """The evaluations of one prompt's training.

    Attributes:
        steps: Steps taken, ascending.
        scores: The score at each of them, in points.
    """

    steps: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.steps or len(self.steps) != len(self.scores):
            raise ValueError(
                f"{len(self.steps)} steps and {len(self.scores)} scores: a run has one "
                "score for each evaluation, and one evaluation or more"
            )

    @property
    def best(self) -> float:
        """The highest score."""
        return max(self.scores)

    @property
    def interval(self) -> int:
        """Steps between two evaluations, the most that there are: the resolution."""
        before = (0, *self.steps)
        return max(b - a for a, b in zip(before, self.steps, strict=False))

    def first_at(self, score: float) -> int | None:
        """Returns the steps at the first evaluation of so high a score, or None."""
        pairs = zip(self.steps, self.scores, strict=True)
        return next((step for step, own in pairs if own >= score), None)

    def converged(self, epsilon: float = EPSILON) -> int:
        """Returns the steps at which it has converged."""
        step = self.first_at(self.best - epsilon)
        assert step is not None  # The best is one of the scores.
        return step


@dataclasses.dataclass(frozen=True)
class SpeedUp:
    """What a start from another prompt changes, over seeds.

    Attributes:
        seeds: Seeds that both have.
        fresh_steps: Mean steps to convergence from a fresh start.
        steps: Mean steps to convergence from the other prompt.
        convergence: Geometric mean of fresh steps / steps, seed by seed.
        comparable: Of those seeds where the score of the converged fresh run is
            reached at all, the geometric mean of fresh steps / steps until then; None
            where no seed reaches it.
        reached: Seeds that reach it.
        fresh_best: Mean best score from a fresh start.
        best: Mean best score from the other prompt.
        interval: Steps between evaluations: no speed-up is known better than that.
        ratios: Fresh steps / steps of each seed, whose geometric mean `convergence` is.
        fresh_bests: Best score from a fresh start, of each seed.
        bests: Best score from the other prompt, of each seed.

    Source: the two speed-ups of Su et al. 2022, sec. 3.3 (arXiv:2111.06719); the rule
    of convergence is this project's.
    """

    seeds: tuple[int, ...]
    fresh_steps: float
    steps: float
    convergence: float
    comparable: float | None
    reached: int
    fresh_best: float
    best: float
    interval: int
    ratios: tuple[float, ...]
    fresh_bests: tuple[float, ...]
    bests: tuple[float, ...]


def speed_up(
    fresh: Mapping[int, Learning],
    other: Mapping[int, Learning],
    *,
    epsilon: float = EPSILON,
) -> SpeedUp:
    """Compares a start from another prompt with a fresh one.

    Args:
        fresh: Seed -> the evaluations from a fresh start.
        other: Seed -> those from another task's prompt.
        epsilon: Points below the best that count as converged.

    Raises:
        ValueError: If they share no seed, or were evaluated at different intervals.
    """
    seeds = tuple(sorted({*fresh} & {*other}))
    if not seeds:
        raise ValueError(
            f"seeds {sorted(fresh)} of the fresh start and {sorted(other)} of the "
            "other: train both with the same ones"
        )
    intervals = {run[seed].interval for run in (fresh, other) for seed in seeds}
    if len(intervals) > 1:
        raise ValueError(
            f"evaluations every {' and '.join(map(str, sorted(intervals)))} steps: "
            "steps to convergence compare only at one interval, so set EVALUATE_EVERY "
            "to one number"
        )
    pairs = [(fresh[seed], other[seed]) for seed in seeds]
    ours = [own.converged(epsilon) for own, _ in pairs]
    theirs = [run.converged(epsilon) for _, run in pairs]
    until = [run.first_at(own.best - epsilon) for own, run in pairs]
    reached = [(a, b) for a, b in zip(ours, until, strict=True) if b is not None]
    ratios = tuple(a / b for a, b in zip(ours, theirs, strict=True))
    fresh_bests = tuple(own.best for own, _ in pairs)
    bests = tuple(run.best for _, run in pairs)
    return SpeedUp(
        seeds=seeds,
        fresh_steps=statistics.fmean(ours),
        steps=statistics.fmean(theirs),
        convergence=statistics.geometric_mean(ratios),
        comparable=statistics.geometric_mean(a / b for a, b in reached)
        if reached
        else None,
        reached=len(reached),
        fresh_best=statistics.fmean(fresh_bests),
        best=statistics.fmean(bests),
        interval=intervals.pop(),
        ratios=ratios,
        fresh_bests=fresh_bests,
        bests=bests,
    )
