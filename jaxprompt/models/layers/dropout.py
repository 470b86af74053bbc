"""Dropout: with one key, or with one for each member of a bank."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key


def drop(
    x: Array, rate: float, key: Key[Array, "..."] | None, *, shared: bool = True
) -> Array:
    """Zeroes features at random and scales up the rest; nothing without a key.

    Args:
        x: Rows first, features last.
        rate: Share of the features that are zeroed.
        key: One key; or M keys, one for each of M equal groups of rows, so that each
            member of a bank gets the masks that it would get alone.
        shared: Whether all positions (the axis before the last) share one mask, as in
            T5; each has its own otherwise.

    Source: dropout of Mesh TensorFlow's Transformer and of T5X, which both broadcast
    over the length.
    """
    if key is None or rate == 0.0:
        return x
    shape = (*x.shape[:-2], 1, x.shape[-1]) if shared else x.shape
    keys_M = key.reshape(-1)
    group = (shape[0] // keys_M.size, *shape[1:])
    draw = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate, group))
    keep = draw(keys_M).reshape(shape)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros_like(x))


def split_key(
    key: Key[Array, "*M"] | None, number: int
) -> Key[Array, "number *M"] | list[None]:
    """Splits a key, or each of M keys; no key gives none."""
    if key is None:
        return [None] * number
    split = jax.random.split
    if key.ndim:
        split = jax.vmap(split, in_axes=(0, None), out_axes=1)
    return split(key, number)
