"""Choosing by a head that writes no words, and how likely choices and labels are."""

from collections.abc import Callable
from typing import TypeAlias

import jax
from jaxtyping import Array, Float

from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.rank import make_label_scores
from jaxprompt.evaluate.score import Predict
from jaxprompt.heads.head import Scorer
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params

Likely: TypeAlias = Callable[[Params, Batch], Float[Array, "B ..."]]
"""From the joined tree and a batch to how likely the choices of each row are."""


def make_choose(
    backbone: Backbone, head: Scorer, place: Callable[[Batch], Batch] = jax.device_put
) -> Predict:
    """Compiles the way from a batch to what the head finds in each row.

    Args:
        backbone: The frozen model's functions.
        head: The head.
        place: Moves a batch of NumPy arrays to the devices.

    Returns:
        A function of the joined tree and a batch; prompts and heads are arguments.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        return head.find(backbone, params, batch)

    def predict(params: Params, batch: Batch, examples: int | None = None) -> jax.Array:
        if examples is not None:
            raise ValueError(
                f"a head of {head.name} for rows that hold several examples: do not "
                "pack"
            )
        return compiled(params, place(batch))

    return predict


def make_likely(
    backbone: Backbone, head: Scorer, place: Callable[[Batch], Batch] = jax.device_put
) -> Likely:
    """Compiles the way from a batch to how likely the choices are, float32.

    Args:
        backbone: The frozen model's functions.
        head: The head.
        place: Moves a batch of NumPy arrays to the devices.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        return head.likely(backbone, params, batch)

    return lambda params, batch: compiled(params, place(batch))


def make_word_scores(
    backbone: Backbone,
    task: Task,
    length: int,
    place: Callable[[Batch], Batch] = jax.device_put,
) -> Likely:
    """Compiles the way from a batch to the log-probability of each label's words.

    Args:
        backbone: The frozen model's functions.
        task: Whose label words are ranked.
        length: Target length L, which each word has to fit into.
        place: Moves a batch of NumPy arrays to the devices.

    Returns:
        A function to [B, C], in nats, float32.

    Raises:
        ValueError: If the task has no labels, or one does not fit.
    """
    scores = make_label_scores(backbone, task, length)

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        return scores(params, batch, 1)[:, 0]

    return lambda params, batch: compiled(params, place(batch))
