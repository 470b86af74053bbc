"""How far a long command is: a bar on a terminal, plain lines anywhere else."""

import io
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from jaxprompt.screen.quoting import visible
from jaxprompt.screen.terminal import say

SECONDS = 20.0
"""Between two plain lines, and before the first: what takes less needs none."""

_LINE = "{desc}: {n_fmt}, {elapsed} so far, {rate_fmt}{postfix}"
_LINE_OF_TOTAL = (
    "{desc}: {n_fmt} of {total_fmt} ({percentage:.0f}%), {elapsed} so far, "
    "{remaining} left, {rate_fmt}{postfix}"
)


def progress_bar(
    description: str,
    *,
    total: int | None = None,
    unit: str = "ex",
    each: Iterable[Any] | None = None,
    show: bool = True,
    **options: Any,
) -> "tqdm[Any]":
    """Makes a bar on standard error, as tqdm draws it, or one that writes lines.

    Lines are written where standard error is neither a terminal nor a notebook, as in a
    log file: there the characters that move a cursor would be read.

    Args:
        description: Text before the bar.
        total: How many there are to come; None where that is not known.
        unit: What is counted.
        each: What to go through; None where `update` counts.
        show: Whether to show anything.
        **options: More of tqdm's own.

    Returns:
        tqdm's bar.
    """
    shown = {"desc": visible(description), "total": total, "unit": unit, **options}
    if not show:  # Otherwise TQDM_DISABLE in the environment decides.
        shown["disable"] = True
    # What a notebook shows moves its cursor as a terminal does.
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        return tqdm(each, dynamic_ncols=True, **shown)
    line = _LINE if total is None and each is None else _LINE_OF_TOTAL
    return _Lines(each, **{**shown, "bar_format": line, "unit_scale": False})


class _Lines(tqdm):
    """A bar that writes a line now and then."""

    def __init__(self, each: Iterable[Any] | None, **options: Any):
        # tqdm writes to the file what moves the cursor; the lines are written here.
        super().__init__(
            each,
            **options,
            file=io.StringIO(),
            mininterval=SECONDS,
            maxinterval=2 * SECONDS,
            miniters=1,
            delay=SECONDS,
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Writes the line; tqdm asks for an empty one where a bar goes away."""
        del pos
        if msg != "":
            say(str(self).strip(), problem=True)
