"""The command `jaxprompt`: flags and gin; what they ask for is done in runs/."""

import argparse
import dataclasses
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxprompt.config import Run
    from jaxprompt.prompts.file import Provenance

PACKAGE = Path(__file__).parent
DEFAULTS = "gin/runs/prompt_tuning.gin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The command line without the program's name; None takes this
            process's.

    Returns:
        The exit status: 0 done; 1 a mistake in what was asked, told in one line, or
        something wrong that `doctor` found; 2 a mistake in the flags; 143 or 130
        stopped by a signal, the state saved.
    """
    parser = _parser()
    flags, rest = parser.parse_known_args(arguments)
    settings = [argument for argument in rest if argument.startswith("--gin.")]
    if "gin_file" not in flags:  # This command takes no configuration.
        settings = []
    unknown = [argument for argument in rest if argument not in settings]
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    flags.settings = [setting.removeprefix("--gin.") for setting in settings]

    # Imported after the flags are read, so that --help does not wait for JAX.
    from jaxprompt import startup

    try:
        startup.use_compilation_cache()
        if _is_distributed(flags):
            startup.join_hosts(
                flags.coordinator_address, flags.num_processes, flags.process_id
            )
    except ValueError as error:
        print(f"jaxprompt: {error}", file=sys.stderr)
        return 1

    from jaxprompt.train.loop import Stopped

    try:
        status = flags.command(flags)
    except Stopped as stopped:
        print(f"jaxprompt: {stopped}; the same command resumes", file=sys.stderr)
        return 128 + stopped.signal
    except (ValueError, OSError, FloatingPointError) as error:
        if not _is_ours(error):
            raise
        print(f"jaxprompt: {error}", file=sys.stderr)
        return 1
    return status or 0


def _is_ours(error: BaseException) -> bool:
    """Whether one of this package's checks raised it: anything else is a bug."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename).is_relative_to(PACKAGE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxprompt",
        description="Teach a frozen language model a new task by learning a handful of "
        "vectors.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, command: object) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        _add_gin(sub)
        return sub

    text = "Train a prompt, a model or a vocabulary, or resume its training."
    train = add("train", text, _train)
    train.add_argument(
        "--workdir", required=True, metavar="DIR", help="folder of the run"
    )

    evaluate = add("evaluate", "Score a prompt file on its task.", _evaluate)
    evaluate.add_argument("--split", help="split to score, instead of its validation")
    evaluate.add_argument(
        "--output", metavar="FILE", help="also write the scores, as JSON"
    )

    predict = add("predict", "Answer JSONL rows with a prompt file.", _predict)
    predict.add_argument(
        "--input", default="-", metavar="FILE", help="JSONL rows; - for standard input"
    )
    predict.add_argument(
        "--output", default="-", metavar="FILE", help="JSONL answers; - for the screen"
    )

    inspect = add(
        "inspect", "Show where a prompt comes from and what it is near.", _inspect
    )
    inspect.add_argument(
        "--neighbours",
        type=int,
        default=5,
        metavar="K",
        help="words for each soft token",
    )

    evaluate.add_argument(
        "--prompt",
        required=True,
        action="append",
        metavar="FILE",
        help="a prompt.safetensors; with --ensemble several, or a folder of them",
    )
    evaluate.add_argument(
        "--ensemble",
        action="store_true",
        help="score all the prompts in shared batches, and their majority vote",
    )
    predict.add_argument(
        "--prompt",
        required=True,
        action="append",
        metavar="FILE",
        help="a prompt.safetensors; of several, or of a folder of them, each row names "
        'its own by "prompt": the file\'s name without its ending',
    )
    inspect.add_argument(
        "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
    )
    inspect.add_argument(
        "--metric",
        default="cosine",
        help="what is near: cosine, dot or l2 (default: %(default)s)",
    )
    inspect.add_argument(
        "--label_words",
        default="",
        metavar="WORDS",
        help="words to look for, with commas between; the task's own by default",
    )
    inspect.add_argument(
        "--without_model",
        action="store_true",
        help="tell only what the file alone does; its model need not be there",
    )
    inspect.add_argument(
        "--output", metavar="FILE", help="also write all of it, as JSON"
    )
    text = "Check a model, a prompt and a task, and say in words what is wrong."
    doctor = add("doctor", text, _doctor)
    doctor.add_argument(
        "--prompt",
        metavar="FILE",
        help="a prompt.safetensors; without it the run is checked before its training",
    )
    doctor.add_argument(
        "--output", metavar="FILE", help="also write the findings, as JSON"
    )
    submit = add("submit", "Answer a test split for its leaderboard.", _submit)
    submit.add_argument(
        "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
    )
    submit.add_argument("--split", help="split to answer, instead of test")
    submit.add_argument(
        "--output", required=True, metavar="DIR", help="folder of the leaderboard file"
    )
    for sub in (evaluate, predict, inspect, doctor, submit):
        sub.add_argument(
            "--another_backbone",
            action="store_true",
            help="allow a model that the prompt was not trained on",
        )
    text = "Train every arm of a recipe's sweep, and compare the results."
    sweep = add("sweep", text, _sweep)
    sweep.add_argument(
        "--workdir", required=True, metavar="DIR", help="folder of the runs"
    )
    for sub in (train, evaluate, sweep):
        _add_distributed(sub)
    text = "Say whether a run fits a TPU slice that is not here, and what it costs."
    _add_plan(add("plan", text, _plan))
    _add_report(commands)
    _add_interchange(commands)
    _add_hub(commands)
    for sub in (evaluate, predict, inspect, doctor, submit):
        _add_overwrite(sub)
    return parser


