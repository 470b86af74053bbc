"""What each command about transfer asks of runs/transfer."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxprompt.command.prompt_run import config_of_prompt, read_run, run_of_prompt
from jaxprompt.screen.quoting import listed, quoted

if TYPE_CHECKING:
    from jaxprompt.config import Run

# What a command needs is imported when it runs, so that --help does not wait for JAX.


def matrix(flags: argparse.Namespace) -> None:
    """Scores every prompt on every task."""
    from jaxprompt import runs
    from jaxprompt.prompts.file import load_prompt
    from jaxprompt.runs.transfer.matrix import score_matrix

    files = runs.find_prompts(flags.prompt)
    of_files = {file: run_of_prompt(flags, file) for file in files}
    _, provenance = load_prompt(files[0])
    others = [
        read_run(files[0], provenance, [*flags.gin_file, task], flags.settings)
        for task in flags.tasks
    ]
    score_matrix(
        of_files,
        others,
        output=Path(flags.output),
        random=not flags.without_random,
        split=flags.split,
        another_backbone=flags.another_backbone,
    )


def start(flags: argparse.Namespace) -> None:
    """Compares starts."""
    from jaxprompt.runs.transfer.start import compare_starts

    compare_starts(
        Path(flags.fresh),
        [Path(folder) for folder in flags.others],
        epsilon=flags.epsilon,
        output=_path(flags.output),
        overwrite=flags.overwrite,
    )


def similarity(flags: argparse.Namespace) -> None:
    """Compares prompts."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.similarity import compare

    files = runs.find_prompts(flags.prompt)
    compare(
        files,
        rows=flags.rows,
        scores=_path(flags.scores),
        neurons=flags.neurons,
        run=_run_of_neurons(flags, files),
        another_backbone=flags.another_backbone,
        expected=_path(flags.expected),
        output=_path(flags.output),
        overwrite=flags.overwrite,
    )


def _run_of_neurons(flags: argparse.Namespace, files: Sequence[Path]) -> "Run | None":
    """Takes the run that says which model neurons are read from; None for none."""
    if not flags.neurons:
        if flags.gin_file or flags.settings:
            raise ValueError(
                "settings of gin say from which model neurons are read: add --neurons, "
                "or leave them out"
            )
        return None
    files = [file for file in files if file.suffix != ".npz"]
    return run_of_prompt(flags, files[0]) if files else None


def neurons(flags: argparse.Namespace) -> None:
    """Scores a prompt with some neurons switched off."""
    from jaxprompt.runs.transfer.neurons import score_without

    score_without(
        run_of_prompt(flags, flags.prompt),
        Path(flags.prompt),
        share=flags.share,
        split=flags.split,
        output=_path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def project(flags: argparse.Namespace) -> None:
    """Maps prompts to another model."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.projection import project_prompts

    files = runs.find_prompts(flags.prompt)
    asking = _flags_of_prompts(flags, files)
    project_prompts(
        {file: run_of_prompt(own, file) for file, own in asking.items()},
        flags.to,
        Path(flags.output),
        overwrite=flags.overwrite,
        configs=[config_of_prompt(own, file) for file, own in asking.items()],
        by=flags.by,
        towards=runs.find_prompts(flags.towards),
        train_on=flags.train_on,
        steps=flags.steps,
        learning_rate=flags.learning_rate,
        hidden_width=flags.hidden_width,
    )


def _flags_of_prompts(
    flags: argparse.Namespace, files: Sequence[Path]
) -> dict[Path, argparse.Namespace]:
    """Gives each prompt the gin file of --tasks that is of its task."""
    from jaxprompt.prompts.file import load_prompt

    said = {file: load_prompt(file)[1] for file in files}
    task_files: dict[str, str] = {}
    for name in flags.tasks:
        gin_files = [*flags.gin_file, name]
        run = read_run(files[0], said[files[0]], gin_files, flags.settings)
        task = run.data.tasks[0].label
        if task in task_files:
            raise ValueError(
                f"--tasks: {task_files[task]} and {name} are both of {quoted(task)}: "
                "name one"
            )
        task_files[task] = name
    known = dict.fromkeys(one.task for one in said.values())
    for task, name in task_files.items():
        if task not in known:
            raise ValueError(
                f"--tasks: {name} is of {quoted(task)}, and no prompt is: there are "
                f"those of {listed(list(known))}"
            )
    asking = {}
    for file, one in said.items():
        own = [task_files[one.task]] if one.task in task_files else []
        asking[file] = argparse.Namespace(**vars(flags))
        asking[file].gin_file = [*flags.gin_file, *own]
    return asking


def rows(flags: argparse.Namespace) -> None:
    """Reads a published data set."""
    from jaxprompt.runs.transfer.rows import write_rows

    folder, output = Path(flags.folder), Path(flags.output)
    write_rows(flags.name, folder, output, overwrite=flags.overwrite)


def index(flags: argparse.Namespace) -> None:
    """Writes the index of a bank."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.bank_index import index_bank

    files = runs.find_prompts(flags.prompt)
    index_bank(files, Path(flags.output), overwrite=flags.overwrite)


def nearest(flags: argparse.Namespace) -> None:
    """Ranks the prompts of a bank."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.retrieval import nearest

    nearest(
        Path(flags.source),
        runs.find_prompts(flags.bank),
        by=flags.by,
        rows=flags.rows,
        top=flags.top,
        start=flags.start,
        write=_path(flags.write),
        output=_path(flags.output),
        overwrite=flags.overwrite,
    )


def mix(flags: argparse.Namespace) -> None:
    """Mixes prompts."""
    from jaxprompt import runs
    from jaxprompt.runs.transfer.retrieval import mix_prompts

    mix_prompts(
        runs.find_prompts(flags.prompt),
        Path(flags.output),
        weights=None if flags.weights is None else _numbers(flags.weights),
        overwrite=flags.overwrite,
    )


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"weights {text!r} are no numbers: give one for each prompt, with commas "
            "between, as 0.7,0.3"
        ) from error


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
