"""The flags of the commands that train, or say before what training will be."""

import argparse
from typing import Any

from jaxprompt.command import commands
from jaxprompt.command.flags.shared import add_distributed, add_gin, new_command


def add_training(subparsers: Any) -> None:
    """Adds train, sweep, show and plan to the parser of all commands."""
    _add_train(subparsers)
    _add_sweep(subparsers)
    _add_show(subparsers)
    _add_plan(subparsers)


def _add_train(subparsers: Any) -> None:
    text = "Train a prompt, a model or a vocabulary, or resume its training."
    train = new_command(subparsers, "train", text, commands.train)
    _add_training_flags(train, "folder of the run")


def _add_sweep(subparsers: Any) -> None:
    text = "Train every arm of a recipe's sweep, and compare the results."
    sweep = new_command(subparsers, "sweep", text, commands.sweep)
    _add_training_flags(sweep, "folder of the runs")
    sweep.add_argument(
        "--arms",
        metavar="NAME,NAME",
        help="train these arms alone, as ppt,hybrid_ppt; the table has them and what "
        "else is finished in the folder",
    )


def _add_training_flags(command: argparse.ArgumentParser, workdir: str) -> None:
    add_gin(command)
    command.add_argument(
        "--workdir", required=True, type=_folder, metavar="DIR", help=workdir
    )
    command.add_argument(
        "--dry_run",
        action="store_true",
        help="make all checks, say what would be trained, and write nothing",
    )
    add_distributed(command)


def _folder(text: str) -> str:
    """Refuses what an empty variable of a shell leaves, which would be this folder."""
    if not text:
        raise argparse.ArgumentTypeError(
            "it is empty: name a folder, or . for this one"
        )
    return text


def _add_show(subparsers: Any) -> None:
    text = "Show a few rows as the model will read them, before anything trains."
    show = new_command(subparsers, "show", text, commands.show)
    add_gin(show)
    show.add_argument(
        "--rows", type=int, default=3, metavar="N", help="rows of each task"
    )


def _add_plan(subparsers: Any) -> None:
    text = "Say whether a run fits TPUs or GPUs that are not here, and what it costs."
    plan = new_command(subparsers, "plan", text, commands.plan)
    add_gin(plan)
    plan.add_argument(
        "--topology",
        required=True,
        metavar="SLICE",
        help="chip and grid, as v5e:1x1, v5e:2x2, v6e:2x4 or v5p:2x2x1; or GPUs, as "
        "h100, a100:8 or l4",
    )
    plan.add_argument(
        "--step",
        default="train",
        help="train for an update, predict for the answers to a batch (default: "
        "%(default)s)",
    )
    plan.add_argument(
        "--search",
        action="store_true",
        help="try every mesh of the slice, and every rematerialisation",
    )
