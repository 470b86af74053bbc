"""The flags of the commands that help to write others, and need no JAX."""

from typing import Any

from jaxprompt.command import commands
from jaxprompt.command.completion import SHELLS
from jaxprompt.command.flags.shared import add_overwrite, new_command
from jaxprompt.command.listing import KINDS
from jaxprompt.command.parser import Parser


def add_help(subparsers: Any, parser: Parser) -> None:
    """Adds list, new and completion to the parser of all commands."""
    _add_list(subparsers)
    _add_new(subparsers)
    _add_completion(subparsers, parser)


def _add_list(subparsers: Any) -> None:
    text = "List the tasks, models, recipes and names that there are to choose from."
    names = new_command(subparsers, "list", text, commands.list_names, quick=True)
    names.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))


def _add_new(subparsers: Any) -> None:
    text = "Write the gin file of a task of your own, from its data."
    new = new_command(subparsers, "new", text, commands.new, quick=True)
    new.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="rows: one file, which is divided; or those of train, validation and test",
    )
    new.add_argument(
        "--output", metavar="FILE", help="the gin file (default: FILE's name with .gin)"
    )
    new.add_argument("--text", metavar="NAME", help="column of the text")
    new.add_argument("--label", metavar="NAME", help="column of the label, or answer")
    add_overwrite(new)


def _add_completion(subparsers: Any, parser: Parser) -> None:
    text = "Print a script by which a shell completes commands, flags and gin files."
    completion = new_command(
        subparsers, "completion", text, commands.completion, quick=True, parser=parser
    )
    completion.add_argument(
        "shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish"
    )
