"""The folder of a run: whose it is, and what lies in it when the run is finished."""

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils

from jaxprompt.atomic import write_atomically
from jaxprompt.runs.output import write_json

PROMPT, PROMPTS, MODEL = "prompt.safetensors", "prompts", "model"
RESULT, CONFIG = "result.json", "operative_config.gin"
PAGE, METRICS = "report.html", "metrics.jsonl"
LOCK = ".lock"


def check_workdir(workdir: Path, config: str) -> None:
    """Refuses a folder that is not this run's; writes nothing.

    Args:
        workdir: The folder, which need not exist.
        config: The run's configuration as gin text.

    Raises:
        ValueError: If the path is a file, or the folder holds a run of another
            configuration.
    """
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"workdir {workdir} is a file: name a folder")
    path = workdir / CONFIG
    if not path.exists():
        return
    there = path.read_text(encoding="utf-8")
    if there == config:
        return
    old, new = _bindings(there), _bindings(config)
    changes = [
        f"{name} was {old.get(name, 'unset')} and is {new.get(name, 'unset')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    raise ValueError(
        f"workdir {workdir} holds a run of another configuration: "
        f"{'; '.join(changes)}. Use another workdir, or the old values to resume it"
    )


def claim_workdir(workdir: Path, config: str) -> None:
    """Makes the folder of a run and writes its configuration there.

    The folder is this process's until it ends, however it ends.

    Args:
        workdir: The folder; its parents are made too.
        config: The run's configuration as gin text.

    Raises:
        ValueError: If another process trains there; or if of several hosts one does
            not see what another wrote.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
        _lock(workdir)
    write_atomically(workdir / CONFIG, config.encode())
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("workdir claimed")
        if not (workdir / CONFIG).exists():
            raise ValueError(
                f"workdir {workdir} is another folder on host {jax.process_index()} "
                "than on host 0: use one that all hosts share"
            )


def _lock(workdir: Path) -> None:
    path = workdir / LOCK
    # Not closed before the run ends: the system lets go of it even after SIGKILL.
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        os.close(handle)
        if err.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise ValueError(
                f"another process trains in workdir {workdir}: wait for it, or use "
                "another workdir"
            ) from err
        return  # Some network file systems have no locks.
    if not _is_open_as(path, handle):
        # Its last owner removed the file between our opening and our locking it.
        os.close(handle)
        return _lock(workdir)
    _locked[workdir.resolve()] = handle


def _is_open_as(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


_locked: dict[Path, int] = {}


def release_workdir(workdir: Path) -> None:
    """Lets another run have the folder: this one is finished or has failed."""
    handle = _locked.pop(workdir.resolve(), None)
    if handle is not None:
        (workdir / LOCK).unlink(missing_ok=True)
        os.close(handle)


def _bindings(config: str) -> dict[str, str]:
    """Reads "name = value" lines; gin breaks long values after a backslash."""
    joined = config.replace("\\\n", " ")
    pairs = [line.partition(" = ") for line in joined.splitlines() if " = " in line]
    return {name: " ".join(value.split()) for name, _, value in pairs}


def read_result(workdir: Path) -> dict[str, Any] | None:
    """Returns the result of a finished run, or None."""
    path = workdir / RESULT
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write_result(workdir: Path, result: Mapping[str, Any]) -> Path:
    """Writes the result, which says that the run is finished; returns its path."""
    path = workdir / RESULT
    write_json(path, result)
    return path
