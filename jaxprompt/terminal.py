"""What commands print: the terminal shows the text of files and never obeys it."""

import sys

from jaxprompt.quoting import visible


def say(line: str, *, problem: bool = False) -> None:
    """Prints one line; whatever in it is not printable is shown as `visible` does.

    Args:
        line: The line.
        problem: Whether it goes to standard error.
    """
    print(visible(line), file=sys.stderr if problem else sys.stdout)


def say_lines(text: str) -> None:
    """Prints laid-out text, such as a table, whose own parts hold no line breaks."""
    for line in text.split("\n"):
        say(line)
