"""Fitting a projector: towards prompts that are known, or by the tasks themselves.

The joined tree has a fourth key, "projector", which alone trains: the model is frozen,
and so are the source model's prompts, which are no leaf of it.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxprompt.heads.head import Head
from jaxprompt.heads.words import WORDS
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.loss import loss, token_shares
from jaxprompt.transfer.projector import Projector

Rows = Float[Array, "M P D"]


class Fitted(NamedTuple):
    """A projector that was fitted.

    Attributes:
        params: Its weights.
        losses: The loss before each step.
    """

    params: Params
    losses: list[float]


def distance(
    projector: Projector, params: Params, sources: Rows, targets: Float[Array, "M P E"]
) -> Float[Array, ""]:
    """Returns the mean over prompts of ||Proj(source) - target||^2.

    Source: Su et al. 2022, eq. 5 (arXiv:2111.06719), "distance minimizing".
    """
    apart = projector.apply(params, sources) - targets
    return jnp.sum(jnp.square(apart)) / len(sources)


def projected(projector: Projector, params: Params, sources: Rows) -> Params:
    """Makes the joined tree that a model reads of one with a "projector".

    Args:
        projector: Its form.
        params: "model" and "head" as in `shapes.Params`, and "projector".
        sources: Soft tokens of M prompts of the source model.
    """
    rows = projector.apply(params["projector"], jax.lax.stop_gradient(sources))
    return {"model": params["model"], "head": params["head"], "prompt": Prompt(rows)}


def task_loss(
    projector: Projector,
    backbone: Backbone,
    params: Params,
    sources: Rows,
    batch: Batch,
    *,
    head: Head = WORDS,
) -> Float[Array, ""]:
    """Returns what the target model loses behind projected prompts.

    Each member's loss is the mean over its own tokens, and the members' add up.

    Args:
        projector: Its form.
        backbone: The target model's functions.
        params: As of `projected`.
        sources: Soft tokens of M prompts of the source model.
        batch: Rows of their tasks, each of the member that it names.
        head: What turns the model's states into answers.

    Source: Su et al. 2022, eq. 6 (arXiv:2111.06719), "task tuning".
    """
    shares = token_shares(batch, len(sources))
    joined = projected(projector, params, sources)
    total, _ = loss(backbone, joined, batch, shares, head=head)
    return total / len(sources)


def fit_distance(
    projector: Projector,
    sources: Rows,
    targets: Float[Array, "M P E"],
    *,
    steps: int,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> Fitted:
    """Fits a projector to pairs of prompts of the same tasks.

    Args:
        projector: Its form.
        sources: Soft tokens of M prompts of the source model.
        targets: Those of the target model's prompts of the same tasks.
        steps: Updates, each on all pairs.
        learning_rate: Of AdamW without weight decay.
        seed: Of its start.

    Source: of the rate and the optimizer, the original's code.
    """
    start = projector.init(jax.random.key(seed))

    def of_projector(params: Params, _: None) -> jax.Array:
        return distance(projector, params, sources, targets)

    return _fit(of_projector, start, [None] * steps, learning_rate)


def fit_tasks(
    projector: Projector,
    backbone: Backbone,
    model: Params,
    sources: Rows,
    batches: Iterable[Batch],
    *,
    head: Head = WORDS,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> Fitted:
    """Fits a projector by the tasks of its prompts, through the frozen target model.

    Args:
        projector: Its form.
        backbone: The target model's functions.
        model: Its weights.
        sources: Soft tokens of M prompts of the source model.
        batches: As many as steps, on the devices: rows of the prompts' tasks.
        head: What turns the model's states into answers; one without weights.
        learning_rate: As of `fit_distance`.
        seed: As of `fit_distance`.
    """
    start = projector.init(jax.random.key(seed))

    def of_projector(params: Params, given: Any) -> jax.Array:
        weights, batch = given
        joined = {"model": weights, "head": {}, "projector": params}
        return task_loss(projector, backbone, joined, sources, batch, head=head)

    return _fit(
        of_projector, start, ((model, batch) for batch in batches), learning_rate
    )


def _fit(
    objective: Callable[[Params, Any], jax.Array],
    params: Params,
    given: Iterable[Any],
    learning_rate: float,
) -> Fitted:
    """Takes a step of AdamW on each thing that is given."""
    tx = optax.adamw(learning_rate, weight_decay=0.0)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Params, state: Any, one: Any) -> tuple[Any, Any, jax.Array]:
        value, gradient = jax.value_and_grad(objective)(params, one)
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    state, losses = tx.init(params), []
    for one in given:
        params, state, value = step(params, state, one)
        losses.append(float(value))  # Waits: who gives batches tells how far it is.
    return Fitted(params, losses)
