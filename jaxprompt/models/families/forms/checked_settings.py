"""Single values of a config.json, each checked where it is read; names of sizes."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from jaxprompt.models.config import MOST
from jaxprompt.screen.quoting import quoted

Where: TypeAlias = str | Path
"""What a JSON object is, for error messages."""


SIZES: Mapping[str, str] = MappingProxyType(
    {
        "vocab_size": "vocab_size",
        "width": "hidden_size",
        "heads": "num_attention_heads",
        "ffn_width": "intermediate_size",
        "layers": "num_hidden_layers",
        "positions": "max_position_embeddings",
    }
)
"""What a config calls a size -> what config.json does, of BERT and of Llama alike."""


def number(
    settings: Mapping[str, Any],
    key: str,
    where: Where,
    default: float | None = None,
) -> float:
    """Reads a positive number.

    Args:
        settings: What a JSON object holds.
        key: Its name.
        where: What the object is, for error messages.
        default: What an absent key and null stand for; None if it must be there.

    Raises:
        ValueError: If it is absent, or no positive finite number.
    """
    value = settings.get(key)
    if value is None:
        value = default
    if value is None:
        raise ValueError(f"{where}: no {key}: is this a whole config?")
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError(f"{where}: {key} {quoted(value)} is no positive number")
    return float(value)


def optional_number(
    settings: Mapping[str, Any],
    key: str,
    where: Where,
    default: float | None = None,
) -> float | None:
    """Reads a positive number, or null; an absent one is `default`."""
    if settings.get(key, default) is None:
        return None
    return number(settings, key, where, default)


def size(
    settings: Mapping[str, Any],
    key: str,
    where: Where,
    default: int | None = None,
    *,
    least: int = 1,
) -> int:
    """Reads a whole number from `least` on; an absent one is `default`.

    Raises:
        ValueError: If it is something else, or absent without a default.
    """
    value = settings.get(key, default)
    if type(value) is not int or not least <= value <= MOST:
        kind = "positive integer" if least == 1 else f"whole number from {least} on"
        raise ValueError(f"{where}: {key} {quoted(value)} is no {kind}")
    return value


def flag(settings: Mapping[str, Any], key: str, where: Where, *, default: bool) -> bool:
    """Reads true or false; null stands for the default.

    Raises:
        ValueError: If it is something else.
    """
    value = settings.get(key)
    if value is None:
        return default
    if type(value) is not bool:
        raise ValueError(f"{where}: {key} {quoted(value)} is neither true nor false")
    return value


def token_ids(
    settings: Mapping[str, Any], key: str, where: Where, default: int | None
) -> int | tuple[int, ...] | None:
    """Reads the id of a token, several of them, or null; an absent one is `default`.

    Raises:
        ValueError: If it is something else.
    """
    value = settings.get(key, default)
    several = value if isinstance(value, list) else [value]
    if value is not None and any(type(one) is not int for one in several):
        raise ValueError(f"{where}: {key} {quoted(value)} is no id of a token")
    return tuple(several) if isinstance(value, list) else value


def refuse_unless(
    settings: Mapping[str, Any],
    required: Mapping[str, Any],
    where: Where,
    family: str,
) -> None:
    """Refuses a model of a kind that is not built.

    Args:
        settings: What config.json holds.
        required: Setting -> the value that it must have where it is there.
        where: The config.json.
        family: What errors call the model.

    Raises:
        ValueError: If a setting has another value.
    """
    for key, value in required.items():
        found = settings.get(key, value)
        if found != value:
            raise ValueError(
                f"{where}: {key} {quoted(found)}: only {family} models with {key} "
                f"{value} can be read"
            )
