"""Where a run tells its curves besides metrics.jsonl: a registry of loggers."""

import importlib.util
from collections.abc import Callable, Sequence

from jaxprompt.screen.quoting import listed, quoted
from jaxprompt.train.loggers.csv_file import CsvFile
from jaxprompt.train.loggers.event_files import open_board
from jaxprompt.train.loggers.logger import Logger, LogStart
from jaxprompt.train.loggers.ml_flow import open_mlflow
from jaxprompt.train.loggers.told_once import ToldOnce
from jaxprompt.train.loggers.weights_and_biases import open_wandb

LOGGERS: dict[str, Callable[[LogStart], Logger]] = {
    "tensorboard": open_board,
    "csv": CsvFile,
    "wandb": open_wandb,
    "mlflow": open_mlflow,
}
"""Name -> what opens the logger, where the run starts or goes on."""

EXTRAS = ("wandb", "mlflow")
"""Loggers that need a package of their own name, which an extra of it brings."""


def check_loggers(names: Sequence[str]) -> None:
    """Refuses loggers that cannot be opened; opens none.

    Args:
        names: Names out of `LOGGERS`.

    Raises:
        ValueError: If there is no such logger, one is named twice, or the package that
            it needs is not installed.
    """
    for name in names:
        if name not in LOGGERS:
            raise ValueError(f"no logger {quoted(name)}: use {listed(LOGGERS)}")
        if names.count(name) > 1:
            raise ValueError(f"logger {name!r} is named twice: name it once")
        if name in EXTRAS and importlib.util.find_spec(name) is None:
            raise ValueError(
                f"logger {name!r} needs the package {name}: pip install "
                f"'jaxprompt[{name}]', or leave it out of LOGGERS"
            )


__all__ = ["LOGGERS", "LogStart", "Logger", "ToldOnce", "check_loggers"]
