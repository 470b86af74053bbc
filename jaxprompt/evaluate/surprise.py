"""How unlikely the true answers are to a model: its worst mistakes are told by it."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.heads.head import Head
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params

Surprise: TypeAlias = Callable[[Params, Batch], Float[Array, " B"]]
"""From the joined tree and a batch to the cross-entropy of each row's true answer."""


def make_surprise(
    backbone: Backbone, head: Head, place: Callable[[Batch], Batch] = jax.device_put
) -> Surprise:
    """Compiles the way from a batch to the cross-entropy of each true answer.

    It is the sum over the answer's tokens, or over a head's choices, in nats, float32;
    the answer's probability is exp of its negative.

    Args:
        backbone: The frozen model's functions.
        head: What scores the answers.
        place: Moves a batch of NumPy arrays to the devices.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        nats_BL = head.losses(backbone, params, batch).nats
        return jnp.sum(jnp.asarray(batch.weights) * nats_BL, axis=-1)

    return lambda params, batch: compiled(params, place(batch))
