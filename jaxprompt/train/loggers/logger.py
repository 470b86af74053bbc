"""What a logger is, and what it is told when it is opened."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

_LONGEST_NAME = 128
"""Characters of a name that services take; the end of it tells runs apart."""


class LogStart(NamedTuple):
    """Where a run starts to be told, or goes on.

    Attributes:
        workdir: Folder of the run.
        first_step: Steps that its checkpoint has; 0 for a run that begins. It goes on
            from there, and tells all later steps again.
        settings: What was chosen, for services that show it: name in gin files -> value
            as gin writes it.
    """

    workdir: Path
    first_step: int
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        """What a service shows the run as, as "runs/figure3a/rte/20".

        It is the folder as seen from the current one: its last part alone would be the
        same for an arm of a sweep on each task, and for a seed of each arm. Of a folder
        elsewhere it is the whole path.
        """
        path = os.path.relpath(self.workdir.resolve())
        if path == os.curdir:
            return self.workdir.resolve().name
        elsewhere = path.split(os.sep)[0] == os.pardir
        return (str(self.workdir.resolve()) if elsewhere else path)[-_LONGEST_NAME:]


class Logger(Protocol):
    """Something that is told the scalars of a run.

    Whoever opens one at a step of a run that was there before drops what it was told
    of later steps, or leaves them out when it is told them again (`ToldOnce`).
    """

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes scalars by name, of a step that is not below the last one.

        Args:
            step: Steps taken.
            scalars: Values, which may not be finite. A step may be told in parts: what
                training found, and then what validation did.
        """
        ...

    def sync(self) -> None:
        """Returns when all that was written is kept, for a checkpoint comes next."""
        ...

    def close(self) -> None:
        """Ends it, whether or not the run is finished."""
        ...
