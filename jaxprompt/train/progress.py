"""What a run knows besides its state: its place in the data, its best, its window."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxprompt.data.rows.position import Position


@dataclasses.dataclass(frozen=True)
class MemberProgress:
    """What a run knows of one member of the bank besides its state.

    Attributes:
        position: Where in its data the next batch starts.
        best_step: Step of the best evaluation so far; 0 before the first.
        best_score: Its score.
        stale: Evaluations since then.
    """

    position: Position = dataclasses.field(default_factory=Position)
    best_step: int = 0
    best_score: float = float("-inf")
    stale: int = 0

    def scored(self, step: int, score: float) -> "MemberProgress":
        """Returns the progress after an evaluation; of equal scores, the first wins."""
        if score > self.best_score:
            return dataclasses.replace(self, best_step=step, best_score=score, stale=0)
        return dataclasses.replace(self, stale=self.stale + 1)

    def gave_up(self, patience: int) -> bool:
        """Whether so many evaluations went by without a better one; 0 is never."""
        return 0 < patience <= self.stale


@dataclasses.dataclass(frozen=True)
class Window:
    """The steps since the last line of the log, whose means the next line tells.

    Attributes:
        steps: How many steps there are.
        sums: Name of a metric -> its sum over these steps, added up step by step, so
            that a window which is saved halfway has the bits of one that is not.
    """

    steps: int = 0
    sums: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def added(self, metrics: Mapping[str, float]) -> "Window":
        """Returns the window with the metrics of one more step."""
        sums = {name: self.sums.get(name, 0.0) + x for name, x in metrics.items()}
        return Window(self.steps + 1, sums)

    def means(self) -> dict[str, float]:
        """Returns the mean of each metric; empty before the first step."""
        return {name: total / self.steps for name, total in self.sums.items()}


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a run knows besides its state; saved with each checkpoint.

    Attributes:
        members: Of each member of the bank; of the model, where that trains.
        seconds: Time spent training and evaluating, over all the processes of the run.
        window: The steps that no line of the log tells of yet.
    """

    members: tuple[MemberProgress, ...] = (MemberProgress(),)
    seconds: float = 0.0
    window: Window = Window()

    @property
    def positions(self) -> tuple[Position, ...]:
        """Where in each member's data the next batch starts."""
        return tuple(member.position for member in self.members)

    def moved(self, positions: Sequence[Position]) -> "Progress":
        """Returns the progress with the data at other positions."""
        members = [
            dataclasses.replace(member, position=position)
            for member, position in zip(self.members, positions, strict=True)
        ]
        return dataclasses.replace(self, members=tuple(members))

    def scored(self, step: int, scores: Sequence[float]) -> "Progress":
        """Returns the progress after an evaluation of every member."""
        members = [
            member.scored(step, score)
            for member, score in zip(self.members, scores, strict=True)
        ]
        return dataclasses.replace(self, members=tuple(members))

    def counted(self, scores: Sequence[float], patience: int) -> list[float]:
        """Returns the scores that count: a member that gave up has none, NaN.

        Alone it would have stopped, at its best until then.
        """
        return [
            math.nan if member.gave_up(patience) else score
            for member, score in zip(self.members, scores, strict=True)
        ]

    def gave_up(self, patience: int) -> bool:
        """Whether every member gave up."""
        return all(member.gave_up(patience) for member in self.members)


def read_progress(saved: Mapping[str, Any]) -> Progress:
    """Returns the progress that `dataclasses.asdict` has taken apart.

    Checkpoints of version 0.1.0 have no window: the first line of the log after one of
    them tells the means of the steps since then alone.
    """
    members = [
        MemberProgress(**{**member, "position": Position(**member["position"])})
        for member in saved["members"]
    ]
    return Progress(tuple(members), saved["seconds"], Window(**saved.get("window", {})))
