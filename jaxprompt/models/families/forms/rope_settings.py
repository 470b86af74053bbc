"""Rotary positions in config.json: `rope_parameters`, and the older spelling."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.models.families.forms.checked_settings import flag, number, size
from jaxprompt.models.layers.rotary import (
    Divided,
    Linear,
    Llama3,
    Scaling,
    Yarn,
    yarn_attention,
)
from jaxprompt.screen.quoting import quoted

_KINDS = ("default", "linear", "llama3", "yarn")


def read_rope(
    settings: Mapping[str, Any],
    path: Path,
    theta: float,
    layer_type: str | None = None,
) -> tuple[float, Scaling | None]:
    """Reads the base of the wavelengths, and how they are scaled.

    Source: transformers 5.23, `RotaryEmbeddingConfigMixin`: `rope_scaling` of older
    files goes before `rope_parameters`.

    Args:
        settings: What config.json holds.
        path: Where it is, for error messages.
        theta: What the base is where it does not say.
        layer_type: Of which layers, where a model has two kinds; None if it has one.

    Raises:
        ValueError: If the kind is none of default, linear, llama3 and yarn, nor a
            longrope of one list for texts of every length; or if a number is missing or
            impossible.
    """
    older = settings.get("rope_scaling")
    rope = settings.get("rope_parameters") if older is None else older
    name = "rope_parameters" if older is None else "rope_scaling"
    rope = {} if rope is None else rope
    if layer_type is not None and isinstance(rope, Mapping):
        rope = rope.get(layer_type, rope)
    if not isinstance(rope, Mapping):
        raise ValueError(f"{path}: {name} {quoted(rope)} is no JSON object")
    kind = rope.get("rope_type") or rope.get("type") or "default"
    divided = kind == "longrope" and _has_one_list(rope)
    if not (divided or kind in _KINDS) or "mrope_section" in rope:
        kind = "mrope" if "mrope_section" in rope else kind
        raise ValueError(
            f"{path}: rotary positions of kind {quoted(kind)} cannot be read: only "
            f"those of kind {', '.join(_KINDS)}"
        )
    of_rope = f"{path}: {name}"
    if rope.get("rope_theta") is not None:
        theta = number(rope, "rope_theta", of_rope)
    else:
        theta = number(settings, "rope_theta", path, theta)
    for where, holder in ((of_rope, rope), (path, settings)):
        share = number(holder, "partial_rotary_factor", where, 1.0)
        if share != 1.0:
            raise ValueError(
                f"{where}: partial_rotary_factor {share}: only models whose heads turn "
                "as a whole can be read"
            )
    return theta, _scaling(kind, rope, of_rope, settings, path)


def _scaling(
    kind: str,
    rope: Mapping[str, Any],
    of_rope: str,
    settings: Mapping[str, Any],
    path: Path,
) -> Scaling | None:
    if kind == "default":
        return None
    if kind == "longrope":
        return Divided(tuple(_numbers(rope, "short_factor", of_rope)))
    factor = number(rope, "factor", of_rope)
    if kind == "linear":
        return Linear(factor)
    first = "original_max_position_embeddings"
    for where, holder, key in (
        (path, settings, first),
        (of_rope, rope, first),
        (path, settings, "max_position_embeddings"),
    ):
        if holder.get(key) is not None:
            positions = size(holder, key, where)
            break
    else:
        raise ValueError(f"{of_rope}: no {first}: is this a whole config?")
    if kind == "llama3":
        low, high = (
            number(rope, f"{end}_freq_factor", of_rope) for end in ("low", "high")
        )
        if low >= high:
            raise ValueError(
                f"{of_rope}: low_freq_factor {low} is not below high_freq_factor {high}"
            )
        return Llama3(factor, low, high, positions)
    attention = None
    if rope.get("attention_factor") is not None:
        attention = number(rope, "attention_factor", of_rope)
    elif rope.get("mscale") and rope.get("mscale_all_dim"):
        one, all_features = (
            yarn_attention(factor, number(rope, key, of_rope))
            for key in ("mscale", "mscale_all_dim")
        )
        attention = one / all_features
    return Yarn(
        factor,
        positions,
        fast=number(rope, "beta_fast", of_rope, 32.0),
        slow=number(rope, "beta_slow", of_rope, 1.0),
        attention=attention,
        truncate=flag(rope, "truncate", of_rope, default=True),
    )


def _has_one_list(rope: Mapping[str, Any]) -> bool:
    """Tells whether longrope divides each frequency by the same number always.

    Such a model scales as `layers.rotary.Divided` does. Another has a second list for
    longer texts, or multiplies cosine and sine.
    """
    short = rope.get("short_factor")
    same = isinstance(short, list) and short == rope.get("long_factor")
    return same and rope.get("attention_factor") == 1


def _numbers(rope: Mapping[str, Any], key: str, where: str) -> list[float]:
    return [number({key: value}, key, where) for value in rope[key]]


def write_rope(theta: float, scaling: Scaling | None, positions: int) -> dict[str, Any]:
    """Returns what config.json says, in the older spelling, which all versions read.

    Args:
        theta: Base of the wavelengths.
        scaling: How they are scaled.
        positions: Tokens that a sequence can have.
    """
    return {"rope_theta": theta, "rope_scaling": _written(scaling, positions)}


def _written(scaling: Scaling | None, positions: int) -> dict[str, Any] | None:
    if scaling is None:
        return None
    if isinstance(scaling, Linear):
        return {"rope_type": "linear", "factor": scaling.factor}
    if isinstance(scaling, Llama3):
        return {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_factor,
            "high_freq_factor": scaling.high_factor,
            "original_max_position_embeddings": scaling.positions,
        }
    if isinstance(scaling, Divided):
        divisors = list(scaling.divisors)
        return {
            "rope_type": "longrope",
            "short_factor": divisors,
            "long_factor": divisors,
            "factor": 1.0,
            "attention_factor": 1.0,
            "original_max_position_embeddings": positions,
        }
    settings = {
        "rope_type": "yarn",
        "factor": scaling.factor,
        "original_max_position_embeddings": scaling.positions,
        "beta_fast": scaling.fast,
        "beta_slow": scaling.slow,
        "truncate": scaling.truncate,
    }
    if scaling.attention is not None:
        settings["attention_factor"] = scaling.attention
    return settings
