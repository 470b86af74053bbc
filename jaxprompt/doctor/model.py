"""Is the frozen model computed right, and is it one that a prompt can steer?"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxprompt.doctor.case import Case, log_probs
from jaxprompt.doctor.finding import Finding, skipped
from jaxprompt.models.backbone import Writer, writer_of
from jaxprompt.prompts.join import prompted_embed, prompted_encode
from jaxprompt.shapes import Batch, Params, resize
from jaxprompt.sharding import fetch

PADDING, CACHE, FOLDING = "padding invariance", "cached decoding", "folded prompt"
ADAPTATION = "LM adaptation"

TOLERANCE, INT8_TOLERANCE = 1e-3, 0.3
"""Largest gap, in nats, between two ways to a log-probability.

Both are computed in float32, where rounding alone makes some 1e-5. With int8 weights
the activations are rounded to 127 levels, and the last bit may decide which.
"""

_MORE_PADDING = 16

SENTINEL_SHARE = 0.5
"""Probability of sentinels from which on a model counts as not LM-adapted.

After span corruption every target begins with a sentinel, so the share is near 1; LM
adaptation brings it near 0. Between the two any threshold tells them apart.

Source: Lester et al. 2021, sec. 3.2 (arXiv:2104.08691).
"""

_SENTINELS = 256
"""Sentinel numbers that are looked for; T5 has 100, and mT5 too."""


def check_padding(case: Case) -> Finding:
    """Compares log-probabilities with those of the same rows behind more padding."""
    batch = case.with_text_targets()
    short = log_probs(case, case.params, batch)
    long = log_probs(case, case.params, _more_padding(batch))
    gap = _largest_gap(short, long[:, : short.shape[1]], batch)
    tolerance = INT8_TOLERANCE if case.is_quantised else TOLERANCE
    if gap <= tolerance:
        says = (
            f"{_MORE_PADDING} more tokens of padding change no log-probability by more "
            f"than {gap:.1e} nats ({tolerance:g} are allowed)."
        )
        return Finding(PADDING, "ok", gap, says)
    says = (
        f"{_MORE_PADDING} more tokens of padding change a log-probability by {gap:.2g} "
        f"nats ({tolerance:g} are allowed): answers depend on how long the other rows "
        "of a batch are. Padding must be in segment 0, and every attention of "
        "the model must leave that segment out; check a model of your own for this."
    )
    return Finding(PADDING, "wrong", gap, says)


def check_cache(case: Case) -> Finding:
    """Compares teacher forcing with one step at a time from a key/value cache."""
    batch = case.with_text_targets()
    whole = log_probs(case, case.params, batch)
    with jax.default_matmul_precision("highest"):
        steps = fetch(_stepwise(writer_of(case.exact), case.params, case.place(batch)))
    gap = _largest_gap(whole, steps, batch)
    tolerance = INT8_TOLERANCE if case.is_quantised else TOLERANCE
    if gap <= tolerance:
        says = (
            "Decoding step by step from a cache gives the log-probabilities of the "
            f"forward pass, to {gap:.1e} nats ({tolerance:g} are allowed)."
        )
        return Finding(CACHE, "ok", gap, says)
    says = (
        "Decoding step by step from a cache gives log-probabilities that are "
        f"{gap:.2g} nats off those of the forward pass ({tolerance:g} are allowed): "
        "training and answering see different models. Scores by 'greedy' and 'beam' "
        "mean nothing until the model's decode_step is mended; 'rank' uses no cache."
    )
    return Finding(CACHE, "wrong", gap, says)


def check_folding(case: Case) -> Finding:
    """Compares a prompt in every row with the prefix that a decoder makes of it.

    Raises:
        ValueError: If the case has no folded rows: with an encoder no prompt folds.
    """
    if case.folded is None:
        raise ValueError(f"{case.backbone.name} folds no prompts")
    rows = log_probs(case, case.params, case.rows)
    gap = _largest_gap(rows, log_probs(case, case.params, case.folded), case.rows)
    tolerance = INT8_TOLERANCE if case.is_quantised else TOLERANCE
    if gap <= tolerance:
        says = (
            "The prompt computed once, as a prefix, gives the log-probabilities of the "
            f"prompt in every row, to {gap:.1e} nats ({tolerance:g} are allowed)."
        )
        return Finding(FOLDING, "ok", gap, says)
    says = (
        "The prompt computed once, as a prefix, gives log-probabilities that are "
        f"{gap:.2g} nats off those of the prompt in every row ({tolerance:g} are "
        "allowed): runs train and answer with the prefix, so their prompts mean "
        "nothing elsewhere until the model's keys_values is mended."
    )
    return Finding(FOLDING, "wrong", gap, says)


def check_adaptation(case: Case) -> Finding:
    """Measures how likely the frozen model begins an answer with a sentinel."""
    ids = sentinel_ids(case.vocabulary)
    if not ids:
        reason = "The vocabulary has no sentinels, so span corruption left no trace."
        return skipped(ADAPTATION, reason)
    first_BV = case.alone_log_probs[:, 0]
    ids = [number for number in ids if number < first_BV.shape[1]]
    share = float(np.exp(first_BV[:, ids]).sum(axis=1).mean())
    if share < SENTINEL_SHARE:
        says = (
            "Without a prompt the model begins its answer with a sentinel of span "
            f"corruption with a probability of {share:.1%}; without LM adaptation it "
            "would be nearly always."
        )
        return Finding(ADAPTATION, "ok", share, says)
    says = (
        "Without a prompt the model begins its answer with a sentinel of span "
        f"corruption with a probability of {share:.1%}: it was not adapted to plain "
        "text, and prompts learn badly on it. Use an LM-adapted checkpoint, as "
        "google/t5-base-lm-adapt, or adapt it with gin/recipes/lester2021/lm_adapt.gin."
    )
    return Finding(ADAPTATION, "wrong", share, says)


def sentinel_ids(vocabulary: Any) -> list[int]:
    """Finds the ids of <extra_id_0>, <extra_id_1> and so on; none if there are none."""
    found = []
    for number in range(_SENTINELS):
        piece = f"<extra_id_{number}>"
        try:
            ids = vocabulary.encode(piece)
        except ValueError:  # The model's table has no row for it.
            continue
        if len(ids) != 1 or vocabulary.decode(ids).strip() != piece:
            break
        found.append(int(ids[0]))
    return found


def _more_padding(batch: Batch) -> Batch:
    inputs, targets = batch.inputs.shape[1], batch.targets.shape[1]
    return resize(batch, inputs + _MORE_PADDING, targets + _MORE_PADDING)


def _largest_gap(
    one: Float[np.ndarray, "B L V"], other: Float[np.ndarray, "B L V"], batch: Batch
) -> float:
    """Returns the largest difference over real target tokens; infinite for a NaN."""
    gaps_BL = np.abs(one - other).max(axis=-1)
    real_BL = np.asarray(batch.target_segments) > 0
    return float(np.nan_to_num(gaps_BL[real_BL], nan=np.inf).max())


@functools.partial(jax.jit, static_argnums=0)
def _stepwise(backbone: Writer, params: Params, batch: Batch) -> Float[Array, "B L V"]:
    """Scores the given targets as decoding does: one after another."""
    model = params["model"]
    encoded = prompted_encode(backbone, params, batch)
    length = batch.targets.shape[1]
    cache = backbone.start_cache(model, encoded, length)

    def step(cache: Any, token: tuple[Array, Array]) -> tuple[Any, Array]:
        ids_B, index = token
        y_B1D = prompted_embed(backbone, params, ids_B[:, None], batch.members)
        logits_BV, cache = backbone.decode_step(model, cache, y_B1D[:, 0], index)
        return cache, jax.nn.log_softmax(logits_BV)

    tokens = (batch.target_inputs.T, jnp.arange(length))
    _, log_probs_LBV = jax.lax.scan(step, cache, tokens)
    return log_probs_LBV.swapaxes(0, 1)
