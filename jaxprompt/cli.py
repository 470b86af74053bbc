"""The command `jaxprompt`: flags and gin; what they ask for is done in runs/."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxprompt.config import Run

PACKAGE = Path(__file__).parent
DEFAULTS = "gin/runs/prompt_tuning.gin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The command line without the program's name; None takes this
            process's.

    Returns:
        The exit status: 0 done; 1 a mistake in what was asked, told in one line;
        2 a mistake in the flags; 143 or 130 stopped by a signal, the state saved.
    """
    parser = _parser()
    flags, rest = parser.parse_known_args(arguments)
    settings = [argument for argument in rest if argument.startswith("--gin.")]
    unknown = [argument for argument in rest if argument not in settings]
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    flags.settings = [setting.removeprefix("--gin.") for setting in settings]

    # Imported after the flags are read, so that --help does not wait for JAX.
    from jaxprompt.train.loop import Stopped

    try:
        flags.command(flags)
    except Stopped as stopped:
        print(f"jaxprompt: {stopped}; the same command resumes", file=sys.stderr)
        return 128 + stopped.signal
    except (ValueError, OSError, FloatingPointError) as error:
        if not _is_ours(error):
            raise
        print(f"jaxprompt: {error}", file=sys.stderr)
        return 1
    return 0


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
        sub.add_argument(
            "--gin_file",
            action="append",
            default=[],
            metavar="FILE",
            help="gin file; several are read in order, and looked for here and then "
            "beside the package",
        )
        sub.add_argument(
            "--gin.NAME",
            dest="_",
            metavar="VALUE",
            help="set a name of the gin files, as in --gin.STEPS=500 or "
            "--gin.MODEL=\"'google/t5-small-lm-adapt'\"",
        )
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

    for sub in (evaluate, predict, inspect):
        sub.add_argument(
            "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
        )
        sub.add_argument(
            "--another_backbone",
            action="store_true",
            help="allow a model that the prompt was not trained on",
        )
    for sub in (evaluate, predict):
        sub.add_argument(
            "--overwrite", action="store_true", help="replace an existing output file"
        )
    return parser


def _train(flags: argparse.Namespace) -> None:
    from jaxprompt import runs
    from jaxprompt.configure import configure

    run, config = configure(flags.gin_file, flags.settings)
    runs.train(run, Path(flags.workdir), config=config)


def _evaluate(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    runs.evaluate(
        _run_of_prompt(flags),
        Path(flags.prompt),
        split=flags.split,
        output=None if flags.output is None else Path(flags.output),
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def _predict(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    runs.predict(
        _run_of_prompt(flags),
        Path(flags.prompt),
        source=flags.input,
        output=flags.output,
        overwrite=flags.overwrite,
        another_backbone=flags.another_backbone,
    )


def _inspect(flags: argparse.Namespace) -> None:
    from jaxprompt import runs

    runs.inspect(
        _run_of_prompt(flags),
        Path(flags.prompt),
        neighbours=flags.neighbours,
        another_backbone=flags.another_backbone,
    )


def _run_of_prompt(flags: argparse.Namespace) -> "Run":
    """Takes the run from the prompt's own file, changed by this command's flags."""
    from jaxprompt.configure import configure
    from jaxprompt.prompts.file import load_prompt

    _, provenance = load_prompt(flags.prompt)
    # A prompt saved by plain Python brings no configuration: the defaults stand in.
    files = flags.gin_file or ([] if provenance.config else [DEFAULTS])
    return configure(files, flags.settings, start=provenance.config)[0]
