"""Checkpoints of {step, prompt, optimizer, data position}; all of orbax is here."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from jaxprompt.data.batches import Position
from jaxprompt.train.step import TrainState


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a run knows besides its state; saved with each checkpoint.

    Attributes:
        position: Where in the data the next batch starts.
        best_step: Step of the best evaluation so far; 0 before the first.
        best_score: Its score.
        stale: Evaluations since then.
        seconds: Time spent training and evaluating, over all the processes of the run.
    """

    position: Position = dataclasses.field(default_factory=Position)
    best_step: int = 0
    best_score: float = float("-inf")
    stale: int = 0
    seconds: float = 0.0

    def scored(self, step: int, score: float) -> "Progress":
        """Returns the progress after an evaluation; of equal scores, the first wins."""
        if score > self.best_score:
            return dataclasses.replace(self, best_step=step, best_score=score, stale=0)
        return dataclasses.replace(self, stale=self.stale + 1)


class Checkpoints:
    """The best and the last checkpoint of a run, in a folder.

    Writes are atomic, by orbax: a killed save leaves the one before. Nothing of the
    frozen model is saved.
    """

    def __init__(self, folder: Path):
        policies: Any = ocp.training.preservation_policies
        keep: Any = policies.AnyPreservationPolicy(
            [
                policies.LatestN(1),
                policies.BestN(
                    get_metric_fn=_rank, n=1, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        self._checkpointer = ocp.training.Checkpointer(
            str(folder.absolute()),
            preservation_policy=keep,
            cleanup_tmp_directories=True,
        )

    def save(
        self, state: TrainState, progress: Progress, score: float | None = None
    ) -> None:
        """Saves a state, and returns when it is on disk.

        Args:
            state: The state to resume from.
            progress: The rest of what resuming needs.
            score: The state's validation score, if it was evaluated. One that is not
                finite (a correlation of equal predictions, say) is none.
        """
        step = int(state.step)
        if self._checkpointer.latest and self._checkpointer.latest.step == step:
            return
        metrics = None
        if score is not None and math.isfinite(score):
            metrics = {"score": score, "step": step}
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
        saved = metadata["progress"]
        progress = Progress(**{**saved, "position": Position(**saved["position"])})
        return self.load(step, like), progress

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


def _rank(metrics: dict[str, float]) -> tuple[float, float]:
    return metrics["score"], -metrics["step"]
