"""The curves of a run: metrics.jsonl, and the same numbers for its loggers."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType

from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.strict_json import NotJson, as_json, parse_json
from jaxprompt.files.utf8 import NotUtf8, decode_utf8
from jaxprompt.screen.quoting import quoted
from jaxprompt.train.loggers import LOGGERS, Logger, LogStart


class MetricLog:
    """Tells scalars by step to WORKDIR/metrics.jsonl and to a run's loggers.

    A resumed run starts where its checkpoint is: what was told of later steps is
    dropped first, or is not told again, so that no step is told twice.
    """

    def __init__(
        self,
        workdir: Path,
        first_step: int,
        loggers: Sequence[str] = ("tensorboard",),
        settings: Mapping[str, str] | None = None,
    ):
        """Opens the file and the loggers.

        Args:
            workdir: Folder of the run.
            first_step: Steps that its checkpoint has; 0 for a run that begins.
            loggers: Names out of `LOGGERS`.
            settings: What loggers may show of the run, by name.

        Raises:
            ValueError: If the file or what a logger keeps is damaged, or a service
                refuses.
        """
        start = LogStart(workdir, first_step, settings or {})
        with contextlib.ExitStack() as opened:
            self._all: list[Logger] = []
            for open_logger in (_Lines, *(LOGGERS[name] for name in loggers)):
                self._all.append(open_logger(start))
                opened.callback(self._all[-1].close)
            self._opened = opened.pop_all()

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Tells scalars by name; the file has null for one that is not finite.

        Args:
            step: Steps taken.
            scalars: Values by name.
        """
        for logger in self._all:
            logger.write(step, scalars)

    def sync(self) -> None:
        """Returns when all that was written is on disk, where a crash leaves it."""
        for logger in self._all:
            logger.sync()

    def close(self) -> None:
        """Closes the file and the loggers."""
        self._opened.close()


class _Lines:
    """The file itself: an object of a step and its scalars a line."""

    def __init__(self, start: LogStart):
        path = start.workdir / "metrics.jsonl"
        if path.exists():
            kept = [
                json.dumps({"step": step, **scalars})
                for step, scalars in read_log(path, whole=False)
                if step <= start.first_step
            ]
            write_atomically(path, "".join(f"{line}\n" for line in kept).encode())
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        finite = {
            name: value if math.isfinite(value) else None
            for name, value in scalars.items()
        }
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_log(
    path: Path, *, whole: bool = True
) -> Iterator[tuple[int, dict[str, float | None]]]:
    """Reads what a run has logged.

    Args:
        path: Its metrics.jsonl.
        whole: Whether the last line must be whole: that of a killed run may not be,
            and is left out.

    Yields:
        Steps taken, and the scalars after them by name; None was not finite.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no line of such a log; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no log {path}: name the metrics.jsonl of a run")
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        last = number == len(lines)
        if last and (not line or not (whole or line.endswith(b"}"))):
            return
        try:
            scalars = parse_json(decode_utf8(line))
        except (NotUtf8, NotJson) as err:
            raise _no_line(path, number, err.reason) from err
        if not isinstance(scalars, dict):
            raise _no_line(path, number, f"a JSON {type(scalars).__name__}")
        step = scalars.pop("step", None)
        if type(step) is not int:
            raise _no_line(path, number, f"step is {as_json(step)}")
        for name, value in scalars.items():
            if type(value) not in (int, float, NoneType):
                raise _no_line(path, number, f"{quoted(name)} is {as_json(value)}")
        yield step, scalars


def _no_line(path: Path, number: int, reason: str) -> ValueError:
    return ValueError(
        f"{path}:{number}: not a JSON object with a step and numbers ({reason}): name "
        "the metrics.jsonl of a run, or delete it, and the run has no curves"
    )
