"""The flags of the commands about transfer, and which command they start."""

import argparse
from typing import Any

from jaxprompt.command import transfer


def add_transfer(subparsers: Any) -> None:
    """Adds the commands about transfer to the parser of all commands."""
    text = "Ask which prompt helps which task, and what predicts it."
    parser = subparsers.add_parser("transfer", help=text, description=text)
    topics = parser.add_subparsers(required=True, metavar="TOPIC")
    _add_similarity(topics)


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


def _add_overwrite(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--overwrite", action="store_true", help="replace an existing output file"
    )
