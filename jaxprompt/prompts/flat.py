"""Keys and values of one site as a vector a token: for networks and for files."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.prompts.prompt import Deep


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
            may be of any length, as one of `emptied` is.
        flat: What its keys and values shall be.
    """
    layers, _, groups, width = deep.keys.shape[1:]
    shape = (*flat.shape[:2], layers, 2, groups, width)
    keys, values = jnp.moveaxis(flat.reshape(shape), (3, 2), (0, 2))
    return dataclasses.replace(deep, keys=keys, values=values)


def emptied(deep: Deep) -> Deep:
    """Returns what is left of a site without its keys and values: those of P = 0."""
    return dataclasses.replace(
        deep, keys=deep.keys[:, :, :0], values=deep.values[:, :, :0]
    )
