"""The run that a prompt's file says, changed by a command's flags."""

import argparse
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxprompt.command.gin_files import DEFAULTS
from jaxprompt.screen.quoting import cut, visible

if TYPE_CHECKING:
    from jaxprompt.config import Run
    from jaxprompt.prompts.provenance import Provenance

# JAX is imported when a run is read, so that --help does not wait for it.


def run_of_prompt(
    flags: argparse.Namespace, file: str | Path, *, trains: bool = False
) -> "Run":
    """Takes the run of a prompt alone, though it may have been trained in a bank."""
    run, provenance = configured(flags, file, trains=trains)
    if provenance.task in [task.label for task in run.data.tasks]:
        return run.of_member(provenance.task, run.seed)
    return run


def config_of_prompt(flags: argparse.Namespace, file: str | Path) -> str:
    """Writes the configuration of a prompt's own file, changed by a command's flags.

    "" where neither brings one.
    """
    from jaxprompt.command.configure import configure
    from jaxprompt.prompts.file import load_prompt

    _, provenance = load_prompt(file)
    if not (flags.gin_file or flags.settings):
        return provenance.config
    start = _start_of(file, provenance)
    return configure(flags.gin_file, flags.settings, start=start)[1]


def configured(
    flags: argparse.Namespace, file: str | Path, *, trains: bool = False
) -> tuple["Run", "Provenance"]:
    """Takes the run from the prompt's own file, changed by this command's flags.

    Unless the command trains, a flag that changes nothing but training is refused.
    """
    from jaxprompt.prompts.file import load_prompt

    _, provenance = load_prompt(file)
    # A prompt saved by plain Python may bring nothing: the defaults stand in.
    brings = provenance.config or provenance.answering
    files = flags.gin_file or ([] if brings else [DEFAULTS])

    run = read_run(file, provenance, files, flags.settings)
    if not run.trains_bank:
        raise ValueError(
            f"{file} is a prompt, but its configuration trains {run.trains!r}: the "
            "file is damaged, or set --gin.TRAINS=prompt"
        )
    for place, setting in enumerate([] if trains else flags.settings):
        others = [*flags.settings[:place], *flags.settings[place + 1 :]]
        try:
            without = read_run(file, provenance, files, others)
        except ValueError:
            continue  # The others need it.
        if run != without and _used_alike(run, without, provenance):
            raise ValueError(
                f"--gin.{cut(visible(setting), most=100)} changes nothing: {file} is "
                "trained, and keeps its seed and what only training reads: leave it out"
            )
    return _of_prompt(run, provenance), provenance


def read_run(
    file: str | Path,
    provenance: "Provenance",
    files: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> "Run":
    """Reads what a prompt's file says of its run, then gin files, then settings.

    Without its configuration, what it says of answering does.
    """
    from jaxprompt.config.answering import answering_run

    said = provenance.answering
    if said and not (provenance.config or files or settings):
        return answering_run(said, f"{file}: its header")
    start = _start_of(file, provenance)
    try:
        return _read(tuple(files), tuple(settings), start)
    except ValueError as error:
        if files or settings:
            raise
        raise ValueError(f"{file}: its configuration: {error}") from error


def _start_of(file: str | Path, provenance: "Provenance") -> str:
    """Returns the gin text that a prompt's file brings, "" for none."""
    from jaxprompt.config.answering import answering_gin

    if provenance.config or not provenance.answering:
        return provenance.config
    return answering_gin(provenance.answering, f"{file}: its header")


def _read(files: tuple[str, ...], settings: tuple[str, ...], start: str) -> "Run":
    # What stands in a file on disk may change; a text cannot.
    return _configure(files, settings, start) if files else _once(settings, start)


@functools.lru_cache(maxsize=128)
def _once(settings: tuple[str, ...], start: str) -> "Run":
    """Reads the configuration that many prompts share once."""
    return _configure((), settings, start)


def _configure(files: Sequence[str], settings: Sequence[str], start: str) -> "Run":
    from jaxprompt.command.configure import configure

    return configure(files, settings, start=start)[0]


def _of_prompt(run: "Run", provenance: "Provenance") -> "Run":
    """Makes the run that of one prompt, with the seed that it was trained with."""
    seed = run.seed if provenance.seed is None else provenance.seed
    return dataclasses.replace(run, seed=seed, seeds=1)


def _used_alike(one: "Run", other: "Run", provenance: "Provenance") -> bool:
    """Whether two runs do the same with a trained prompt."""
    runs = [_of_prompt(run, provenance).without_training() for run in (one, other)]
    return runs[0] == runs[1]
