"""JSON that means one thing: what parsers read in different ways is refused."""

import collections
import json
import re
import unicodedata
from typing import Any

from jaxprompt.screen.quoting import cut, quoted

_DEEPEST = 100
"""Levels of lists and objects: far more than any row has, and few enough to recurse."""

# Half of a pair that stands for one character: no text, and no UTF-8.
_SURROGATE = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """A text that is no JSON, or is ambiguous.

    Attributes:
        reason: What is wrong with it.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def parse_json(
    text: str, *, several_lines: bool = False, undefined: bool = False
) -> Any:
    """Parses JSON, and refuses what would be changed or lost by it.

    Args:
        text: One JSON text.
        several_lines: Whether an error tells the line too.
        undefined: Whether NaN and Infinity are read, which Python writes for a metric
            that is not defined, such as a correlation with a constant.

    Returns:
        Its value, which `json.dumps` writes as JSON again.

    Raises:
        NotJson: If it is no JSON, names a key twice, holds NaN or a number too large
            for one, half a surrogate pair, or more than 100 levels.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_finite,
            parse_constant=float if undefined else _no_constant,
        )
    except NotJson:
        raise
    except json.JSONDecodeError as err:
        line = f"line {err.lineno} " if several_lines else ""
        raise NotJson(f"{err.msg} at {line}column {err.colno}") from err
    except ValueError as err:  # Python bounds the digits of whole numbers.
        raise NotJson("a whole number of thousands of digits") from err
    except RecursionError as err:
        raise NotJson(f"more than {_DEEPEST} levels of lists and objects") from err
    if text.count("[") + text.count("{") > _DEEPEST and _levels(value) > _DEEPEST:
        raise NotJson(f"more than {_DEEPEST} levels of lists and objects")
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as err:
            half = f"\\u{ord(err.object[err.start]):04x}"
            raise NotJson(
                f"{half} is half a character, without the other half"
            ) from err
    return value


def as_json(value: Any) -> str:
    """Returns a JSON value as an error message shows it: on one line, not too long."""
    return cut(json.dumps(value))


def printable_json(text: str) -> str:
    """Escapes in JSON text what a terminal would obey or hide: it says the same.

    Args:
        text: JSON of one line each, as `json.dumps` writes it without an indent.
    """
    return "".join(x if _is_seen(x) else json.dumps(x)[1:-1] for x in text)


def _is_seen(character: str) -> bool:
    # Spaces of any width are text; a line end is no part of a JSON string.
    return (
        character.isprintable()
        or character == "\n"
        or unicodedata.category(character) == "Zs"
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = collections.Counter(name for name, _ in pairs)
        twice, _ = counts.most_common(1)[0]
        raise NotJson(f"the key {quoted(twice)} stands twice in one object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotJson(f"{cut(text)} is too large a number")
    return number


def _no_constant(name: str) -> None:
    raise NotJson(f"{name} is no number of JSON")


def _levels(value: Any) -> int:
    """Counts levels without recursion."""
    levels, at = 0, [value]
    while at:
        levels += 1
        at = [
            inner
            for outer in at
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return levels