def _add_plan(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--topology",
        required=True,
        metavar="SLICE",
        help="chip and grid, as v5e:1x1, v5e:2x2, v6e:2x4 or v5p:2x2x1",
    )
    command.add_argument(
        "--step",
        default="train",
        help="train for an update, predict for the answers to a batch (default: "
        "%(default)s)",
    )
    command.add_argument(
        "--search",
        action="store_true",
        help="try every mesh of the slice, and every rematerialisation",
    )


def _add_distributed(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--distributed",
        action="store_true",
        help="join the other processes of this job: found out on Cloud TPUs and GKE, "
        "and under Slurm and Open MPI",
    )
    command.add_argument(
        "--coordinator_address",
        metavar="HOST:PORT",
        help="of the job's first process, where it cannot be found out",
    )
    command.add_argument(
        "--num_processes", type=int, metavar="N", help="processes of the job"
    )
    command.add_argument(
        "--process_id", type=int, metavar="K", help="which of them this is, from 0"
    )


def _is_distributed(flags: argparse.Namespace) -> bool:
    return "distributed" in flags and (
        flags.distributed or flags.coordinator_address is not None
    )


def _add_gin(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--gin_file",
        action="append",
        default=[],
        metavar="FILE",
        help="gin file; several are read in order, and looked for here and then "
        "beside the package",
    )
    command.add_argument(
        "--gin.NAME",
        dest="_",
        metavar="VALUE",
        help="set a name of the gin files, as in --gin.STEPS=500 or "
        "--gin.MODEL=\"'google/t5-small-lm-adapt'\"",
    )


def _add_overwrite(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--overwrite", action="store_true", help="replace an existing output file"
    )


def _add_report(commands: Any) -> None:
    text = "Gather finished runs into one page, a table and a plot."
    report = commands.add_parser("report", help=text, description=text)
    report.set_defaults(command=_report)
    report.add_argument(
        "folders", nargs="+", metavar="DIR", help="folder of a run, or of runs"
    )
    report.add_argument(
        "--output", required=True, metavar="FILE", help="the page, as report.html"
    )
    _add_overwrite(report)


