"""A logger for services that take nothing back: each is told a step once, and whole."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.strict_json import parse_json
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.train.loggers.logger import LogStart

FOLDER = "loggers"
"""Of a workdir: what its loggers keep for a run that goes on."""


class Service(Protocol):
    """A run of a tracking service.

    Attributes:
        id: What the service calls the run.
    """

    id: str

    def tell(self, step: int, scalars: Mapping[str, float]) -> None:
        """Sends the scalars of a step that is above the last one."""
        ...

    def close(self) -> None:
        """Returns when everything was sent."""
        ...


class ToldOnce:
    """Tells a service each step of a run once, even of one that is killed and goes on.

    A run that goes on takes the steps behind its checkpoint again, to the same numbers.
    WORKDIR/loggers/NAME.jsonl says what the service calls the run and which steps it
    was told. It is on disk before the service hears of a step, so that none is told
    twice. What the service's client had not sent when the process was killed is
    missing there: metrics.jsonl has all.

    The scalars of a step are held back until the next one, or the next checkpoint: a
    run that is killed while it validates tells training and validation of that step
    when it comes there again.
    """

    def __init__(
        self,
        name: str,
        open_service: Callable[[LogStart, str | None], Service],
        start: LogStart,
    ):
        """Opens the service's run, a new one or that of the workdir.

        Args:
            name: Of the logger.
            open_service: From the start and what the service calls the run, None for a
                new one, to the service's run.
            start: Where the run starts or goes on.
        """
        folder = start.workdir / FOLDER
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.jsonl"
        said = _read(path)
        run = _digest(start.settings)
        # Without a checkpoint the folder may have been another run's.
        if said is not None and not start.first_step and said.run != run:
            said = None
        self._last = 0 if said is None else said.last
        self._service = open_service(start, None if said is None else said.id)
        begun = {"id": self._service.id, "run": run, "step": self._last}
        write_atomically(path, f"{json.dumps(begun)}\n".encode())
        self._file = path.open("a", encoding="utf-8")
        self._held: tuple[int, dict[str, float]] = 0, {}

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes scalars; tells those of the step before."""
        held, known = self._held
        if step != held:
            self._tell()
            known = {}
        self._held = step, {**known, **scalars}

    def sync(self) -> None:
        """Tells the step that is held back."""
        self._tell()

    def close(self) -> None:
        """Ends the service's run; what is held back is told by the run that goes on."""
        self._file.close()
        self._service.close()

    def _tell(self) -> None:
        step, scalars = self._held
        if not scalars or step <= self._last:
            return
        self._file.write(json.dumps({"step": step}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._last = step
        self._service.tell(step, scalars)


class _Said(NamedTuple):
    """What a file says of a run of a service.

    Attributes:
        id: What the service calls it.
        run: SHA-256 of its settings.
        last: The last step that the service was told.
    """

    id: str
    run: str
    last: int


def _read(path: Path) -> _Said | None:
    """Reads a file; a line that a kill has cut is none, as is a file without a line."""
    if not path.exists():
        return None
    whole, _, _ = read_utf8(path).rpartition("\n")
    if not whole:
        return None
    try:
        first, *others = [parse_json(line) for line in whole.split("\n")]
        last = max(line["step"] for line in (first, *others))
        return _Said(str(first["id"]), str(first["run"]), int(last))
    except (KeyError, TypeError, ValueError) as err:
        raise ValueError(
            f"{quoted_path(path)} does not say which steps were told: delete it, and "
            "the run is a new one there"
        ) from err


def _digest(settings: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(settings.items())).encode()).hexdigest()
