"""The flags of the command line, and which command they start."""

import argparse

from jaxprompt.command.flags.answers import add_answers
from jaxprompt.command.flags.exchange import add_exchange
from jaxprompt.command.flags.help import add_help
from jaxprompt.command.flags.results import add_results
from jaxprompt.command.flags.serve import add_serve
from jaxprompt.command.flags.training import add_training
from jaxprompt.command.flags.transfer import add_transfer
from jaxprompt.command.parser import Parser, Version


def make_parser() -> Parser:
    """Makes the parser of all commands."""
    parser = Parser(
        prog="jaxprompt",
        description="Teach a frozen language model a new task by learning a handful of "
        "vectors.",
    )
    parser.add_argument(
        *("--version", "-V"),
        action=Version,
        nargs=0,
        help="print the version, and JAX's",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    add_training(subparsers)
    add_answers(subparsers)
    add_serve(subparsers)
    add_results(subparsers)
    add_exchange(subparsers)
    add_transfer(subparsers)
    add_help(subparsers, parser)
    return parser


def is_distributed(flags: argparse.Namespace) -> bool:
    """Whether this process is one of a job's."""
    return "distributed" in flags and (
        flags.distributed or flags.coordinator_address is not None
    )
