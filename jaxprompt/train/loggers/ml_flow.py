"""Curves for MLflow, as its own environment variables say: MLFLOW_TRACKING_URI, ..."""

import importlib
import os
import time
from collections.abc import Mapping
from typing import Any

from jaxprompt.train.loggers.logger import LogStart
from jaxprompt.train.loggers.told_once import ToldOnce

_EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"

_LONGEST, _MOST = 6000, 100
"""Characters of a setting's value that MLflow takes, and settings of one request."""


class MlflowRun:
    """A run of MLflow; see `told_once.Service`."""

    def __init__(self, mlflow: Any, client: Any, run_id: str):
        self.id, self._mlflow = run_id, mlflow
        self._client = client

    def tell(self, step: int, scalars: Mapping[str, float]) -> None:
        """Sends the scalars of a step.

        Raises:
            OSError: If MLflow does not take them.
        """
        mlflow, now = self._mlflow, int(time.time() * 1000)
        metrics = [
            mlflow.entities.Metric(name, float(x), now, step)
            for name, x in scalars.items()
        ]
        try:
            self._client.log_batch(self.id, metrics=metrics)
        except mlflow.exceptions.MlflowException as err:
            raise OSError(
                f"logger 'mlflow' failed at step {step}: {' '.join(str(err).split())}: "
                "the same command goes on from the last checkpoint"
            ) from err

    def close(self) -> None:
        """Marks the run as ended; one that goes on is running again."""
        self._client.set_terminated(self.id)


def open_mlflow(start: LogStart) -> ToldOnce:
    """Tells a run of MLflow, in the experiment of MLFLOW_EXPERIMENT_NAME.

    Args:
        start: Where the run starts or goes on.

    Raises:
        ValueError: If MLflow refuses, as without its server.
    """
    return ToldOnce("mlflow", _open_run, start)


def _open_run(start: LogStart, run_id: str | None) -> MlflowRun:
    """Opens the run that was called so before, or a new one."""
    mlflow: Any = importlib.import_module("mlflow")
    try:
        client = mlflow.MlflowClient()
        if run_id is not None:
            client.update_run(run_id, status="RUNNING")
            return MlflowRun(mlflow, client, run_id)
        name = os.environ.get(_EXPERIMENT, "Default")
        experiment = client.get_experiment_by_name(name)
        experiment_id = (
            client.create_experiment(name)
            if experiment is None
            else experiment.experiment_id
        )
        run = client.create_run(experiment_id, run_name=start.name)
        settings = [
            mlflow.entities.Param(name, value[:_LONGEST])
            for name, value in start.settings.items()
        ]
        for first in range(0, len(settings), _MOST):
            part = settings[first : first + _MOST]
            client.log_batch(run.info.run_id, params=part)
    except (mlflow.exceptions.MlflowException, ImportError) as err:
        raise ValueError(
            f"logger 'mlflow' cannot start: {' '.join(str(err).split())}: set "
            "MLFLOW_TRACKING_URI to a server that is there, or install all of mlflow "
            "for a database of its own"
        ) from err
    return MlflowRun(mlflow, client, run.info.run_id)
