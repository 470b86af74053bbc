"""Rank classification: which of the task's label words is the likeliest?"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.join import embed, prompted_encode
from jaxprompt.shapes import Batch, Params


def rank_labels(
    backbone: Backbone, params: Params, batch: Batch, label_ids: Int[Array, "C L"]
) -> Float[Array, "B C"]:
    """Scores every label word for every row, encoding each row once.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree {"model": ..., "prompt": ...}.
        batch: Rows with one example each; targets are not read.
        label_ids: Tokens of each label with end-of-sequence, 0 on padding.

    Returns:
        Log-probability of each label in nats, the sum over its tokens.
    """
    encoded_BTD = prompted_encode(backbone, params, batch)
    rows, classes = batch.inputs.shape[0], label_ids.shape[0]
    inputs_CL = jnp.pad(label_ids[:, :-1], ((0, 0), (1, 0)))
    y_CLD = embed(backbone.table(params["model"]), params["prompt"], inputs_CL)

    def score(label: tuple[jax.Array, jax.Array]) -> jax.Array:
        ids_L, y_LD = label
        segments_L = (ids_L > 0).astype(jnp.int32)
        logits_BLV = backbone.decode(
            params["model"],
            encoded_BTD,
            batch.input_segments,
            jnp.broadcast_to(y_LD, (rows, *y_LD.shape)),
            jnp.broadcast_to(segments_L, (rows, *segments_L.shape)),
        )
        log_probs_BLV = jax.nn.log_softmax(logits_BLV)
        picked_BL = log_probs_BLV[:, jnp.arange(ids_L.size), ids_L]
        return jnp.sum(jnp.where(ids_L[None] > 0, picked_BL, 0.0), axis=1)

    # One label after another: the logits of one label [B, L, V] are the largest array.
    scores_CB = jax.lax.map(score, (label_ids, y_CLD))
    return scores_CB.reshape(classes, rows).T
