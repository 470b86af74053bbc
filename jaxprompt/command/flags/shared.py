"""Flags that several commands have."""

import argparse
from typing import Any

from jaxprompt.command.completion import setting_names
from jaxprompt.command.parser import Parser


def new_command(
    subparsers: Any, name: str, text: str, command: object, **defaults: object
) -> argparse.ArgumentParser:
    """Adds a command to the parser of all.

    Args:
        subparsers: Of that parser.
        name: Of the command.
        text: What it does, in a sentence.
        command: What is called with its flags.
        defaults: Further values that its flags have, as `quick`.
    """
    parser = subparsers.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command, **defaults)
    return parser


def add_gin(command: argparse.ArgumentParser) -> None:
    """Adds what reads gin files and sets their names."""
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
        "--gin.MODEL=google/t5-small-lm-adapt",
    )
    if isinstance(command, Parser):
        command.names_of_settings = setting_names


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """Adds the leave to replace a file."""
    command.add_argument(
        "--overwrite", action="store_true", help="replace an existing output file"
    )


def add_json_output(command: argparse.ArgumentParser, what: str) -> None:
    """Adds the file that also gets what a command prints, and the leave to replace it.

    Args:
        command: Its parser.
        what: What is written, as "the scores".
    """
    command.add_argument("--output", metavar="FILE", help=f"also write {what}, as JSON")
    add_overwrite(command)


def add_distributed(command: argparse.ArgumentParser) -> None:
    """Adds what joins the processes of a job."""
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


def add_another_backbone(
    command: argparse.ArgumentParser, which: str = "the prompt was", only: str = ""
) -> None:
    """Adds the leave to use a model that a prompt was not trained on.

    Args:
        command: Its parser.
        which: Of which prompts the help speaks, with the verb.
        only: What of the command it concerns, if not all of it.
    """
    command.add_argument(
        "--another_backbone",
        action="store_true",
        help=f"{only}allow a model that {which} not trained on",
    )
