"""Turns queries and keys by the angles of their positions."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.models.layers.rotary import Rotary


class Rotation(NamedTuple):
    """By how much each token turns, for `rotate`. R is half of the rotated features.

    Attributes:
        cosine: Cosine of each angle, in the dtype to compute in.
        sine: Its sine.
    """

    cosine: Float[Array, "B T R"]
    sine: Float[Array, "B T R"]


def turn_at(rotary: Rotary, positions: Int[Array, "B T"], dtype: str) -> Rotation:
    """Computes cosine and sine of the angles, in float32, then cast.

    Args:
        rotary: The frequencies.
        positions: Of each token, from 0; those of padding do not matter.
        dtype: Dtype to compute in.
    """
    frequencies, factor = rotary.frequencies()
    frequencies_R = jnp.asarray(frequencies, jnp.float32)
    angles = positions.astype(jnp.float32)[..., None] * frequencies_R[None, None]
    cosine, sine = factor * jnp.cos(angles), factor * jnp.sin(angles)
    return Rotation(cosine.astype(dtype), sine.astype(dtype))


def rotate(x: Float[Array, "B T H K"], turn: Rotation) -> Float[Array, "B T H K"]:
    """Turns the first 2R features of each head; feature r pairs with feature r + R.

    Source: the half-split layout of GPT-NeoX, which Hugging Face's files have.
    """
    half = turn.cosine.shape[-1]
    cosine, sine = turn.cosine[:, :, None], turn.sine[:, :, None]
    first, second, rest = jnp.split(x, (half, 2 * half), axis=-1)
    turned = (first * cosine - second * sine, second * cosine + first * sine, rest)
    return jnp.concatenate(turned, axis=-1)
