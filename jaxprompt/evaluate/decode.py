"""Decoding with a key/value cache: greedy, nucleus sampling and beam search."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxprompt.evaluate.draw import NEVER, draw
from jaxprompt.models.backbone import Backbone, Cache, writer_of
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_embed, prompted_encode
from jaxprompt.shapes import Batch, Params

END = 1
"""Id of end-of-sequence, where the vocabulary does not say otherwise: T5's."""

End: TypeAlias = int | Sequence[int]
"""Id of end-of-sequence, or several ids that end an answer."""


def _start(
    backbone: Backbone, params: Params, batch: Batch, length: int
) -> tuple[Cache, Callable[[Cache, jax.Array, jax.Array], tuple[jax.Array, Cache]]]:
    """Encodes the inputs; returns a cache and the step that reads and fills it.

    The step may be given each row several times in a row, as beams.
    """
    model, writer = params["model"], writer_of(backbone)
    encoded = prompted_encode(backbone, params, batch)
    cache = writer.start_cache(model, encoded, length)

    def step(cache: Cache, ids: jax.Array, index: jax.Array) -> tuple[jax.Array, Cache]:
        members = jnp.repeat(batch.members, len(ids) // len(batch.members))
        y = prompted_embed(backbone, params, ids[:, None], members)[:, 0]
        logits_BV, cache = writer.decode_step(model, cache, y, index)
        return jax.nn.log_softmax(logits_BV), cache

    return cache, step


def greedy(
    backbone: Backbone, params: Params, batch: Batch, *, length: int, end: End = END
) -> Int[Array, "B L"]:
    """Takes the most likely token at each step, until every row has ended.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows with one example each. Of the target side only the first of
            `target_inputs` is read, from which the answer goes on.
        length: Most target tokens L, end-of-sequence included.
        end: Id of end-of-sequence, or several ids that end an answer.

    Returns:
        Target ids, `NO_TOKEN` after the end of a sequence.
    """

    def best(log_probs_BV: jax.Array, index: jax.Array) -> jax.Array:
        del index
        return jnp.argmax(log_probs_BV, axis=-1)

    return _extend(backbone, params, batch, best, length, end)


def nucleus(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    keys: Key[Array, " B"],
    *,
    length: int,
    top_p: float = 0.9,
    temperature: float = 1.0,
    end: End = END,
) -> Int[Array, "B L"]:
    """Draws each token from the likeliest ones that together have `top_p`.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: As for `greedy`.
        keys: Typed PRNG key of each row; consumed. A row's draws follow from its own
            key, whatever else is in the batch.
        length: Most target tokens L, end-of-sequence included.
        top_p: Probability of the nucleus, above 0, up to 1. It is the fewest tokens
            that reach it, at least one.
        temperature: What logits are divided by before, above 0.
        end: As for `greedy`.

    Returns:
        Target ids, `NO_TOKEN` after the end of a sequence.

    Source: Holtzman et al. 2020, sec. 3.1 (arXiv:1904.09751).
    """

    def drawn(log_probs_BV: jax.Array, index: jax.Array) -> jax.Array:
        keys_B = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        return draw(log_probs_BV, keys_B, top_p=top_p, temperature=temperature)

    return _extend(backbone, params, batch, drawn, length, end)


def _extend(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    choose: Callable[[jax.Array, jax.Array], jax.Array],
    length: int,
    end: End,
) -> Int[Array, "B L"]:
    """Appends what `choose(log_probs_BV, index)` picks, until every row has ended."""
    cache, step = _start(backbone, params, batch, length)
    rows, ends = batch.inputs.shape[0], _ids_of(end)

    def unfinished(carry: tuple) -> jax.Array:
        index, _, _, done_B, _ = carry
        return (index < length) & ~done_B.all()

    def extend(carry: tuple) -> tuple:
        index, ids_B, out_BL, done_B, cache = carry
        log_probs_BV, cache = step(cache, ids_B, index)
        ids_B = choose(log_probs_BV, index).astype(jnp.int32)
        out_BL = out_BL.at[:, index].set(jnp.where(done_B, NO_TOKEN, ids_B))
        return index + 1, ids_B, out_BL, done_B | jnp.isin(ids_B, ends), cache

    start = (
        jnp.zeros((), jnp.int32),
        batch.target_inputs[:, 0],
        jnp.full((rows, length), NO_TOKEN, jnp.int32),
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
    end: End = END,
) -> tuple[Int[Array, "B L"], Float[Array, "B"]]:
    """Returns the best sequence of `beam_candidates`, and its score."""
    options: dict[str, Any] = {"beams": beams, "alpha": alpha, "end": end}
    ids_B1L, scores_B1 = beam_candidates(
        backbone, params, batch, count=1, length=length, **options
    )
    return ids_B1L[:, 0], scores_B1[:, 0]


def beam_candidates(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    count: int,
    length: int,
    beams: int = 4,
    alpha: float = 0.6,
    end: End = END,
) -> tuple[Int[Array, "B K L"], Float[Array, "B K"]]:
    """Searches for the most likely sequences, keeping the best few at each step.

    Sequences that have ended are kept apart from those still growing, so they take
    no growing sequence's place. A row is settled early where no growing sequence can
    pass the last of the ended ones that are wanted.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: As for `greedy`.
        count: Sequences K that are wanted of each row, at most `beams`.
        length: Most target tokens L, end-of-sequence included.
        beams: Sequences kept.
        alpha: Brevity penalty: a score is the sum of log-probabilities over
            ((5 + tokens) / 6) ** alpha; 0 for the plain sum.
        end: As for `greedy`.

    Returns:
        The best sequences of each row, the best one first, `NO_TOKEN` after the end of
        each; and their scores in nats.

    Source: Wu et al. 2016, eq. 14 (arXiv:1609.08144); 4 beams and 0.6 are T5X's.
    """
    if not 1 <= count <= beams:
        raise ValueError(
            f"{count} candidates of {beams} beams: use 1 or more, and at least as many "
            "beams"
        )
    cache, step = _start(backbone, params, batch, length)
    rows, ends = batch.inputs.shape[0], _ids_of(end)
    looked_at = (1 + len(ends)) * beams
    first_row_B1 = jnp.arange(rows)[:, None]
    start_B1 = batch.target_inputs[:, :1]
    cache = cache.take(jnp.repeat(jnp.arange(rows), beams))

    def penalty(tokens: jax.Array | int) -> jax.Array:
        return ((5.0 + jnp.asarray(tokens, jnp.float32)) / 6.0) ** alpha

    def unfinished(carry: tuple) -> jax.Array:
        index, _, growing_BK, _, ended_BK, _ = carry
        # Log-probabilities only fall; the longest sequence has the mildest penalty.
        reachable_B = growing_BK.max(axis=1) / penalty(length)
        return (index < length) & (reachable_B > ended_BK[:, count - 1]).any()

    def extend(carry: tuple) -> tuple:
        index, out_BKL, growing_BK, ended_BKL, ended_BK, cache = carry
        last_BK = jnp.where(index == 0, start_B1, out_BKL[:, :, index - 1])
        log_probs_RV, cache = step(cache, last_BK.reshape(-1), index)
        vocabulary = log_probs_RV.shape[-1]
        totals_BKV = growing_BK[..., None] + log_probs_RV.reshape(rows, beams, -1)

        # Twice the beams, where one id ends: at most one of each beam's continuations
        # ends it, so at least `beams` of the best 2 * beams go on growing.
        totals_B2, flat_B2 = jax.lax.top_k(totals_BKV.reshape(rows, -1), looked_at)
        parent_B2, ids_B2 = jnp.divmod(flat_B2, vocabulary)
        candidates_B2L = out_BKL[first_row_B1, parent_B2].at[:, :, index].set(ids_B2)
        ends_B2 = jnp.isin(ids_B2, ends)

        growing_BK, kept_BK = jax.lax.top_k(jnp.where(ends_B2, NEVER, totals_B2), beams)
        parent_BK = parent_B2[first_row_B1, kept_BK]
        cache = cache.reorder((first_row_B1 * beams + parent_BK).reshape(-1))

        # At the length's end a growing sequence counts as it stands.
        counts_B2 = ends_B2 | (index + 1 == length)
        new_ended_B2 = jnp.where(counts_B2, totals_B2 / penalty(index + 1), NEVER)
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
    growing_BK = jnp.full((rows, beams), NEVER).at[:, 0].set(0.0)
    empty_BKL = jnp.full((rows, beams, length), NO_TOKEN, jnp.int32)
    start = (
        jnp.zeros((), jnp.int32),
        empty_BKL,
        growing_BK,
        empty_BKL,
        jnp.full((rows, beams), NEVER),
        cache,
    )
    _, _, _, ended_BKL, ended_BK, _ = jax.lax.while_loop(unfinished, extend, start)
    return ended_BKL[:, :count], ended_BK[:, :count]


def _ids_of(end: End) -> Int[Array, " ends"]:
    return jnp.atleast_1d(jnp.asarray(end, jnp.int32))
