"""Is the learning rate sane? A few rates are tried at once, each by its own member."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxprompt.data.rows.row_batches import join_members
from jaxprompt.doctor.case import Case, mean_loss
from jaxprompt.doctor.finding import Finding
from jaxprompt.doctor.prompt import without_soft_tokens, word_norms
from jaxprompt.prompts.prompt import Prompt, stack, unstack
from jaxprompt.report.reading.drift import measure_drift
from jaxprompt.train.step import init_state, make_train_step

RATE = "learning rate"

TRIAL_STEPS = 20

COMMON_RATES = (0.03, 0.3, 3.0)
"""Rates that are tried beside the run's own: Adafactor and AdamW both take steps of
about the rate's size, so what works for one prompt is near what works for others.

Source: 0.3 of Lester et al. 2021, sec. 3.1 (arXiv:2104.08691), and a tenth and ten
times of it.
"""

_NEAR = 2.0
"""Rates within this factor are not both tried."""

_ENOUGH, _LITTLE = 0.5, 0.01
"""Share of the best rate's gain that is enough, and of the loss that is no gain."""

_ORDERS = 30.0
"""From this factor on a rate is orders of magnitude off, and not just slow or bold."""

_TOO_FAR = 100.0
"""Lengths of a word that no soft token has a reason to move in a trial."""


class Trial(NamedTuple):
    """What rates did to the loss of one batch.

    Attributes:
        before: Loss of the start, in nats a token.
        losses: Rate -> the loss after the trial; infinite if it is not finite.
        moves: Rate -> how far a soft token moved, in lengths of a word; the median.
    """

    before: float
    losses: Mapping[float, float]
    moves: Mapping[float, float]


def why_untried(start: Prompt | None, reparametrise: str) -> str:
    """Says why no rates are tried; empty where they are.

    Args:
        start: What training starts from; None where nobody knows.
        reparametrise: What trains in the rows' place, or "none".
    """
    if reparametrise != "none":
        # Its numbers are of another size than rows, and so are the rates that suit it.
        return (
            f"The trial moves rows, but what trains is their reparametrisation "
            f"{reparametrise!r}, which other rates suit."
        )
    if start is None:
        return "The prompt's file does not say what its training started from."
    return "" if start.length else without_soft_tokens(start)


def rates_to_try(rate: float) -> list[float]:
    """Returns the rate, a tenth and ten times of it, and common rates between."""
    rates = [rate, rate / 10, rate * 10]
    for common in COMMON_RATES:
        if all(max(common / r, r / common) >= _NEAR for r in rates):
            rates.append(common)
    return sorted(rates)


def try_rates(
    case: Case,
    start: Prompt,
    tx: optax.GradientTransformationExtraArgs,
    rates: Sequence[float],
    *,
    z_loss: float = 0.0,
    seed: int = 0,
) -> Trial:
    """Trains the same start on the same rows with each of the rates.

    Args:
        case: The model and the rows.
        start: A bank of one.
        tx: The masked optimizer at the rate 1, without weight decay: its updates are
            then in proportion to the rate.
        rates: The rates R, each that of one member of a bank.
        z_loss: As of `train.step.make_train_step`.
        seed: Of the dropout.
    """
    count = len(rates)
    factors_M = np.asarray(rates, np.float32)

    def scale(updates: Any, _: Any = None) -> Any:
        return jax.tree.map(
            lambda leaf: leaf * factors_M.reshape(-1, *(1,) * (leaf.ndim - 1)), updates
        )

    scaled = optax.chain(tx, optax.stateless(scale))
    step = make_train_step(case.backbone, scaled, seeds=[seed] * count, z_loss=z_loss)
    state, frozen = init_state(case.join(stack([start] * count)), scaled)
    batch = case.place(join_members([(m, case.rows) for m in range(count)]))
    for _ in range(TRIAL_STEPS):
        state, _ = step(state, frozen, batch)

    def loss_of(prompt: Prompt) -> float:
        nats = mean_loss(case, prompt)
        return nats if math.isfinite(nats) else math.inf

    words = word_norms(case.backbone.table(frozen["model"]), case.vocabulary)
    ends = dict(zip(rates, unstack(state.trained["prompt"]), strict=True))
    moves = {
        rate: float(np.median([drift.distance for drift in measure_drift(end, start)]))
        for rate, end in ends.items()
    }
    return Trial(
        before=loss_of(start),
        losses={rate: loss_of(end) for rate, end in ends.items()},
        moves={rate: move / words.median for rate, move in moves.items()},
    )


def check_rate(trial: Trial, rate: float, steps: int) -> Finding:
    """Judges the run's rate by what it and others did.

    Args:
        trial: From `try_rates`.
        rate: The run's highest rate.
        steps: Steps of the run.
    """
    # A rate that throws the prompt out of the embeddings' range helps by chance alone.
    gains = {
        r: trial.before - nats
        for r, nats in trial.losses.items()
        if trial.moves[r] <= _TOO_FAR
    }
    most = max(gains.values(), default=0.0)
    good = [r for r, gain in gains.items() if 0 < _ENOUGH * most <= gain]
    best = min(good or COMMON_RATES[1:2], key=lambda r: abs(math.log(r / rate)))
    tried = ", ".join(f"{r:g} to {nats:.3g}" for r, nats in trial.losses.items())
    says = (
        f"{TRIAL_STEPS} steps on one batch take its loss from {trial.before:.3g} nats "
        f"with a rate of {tried}."
    )
    if rate not in gains:
        says += (
            f" The run's {rate:g} moves soft tokens {trial.moves[rate]:,.0f} times the "
            f"length of a word: it is orders of magnitude too high. Use {best:g}."
        )
        return Finding(RATE, "wrong", rate, says)
    if most <= _LITTLE * trial.before:
        says += " None helps, so the rate is not what is wrong: see the other checks."
        return Finding(RATE, "warning", rate, says)
    if rate in good:
        return Finding(RATE, "ok", rate, f"{says} The run's {rate:g} is sane.")
    if best < rate:
        says += (
            f" The run's {rate:g} is {rate / best:,.0f} times too high: use {best:g}."
        )
        verdict = "wrong" if rate / best > _ORDERS else "warning"
        return Finding(RATE, verdict, rate, says)
    # A low rate may still get there, if the run is long.
    if best / rate > _ORDERS and rate * steps < best * TRIAL_STEPS:
        says += (
            f" The run's {rate:g} is orders of magnitude too low: its {steps} steps go "
            f"less far than these {TRIAL_STEPS} at {best:g}. Use {best:g}."
        )
        return Finding(RATE, "wrong", rate, says)
    says += f" The run's {rate:g} is slow beside {best:g}."
    return Finding(RATE, "warning", rate, says)
