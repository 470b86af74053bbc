"""Does the prompt reach the model: its effect, its gradients, its rows' lengths?"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxprompt.data.vocabulary.words import word_rows
from jaxprompt.doctor.case import Case, log_probs
from jaxprompt.doctor.finding import Finding, skipped
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.quantise import look_up
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.report.reading.norms import Norms, measure_norms
from jaxprompt.shapes import Batch, Params
from jaxprompt.sharding import fetch
from jaxprompt.train.loss import loss, token_shares

EFFECT, GRADIENT, NORMS = "effect of the prompt", "gradient of each row", "row norms"

NO_EFFECT, LITTLE_EFFECT = 1e-4, 1e-2
"""Shares of the probability that a prompt moves. Rounding alone moves some 1e-6."""

DEAD = 1e-6
"""Share of the median row's gradient at or below which a row has none."""

FAR, VERY_FAR = 10.0, 1000.0
"""How many times longer or shorter than the vocabulary's words rows may be."""

_SHOWN = 8


def check_effect(case: Case) -> Finding:
    """Measures how much of the answers' probability the prompt moves."""
    with_prompt = np.exp(log_probs(case, case.params, case.rows))
    # The total variation distance of the two distributions.
    moved_BL = np.abs(with_prompt - np.exp(case.alone_log_probs)).sum(axis=-1) / 2
    weights_BL = case.rows.weights
    moved = float((moved_BL * weights_BL).sum() / weights_BL.sum())
    says = f"The prompt moves {moved:.2%} of the probability of the answers' tokens"
    if moved >= LITTLE_EFFECT:
        return Finding(EFFECT, "ok", moved, f"{says}.")
    if moved >= NO_EFFECT:
        says += (
            ", which is little: the model hardly uses what stands before its answer. "
            "Try a larger or better trained model before a longer training."
        )
        return Finding(EFFECT, "warning", moved, says)
    says += (
        ": none. Its soft tokens do not reach the answer. Check that the inputs hold "
        "ids of the vocabulary's size and above, and that the model reads its inputs."
    )
    return Finding(EFFECT, "wrong", moved, says)


def without_soft_tokens(prompt: Prompt) -> str:
    """Says why there is nothing to look at, for a check of soft tokens."""
    return f"The prompt has no soft tokens: it is {prompt.told}."


def check_gradient(case: Case) -> Finding:
    """Looks for soft tokens whose gradient over the rows is nothing."""
    if not case.prompt.length:
        return skipped(GRADIENT, without_soft_tokens(case.prompt))
    gradient = _gradient(
        case.backbone, case.params["prompt"], case.params, case.place(case.rows)
    )
    norms_P = np.linalg.norm(fetch(gradient.rows[0]).astype(np.float64), axis=1)
    # An infinite or undefined gradient teaches as little as none.
    finite_P = np.isfinite(norms_P)
    median = float(np.median(norms_P[finite_P])) if finite_P.any() else 0.0
    dead = np.flatnonzero(~finite_P | (norms_P <= DEAD * median))
    if not dead.size:
        low, high = norms_P.min(), norms_P.max()
        says = (
            f"Each of the {len(norms_P)} soft tokens has a gradient, of norm {low:.2g} "
            f"to {high:.2g} over {len(case.rows.inputs)} rows."
        )
        return Finding(GRADIENT, "ok", 0, says)
    shown = ", ".join(map(str, dead[:_SHOWN]))
    more = f" and {dead.size - _SHOWN} more" if dead.size > _SHOWN else ""
    says = (
        f"{dead.size} of {len(norms_P)} soft tokens have no gradient, so training "
        f"cannot change what they do: {shown}{more}. A row far longer than a word "
        "drowns its own gradient, and a model that ignores its inputs has none to "
        "give: start from other rows, with a lower learning rate, or on another model."
    )
    return Finding(GRADIENT, "wrong", float(dead.size), says)


@functools.partial(jax.jit, static_argnums=0)
def _gradient(
    backbone: Backbone, prompt: Prompt, params: Params, batch: Batch
) -> Prompt:
    def objective(prompt: Prompt) -> Float[Array, ""]:
        joined = {**params, "prompt": prompt}
        shares = token_shares(batch, prompt.members)
        return loss(backbone, joined, batch, shares)[0]

    return jax.grad(objective)(prompt)


def check_norms(case: Case) -> Finding:
    """Compares the lengths of the prompt's rows with those of the words' embeddings."""
    if not case.prompt.length:
        return skipped(NORMS, without_soft_tokens(case.prompt))
    table: Any = case.backbone.table(case.params["model"])
    words = word_norms(table, case.vocabulary)
    rows = measure_norms(case.prompt.soft_rows())
    ratio = rows.median / words.median if words.median else float("inf")
    far = max(ratio, 1 / ratio) if ratio else float("inf")
    says = (
        f"Soft tokens have a median length of {rows.median:.3g}, words of the "
        f"vocabulary of {words.median:.3g}"
    )
    if far <= FAR:
        return Finding(NORMS, "ok", ratio, f"{says}.")
    long = ratio > 1
    cause = "the learning rate is too high" if long else "the start is too small"
    if far <= VERY_FAR:
        says += (
            f". That is far off, though some prompts work so. If it scores badly, "
            f"{cause}: "
        )
        says += "lower it" if long else "start from 'vocabulary' or 'class_labels'"
        return Finding(NORMS, "warning", ratio, f"{says}.")
    says += f". No word is like that: {cause}. "
    says += (
        "Lower it, and train anew."
        if long
        else "Start from 'vocabulary' or 'class_labels', and train anew."
    )
    return Finding(NORMS, "wrong", ratio, says)


def word_norms(table: Any, vocabulary: Any) -> Norms:
    """Measures the embeddings of the words: no sentinels, padding or unused rows.

    Args:
        table: The frozen embedding table [V, D], in any dtype or int8.
        vocabulary: The backbone's vocabulary.
    """
    ids = np.flatnonzero(word_rows(vocabulary, table.shape[0]))
    return measure_norms(fetch(look_up(table, jnp.asarray(ids))))
