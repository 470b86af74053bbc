"""The optimizers, their learning rates, and the one mask that says what trains."""

import math
from collections.abc import Callable, Mapping, Set
from typing import Any, TypeAlias

import jax
import optax
from jaxtyping import Array, Bool

from jaxprompt.parameters import TABLE, ParameterKind, kind_of
from jaxprompt.shapes import Params

Mask: TypeAlias = Mapping[str, bool]
"""For each part of the joined tree, whether it is frozen; see `shapes.Params`."""

SHARED = "model"
"""The part that all members of a bank share. Of every other part, each leaf leads with
the members M, and each member's is updated as it would be alone."""

MASKS: Mapping[str, Mask] = {
    "prompt": {"model": True, "prompt": False, "head": True},
    "prompt+head": {"model": True, "prompt": False, "head": False},
    "head": {"model": True, "prompt": True, "head": False},
    "model": {"model": False, "prompt": True, "head": True},
    "model+head": {"model": False, "prompt": True, "head": False},
}
"""What trains -> its mask: read by the optimizer, the step, the checkpoint and the
report."""

FREEZE = MASKS["prompt"]
"""Prompt tuning."""

MODEL_TUNING = MASKS["model"]
"""The baseline, pre-training and LM adaptation: the same code, another mask."""

OPTIMIZERS = ("adafactor", "adamw")

SCHEDULES = ("constant", "linear", "cosine", "inverse_sqrt", "exponential")

ENDING = ("linear", "cosine")
"""Schedules that end with the run: in a longer one each step has another rate."""


def make_schedule(
    name: str,
    peak: float,
    *,
    steps: int,
    warmup: int = 0,
    falls_to: float = 0.95,
    falls_every: int = 0,
) -> optax.Schedule:
    """Makes a learning-rate schedule.

    Args:
        name: "constant"; "linear" or "cosine" decay to 0 at `steps`; "inverse_sqrt",
            which falls from `peak` as sqrt(warmup / step); or "exponential", which is
            multiplied by `falls_to` after every `falls_every` steps.
        peak: Highest rate, reached after the warm-up.
        steps: Length of the run, in steps.
        warmup: Steps of linear warm-up from 0.
        falls_to: Factor of "exponential", from 0 to 1.
        falls_every: Steps between its falls, 1 or more.

    Returns:
        A function from the step to the rate.

    Raises:
        ValueError: If the name is unknown, the rate is not positive and finite, or
            the warm-up is not shorter than the run.
    """
    if not 0 < peak < math.inf:
        raise ValueError(
            f"learning rate {peak}: use a positive rate that is finite, as 0.3"
        )
    if not 0 <= warmup < steps:
        raise ValueError(
            f"warmup of {warmup} steps in a run of {steps}: it must be 0 or more, and "
            "shorter than the run"
        )
    decay_steps = steps - warmup
    match name:
        case "constant":
            after = optax.constant_schedule(peak)
        case "linear":
            after = optax.linear_schedule(peak, 0.0, decay_steps)
        case "cosine":
            after = optax.cosine_decay_schedule(peak, decay_steps)
        case "inverse_sqrt":
            after = _inverse_sqrt(peak, max(warmup, 1))
        case "exponential":
            if falls_every < 1 or not 0 < falls_to <= 1:
                raise ValueError(
                    f"schedule 'exponential' by {falls_to} every {falls_every} steps: "
                    "use a factor above 0 and up to 1, and 1 step or more, as those of "
                    "an epoch"
                )
            after = optax.exponential_decay(peak, falls_every, falls_to, staircase=True)
        case _:
            raise ValueError(f"unknown schedule {name!r}: use one of {list(SCHEDULES)}")
    if not warmup:
        return after
    rise = optax.linear_schedule(0.0, peak, warmup)
    return optax.join_schedules([rise, after], [warmup])


def _inverse_sqrt(peak: float, start: int) -> optax.Schedule:
    return lambda step: peak * (start / (start + step)) ** 0.5


def adafactor(
    learning_rate: optax.ScalarOrSchedule = 0.3,
    *,
    weight_decay: float = 1e-5,
    decay_rate: float = 0.8,
    decay_offset: int = 0,
    parameter_scale: bool = False,
) -> optax.GradientTransformation:
    """Makes Adafactor with prompt tuning's settings.

    The second moment is factored from 128 rows and columns on, so that of a prompt of
    P = 100 is not. The released T5X configuration counts steps from the pre-trained
    checkpoint's 1,100,000; `decay_offset=-1_100_000` does as it does.

    Args:
        learning_rate: Rate or schedule.
        weight_decay: Share taken off every weight in each step, whatever the rate.
        decay_rate: Exponent of the second moment's decay, 0 or more.
        decay_offset: Step at which the second moment's decay starts, 0 or less.
        parameter_scale: Whether a step is also multiplied by the root mean square of
            what it changes, as T5's own training does.

    Returns:
        The optimizer, of one prompt or of the model.

    Raises:
        ValueError: If the second moment would be no number.

    Source: Lester et al. 2021, sec. 3.1 (arXiv:2104.08691): rate 0.3, weight decay
    1e-5, beta2 decay 0.8, parameter scaling off; clipping at 1.0 and factoring from
    128 are T5X's defaults.
    """
    # Step n decays by 1 - (n - offset) ** -rate: a share from 0 to 1, or no number.
    if decay_offset > 0 or not 0 <= decay_rate < math.inf:
        raise ValueError(
            f"decay_offset {decay_offset}, decay_rate {decay_rate} of 'adafactor': its "
            "second moment would be no number after the first steps, so use an offset "
            "of 0 or less, as -1_100_000 for a checkpoint that trained for so many "
            "steps, and a rate of 0 or more"
        )
    return optax.adafactor(
        learning_rate,
        min_dim_size_to_factor=128,
        decay_rate=decay_rate,
        decay_offset=decay_offset,
        multiply_by_parameter_scale=parameter_scale,
        clipping_threshold=1.0,
        weight_decay_rate=weight_decay,
        eps=1e-30,
    )


