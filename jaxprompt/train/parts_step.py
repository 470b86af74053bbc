"""The train step of a batch in parts of several widths: less padding, one update."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxprompt.heads.head import Head
from jaxprompt.heads.words import WORDS
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.join import folded
from jaxprompt.prompts.trained import expanded
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.loss import shares_of, totals_of
from jaxprompt.train.optimizer import FREEZE, Mask
from jaxprompt.train.step import (
    Sums,
    TrainState,
    TrainStep,
    loss_gradients,
    no_gradients,
    updated,
)

Lead = tuple[int, ...]
"""What stands in front of the rows of all parts; see `shapes.Batch.lead`."""

Targets = tuple[Float[Array, "B L"], Int[Array, " B"]]
"""The weights of a part's target tokens, and the member that each row is of."""


def make_parts_step(
    backbone: Backbone,
    tx: optax.GradientTransformationExtraArgs,
    *,
    freeze: Mask = FREEZE,
    head: Head = WORDS,
    z_loss: float = 1e-4,
) -> TrainStep:
    """Compiles the step of a batch that comes as parts; one trace serves each width.

    Each part weighs its tokens by those of the whole batch, so the gradients add up to
    the batch's. The activations of one part are held at a time. What trains is made
    into what the model reads, and the lead of the parts is read, once for all of them:
    these give the gradient of what they read, which then goes the way back in one
    piece.

    Args:
        backbone: The frozen model's functions. Its dropout rate does not apply: its
            masks would not be those of the whole batch.
        tx: The masked optimizer, from `train_only`.
        freeze: The mask.
        head: What turns the model's states into answers.
        z_loss: Factor of the z-loss.

    Returns:
        A step like that of `make_train_step`, of a sequence of batches.
    """

    def read_of(trained: Params, frozen: Params, lead: Lead) -> Params:
        params = folded(backbone, expanded({**frozen, **trained}), lead)
        return {part: params[part] for part in trained}

    @functools.partial(jax.jit, static_argnames="lead")
    def begin(
        trained: Params, frozen: Params, targets: Sequence[Targets], lead: Lead
    ) -> tuple[jax.Array, Params, Sums]:
        members = {**frozen, **trained}["prompt"].members
        totals = [totals_of(weights, rows_of, members) for weights, rows_of in targets]
        read = read_of(trained, frozen, lead)
        return sum(totals, jnp.zeros(members)), read, no_gradients(read)

    @functools.partial(jax.jit, donate_argnames="sums")
    def add(
        sums: Sums,
        read: Params,
        frozen: Params,
        part: Batch,
        totals_M: jax.Array,
    ) -> Sums:
        shares = shares_of(part, totals_M)
        found = loss_gradients(
            backbone, read, frozen, part, shares, head=head, z_loss=z_loss
        )
        return jax.tree.map(jnp.add, sums, found)

    @functools.partial(jax.jit, donate_argnames="state", static_argnames="lead")
    def end(
        state: TrainState,
        frozen: Params,
        sums: Sums,
        totals_M: jax.Array,
        lead: Lead,
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        of_read, told = sums
        # It is read again rather than kept: that is one pass over the lead.
        _, pull_back = jax.vjp(
            lambda trained: read_of(trained, frozen, lead), state.trained
        )
        (grads,) = pull_back(of_read)
        return updated(state, (grads, told), totals_M > 0, tx, freeze)

    def train_step(
        state: TrainState, frozen: Params, parts: Sequence[Batch]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        # Without the inputs, whose widths differ from batch to batch: `begin` would be
        # compiled for each set of widths.
        targets = [(part.weights, part.members) for part in parts]
        # A prompt that does not train is not read here: each part reads the lead.
        lead = parts[0].lead if "prompt" in state.trained else ()
        totals_M, read, sums = begin(state.trained, frozen, targets, lead)
        for part in parts:
            rest = dataclasses.replace(part, lead=part.lead[len(lead) :])
            sums = add(sums, read, frozen, rest, totals_M)
        return end(state, frozen, sums, totals_M, lead)

    return train_step
