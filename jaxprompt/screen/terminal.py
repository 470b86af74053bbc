"""What commands print: the terminal shows the text of files and never obeys it."""

import contextlib
import sys

from jaxprompt.screen.quoting import visible


def say(line: str, *, problem: bool = False) -> None:
    """Prints one line; whatever in it is not printable is shown as `visible` does.

    Args:
        line: The line.
        problem: Whether it goes to standard error. Where that cannot be written, as a
            log on a full disk, nothing is said, and what the line is about goes on.
    """
    if problem:
        with contextlib.suppress(OSError):
            print(visible(line), file=sys.stderr)
        return
    print(visible(line))


def say_lines(text: str) -> None:
    """Prints laid-out text, such as a table, whose own parts hold no line breaks."""
    for line in text.split("\n"):
        say(line)
