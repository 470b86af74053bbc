"""What each command of the command line asks of runs/, sweep, plan and configure."""

import argparse
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jaxprompt.command.gin_files import DEFAULTS
from jaxprompt.command.prompt_run import configured, read_run, run_of_prompt
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.screen.suggest import path_hint

if TYPE_CHECKING:
    from jaxprompt.config import Run

# What a command needs is imported when it runs, so that --help does not wait for JAX.


def check(flags: argparse.Namespace) -> None:
    """Tells a misspelt path or name of a gin file before JAX is imported.

    Raises:
        FileNotFoundError: If there is no such prompt file or gin file.
        ValueError: If a name is misspelt, text is not gin, or there are several
            prompts and no ensemble.
    """
    given = vars(flags).get("prompt") or []
    prompts = [given] if isinstance(given, str) else given
    if flags.command is evaluate and len(prompts) > 1 and not flags.ensemble:
        raise ValueError(
            f"{len(prompts)} prompts: add --ensemble for their vote, or score them one "
            "by one"
        )
    for name in [*prompts, *_sources(flags)]:
        if not os.path.exists(name):
            hint = path_hint(name) or ": check the path"
            raise FileNotFoundError(f"no prompt file at {quoted_path(name)}{hint}")
    if "gin_file" not in flags:
        return
    if prompts or flags.command is export:
        # What else a setting may name, the prompt's own configuration says.
        if flags.gin_file:
            from jaxprompt.command.configure import check_files

            check_files(flags.gin_file)
        return
    from jaxprompt.command.configure import check_names

    stands_in = flags.command in (doctor, plan, evaluate)
    check_names(flags.gin_file or [DEFAULTS] * stands_in, flags.settings)


def _sources(flags: argparse.Namespace) -> list[str]:
    """Returns the files that `import` and `export` read."""
    if flags.command not in (import_prompt, export):
        return []
    return [flags.source] if isinstance(flags.source, str) else flags.source


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def train(flags: argparse.Namespace) -> None:
    """Trains what the gin files say, or checks whether it could."""
    from jaxprompt import runs
    from jaxprompt.command.configure import configure

    run, config = configure(flags.gin_file, flags.settings)
    workdir = Path(flags.workdir)
    if flags.dry_run:
        runs.rehearse(run, workdir, config=config)
    else:
        runs.train(run, workdir, config=config, command=flags.line)


def show(flags: argparse.Namespace) -> None:
    """Shows what the model will read."""
    from jaxprompt import runs
    from jaxprompt.command.configure import configure

    run, _ = configure(flags.gin_file, flags.settings)
    runs.show(run, rows=flags.rows)


def evaluate(flags: argparse.Namespace) -> None:
    """Scores a prompt, the vote of several, or the model alone."""
    from jaxprompt import runs

    if flags.without_prompt:
        _evaluate_frozen(flags)
        return
    options = {
        "split": flags.split,
        "output": _path(flags.output),
        "predictions": _path(flags.predictions),
        "overwrite": flags.overwrite,
        "another_backbone": flags.another_backbone,
    }
    if flags.ensemble:
        if flags.mistakes:
            raise ValueError("--mistakes is of one prompt: leave --ensemble out")
        files = runs.find_prompts(flags.prompt)
        of_files = {file: configured(flags, file)[0] for file in files}
        runs.evaluate_ensemble(of_files, **options)
        return
    (name,) = flags.prompt
    file = runs.find_prompt(name)
    run = run_of_prompt(flags, file)
    runs.evaluate(run, file, mistakes=flags.mistakes, **options)


def _evaluate_frozen(flags: argparse.Namespace) -> None:
    from jaxprompt import runs
    from jaxprompt.command.configure import configure

    for name in ("ensemble", "mistakes", "predictions", "another_backbone"):
        if getattr(flags, name):
            raise ValueError(
                f"--{name} needs a prompt: leave it out, or give --prompt instead of "
                "--without_prompt"
            )
    run, _ = configure(flags.gin_file or [DEFAULTS], flags.settings)
    options = {"output": _path(flags.output), "overwrite": flags.overwrite}
    runs.evaluate_frozen(run, split=flags.split, **options)


