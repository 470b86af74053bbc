"""What commands print: the terminal shows the text of files and never obeys it."""

import contextlib
import os
import sys
from collections.abc import Iterator

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
    with unless_nobody_reads():
        print(visible(line))


@contextlib.contextmanager
def unless_nobody_reads() -> Iterator[None]:
    """Drops what its body prints, and all that follows, once its reader has gone.

    So `jaxprompt compare ... | head` ends quietly, and writes its files all the same.
    """
    try:
        yield
    except BrokenPipeError:
        # In the place of the pipe, as Python writes there once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say_lines(text: str) -> None:
    """Prints laid-out text, such as a table, whose own parts hold no line breaks."""
    for line in text.split("\n"):
        say(line)
