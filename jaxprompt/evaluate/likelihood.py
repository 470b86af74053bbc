"""How likely a model finds answers that were written already, by teacher forcing."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxprompt.heads.words import WORDS
from jaxprompt.models.backbone import Backbone
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.shapes import Batch, Params

Likelihood: TypeAlias = Callable[[Params, Batch], Float[Array, " B"]]
"""From the joined tree and a batch with answers to the log-probability of each, in
nats."""


def with_answers(rows: Batch, answers: Int[np.ndarray, "rows L"]) -> Batch:
    """Gives rows of one example each these answers as their targets.

    What an answer follows on, the first of a row's target inputs, stays as it is.

    Args:
        rows: NumPy arrays.
        answers: Target ids, end-of-sequence included, `NO_TOKEN` behind it.
    """
    is_real, answers = answers != NO_TOKEN, np.maximum(answers, 0)
    first: Any = np.asarray(rows.target_inputs)[:, :1]
    return dataclasses.replace(
        rows,
        targets=answers,
        target_inputs=np.concatenate([first, answers[:, :-1]], axis=1),
        target_segments=is_real.astype(np.int32),
        weights=is_real.astype(np.float32),
    )


def make_likelihood(
    backbone: Backbone, place: Callable[[Batch], Batch] = jax.device_put
) -> Likelihood:
    """Compiles the way from a batch to the log-probability of each row's target.

    That is the sum over its tokens, end-of-sequence included: what ranking compares.

    Args:
        backbone: The frozen model's functions.
        place: Moves a batch of NumPy arrays to the devices.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        nats_BL = WORDS.losses(backbone, params, batch).nats
        return -jnp.sum(jnp.asarray(batch.weights) * nats_BL, axis=-1)

    return lambda params, batch: compiled(params, place(batch))
