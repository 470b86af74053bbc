"""How likely the true answers are: their loss, and the rank of their first token."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxprompt.data.rows.row_batches import Progress, predict_rows
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.shapes import Batch, Params

TOPS = (1, 10, 100)
"""Ranks up to which a first token counts as found."""

MeasureGold = Callable[[Params, Batch], jax.Array]
"""From the joined tree and a batch to what `gold_of` gives of each row, [B, 3]."""


def gold_of(
    backbone: Backbone, params: Params, batch: Batch, *, end: int, opening: int = 0
) -> Float[Array, "B 3"]:
    """Scores the true target of each row by teacher forcing.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows of one example each, with their targets.
        end: Id of end-of-sequence, which does not count.
        opening: Tokens that every target begins with, which do not count either.

    Returns:
        Of each row, float32: the cross-entropy of the target, summed over its tokens,
        in nats; how many tokens these are; and the rank of the first one among all V
        next tokens, 1 for the most likely.
    """
    logits_BLV = prompted_logits(backbone, params, batch)
    counts_BL = jnp.where(batch.targets == end, 0.0, batch.weights)
    counts_BL = counts_BL.at[:, :opening].set(0.0)
    nats_BL = optax.softmax_cross_entropy_with_integer_labels(logits_BLV, batch.targets)
    first = min(opening, batch.targets.shape[1] - 1)
    first_BV = logits_BLV[:, first]
    gold_B1 = jnp.take_along_axis(first_BV, batch.targets[:, [first]], axis=-1)
    rank_B = 1 + jnp.sum(first_BV > gold_B1, axis=-1)
    return jnp.stack(
        [
            jnp.sum(counts_BL * nats_BL, axis=-1),
            jnp.sum(counts_BL, axis=-1),
            rank_B.astype(jnp.float32),
        ],
        axis=-1,
    )


def make_gold(
    backbone: Backbone,
    end: int,
    place: Callable[[Batch], Batch] = jax.device_put,
    *,
    opening: int = 0,
) -> MeasureGold:
    """Compiles `gold_of`.

    Args:
        backbone: The frozen model's functions.
        end: Id of end-of-sequence.
        place: Moves a batch of NumPy arrays to the devices.
        opening: As of `gold_of`.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch) -> Any:
        return gold_of(backbone, params, batch, end=end, opening=opening)

    return lambda params, batch: compiled(params, place(batch))


def score_gold(
    measure: Callable[[Batch], jax.Array],
    rows: EvaluationSet,
    batch_size: int,
    members: Sequence[int] = (0,),
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Measures the true answers of a split, of several ones the first.

    Args:
        measure: From a batch to what `gold_of` gives of its rows.
        rows: The split.
        batch_size: Rows B of a batch.
        members: Numbers of the members in the bank, which share batches.
        progress: As of `data.rows.row_batches.predict_rows`.

    Returns:
        Of each member: "gold_loss", the mean cross-entropy of an answer's token without
        end-of-sequence, in nats; and of the rank of an answer's first token among all
        next tokens, "gold_mrr", the mean of one over it, and "gold_recall_1", "_10"
        and "_100", the share of ranks up to that number, all 0 to 100.
    """
    count = rows.num_examples
    batches = rows.batches(batch_size, members)
    found = predict_rows(measure, batches, count * len(members), progress)
    return [
        summarise(found[place * count : (place + 1) * count])
        for place in range(len(members))
    ]


def summarise(found: Float[np.ndarray, "rows 3"]) -> dict[str, float]:
    """Averages what `gold_of` gives over rows; see `score_gold`.

    Where no answer has a token, as an empty text, the loss is 0.
    """
    nats, tokens, rank = found.astype(np.float64).T
    return {
        "gold_loss": float(nats.sum() / max(tokens.sum(), 1)),
        "gold_mrr": float(100 * np.mean(1 / rank)),
        **{f"gold_recall_{top}": float(100 * np.mean(rank <= top)) for top in TOPS},
    }
