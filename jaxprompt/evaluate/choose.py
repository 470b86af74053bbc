"""Predictions of a head of labels: the likeliest one, and how likely each is."""

from collections.abc import Callable
from typing import TypeAlias

import jax
from jaxtyping import Array, Float

from jaxprompt.evaluate.score import Predict
from jaxprompt.heads.labels import Labels, answers
from jaxprompt.heads.masked import Masked
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params

Chooser: TypeAlias = Labels | Masked
"""A head that scores the labels of a task."""

Probabilities: TypeAlias = Callable[[Params, Batch], Float[Array, "B L C"]]
"""From the joined tree and a batch to the probability of each label at each place."""


def make_choose(
    backbone: Backbone, head: Chooser, place: Callable[[Batch], Batch] = jax.device_put
) -> Predict:
    """Compiles the way from a batch to target ids: the numbers of labels, from 1.

    Args:
        backbone: The frozen model's functions.
        head: The head of labels.
        place: Moves a batch of NumPy arrays to the devices.

    Returns:
        A function of the joined tree and a batch; prompts and heads are arguments.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        return answers(head.scores(backbone, params, batch), batch)

    def predict(params: Params, batch: Batch, examples: int | None = None) -> jax.Array:
        if examples is not None:
            raise ValueError(
                "a head of labels for rows that hold several examples: do not pack"
            )
        return compiled(params, place(batch))

    return predict


def make_probabilities(
    backbone: Backbone, head: Chooser, place: Callable[[Batch], Batch] = jax.device_put
) -> Probabilities:
    """Compiles the way from a batch to the probability of each label, float32.

    Args:
        backbone: The frozen model's functions.
        head: The head of labels.
        place: Moves a batch of NumPy arrays to the devices.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        return jax.nn.softmax(head.scores(backbone, params, batch), axis=-1)

    return lambda params, batch: compiled(params, place(batch))
