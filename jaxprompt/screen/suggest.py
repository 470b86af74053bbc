"""Which known name a misspelt one stands for: "did you mean ...?"."""

import difflib
import os
from collections.abc import Iterable

from jaxprompt.screen.quoting import quoted_path


def closest(name: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """Returns the known name that is most like another, or None.

    Capitals do not count, and "-" is as good as "_".

    Args:
        name: What was written.
        known: What could have been meant; of equally close names the first is taken.
        alike: How much of both must be the same, 0 to 1, as difflib's ratio has it.
    """
    by_letters: dict[str, str] = {}
    for one in known:
        by_letters.setdefault(_letters(one), one)
    found = difflib.get_close_matches(_letters(name), by_letters, 1, alike)
    return by_letters[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean NAME?" of the closest known name; empty without one.

    Args:
        name: What was written.
        known: What could have been meant.
    """
    found = closest(name, known)
    return f"did you mean {found}?" if found else ""


def meant_path(path: str) -> str | None:
    """Returns the path beside one that is not there which it may mean, or None."""
    folder, name = os.path.split(path)
    try:
        found = closest(name, sorted(os.listdir(folder or ".")), alike=0.75)
    except (OSError, ValueError):
        return None
    return found and os.path.join(folder, found)


def path_hint(path: str) -> str:
    """Returns ": did you mean PATH?" of a path that is not there; empty without one."""
    meant = meant_path(path)
    return f": did you mean {quoted_path(meant)}?" if meant else ""


def _letters(name: str) -> str:
    return name.lower().replace("-", "_")
