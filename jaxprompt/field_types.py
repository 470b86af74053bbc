"""Values of settings against the types of their fields, before anything uses them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jaxprompt.screen.quoting import quoted

_LARGEST = 2**63
"""Beyond it a whole number fits no array."""


def check_value(where: str, value: Any, hint: Any) -> None:
    """Refuses a value that is not of a field's type, at any depth.

    A whole number may stand for any other, and as a key for a text. Which texts a
    `Literal` allows is for the field's own class to say.

    Args:
        where: Name of the setting, as "Pace.steps".
        value: Its value.
        hint: Type of the field.

    Raises:
        ValueError: If the value has another type, or is a number that is not finite or
            does not fit into 64 bits.
    """
    if isinstance(value, str) and hint == Sequence[str]:
        raise ValueError(
            f"{where} is the text {quoted(value)}: use a list of words, as "
            f"[{quoted(value)}]"
        )
    choices = [kind for kind in choices_of(hint) if _fits(value, kind)]
    if not choices:
        raise ValueError(
            f"{where} is {quoted(value)}, of type {type(value).__name__}: it must be "
            f"{described(hint)}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: it must be a finite number")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise ValueError(
            f"{where} is {quoted(value)}: use a number of 63 bits or fewer"
        )
    kind: Any = choices[0]
    items: Any = value
    if get_origin(kind) is Sequence:
        for place, item in enumerate(items):
            check_value(f"{where}[{place}]", item, get_args(kind)[0])
    if get_origin(kind) is Mapping:
        of_key, of_value = get_args(kind)
        for key, item in items.items():
            if type(key) is not int:
                check_value(f"A key of {where}", key, of_key)
            check_value(f"{where}[{quoted(key)}]", item, of_value)


def check_finite(settings: Any) -> None:
    """Refuses settings of which a number is NaN or infinite.

    A gin file's are checked by `check_value`; those that Python gives are checked here,
    for a comparison with NaN is never true, so that it passes for any range.

    Args:
        settings: A dataclass.

    Raises:
        ValueError: If one of its own fields holds such a number.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            name = f"{type(settings).__name__}.{field.name}"
            raise ValueError(f"{name} is {value}: it must be a finite number")


def choices_of(hint: Any) -> tuple[Any, ...]:
    """Returns the types that a field may have one of."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, whatever it holds."""
    if kind is Any:
        return True
    if kind in (int, float, str, bool, NoneType):
        # True is no number, though Python has it so.
        return type(value) is kind or (type(value) is int and kind is float)
    if get_origin(kind) is Literal:
        return isinstance(value, str)
    if get_origin(kind) is Sequence:
        return isinstance(value, list | tuple)
    return isinstance(value, get_origin(kind) or kind)


def described(hint: Any) -> str:
    """Says what a setting must be, in gin's words."""
    names = []
    for kind in choices_of(hint):
        if get_origin(kind) is Sequence:
            names.append(f"a list of {described(get_args(kind)[0])}")
        elif get_origin(kind) is Mapping:
            of_key, of_value = map(described, get_args(kind))
            names.append(f"a dict of {of_key} to {of_value}")
        elif get_origin(kind) is Literal:
            names.append(" or ".join(map(repr, get_args(kind))))
        elif dataclasses.is_dataclass(kind):
            names.append(f"@{getattr(kind, '__name__', kind)}()")
        elif kind is not NoneType:
            names.append("any value" if kind is Any else kind.__name__)
    return " or ".join(names)