def adamw(
    learning_rate: optax.ScalarOrSchedule = 1e-3,
    *,
    weight_decay: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """Makes Adam with decoupled weight decay, which spares norms and biases.

    Args:
        learning_rate: Rate or schedule.
        weight_decay: Share taken off a weight in each step, times the rate.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        epsilon: Added to the root of the second moment.

    Returns:
        The optimizer, of one prompt or of the model, in a tree with the names of
        `parameters`.

    Source: Loshchilov and Hutter 2019, algorithm 2 (arXiv:1711.05101).
    """
    return optax.adamw(
        learning_rate,
        b1=beta1,
        b2=beta2,
        eps=epsilon,
        weight_decay=weight_decay,
        mask=_decays,
    )


def _decays(params: optax.Params) -> Any:
    """Says of each leaf whether weight decay applies to it."""
    return jax.tree.map_with_path(lambda path, _: _kind_at(path).decays, params)


def _kind_at(path: jax.tree_util.KeyPath) -> ParameterKind:
    return kind_of(jax.tree_util.keystr(path, simple=True, separator="/"))


def clipped(
    tx: optax.GradientTransformation, norm: float
) -> optax.GradientTransformation:
    """Scales gradients down to a global L2 norm before an optimizer sees them.

    Args:
        tx: The optimizer.
        norm: Largest norm; 0 for no clipping.

    Raises:
        ValueError: If the norm is negative, or no number.
    """
    if not norm >= 0:  # NaN is neither.
        raise ValueError(f"clip norm {norm}: use a positive norm, or 0 for none")
    return optax.chain(optax.clip_by_global_norm(norm), tx) if norm else tx


def embeddings_at(
    tx: optax.GradientTransformation, share: float
) -> optax.GradientTransformation:
    """Lets a model's embedding table take only a share of the optimizer's steps.

    A tied table gets a gradient for every row in every step, which wears away what the
    rows of rare words began with.

    Args:
        tx: The optimizer.
        share: From 0, which leaves the table as it is, to 1.

    Raises:
        ValueError: If the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"embedding share {share}: use a share from 0 to 1")

    def is_table(path: jax.tree_util.KeyPath, _: object) -> bool:
        return _kind_at(path) is TABLE

    def only_tables(params: optax.Params) -> optax.Params:
        return jax.tree.map_with_path(is_table, params)

    if share == 1:
        return tx
    return optax.chain(tx, optax.masked(optax.scale(share), only_tables))


def per_member(
    tx: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Runs an optimizer for each member of a bank on its own, over the leading axis M.

    Clipping, norms and factored moments then never mix members. Its `update` takes one
    more argument, `present`: the members [M] that the batch trains. The others stay as
    they are: no weight decay, and the step that their moments and rate count does not
    pass either. Without it, all are present.
    """

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        *,
        present: Bool[Array, " M"] | None = None,
        **_: object,
    ) -> tuple[optax.Updates, optax.OptState]:
        new = jax.vmap(tx.update)(updates, state, params)
        if present is None:
            return new
        old = optax.tree.zeros_like(updates), state
        return jax.vmap(optax.tree.where)(present, new, old)

    return optax.GradientTransformationExtraArgs(jax.vmap(tx.init), update)


def train_only(
    tx: optax.GradientTransformation, freeze: Mask = FREEZE
) -> optax.GradientTransformationExtraArgs:
    """Masks every parameter that `freeze` names: the rest learn by `tx`.

    What a member has of its own, as its prompt and its head, is one tree to the
    optimizer, and so are a model and its head: a norm that gradients are clipped to is
    that of all of it.

    Args:
        tx: The optimizer of one member's own parts, or of the model and its head.
        freeze: The mask.

    Returns:
        An optimizer over the joined tree, whose state holds nothing of what is frozen.
        Its `update` wants no gradient of it either: pass `optax.MaskedNode()` there.
        (Given one, `optax.masked` would hand it through as an update.) It takes
        `present`, as `per_member` does.
    """
    trained = {part for part, frozen in freeze.items() if not frozen}
    own = tx if SHARED in trained else per_member(tx)
    return optax.chain(optax.masked(own, _only(trained)))


def _only(parts: Set[str]) -> Callable[[Params], dict[str, bool]]:
    """Makes a mask of optax, which says what an optimizer is for."""
    return lambda params: {part: part in parts for part in params}
