"""Which tokens see which, and where a token stands, from the segments of a row."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def segment_mask(
    query_segments: Int[Array, "B T"],
    key_segments: Int[Array, "B S"],
    *,
    causal: bool = False,
) -> Bool[Array, "B T S"]:
    """Tells which tokens each token sees: those of its own segment.

    Args:
        query_segments: Segment of each attending token; 0 on padding.
        key_segments: Segment of each attended token; 0 is never attended to.
        causal: Also hide the later rows.
    """
    queries_BT1, keys_B1S = query_segments[:, :, None], key_segments[:, None, :]
    visible_BTS = (queries_BT1 == keys_B1S) & (keys_B1S != 0)
    if causal:
        visible_BTS &= jnp.tri(*visible_BTS.shape[1:], dtype=bool)[None]
    return visible_BTS


def hide_far(
    mask: Bool[Array, "B T S"],
    queries: Int[Array, "B T"],
    keys: Int[Array, "B S"],
    window: int | None,
    *,
    both_ways: bool = False,
) -> Bool[Array, "B T S"]:
    """Hides the keys that stand `window` tokens or more in front of a query too.

    Args:
        mask: What is seen without a window.
        queries: Position of each attending token.
        keys: Position of each attended token; a single row where all rows have the
            same.
        window: Tokens that a token sees, itself among them; None for all of them.
        both_ways: Also hide those that stand as far behind it.
    """
    if window is None:
        return mask
    distances_BTS = queries[:, :, None] - keys[:, None, :]
    if both_ways:
        distances_BTS = jnp.abs(distances_BTS)
    return mask & (distances_BTS < window)


def number_seen(mask: Bool[Array, "B T S"]) -> Int[Array, "B T"]:
    """Counts the tokens that a mask lets each token attend to."""
    return mask.sum(axis=-1, dtype=jnp.int32)


def rows_since_start(segments: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Counts the rows from the first token of each token's segment to the token."""
    same_BTT = segments[:, :, None] == segments[:, None, :]
    return jnp.arange(segments.shape[1])[None] - jnp.argmax(same_BTT, axis=-1)


def hide_first(
    mask: Bool[Array, "B T S"], counts: Int[Array, " B"]
) -> Bool[Array, "B T S"]:
    """Hides the first columns of each row, so many of them."""
    columns = jnp.arange(mask.shape[-1])[None, None]
    return mask & (columns >= counts[:, None, None])
