"""The folder of a run: whose it is, and what lies in it when the run is finished."""

import contextlib
import dataclasses
import errno
import fcntl
import functools
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import multihost_utils

from jaxprompt.config import CONFIGURABLES, VOCABULARY, Run
from jaxprompt.config.renamed import with_new_names
from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.runs.keep.bindings import read_bindings, resolve_bindings
from jaxprompt.runs.keep.output import write_json
from jaxprompt.runs.keep.result_file import read_result_file
from jaxprompt.screen.quoting import listed, quoted_path
from jaxprompt.train.optimizer import ENDING, SCHEDULES

PROMPT, PROMPTS, MODEL = "prompt.safetensors", "prompts", "model"
RESULT, CONFIG = "result.json", "operative_config.gin"
PREDICTIONS = "predictions.jsonl"
PAGE, METRICS, BOARD = "report.html", "metrics.jsonl", "tensorboard"
TABLE, LOGGERS = "metrics.csv", "loggers"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
SPIECE_MODEL, TOKENIZER_CONFIG = "spiece.model", "tokenizer_config.json"

_WRITTEN = (
    PROMPT,
    PROMPTS,
    MODEL,
    RESULT,
    CONFIG,
    PAGE,
    PREDICTIONS,
    METRICS,
    BOARD,
    TABLE,
    LOGGERS,
    CHECKPOINTS,
    LOCK,
)
"""What a run writes in its workdir."""

_TOLD = "Run.loggers"
"""The setting of where curves are told, which changes nothing of what is trained."""

_REFUSALS = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EFBIG: "allow larger files there",
    errno.EACCES: "make it writable, or use another workdir",
    errno.EPERM: "make it writable, or use another workdir",
    errno.EROFS: "use another workdir, for its file system is read-only",
}
"""What a file system says when it does not take a file -> the fix."""


def check_workdir(workdir: Path, config: str) -> None:
    """Refuses a folder that is not this run's; writes nothing.

    A folder is a run's from its first checkpoint on. What a process left there that
    failed before is replaced by the next run, whatever its configuration. A run may
    go on for more steps, where its schedule does not end with it, and with other
    loggers.

    Args:
        workdir: The folder, which need not exist.
        config: The run's configuration as gin text.

    Raises:
        ValueError: If the path is a file or below one, or the folder holds a run of
            another configuration.
    """
    nearest = _nearest(workdir)
    if not nearest.is_dir():
        is_it = nearest == workdir.absolute()
        what = "is a file" if is_it else f"is below {nearest}, which is a file"
        raise ValueError(f"workdir {quoted_path(workdir)} {what}: name a folder")
    there = _claimed_by(workdir)
    changes = {} if there in (None, config) else _changes(str(there), config)
    if not changes:
        return
    longer = _longer(str(there), config)
    if longer is not None and longer.schedule not in ENDING:
        return
    told = "; ".join(f"{name} was {old} and is {new}" for name, (old, new) in changes)
    if longer is None:
        raise ValueError(
            f"workdir {workdir} holds a run of another configuration: {told}. Use "
            "another workdir, or the old values to resume it"
        )
    goes_on = ", ".join(name for name in SCHEDULES if name not in ENDING)
    raise ValueError(
        f"workdir {workdir} holds a run of {longer.before} steps, and {told}: its "
        f"schedule {longer.schedule!r} ends with the run, so more steps are another "
        f"run. Use another workdir; runs of schedule {goes_on} can go on for longer"
    )


def check_unclaimed(workdir: Path, run: Run) -> None:
    """Refuses a folder that is no run's, but has files that this run would replace.

    Args:
        workdir: The folder, which need not exist.
        run: The run.

    Raises:
        ValueError: If there is such a file, as a model or a prompt that somebody put
            there.
    """
    if (workdir / CONFIG).exists():
        return
    made = (*_made_by(run), RESULT, PAGE, PREDICTIONS)
    there = [name for name in made if os.path.lexists(workdir / name)]
    if there:
        raise ValueError(
            f"workdir {quoted_path(workdir)} has {listed(there)}, which the run would "
            "replace, and it is no folder of a run: use another workdir, or move them"
        )


