"""The flags of the commands about transfer, and which command they start."""

import argparse
from typing import Any

from jaxprompt.command import transfer


def add_transfer(subparsers: Any) -> None:
    """Adds the commands about transfer to the parser of all commands."""
    text = "Ask which prompt helps which task, and what predicts it."
    parser = subparsers.add_parser("transfer", help=text, description=text)
    topics = parser.add_subparsers(required=True, metavar="TOPIC")
    _add_start(topics)
    _add_similarity(topics)
    _add_index(topics)
    _add_nearest(subparsers)
    _add_mixes(subparsers)


def _add_start(topics: Any) -> None:
    text = "Compare runs that start from other tasks' prompts with a fresh start."
    command = topics.add_parser("start", help=text, description=text)
    command.set_defaults(command=transfer.start)
    command.add_argument("fresh", metavar="DIR", help="folder of the fresh run")
    command.add_argument(
        "others",
        nargs="+",
        metavar="DIR",
        help="folders of runs of the same task that started from other prompts",
    )
    command.add_argument(
        "--epsilon",
        type=float,
        default=0.5,
        metavar="POINTS",
        help="a run has converged at its first evaluation within these points of its "
        "best (default: %(default)s)",
    )
    command.add_argument(
        "--output", metavar="FILE", help="also write it as JSON, and a .png beside it"
    )
    _add_overwrite(command)


def _add_similarity(topics: Any) -> None:
    text = "Compare prompts by every similarity, and say how well each predicts."
    command = topics.add_parser("similarity", help=text, description=text)
    command.set_defaults(command=transfer.similarity)
    command.add_argument(
        "prompts",
        nargs="+",
        metavar="PROMPT",
        help="a prompt.safetensors, a folder of them, or an .npz of arrays [P, D]",
    )
    command.add_argument(
        "--rows",
        default=":",
        metavar="SLICE",
        help="which soft tokens count, as 1: for all but the first, which some models "
        "never read (default: all)",
    )
    command.add_argument(
        "--scores",
        metavar="FILE",
        help="a .csv of scores, prompts across and tasks down: also print Spearman's "
        "correlation of each similarity with relative transfer",
    )
    command.add_argument(
        "--expected",
        metavar="FILE",
        help="an output of this command, or a part of it: print it beside what is "
        "found now",
    )
    command.add_argument(
        "--output", metavar="FILE", help="also write all of it, as JSON"
    )
    _add_overwrite(command)


def _add_index(topics: Any) -> None:
    text = "Write the index of a bank: its prompts, and where each comes from."
    command = topics.add_parser("index", help=text, description=text)
    command.set_defaults(command=transfer.index)
    command.add_argument(
        "prompts",
        nargs="+",
        metavar="PROMPT",
        help="a prompt.safetensors, or a folder of them",
    )
    command.add_argument(
        "--output", required=True, metavar="FILE", help="the index, as bank.json"
    )
    _add_overwrite(command)


def _add_nearest(subparsers: Any) -> None:
    text = "Rank the prompts of a bank by their similarity to one."
    command = subparsers.add_parser("nearest", help=text, description=text)
    command.set_defaults(command=transfer.nearest)
    command.add_argument("source", metavar="PROMPT", help="a prompt.safetensors")
    command.add_argument(
        "bank",
        nargs="+",
        metavar="BANK",
        help="prompt files, folders of them, .npz archives or a bank's index",
    )
    command.add_argument(
        "--by", default="C_meanpool", help="similarity (default: %(default)s)"
    )
    command.add_argument(
        "--rows", default=":", metavar="SLICE", help="which soft tokens count, as 1:"
    )
    command.add_argument(
        "--write", metavar="FILE", help="also write a prompt to start training from"
    )
    command.add_argument(
        "--start",
        default="best",
        help="what it is: the best, the mean of the nearest, or their weighted mean "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--top",
        type=int,
        default=3,
        metavar="K",
        help="how many of the nearest a mean takes (default: %(default)s)",
    )
    command.add_argument("--output", metavar="FILE", help="also write ranks, as JSON")
    _add_overwrite(command)


def _add_mixes(subparsers: Any) -> None:
    text = "Write the average of prompts."
    average = subparsers.add_parser("average", help=text, description=text)
    average.set_defaults(command=transfer.mix, weights=None)
    text = "Write the weighted sum of prompts."
    mix = subparsers.add_parser("mix", help=text, description=text)
    mix.set_defaults(command=transfer.mix)
    mix.add_argument(
        "--weights",
        required=True,
        metavar="W,W",
        help="one for each prompt, with commas between, as 0.7,0.3",
    )
    for command in (average, mix):
        command.add_argument(
            "prompts",
            nargs="+",
            metavar="PROMPT",
            help="prompt files, folders of them, or a bank's index",
        )
        command.add_argument(
            "--output", required=True, metavar="FILE", help="the prompt file to write"
        )
        _add_overwrite(command)


def _add_overwrite(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--overwrite", action="store_true", help="replace an existing output file"
    )
