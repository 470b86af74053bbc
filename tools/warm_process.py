"""Processes of the command that are forked when its imports are done.

Most of the life of a short run is imports. Each process here is one of its own, which
can be killed, stopped and limited like any other; only its imports were done before, in
a server that computes nothing.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_IMPORTED = (
    "jaxprompt.runs.training",
    "jaxprompt.command.configure",
    "jaxprompt.data.tasks.own",
)

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(list(_IMPORTED))


class WarmProcess:
    """A process that runs the command; its methods are those of subprocess.Popen."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        umask: int = -1,
        environment: Mapping[str, str] | None = None,
    ):
        """Starts the command.

        Args:
            arguments: The command line behind the program's name.
            folder: A folder that exists, for the files that it prints to.
            umask: The process's umask; -1 for this one's.
            environment: What it has besides the server's. JAX itself is imported, so
                only what it reads when it begins to compute counts.
        """
        self._files = (folder / "output", folder / "errors")
        self._process = _server.Process(
            target=_run,
            args=(list(arguments), self._files, umask, dict(environment or {})),
        )
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, below 0 the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Returns the exit status, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; returns its exit status.

        Raises:
            subprocess.TimeoutExpired: If it takes longer than this many seconds.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("jaxprompt", timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for its end; returns what it printed, and what it printed as errors.

        Raises:
            subprocess.TimeoutExpired: If it takes longer than this many seconds.
        """
        self.wait(timeout)
        output, errors = (path.read_text() for path in self._files)
        return output, errors


def _run(
    arguments: list[str],
    files: tuple[Path, Path],
    umask: int,
    environment: Mapping[str, str],
) -> None:
    """Runs the command as the process that this is."""
    os.environ.update(environment)
    for path, number in zip(files, (1, 2), strict=True):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    if umask >= 0:
        os.umask(umask)
    from jaxprompt.cli import main

    sys.argv = ["jaxprompt", *arguments]
    sys.exit(main())