def _made_by(run: Run) -> tuple[str, ...]:
    """Returns what a run is for: names of files and folders."""
    if run.trains == VOCABULARY:
        return SPIECE_MODEL, TOKENIZER_CONFIG
    return (MODEL, PROMPT) if run.tunes_model else (PROMPT, PROMPTS)


class _Longer(NamedTuple):
    """What changed of a run that is to last longer, and in nothing else is another.

    Attributes:
        before: Its steps.
        schedule: Of its learning rate.
    """

    before: int
    schedule: str


def _longer(there: str, config: str) -> _Longer | None:
    """Returns how long a run was, if the same run is to last longer now."""
    old, new = (
        {**_defaults(), **resolve_bindings(text)}
        for text in (with_new_names(there), config)
    )
    changed = {name for name in (*old, *new) if old.get(name) != new.get(name)}
    changed.discard(_TOLD)
    steps = old.get("Pace.steps", ""), new.get("Pace.steps", "")
    if changed != {"Pace.steps"} or not all(text.isdecimal() for text in steps):
        return None
    before, now = map(int, steps)
    schedule = new["Optimizer.schedule"].strip("'\"")
    return _Longer(before, schedule) if now > before else None


def _claimed_by(workdir: Path) -> str | None:
    """Returns the configuration of the run that a folder belongs to, if any."""
    path = workdir / CONFIG
    return read_utf8(path) if path.exists() and _is_claimed(workdir) else None


def _changes(there: str, config: str) -> list[tuple[str, tuple[str, str]]]:
    """Returns which settings have changed since a run began, from what to what.

    A setting that an earlier version did not have is what it does by default. A name
    that it did not have counts by the settings that take their value from it, and so
    does the one that loggers take theirs from.
    """
    there = with_new_names(there)
    before, now = read_bindings(there), read_bindings(config)
    old, new = {**_defaults(), **before}, now
    free = {_TOLD, *_names_for(_TOLD, before), *_names_for(_TOLD, now)}
    values = {**old, **resolve_bindings(there)}, {**new, **resolve_bindings(config)}
    return [
        (name, (old.get(name, "unset"), new.get(name, "unset")))
        for name in sorted({*before, *now} - free)
        if old.get(name) != new.get(name)
        and values[0].get(name) != values[1].get(name)
        and ("." in name or name in before)
    ]


def _names_for(setting: str, bindings: Mapping[str, str]) -> set[str]:
    """Returns the name that a setting takes its value from, if no other does."""
    value = bindings.get(setting, "")
    users = {name for name, text in bindings.items() if value in text}
    return {value[1:]} if value.startswith("%") and users == {setting} else set()


def _is_claimed(workdir: Path) -> bool:
    """Whether a run has left what it could go on from, or what it has made."""
    made = (RESULT, PROMPT, PROMPTS, MODEL)
    steps = (path.name for path in (workdir / CHECKPOINTS).glob("[0-9]*"))
    return any((workdir / name).exists() for name in made) or any(
        step.isdecimal() for step in steps
    )


def check_writable(workdir: Path) -> None:
    """Refuses a folder that could not take the run's files; writes nothing.

    Args:
        workdir: The folder, which need not exist.

    Raises:
        ValueError: If it, or the nearest folder above that exists, is not writable; or
            if something in it is a link that the run would write through.
    """
    for name in _WRITTEN:
        path = workdir / name
        if path.is_symlink():
            raise ValueError(
                f"{quoted_path(path)} is a link to {quoted_path(path.readlink())}, and "
                "a run writes through none: remove the link, or use another workdir"
            )
    nearest = _nearest(workdir)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(
            f"workdir {workdir}: {nearest} is not writable: make it so, or use another "
            "workdir"
        )


