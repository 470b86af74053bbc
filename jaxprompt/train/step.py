"""The train step: one pure function of (state, frozen, batch)."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

from jaxprompt.heads.head import Head
from jaxprompt.heads.words import WORDS
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.trained import expanded
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.loss import loss, shares_of, token_totals
from jaxprompt.train.optimizer import FREEZE, Mask


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that a step changes, and all that a checkpoint holds.

    Attributes:
        step: Steps taken, an int32 scalar.
        trained: The part of the joined tree that trains.
        opt_state: The optimizer's state, of that part only.
    """

    step: jax.Array
    trained: Params
    opt_state: Any


TrainStep = Callable[[TrainState, Params, Any], tuple[TrainState, dict[str, jax.Array]]]
"""From a state, the frozen tree and a batch, or its parts, to the next state."""

Sums = tuple[Params, dict[str, jax.Array]]
"""Gradients, and the metrics that go with them, each a sum over rows."""


def split(params: Params, freeze: Mask) -> tuple[Params, Params]:
    """Splits the joined tree into what trains and what is frozen."""
    trained = {part: tree for part, tree in params.items() if not freeze[part]}
    frozen = {part: tree for part, tree in params.items() if freeze[part]}
    return trained, frozen


def masked(trained: Params, freeze: Mask) -> Params:
    """Puts optax's own placeholder where the joined tree is frozen."""
    return {part: trained.get(part, optax.MaskedNode()) for part in freeze}


def state_bytes(
    params: Params, tx: optax.GradientTransformation, freeze: Mask
) -> tuple[int, int]:
    """Returns the bytes of what trains, and those of a whole `TrainState` of it.

    Args:
        params: The joined tree; see `shapes.Params`.
        tx: The masked optimizer, from `train_only`.
        freeze: The mask.
    """
    trained, _ = split(params, freeze)
    opt_state = jax.eval_shape(tx.init, masked(trained, freeze))
    trained, opt_state = (
        sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
        for tree in (trained, opt_state)
    )
    return trained, trained + opt_state


def init_state(
    params: Params,
    tx: optax.GradientTransformation,
    freeze: Mask = FREEZE,
) -> tuple[TrainState, Params]:
    """Makes the first state of a run.

    Args:
        params: The joined tree; see `shapes.Params`.
        tx: The masked optimizer, from `train_only`.
        freeze: The mask.

    Returns:
        The state, with copies of what trains (the step donates it), all on the devices
        that the parameters are on, and the frozen rest of the tree, as it is.
    """
    trained, frozen = split(params, freeze)
    trained = jax.tree.map(jnp.copy, trained)
    opt_state = tx.init(masked(trained, freeze))
    # Committed to the places where the step will leave them: a second call with other
    # places would compile anew.
    trained = jax.device_put(trained, jax.tree.map(lambda x: x.sharding, trained))
    step, opt_state = jax.device_put(
        (jnp.zeros((), jnp.int32), opt_state),
        _replicated_beside(jax.tree.leaves(trained)[0]),
    )
    return TrainState(step, trained, opt_state), frozen


def _replicated_beside(array: jax.Array) -> jax.sharding.Sharding:
    sharding = array.sharding
    if isinstance(sharding, jax.NamedSharding):
        return jax.NamedSharding(sharding.mesh, jax.P())
    return sharding