def _add_interchange(commands: Any) -> None:
    text = "Take a prompt from another program."
    take = commands.add_parser("import", help=text, description=text)
    take.set_defaults(command=_import)
    take.add_argument(
        "source", metavar="FILE", help="the other program's file or folder"
    )
    take.add_argument(
        "--backbone",
        default="",
        help="Hub name or folder of the prompt's model, unless the source says",
    )
    take.add_argument(
        "--task",
        default="",
        help="name of the prompt's task, if known; of several, with commas between",
    )
    take.add_argument(
        "--row",
        type=int,
        metavar="N",
        help="take prompt N, from 0, of a file of several",
    )
    text = "Give a prompt to another program, or the prompted model to any."
    give = commands.add_parser("export", help=text, description=text)
    give.set_defaults(command=_export)
    give.add_argument(
        "source",
        nargs="+",
        metavar="FILE",
        help="a prompt.safetensors; for tensorrt_llm several, or a folder of them",
    )
    give.add_argument(
        "--dtype", default="", help="float32 (the default), bfloat16 or float16"
    )
    give.add_argument(
        "--backbone",
        default="",
        help="peft: Hub name or folder to name as the base model; t5x: the checkpoint "
        "to put the prompt into",
    )
    _add_gin(give)
    give.add_argument(
        "--another_backbone",
        action="store_true",
        help="stablehlo: allow a model that the prompt was not trained on",
    )
    forms = (
        "google: a .npy of google-research/prompt-tuning (the default); t5x: its "
        "checkpoint; peft: a folder of Hugging Face PEFT; tensorrt_llm: a prompt "
        "table; vllm: prompt embeddings"
    )
    whole = "; stablehlo: the whole prompted model, which runs without jaxprompt"
    for sub, known in ((take, forms), (give, forms + whole)):
        sub.add_argument("--format", default="google", help=known)
        sub.add_argument(
            "--output",
            required=True,
            metavar="FILE",
            help="the file, or the folder, to write",
        )
        _add_overwrite(sub)


def _add_hub(commands: Any) -> None:
    text = "Share a prompt, or those of a bank, on the Hugging Face Hub."
    push = commands.add_parser("push", help=text, description=text)
    push.set_defaults(command=_push)
    push.add_argument(
        "--prompt",
        required=True,
        metavar="FILE",
        help="a prompt.safetensors, or the folder of a run or of a bank's prompts",
    )
    push.add_argument(
        "--repo", required=True, metavar="NAME/REPO", help="where to; made if need be"
    )
    push.add_argument(
        "--private",
        action="store_true",
        help="make a repository that others cannot see",
    )
    push.add_argument(
        "--revision", metavar="BRANCH", help="branch to commit to, instead of main"
    )
    push.add_argument(
        "--overwrite",
        action="store_true",
        help="replace another prompt that the repository holds",
    )
    text = "Fetch a prompt, or a bank's, from the Hugging Face Hub."
    pull = commands.add_parser("pull", help=text, description=text)
    pull.set_defaults(command=_pull)
    pull.add_argument("repo", metavar="NAME/REPO", help="where from")
    pull.add_argument("--revision", help="branch, tag or commit, instead of main")
    pull.add_argument(
        "--output", required=True, metavar="DIR", help="the folder to write"
    )
    _add_overwrite(pull)


def _train(flags: argparse.Namespace) -> None:
    from jaxprompt import runs
    from jaxprompt.configure import configure

    run, config = configure(flags.gin_file, flags.settings)
    runs.train(run, Path(flags.workdir), config=config)


