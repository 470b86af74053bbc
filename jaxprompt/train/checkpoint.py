"""Checkpoints of {step, prompt, optimizer, data position}; all of orbax is here."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from jaxprompt.data.batches import Position
from jaxprompt.train.step import TrainState


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
class Progress:
    """What a run knows besides its state; saved with each checkpoint.

    Attributes:
        members: Of each member of the bank; of the model, where that trains.
        seconds: Time spent training and evaluating, over all the processes of the run.
    """

    members: tuple[MemberProgress, ...] = (MemberProgress(),)
    seconds: float = 0.0

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


class Checkpoints:
    """The last checkpoint of a run and each member's best, in a folder.

    Writes are atomic, by orbax: a killed save leaves the one before. Nothing of the
    frozen model is saved.
    """

    def __init__(self, folder: Path, members: int = 1):
        policies: Any = ocp.training.preservation_policies
        best = [
            policies.BestN(
                get_metric_fn=functools.partial(_rank, member=member),
                n=1,
                keep_checkpoints_without_metrics=False,
            )
            for member in range(members)
        ]
        keep: Any = policies.AnyPreservationPolicy([policies.LatestN(1), *best])
        self._checkpointer = ocp.training.Checkpointer(
            str(folder.absolute()),
            preservation_policy=keep,
            cleanup_tmp_directories=True,
        )

    def save(
        self, state: TrainState, progress: Progress, scores: Sequence[float] = ()
    ) -> None:
        """Saves a state, and returns when it is on disk.

        Args:
            state: The state to resume from.
            progress: The rest of what resuming needs.
            scores: Each member's validation score, if the state was evaluated. One that
                is not finite (a correlation of equal predictions, say) is none.
        """
        step = int(state.step)
        if self._checkpointer.latest and self._checkpointer.latest.step == step:
            return
        finite = {str(m): x for m, x in enumerate(scores) if math.isfinite(x)}
        metrics = {**finite, "step": step} if finite else None
        self._checkpointer.save(
            step,
            state,
            force=True,
            metrics=metrics,
            custom_metadata={"progress": dataclasses.asdict(progress)},
        )
        self._checkpointer.wait()

    def latest(self, like: TrainState) -> tuple[TrainState, Progress] | None:
        """Loads the last checkpoint, or returns None where there is none yet.

        Args:
            like: A state of the same run: it says the shapes, types and shardings.

        Raises:
            ValueError: If the checkpoint is of another prompt or optimizer.
        """
        if self._checkpointer.latest is None:
            return None
        step = self._checkpointer.latest.step
        metadata: Any = self._checkpointer.metadata(step).custom_metadata
        return self.load(step, like), _read_progress(metadata["progress"])

    def load(self, step: int, like: TrainState) -> TrainState:
        """Loads the checkpoint of a step; see `latest`."""
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like
        )
        saved: Any = self._checkpointer.metadata(step).metadata
        there, here = _shapes(saved), _shapes(abstract)
        for name in sorted(there.keys() | here.keys()):
            if there.get(name) != here.get(name):
                raise ValueError(
                    f"the checkpoint of step {step} in {self._checkpointer.directory} "
                    f"does not fit this run: {name} is {there.get(name, 'not')} there "
                    f"and {here.get(name, 'not')} here; train with the settings that "
                    "it was made with, or in another folder"
                )
        return self._checkpointer.load(step, abstract)

    def close(self) -> None:
        """Waits for what is being written."""
        self._checkpointer.close()


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each leaf by its path, as orbax names it on disk too."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _rank(metrics: dict[str, float], member: int) -> tuple[float, float]:
    return metrics.get(str(member), -math.inf), -metrics["step"]


def _read_progress(saved: dict[str, Any]) -> Progress:
    members = [
        MemberProgress(**{**member, "position": Position(**member["position"])})
        for member in saved["members"]
    ]
    return Progress(tuple(members), saved["seconds"])
