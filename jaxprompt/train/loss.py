"""The loss: what a head's answers lose, summed for each member of a bank alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.heads.head import Head
from jaxprompt.heads.words import WORDS
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params


def token_totals(batch: Batch, members: int) -> Float[Array, " M"]:
    """Sums the loss weights of each member's target tokens; 0 for one left out."""
    return totals_of(batch.weights, batch.members, members)


def totals_of(
    weights: Float[Array, "B L"], rows_of: Int[Array, " B"], members: int
) -> Float[Array, " M"]:
    """Does what `token_totals` does, from the weights and the member of each row."""
    return jnp.zeros(members).at[rows_of].add(weights.sum(axis=1))


def token_shares(batch: Batch, members: int) -> Float[Array, "B L"]:
    """Weighs each target token by its share of its member's tokens.

    Sums of per-token losses under these weights are sums over members of each one's
    mean, so a member gets the gradient that it would get alone on its rows. Computed
    on a whole batch before it is split for gradient accumulation, they make the split
    exact.

    Args:
        batch: Rows of any members.
        members: The number M of prompts in the bank.

    Returns:
        float32 weights; those of each member present sum to 1.
    """
    return shares_of(batch, token_totals(batch, members))


def shares_of(batch: Batch, totals_M: Float[Array, " M"]) -> Float[Array, "B L"]:
    """Does what `token_shares` does for a part of the batch that the totals are of."""
    return batch.weights / jnp.maximum(totals_M[batch.members], 1e-9)[:, None]


def loss(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    shares: Float[Array, "B L"],
    *,
    head: Head = WORDS,
    z_loss: float = 0.0,
    dropout_key: jax.Array | None = None,
) -> tuple[Float[Array, ""], dict[str, jax.Array]]:
    """Computes the cross-entropy of a batch's true answers.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows to learn from.
        shares: Weight of each token, from `token_shares`.
        head: What turns the model's states into answers.
        z_loss: Factor of the squared log-normaliser, which keeps logits near 0.
        dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
            dropout without it.

    Returns:
        The loss to differentiate, z-loss included, and two sums over `shares`:
        "loss" (cross-entropy, nats) and "accuracy" (of the most likely next token, or
        one of several as likely).

    Source: the z-loss is T5X's (models.py, `Z_LOSS = 1e-4`).
    """
    losses = head.losses(backbone, params, batch, dropout_key=dropout_key)
    total = jnp.sum(shares * losses.nats)
    metrics = {"loss": total, "accuracy": jnp.sum(shares, where=losses.hits)}
    if z_loss:
        total = total + z_loss * jnp.sum(shares * losses.log_z**2)
    return total, metrics