def predict(flags: argparse.Namespace) -> None:
    """Answers rows."""
    from jaxprompt import runs

    files = runs.find_prompts(flags.prompt)
    run_of = {file: run_of_prompt(flags, file) for file in files}
    runs.predict(
        run_of,
        source=flags.input,
        output=flags.output,
        prompt_field=flags.prompt_field,
        answer_field=flags.answer_field,
        scores=flags.scores,
        top_k=flags.top_k,
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def inspect(flags: argparse.Namespace) -> None:
    """Reads a prompt."""
    from jaxprompt import runs

    file = runs.find_prompt(flags.prompt)
    run = run_of_prompt(flags, file)
    runs.inspect(
        run,
        file,
        neighbours=flags.neighbours,
        metric=flags.metric,
        label_words=tuple(filter(None, flags.label_words.split(","))),
        without_model=flags.without_model,
        output=_path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def doctor(flags: argparse.Namespace) -> int:
    """Says what is wrong; returns the exit status."""
    from jaxprompt import runs
    from jaxprompt.command.configure import configure

    file = None if flags.prompt is None else runs.find_prompt(flags.prompt)
    if file is None:
        run, _ = configure(flags.gin_file or [DEFAULTS], flags.settings)
    else:
        run = run_of_prompt(flags, file, trains=True)
    found = runs.diagnose(
        run,
        file,
        output=_path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )
    return 0 if found["healthy"] else 1


def submit(flags: argparse.Namespace) -> None:
    """Writes a leaderboard's file."""
    from jaxprompt import runs

    file = runs.find_prompt(flags.prompt)
    run = run_of_prompt(flags, file)
    runs.submit(
        run,
        file,
        split=flags.split,
        output=Path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def sweep(flags: argparse.Namespace) -> None:
    """Trains the arms of a recipe."""
    from jaxprompt.command.sweep import sweep

    where = Path(flags.workdir)
    sweep(
        flags.gin_file,
        flags.settings,
        where,
        arms=None if flags.arms is None else flags.arms.split(","),
        dry_run=flags.dry_run,
        command=flags.line,
    )


def plan(flags: argparse.Namespace) -> None:
    """Plans a run for a TPU slice, or for GPUs."""
    import jax

    # Only compiles: without this JAX would look for a TPU, and libtpu would say so.
    jax.config.update("jax_platforms", "cpu")
    from jaxprompt.command.configure import configure
    from jaxprompt.plan import plan
    from jaxprompt.screen.terminal import say_lines

    run, _ = configure(flags.gin_file or [DEFAULTS], flags.settings)
    say_lines(plan(run, flags.topology, step=flags.step, search=flags.search))


def report(flags: argparse.Namespace) -> None:
    """Gathers finished runs."""
    from jaxprompt import runs

    folders = [Path(folder) for folder in flags.folders]
    page = Path(flags.output)
    runs.gather(folders, page, tables=flags.tables, overwrite=flags.overwrite)


def compare(flags: argparse.Namespace) -> None:
    """Compares two runs row by row."""
    from jaxprompt import runs

    output = _path(flags.output)
    runs.compare(flags.first, flags.second, output=output, overwrite=flags.overwrite)


def import_prompt(flags: argparse.Namespace) -> None:
    """Takes a prompt from another program."""
    from jaxprompt import runs

    runs.import_prompt(
        Path(flags.source),
        Path(flags.output),
        form=flags.format,
        backbone=flags.backbone,
        task=flags.task,
        row=flags.row,
        overwrite=flags.overwrite,
    )


def export(flags: argparse.Namespace) -> None:
    """Gives a prompt, or the prompted model, to another program."""
    from jaxprompt import runs

    if flags.format in ("stablehlo", "peft_prefix", "cartridge"):
        _export_model(flags)
        return
    if flags.gin_file or flags.settings or flags.another_backbone:
        raise ValueError(
            f"form {flags.format} is a prompt without its model: leave --gin and "
            "--another_backbone out"
        )
    runs.export_prompt(
        runs.find_prompts(flags.source),
        Path(flags.output),
        form=flags.format,
        dtype=flags.dtype,
        backbone=flags.backbone,
        overwrite=flags.overwrite,
    )


def _export_model(flags: argparse.Namespace) -> None:
    if len(flags.source) > 1 or flags.dtype or flags.backbone:
        raise ValueError(
            f"form {flags.format} takes one prompt, and its model and dtype from the "
            "prompt's run: change them by --gin.MODEL and --gin.DTYPE"
        )
    from jaxprompt import runs

    file = runs.find_prompt(flags.source[0])
    run = run_of_prompt(flags, file)
    from jaxprompt.runs.model_export import export_model, export_prefix

    give = export_model
    if flags.format != "stablehlo":
        give = functools.partial(export_prefix, form=flags.format)
    give(
        run,
        file,
        Path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def push(flags: argparse.Namespace) -> None:
    """Uploads prompts to the Hub."""
    from jaxprompt import runs
    from jaxprompt.prompts.file import load_prompt

    of_files: dict[Path, Run | None] = {}
    for file in runs.find_shared(flags.prompt):
        _, provenance = load_prompt(file)
        of_files[file] = None  # A prompt saved by plain Python brings no configuration.
        if provenance.config:
            of_files[file] = read_run(file, provenance)
    runs.push(
        of_files,
        flags.repo,
        private=flags.private,
        revision=flags.revision,
        overwrite=flags.overwrite,
    )


def pull(flags: argparse.Namespace) -> None:
    """Downloads a prompt from the Hub."""
    from jaxprompt import runs

    runs.pull(
        flags.repo,
        Path(flags.output),
        revision=flags.revision,
        overwrite=flags.overwrite,
    )


def list_names(flags: argparse.Namespace) -> None:
    """Lists what there is to choose from."""
    from jaxprompt.command.listing import list_names

    list_names(flags.kind)


def new(flags: argparse.Namespace) -> None:
    """Writes the gin file of a task of one's own."""
    from jaxprompt.command.new_task import write_task

    output = _path(flags.output)
    write_task(
        flags.files,
        output,
        text=flags.text,
        label=flags.label,
        overwrite=flags.overwrite,
    )


def completion(flags: argparse.Namespace) -> None:
    """Prints a script for a shell."""
    from jaxprompt.command.completion import print_completion

    print_completion(flags.parser, flags.shell)