def _evaluate(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    options = {
        "split": flags.split,
        "output": None if flags.output is None else Path(flags.output),
        "overwrite": flags.overwrite,
        "another_backbone": flags.another_backbone,
    }
    if flags.ensemble:
        files = runs.find_prompts(flags.prompt)
        run, _ = _configured(flags, files[0])
        runs.evaluate_ensemble(run, files, **options)
        return
    if len(flags.prompt) > 1:
        raise ValueError(
            f"{len(flags.prompt)} prompts: add --ensemble for their vote, or score them"
            " one by one"
        )
    (file,) = flags.prompt
    runs.evaluate(_run_of_prompt(flags, file), Path(file), **options)


def _predict(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    files = runs.find_prompts(flags.prompt)
    runs.predict(
        {file: _run_of_prompt(flags, file) for file in files},
        source=flags.input,
        output=flags.output,
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def _inspect(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    runs.inspect(
        _run_of_prompt(flags, flags.prompt),
        Path(flags.prompt),
        neighbours=flags.neighbours,
        metric=flags.metric,
        label_words=tuple(filter(None, flags.label_words.split(","))),
        without_model=flags.without_model,
        output=None if flags.output is None else Path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def _doctor(flags: argparse.Namespace) -> int:
    from jaxprompt import runs
    from jaxprompt.configure import configure

    if flags.prompt is None:
        run, _ = configure(flags.gin_file or [DEFAULTS], flags.settings)
    else:
        run = _run_of_prompt(flags, flags.prompt)
    found = runs.diagnose(
        run,
        None if flags.prompt is None else Path(flags.prompt),
        output=None if flags.output is None else Path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )
    return 0 if found["healthy"] else 1


def _submit(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    runs.submit(
        _run_of_prompt(flags, flags.prompt),
        Path(flags.prompt),
        split=flags.split,
        output=Path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def _sweep(flags: argparse.Namespace) -> None:
    from jaxprompt.sweep import sweep

    sweep(flags.gin_file, flags.settings, Path(flags.workdir))


def _plan(flags: argparse.Namespace) -> None:
    import jax

    # Only compiles: without this JAX would look for a TPU, and libtpu would say so.
    jax.config.update("jax_platforms", "cpu")
    from jaxprompt.configure import configure
    from jaxprompt.plan import plan

    run, _ = configure(flags.gin_file or [DEFAULTS], flags.settings)
    print(plan(run, flags.topology, step=flags.step, search=flags.search))


def _report(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    folders = [Path(folder) for folder in flags.folders]
    runs.gather(folders, Path(flags.output), overwrite=flags.overwrite)


def _import(flags: argparse.Namespace) -> None:
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


def _export(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    if flags.format == "stablehlo":
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
    from jaxprompt.runs.model_export import export_model

    if len(flags.source) > 1 or flags.dtype or flags.backbone:
        raise ValueError(
            "form stablehlo takes one prompt, and its model and dtype from the "
            "prompt's run: change them by --gin.MODEL and --gin.DTYPE"
        )
    (file,) = flags.source
    export_model(
        _run_of_prompt(flags, file),
        Path(file),
        Path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def _push(flags: argparse.Namespace) -> None:
    from jaxprompt import runs
    from jaxprompt.configure import configure
    from jaxprompt.prompts.file import load_prompt

    files = runs.find_shared(flags.prompt)
    _, provenance = load_prompt(files[0])
    run = None  # A prompt saved by plain Python brings no configuration.
    if provenance.config:
        run, _ = configure([], [], start=provenance.config)
    runs.push(
        files,
        flags.repo,
        run=run,
        private=flags.private,
        revision=flags.revision,
        overwrite=flags.overwrite,
    )


def _pull(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    runs.pull(
        flags.repo,
        Path(flags.output),
        revision=flags.revision,
        overwrite=flags.overwrite,
    )


def _run_of_prompt(flags: argparse.Namespace, file: str | Path) -> "Run":
    """Takes the run of a prompt alone, though it may have been trained in a bank."""
    run, provenance = _configured(flags, file)
    if provenance.task in [task.label for task in run.data.tasks]:
        return run.of_member(provenance.task, provenance.seed or 0)
    return dataclasses.replace(run, seeds=1)


def _configured(
    flags: argparse.Namespace, file: str | Path
) -> tuple["Run", "Provenance"]:
    """Takes the run from the prompt's own file, changed by this command's flags."""
    from jaxprompt.configure import configure
    from jaxprompt.prompts.file import load_prompt

    _, provenance = load_prompt(file)
    # A prompt saved by plain Python brings no configuration: the defaults stand in.
    files = flags.gin_file or ([] if provenance.config else [DEFAULTS])
    run, _ = configure(files, flags.settings, start=provenance.config)
    return run, provenance
