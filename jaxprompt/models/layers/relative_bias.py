"""T5's relative position bias: a learned number for each head and distance."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def relative_bias(
    table: Float[Array, "buckets H"],
    query_rows: Int[Array, " T"],
    key_rows: Int[Array, " S"],
    *,
    bidirectional: bool,
    max_distance: int,
) -> Float[Array, "H T S"]:
    """Looks up the bias of each head for each pair of rows, in float32.

    Row numbers serve as positions even when a row holds several packed examples: only
    differences inside one segment reach a score that is not masked, and they are the
    same wherever the segment starts.

    Args:
        table: Learned bias of each bucket of distances.
        query_rows: Row number of each attending token.
        key_rows: Row number of each attended token.
        bidirectional: Whether a query attends to later rows too (the encoder).
        max_distance: Distance in tokens from which on all share the last bucket.

    Returns:
        float32 to add to the attention scores of every layer.

    Source: Raffel et al. 2020, sec. 2.1 (arXiv:1910.10683).
    """
    bucket_of = _bucket_table(table.shape[0], bidirectional, max_distance)
    relative_TS = key_rows[None, :] - query_rows[:, None]
    index_TS = jnp.clip(relative_TS, -max_distance, max_distance) + max_distance
    by_distance = table.astype(jnp.float32)[bucket_of]
    return jnp.transpose(by_distance[index_TS], (2, 0, 1))


def _bucket_table(buckets: int, bidirectional: bool, max_distance: int) -> np.ndarray:
    """Returns the bucket of each relative position -max_distance .. max_distance.

    Half of the buckets of one direction hold one distance each, the others grow
    logarithmically up to max_distance. A relative position is key minus query.
    """
    relative = np.arange(-max_distance, max_distance + 1)
    if bidirectional:
        buckets //= 2
        first = np.where(relative > 0, buckets, 0)
        distance = np.abs(relative)
    else:
        first = np.zeros_like(relative)
        distance = np.maximum(-relative, 0)
    exact = buckets // 2
    # float32, and an epsilon as in T5X, so that a distance on the edge of two buckets
    # falls where it fell when the published models were trained.
    ratio = distance.astype(np.float32) / exact + np.finfo(np.float32).eps
    growth = np.log(ratio) / math.log(max_distance / exact) * (buckets - exact)
    far = np.minimum(exact + np.maximum(growth, 0).astype(np.int64), buckets - 1)
    return (first + np.where(distance < exact, distance, far)).astype(np.int32)