def check_room(workdir: Path, *, kept: int, state: int, model: int) -> None:
    """Refuses a folder whose disk has no room for a model that trains there.

    What an interrupted run left there of both counts as room.

    Args:
        workdir: The folder, which need not exist.
        kept: Checkpoints that lie there at a time, at most.
        state: Bytes of one.
        model: Bytes of the model.

    Raises:
        ValueError: If it has no room.
    """
    there = sum(
        path.stat().st_size
        for name in (CHECKPOINTS, MODEL)
        for path in (workdir / name).rglob("*")
        if path.is_file()
    )
    free = shutil.disk_usage(_nearest(workdir)).free
    needed = kept * state + model - there
    if needed > free:
        raise ValueError(
            f"workdir {workdir}: its disk has {size_in_words(free)} free, and the run "
            f"needs {size_in_words(needed)} there, for up to {kept} checkpoints of "
            f"{size_in_words(state)} at a time and the model of "
            f"{size_in_words(model)}: make room, or use a workdir on another disk"
        )


def size_in_words(count: int) -> str:
    """Says a number of bytes, as "1.6 GB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _nearest(workdir: Path) -> Path:
    """Returns the path, or what exists of it."""
    path = workdir.absolute()
    # os.path: pathlib raises where a folder on the way cannot be read.
    while not os.path.exists(path):
        path = path.parent
    return path


@contextlib.contextmanager
def writing(workdir: Path) -> Iterator[None]:
    """Tells in one line what a file system refuses while a run writes its folder.

    Raises:
        OSError: For a disk that is full or not to be written, whoever found it out.
    """
    try:
        yield
    except Exception as err:
        number = _refusal(err)
        if number is None:
            raise
        name = err.filename if isinstance(err, OSError) else None
        where = "" if name is None else f" {name}"
        raise OSError(
            f"cannot write{where} in workdir {workdir}: {os.strerror(number)}: "
            f"{_REFUSALS[number]}; the same command then resumes"
        ) from err


def _refusal(err: Exception) -> int | None:
    """Returns the number of what the file system said; None for any other error."""
    if isinstance(err, OSError):  # One that is told already has no number.
        return err.errno if err.errno in _REFUSALS else None
    if isinstance(err, ValueError):
        return None
    # Other libraries' own types, such as safetensors', say it in their text.
    said = (number for number in _REFUSALS if os.strerror(number) in str(err))
    return next(said, None)


def claim_workdir(workdir: Path, config: str) -> None:
    """Makes the folder of a run and writes its configuration there.

    The folder is this process's until it ends, however it ends. It is looked at once
    more, for another run may have been there since `check_workdir`.

    Args:
        workdir: The folder; its parents are made too.
        config: The run's configuration as gin text.

    Raises:
        ValueError: If another process trains there; if the folder cannot be made or
            has become another run's; or if of several hosts one does not see what
            another wrote.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ValueError(
            f"workdir {workdir} cannot be made: {err.strerror}: use another workdir"
        ) from err
    if jax.process_index() == 0:
        _lock(workdir)
        try:
            check_workdir(workdir, config)
        except ValueError:
            release_workdir(workdir)
            raise
        if _goes_on(workdir, config):
            # The result first: without it a run is not finished.
            (workdir / RESULT).unlink(missing_ok=True)
            if (workdir / MODEL).exists():
                shutil.rmtree(workdir / MODEL)
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
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
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


@functools.cache
def _defaults() -> dict[str, str]:
    """Returns the default of every setting that has one, as gin writes it."""
    found = {}
    for part in CONFIGURABLES:
        for field in dataclasses.fields(part):
            value = field.default
            if field.default_factory is not dataclasses.MISSING:
                value = field.default_factory()
            if value is not dataclasses.MISSING:
                found[f"{part.__name__}.{field.name}"] = repr(value)
    return found


def read_result(workdir: Path, config: str) -> dict[str, Any] | None:
    """Returns the result of a finished run, or None; see `read_result_file`.

    Args:
        workdir: The folder of the run.
        config: Its configuration as gin text. A run that is to last longer than it did
            is not finished.
    """
    path = workdir / RESULT
    finished = path.exists() and not _goes_on(workdir, config)
    return read_result_file(path) if finished else None


def _goes_on(workdir: Path, config: str) -> bool:
    """Whether the run of a folder is to last longer than it was to last."""
    there = _claimed_by(workdir)
    return there is not None and _longer(there, config) is not None


def write_result(workdir: Path, result: Mapping[str, Any]) -> Path:
    """Writes the result, which says that the run is finished; returns its path."""
    path = workdir / RESULT
    write_json(path, result)
    return path