def make_train_step(
    backbone: Backbone,
    tx: optax.GradientTransformationExtraArgs,
    *,
    freeze: Mask = FREEZE,
    head: Head = WORDS,
    seeds: Sequence[int] = (0,),
    z_loss: float = 1e-4,
    accumulate: int = 1,
) -> TrainStep:
    """Compiles the step of a run; one trace serves every step and every prompt.

    Args:
        backbone: The frozen model's functions. Its dropout rate applies.
        tx: The masked optimizer, from `train_only`.
        freeze: The mask.
        head: What turns the model's states into answers.
        seeds: Seeds of the dropout, which is a function of them and the step: one for
            each of as many equal groups of rows, as a bank's members are.
        z_loss: Factor of the z-loss.
        accumulate: Microbatches A that the batch is split into, one after another;
            they must divide the rows B. The update is that of the whole batch.

    Returns:
        `train_step(state, frozen, batch) -> (state, metrics)`. The state is donated;
        the frozen tree is an argument, never donated and never returned. Metrics are
        float32 scalars: "loss" and "accuracy" (means over the members that have rows
        in the batch; the others stay as they are), and "gradient_norm" (L2, of what
        trains).

    Raises:
        ValueError: If `accumulate` is not 1 or more, or (from `train_step`) does not
            divide the rows of a batch.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate {accumulate}: use 1 or more microbatches")

    fold_in = jax.vmap(jax.random.fold_in, (0, None))
    gradients = functools.partial(loss_gradients, backbone, head=head, z_loss=z_loss)

    def accumulated(
        trained: Params,
        frozen: Params,
        batch: Batch,
        shares: jax.Array,
        keys_M: jax.Array,
    ) -> Sums:
        # Every A-th row goes to the same microbatch, so that rows stay on the device
        # that has them when the data axis splits B.
        parts = jax.tree.map(
            lambda x: x.reshape(-1, accumulate, *x.shape[1:]).swapaxes(0, 1),
            (batch, shares),
        )

        def add(total: Any, part: Any) -> tuple[Any, None]:
            index, (rows, row_shares) = part
            part_keys = fold_in(keys_M, index)
            sums = gradients(trained, frozen, rows, row_shares, part_keys)
            return jax.tree.map(jnp.add, total, sums), None

        sums, _ = jax.lax.scan(
            add, no_gradients(trained), (jnp.arange(accumulate), parts)
        )
        return sums

    def train_step(
        state: TrainState, frozen: Params, batch: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        rows = batch.inputs.shape[0]
        if rows % accumulate:
            raise ValueError(
                f"a batch of {rows} rows does not split into {accumulate} microbatches:"
                f" use a batch size that {accumulate} divides"
            )
        params = {**frozen, **state.trained}
        totals_M = token_totals(batch, params["prompt"].members)
        seeds_M = jnp.asarray(seeds, jnp.uint32)
        keys_M = fold_in(jax.vmap(jax.random.key)(seeds_M), state.step)
        compute = gradients if accumulate == 1 else accumulated
        shares = shares_of(batch, totals_M)
        sums = compute(state.trained, frozen, batch, shares, keys_M)
        return updated(state, sums, totals_M > 0, tx, freeze)

    return jax.jit(train_step, donate_argnames="state")


def loss_gradients(
    backbone: Backbone,
    trained: Params,
    frozen: Params,
    batch: Batch,
    shares: Float[Array, "B L"],
    keys_M: Key[Array, " M"] | None = None,
    *,
    head: Head,
    z_loss: float,
) -> Sums:
    """Differentiates the loss of some rows by what trains, and by nothing else.

    Args:
        backbone: The frozen model's functions.
        trained: The part of the joined tree that trains.
        frozen: The rest of it.
        batch: The rows.
        shares: Weight of each token among those of the whole batch; see
            `train.loss.token_shares`.
        keys_M: Keys of the dropout; None for no dropout.
        head: What turns the model's states into answers.
        z_loss: Factor of the z-loss.

    Returns:
        Gradients, and sums over the rows: "loss" and "accuracy". Those of all parts of
        a batch add up to those of the batch.
    """

    def objective(trained: Params) -> tuple[jax.Array, dict[str, jax.Array]]:
        params = expanded({**frozen, **trained})
        options = {"head": head, "z_loss": z_loss, "dropout_key": keys_M}
        return loss(backbone, params, batch, shares, **options)

    return jax.grad(objective, has_aux=True)(trained)


def no_gradients(trained: Params) -> Sums:
    """Returns the sums of `loss_gradients` over no rows."""
    zeros = jax.tree.map(jnp.zeros_like, trained)
    return zeros, {"loss": jnp.zeros(()), "accuracy": jnp.zeros(())}


def updated(
    state: TrainState,
    sums: Sums,
    present_M: Bool[Array, " M"],
    tx: optax.GradientTransformationExtraArgs,
    freeze: Mask,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Takes the step that the gradients of a whole batch ask for.

    Args:
        state: The state before it.
        sums: From `loss_gradients`, over all rows.
        present_M: Whether each member has rows in the batch.
        tx: The masked optimizer.
        freeze: The mask.

    Returns:
        The state behind it, and the metrics of `make_train_step`.
    """
    grads, totals = sums
    updates: Any
    updates, opt_state = tx.update(
        masked(grads, freeze),
        state.opt_state,
        masked(state.trained, freeze),
        present=present_M,
    )
    updates = {part: updates[part] for part in state.trained}
    trained: Any = optax.apply_updates(state.trained, updates)
    num_present = jnp.maximum(present_M.sum(dtype=jnp.float32), 1.0)
    metrics = {name: value / num_present for name, value in totals.items()}
    metrics["gradient_norm"] = optax.tree.norm(grads)
    return TrainState(state.step + 1, trained, opt_state), metrics
