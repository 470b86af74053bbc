"""Curves for Weights & Biases, as its own environment variables say: WANDB_MODE, ..."""

import importlib
from collections.abc import Mapping
from typing import Any

from jaxprompt.train.loggers.logger import LogStart
from jaxprompt.train.loggers.told_once import FOLDER, ToldOnce


class WandbRun:
    """A run of Weights & Biases; see `told_once.Service`."""

    def __init__(self, run: Any):
        self.id: str = run.id
        self._run = run

    def tell(self, step: int, scalars: Mapping[str, float]) -> None:
        """Sends the scalars of a step."""
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        """Returns when everything was sent, or is in the folder of an offline run."""
        self._run.finish()


def open_wandb(start: LogStart) -> ToldOnce:
    """Tells a run of Weights & Biases, in the project of WANDB_PROJECT.

    Args:
        start: Where the run starts or goes on.

    Raises:
        ValueError: If Weights & Biases refuses, as without a key.
    """
    return ToldOnce("wandb", _open_run, start)


def _open_run(start: LogStart, run_id: str | None) -> WandbRun:
    """Opens the run that was called so before, or a new one."""
    wandb: Any = importlib.import_module("wandb")
    try:
        run = wandb.init(
            dir=start.workdir / FOLDER,
            id=run_id,
            name=start.name,
            resume="allow",
            config=dict(start.settings),
            settings=wandb.Settings(console="off"),
        )
    except wandb.Error as err:
        raise ValueError(
            f"logger 'wandb' cannot start: {' '.join(str(err).split())}: log in by "
            "`wandb login`, or set WANDB_MODE=offline"
        ) from err
    return WandbRun(run)
