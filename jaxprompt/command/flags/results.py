"""The flags of the commands that put finished runs side by side."""

from typing import Any

from jaxprompt.command import commands
from jaxprompt.command.flags.shared import (
    add_json_output,
    add_overwrite,
    new_command,
)


def add_results(subparsers: Any) -> None:
    """Adds report and compare to the parser of all commands."""
    _add_report(subparsers)
    _add_compare(subparsers)


def _add_report(subparsers: Any) -> None:
    text = "Gather finished runs into one page."
    report = new_command(subparsers, "report", text, commands.report)
    report.add_argument(
        "folders", nargs="+", metavar="DIR", help="folder of a run, or of runs"
    )
    report.add_argument(
        "--output", required=True, metavar="FILE", help="the page, as report.html"
    )
    report.add_argument(
        "--tables",
        action="store_true",
        help="also write results.csv, .md, .png and .svg beside the page",
    )
    add_overwrite(report)


def _add_compare(subparsers: Any) -> None:
    text = "Say on which rows two finished runs differ, and whether by chance."
    compare = new_command(subparsers, "compare", text, commands.compare)
    for name, which in (("first", "a finished run"), ("second", "another one")):
        what = f"folder of {which}, or its predictions.jsonl"
        compare.add_argument(name, metavar=name.upper(), help=what)
    add_json_output(compare, "it")
