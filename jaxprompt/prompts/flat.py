"""Soft tokens, keys and values as one vector a token: for networks and for files."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.models.config import SiteName
from jaxprompt.prompts.prompt import Deep, Prompt

ROWS = "rows"
"""The name of a prompt's soft tokens beside those of its sites."""


def flatten(deep: Deep) -> Float[Array, "M P F"]:
    """Puts all that a token has into one vector of F = 2 * N * G * K numbers.

    The order is the key of the first layer, its value, the key of the second, and so
    on, each head behind the other.

    Source: THUDM/P-tuning-v2, model/prefix_encoder.py; huggingface/peft 0.21,
    peft_model.py (get_prompt).
    """
    both_MNP2GK = jnp.stack([deep.keys, deep.values], axis=3)
    members, layers, length, _, groups, width = both_MNP2GK.shape
    numbers = 2 * layers * groups * width
    return both_MNP2GK.swapaxes(1, 2).reshape(members, length, numbers)


def unflatten(deep: Deep, flat: Float[Array, "M P F"]) -> Deep:
    """Makes the inverse of `flatten`.

    Args:
        deep: Says the layers, heads and width, and all that is not keys and values; it
            may be of any length.
        flat: What its keys and values shall be.
    """
    layers, _, groups, width = deep.keys.shape[1:]
    shape = (*flat.shape[:2], layers, 2, groups, width)
    keys, values = jnp.moveaxis(flat.reshape(shape), (3, 2), (0, 2))
    return dataclasses.replace(deep, keys=keys, values=values)


def take_apart(prompt: Prompt) -> tuple[dict[str, Float[Array, "M P F"]], Prompt]:
    """Splits a prompt into flat parts and the rest.

    Returns:
        The soft tokens, named "rows", and what each site has, `flatten`ed; and the
        prompt without them, all of it of P = 0 tokens.
    """
    parts = {ROWS: prompt.rows}
    parts |= {site: flatten(deep) for site, deep in prompt.deep.items()}
    rest: dict[SiteName, Deep] = {
        site: dataclasses.replace(
            deep, keys=deep.keys[:, :, :0], values=deep.values[:, :, :0]
        )
        for site, deep in prompt.deep.items()
    }
    return parts, Prompt(prompt.rows[:, :0], rest)


def put_together(rest: Prompt, parts: Mapping[str, Float[Array, "M P F"]]) -> Prompt:
    """Makes the inverse of `take_apart`; a part that is not given stays as it is."""
    deep: dict[SiteName, Deep] = {
        site: unflatten(own, parts[site]) if site in parts else own
        for site, own in rest.deep.items()
    }
    return Prompt(parts.get(ROWS, rest.rows), deep)
