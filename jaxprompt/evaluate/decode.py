"""Decoding with a key/value cache: greedy search and beam search."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.models.backbone import Backbone, Cache
from jaxprompt.prompts.join import embed, prompted_encode
from jaxprompt.shapes import Batch, Params

START, END = 0, 1
"""T5's decoder starts from the padding id 0; end-of-sequence is id 1."""

_NEVER = -1e9


def _start(
    backbone: Backbone, params: Params, batch: Batch, length: int
) -> tuple[Cache, Callable[[Cache, jax.Array, jax.Array], tuple[jax.Array, Cache]]]:
    """Encodes the inputs; returns a cache and the step that reads and fills it."""
    model = params["model"]
    encoded = prompted_encode(backbone, params, batch)
    cache = backbone.start_cache(model, encoded, batch.input_segments, length)
    table = backbone.table(model)

    def step(cache: Cache, ids: jax.Array, index: jax.Array) -> tuple[jax.Array, Cache]:
        y = embed(table, params["prompt"], ids[:, None])[:, 0]
        logits_BV, cache = backbone.decode_step(model, cache, y, index)
        return jax.nn.log_softmax(logits_BV), cache

    return cache, step


def greedy(
    backbone: Backbone, params: Params, batch: Batch, *, length: int
) -> Int[Array, "B L"]:
    """Takes the most likely token at each step, until every row has ended.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree {"model": ..., "prompt": ...}.
        batch: Rows with one example each; targets are not read.
        length: Most target tokens L, end-of-sequence included.

    Returns:
        Target ids, 0 after the end of a sequence.
    """
    cache, step = _start(backbone, params, batch, length)
    rows = batch.inputs.shape[0]

    def unfinished(carry: tuple) -> jax.Array:
        index, _, _, done_B, _ = carry
        return (index < length) & ~done_B.all()

    def extend(carry: tuple) -> tuple:
        index, ids_B, out_BL, done_B, cache = carry
        log_probs_BV, cache = step(cache, ids_B, index)
        best_B = jnp.argmax(log_probs_BV, axis=-1).astype(jnp.int32)
        ids_B = jnp.where(done_B, 0, best_B)
        out_BL = out_BL.at[:, index].set(ids_B)
        return index + 1, ids_B, out_BL, done_B | (ids_B == END), cache

    start = (
        jnp.zeros((), jnp.int32),
        jnp.full(rows, START, jnp.int32),
        jnp.zeros((rows, length), jnp.int32),
        jnp.zeros(rows, bool),
        cache,
    )
    return jax.lax.while_loop(unfinished, extend, start)[2]


def beam(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    length: int,
    beams: int = 4,
    alpha: float = 0.6,
) -> tuple[Int[Array, "B L"], Float[Array, "B"]]:
    """Searches for the most likely sequence, keeping the best few at each step.

    Sequences that have ended are kept apart from those still growing, so they take
    no growing sequence's place. A row is settled early where no growing sequence can
    pass its best ended one.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree {"model": ..., "prompt": ...}.
        batch: Rows with one example each; targets are not read.
        length: Most target tokens L, end-of-sequence included.
        beams: Sequences kept.
        alpha: Brevity penalty: a score is the sum of log-probabilities over
            ((5 + tokens) / 6) ** alpha; 0 for the plain sum.

    Returns:
        The best sequence of each row, 0 after its end, and its score in nats.

    Source: Wu et al. 2016, eq. 14 (arXiv:1609.08144); 4 beams and 0.6 are T5X's.
    """
    cache, step = _start(backbone, params, batch, length)
    rows = batch.inputs.shape[0]
    first_row_B1 = jnp.arange(rows)[:, None]
    cache = cache.take(jnp.repeat(jnp.arange(rows), beams))

    def penalty(tokens: jax.Array | int) -> jax.Array:
        return ((5.0 + jnp.asarray(tokens, jnp.float32)) / 6.0) ** alpha

    def unfinished(carry: tuple) -> jax.Array:
        index, _, growing_BK, _, ended_BK, _ = carry
        # Log-probabilities only fall; the longest sequence has the mildest penalty.
        reachable_B = growing_BK.max(axis=1) / penalty(length)
        return (index < length) & (reachable_B > ended_BK[:, 0]).any()

    def extend(carry: tuple) -> tuple:
        index, out_BKL, growing_BK, ended_BKL, ended_BK, cache = carry
        last_BK = jnp.where(index == 0, START, out_BKL[:, :, index - 1])
        log_probs_RV, cache = step(cache, last_BK.reshape(-1), index)
        vocabulary = log_probs_RV.shape[-1]
        totals_BKV = growing_BK[..., None] + log_probs_RV.reshape(rows, beams, -1)

        # Twice the beams: at most one of each beam's continuations ends it, so at
        # least `beams` of the best 2 * beams go on growing.
        totals_B2, flat_B2 = jax.lax.top_k(totals_BKV.reshape(rows, -1), 2 * beams)
        parent_B2, ids_B2 = jnp.divmod(flat_B2, vocabulary)
        candidates_B2L = out_BKL[first_row_B1, parent_B2].at[:, :, index].set(ids_B2)
        ends_B2 = ids_B2 == END

        growing_BK, kept_BK = jax.lax.top_k(
            jnp.where(ends_B2, _NEVER, totals_B2), beams
        )
        parent_BK = parent_B2[first_row_B1, kept_BK]
        cache = cache.reorder((first_row_B1 * beams + parent_BK).reshape(-1))

        # At the length's end a growing sequence counts as it stands.
        counts_B2 = ends_B2 | (index + 1 == length)
        new_ended_B2 = jnp.where(counts_B2, totals_B2 / penalty(index + 1), _NEVER)
        ended_BK, best_BK = jax.lax.top_k(
            jnp.concatenate([ended_BK, new_ended_B2], axis=1), beams
        )
        pool_BL = jnp.concatenate([ended_BKL, candidates_B2L], axis=1)
        return (
            index + 1,
            candidates_B2L[first_row_B1, kept_BK],
            growing_BK,
            pool_BL[first_row_B1, best_BK],
            ended_BK,
            cache,
        )

    # All beams start alike: only the first may grow, or they would stay alike.
    growing_BK = jnp.full((rows, beams), _NEVER).at[:, 0].set(0.0)
    empty_BKL = jnp.zeros((rows, beams, length), jnp.int32)
    start = (
        jnp.zeros((), jnp.int32),
        empty_BKL,
        growing_BK,
        empty_BKL,
        jnp.full((rows, beams), _NEVER),
        cache,
    )
    _, _, _, ended_BKL, ended_BK, _ = jax.lax.while_loop(unfinished, extend, start)
    return ended_BKL[:, 0], ended_BK[:, 0]
