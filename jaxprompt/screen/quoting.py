"""Text of files and of users as a line shows it: on one line, and all of it seen."""

from collections.abc import Iterable
from typing import Any

_LONGEST, _MOST = 60, 20
"""Characters of a value, and names of a list, that an error message shows."""

_LONGEST_PATH = 1000
"""Characters of a path that is shown whole, to be looked at and pasted."""


def visible(text: str) -> str:
    r"""Returns a text as one line that a terminal prints and does not obey.

    A text of printable characters stays as it is. In any other, each character that is
    not printable (escape codes, line ends, tabs, marks that turn the direction of
    writing, half surrogate pairs) is written as Python writes it, as "\x1b" or
    "\u202e", and each backslash as two, so that the two cannot be confused.
    """
    if text.isprintable():
        return text
    return "".join(
        x if x.isprintable() and x != "\\" else x.encode("unicode_escape").decode()
        for x in text
    )


def quoted(value: Any) -> str:
    """Returns a value in Python's notation, on one line and not too long."""
    try:
        return cut(repr(value))
    except ValueError:  # Python writes no number of thousands of digits.
        return "a number of thousands of digits"


def quoted_path(path: object) -> str:
    r"""Returns a path as an error names it: in quotes if it would not be seen as it is.

    `C:\data\train` in a gin file holds a tab, which is shown as 'C:\\data\train'.
    """
    text = str(path)
    shown = text if text.isprintable() else repr(text)
    return cut(shown, _LONGEST_PATH)


def listed(names: Iterable[str], most: int = _MOST, longest: int = _LONGEST) -> str:
    """Returns names, of fields or labels or tensors, with commas between.

    Args:
        names: The names; "nothing" stands for none of them.
        most: How many are shown before the others are only counted.
        longest: Characters of a name that are shown.
    """
    known = list(names)
    shown = [x if x.isprintable() else repr(x) for x in known[:most]]
    first = ", ".join(cut(x, longest) for x in shown) or "nothing"
    return f"{first} and {len(known) - most} more" if len(known) > most else first


def cut(text: str, most: int = _LONGEST) -> str:
    """Returns the start of a text that is too long for an error message."""
    return text if len(text) <= most else f"{text[:most]}..."
