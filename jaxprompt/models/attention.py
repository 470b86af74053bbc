"""Attention over keys and values that lie in parts, such as prefix, source, target."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxprompt.models import layers


class Part(NamedTuple):
    """Some of the tokens that are attended to, in one layer.

    Attributes:
        keys: Their keys; without the axis B where all rows have the same.
        values: Their values, likewise.
        mask: Added to their scores; None where every query attends to all of them.
    """

    keys: Float[Array, "*B S H K"]
    values: Float[Array, "*B S H K"]
    mask: Float[Array, "B T S"] | None


def prefix_part(
    keys: Float[Array, "M P H K"],
    values: Float[Array, "M P H K"],
    rows: Int[Array, " B"],
) -> Part:
    """Makes a part of one layer of a prefix; a single member's is not copied.

    Args:
        keys: Keys of each member's soft tokens.
        values: Values of each member's soft tokens.
        rows: Member that each row attends to.
    """
    if keys.shape[0] == 1:
        return Part(keys[0], values[0], None)
    return Part(keys[rows], values[rows], None)


def attend(
    queries: Float[Array, "B T H K"],
    parts: Sequence[Part],
    *,
    scale: float = 1.0,
    dropout: float = 0.0,
    dropout_key: Key[Array, "..."] | None = None,
) -> Float[Array, "B T H K"]:
    """Attends to all parts at once: one softmax, in float32, over all their scores.

    The parts are never joined, so that no row gets a copy of what all rows share.

    Args:
        queries: Of the attending tokens.
        parts: What they attend to, one part or more; empty ones are passed over.
        scale: Multiplies the scores.
        dropout: Share of the attention weights that are zeroed.
        dropout_key: None for no dropout.
    """
    parts = [part for part in parts if part.keys.shape[-3]]
    scores = [_scores(queries, part, scale) for part in parts]
    weights_BHTS = jax.nn.softmax(jnp.concatenate(scores, axis=-1), axis=-1)
    weights_BHTS = layers.drop(
        weights_BHTS.astype(queries.dtype), dropout, dropout_key, shared=False
    )
    mixed, start = [], 0
    for part in parts:
        end = start + part.keys.shape[-3]
        mixed.append(_mix(weights_BHTS[..., start:end], part.values))
        start = end
    return sum(mixed[1:], mixed[0])


def _scores(queries: Array, part: Part, scale: float) -> Float[Array, "B H T S"]:
    product = "bthk,shk->bhts" if part.keys.ndim == 3 else "bthk,bshk->bhts"
    scores_BHTS = scale * jnp.einsum(
        product, queries, part.keys, preferred_element_type=jnp.float32
    )
    return scores_BHTS if part.mask is None else scores_BHTS + part.mask[:, None]


def _mix(weights: Float[Array, "B H T S"], values: Array) -> Float[Array, "B T H K"]:
    product = "bhts,shk->bthk" if values.ndim == 3 else "bhts,bshk->bthk"
    return jnp.einsum(product, weights, values)
