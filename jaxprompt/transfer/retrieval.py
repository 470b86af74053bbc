"""Which prompts of a bank are nearest to one, and a prompt that is a mix of several."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxprompt.prompts.prompt import Prompt, stack
from jaxprompt.transfer.similarity import SIMILARITIES, check_rows, keep_rows

STARTS = ("best", "mean", "weighted")
"""What training may start from: the nearest prompt alone, the mean of the nearest, or
their mean with weights in proportion to their similarities."""


class Near(NamedTuple):
    """A prompt of a bank.

    Attributes:
        place: Its number in the bank.
        similarity: To the prompt that was asked for.
    """

    place: int
    similarity: float


def rank(
    rows: Float[np.ndarray, "P D"],
    bank: Float[np.ndarray, "prompts P D"],
    by: str,
    mask: Bool[np.ndarray, " P"] | None = None,
) -> list[Near]:
    """Orders the prompts of a bank by their similarity to one, the nearest first.

    Args:
        rows: Soft tokens of the prompt.
        bank: Soft tokens of the bank's prompts. Equals stay in their order.
        by: One of `similarity.SIMILARITIES`.
        mask: Which rows count; None for all.

    Raises:
        ValueError: If the similarity is unknown, or the mask does not fit.

    Source: Vu et al. 2022, sec. 4.2 (SPoT, arXiv:2110.07904), who rank by C_meanpool.
    """
    if by not in SIMILARITIES:
        raise ValueError(
            f"unknown similarity {by!r}: use one of {', '.join(SIMILARITIES)}"
        )
    kept = keep_rows(np.concatenate([rows[None], bank]), mask)
    check_rows(kept, mask)
    found = [SIMILARITIES[by](kept[0], other) for other in kept[1:]]
    order = sorted(range(len(found)), key=lambda place: -found[place])
    return [Near(place, found[place]) for place in order]


def start_weights(nearest: Sequence[Near], start: str) -> list[float]:
    """Returns what each of the nearest prompts counts in a start.

    Args:
        nearest: From `rank`, as many as are to be used.
        start: One of `STARTS`.

    Returns:
        Weights whose sum is 1; of "best", 1 for the first and no others.

    Raises:
        ValueError: If the start is unknown, or a similarity of zero or less gives no
            weight.

    Source: Vu et al. 2022, sec. 4.2: the best of the top k, and the weighted average
    with alpha_r = sim_r / sum of all sim.
    """
    if start not in STARTS:
        raise ValueError(f"unknown start {start!r}: use one of {', '.join(STARTS)}")
    if start == "best":
        return [1.0]
    if start == "mean":
        return [1 / len(nearest)] * len(nearest)
    values = [near.similarity for near in nearest]
    if min(values) <= 0:
        raise ValueError(
            f"a similarity of {min(values):.4f} gives no weight: take fewer of the "
            "nearest, or start from their mean"
        )
    return [value / sum(values) for value in values]


def mix(prompts: Sequence[Prompt], weights: Sequence[float]) -> Prompt:
    """Adds up prompts, each times its weight: soft tokens, and keys and values.

    Args:
        prompts: Banks of one, of one form.
        weights: One for each, whatever their sum.

    Returns:
        A bank of one.

    Raises:
        ValueError: If there is not one finite weight for each, or forms differ.
    """
    if len(weights) != len(prompts) or not np.isfinite(weights).all():
        raise ValueError(
            f"weights {list(weights)} for {len(prompts)} prompts: give each one number"
        )
    bank, weights_M = stack(prompts), jnp.asarray(weights, jnp.float32)
    return jax.tree.map(
        lambda leaf: jnp.einsum("m,m...->...", weights_M, leaf)[None], bank
    )
