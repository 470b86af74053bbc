"""Adafactor as T5X has it, the rates, the mask, and members that do not mix."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import draw_prompt

from jaxprompt.train.optimizer import (
    FREEZE,
    MODEL_TUNING,
    adafactor,
    make_schedule,
    per_member,
    train_only,
)

STEPS, RATE, DECAY = 60, 0.3, 1e-5
D = 160


def numpy_adafactor(weights, grads, offset):
    """T5X's formulas: Shazeer and Stern 2018, algorithms 4 and 5, without momentum."""
    weights = weights.astype(np.float64)
    factored = min(weights.shape) >= 128
    rows, columns, full = np.zeros(len(weights)), np.zeros(D), np.zeros(weights.shape)
    for step, grad in enumerate(grads.astype(np.float64), start=1):
        beta = 1.0 - (step - offset) ** -0.8
        square = grad**2 + 1e-30
        if factored:
            rows = beta * rows + (1 - beta) * square.mean(axis=1)
            columns = beta * columns + (1 - beta) * square.mean(axis=0)
            second_moment = np.outer(rows, columns) / rows.mean()
        else:
            full = beta * full + (1 - beta) * square
            second_moment = full
        update = grad / np.sqrt(second_moment)
        update /= max(1.0, np.sqrt(np.mean(update**2)))
        weights = (1 - DECAY) * weights - RATE * update
    return weights


@pytest.mark.parametrize(("length", "offset"), [(100, 0), (150, 0), (100, -1_100_000)])
def test_adafactor_follows_its_formulas(length, offset):
    """P = 100 keeps a full second moment, P = 150 a factored one."""
    draw = np.random.default_rng(length)
    start = draw.normal(0, 10, (length, D)).astype(np.float32)
    # Uneven over rows and over time, so that decay, factors and clipping all matter.
    scale = np.exp(draw.normal(0, 2, (STEPS, 1, 1)) + draw.normal(0, 2, (length, 1)))
    grads = (scale * draw.normal(0, 1, (STEPS, length, D))).astype(np.float32)
    tx = adafactor(RATE, weight_decay=DECAY, decay_offset=offset)

    def step(carry, grad):
        weights, state = carry
        updates, state = tx.update(grad, state, weights)
        return (optax.apply_updates(weights, updates), state), None

    (weights, state), _ = jax.jit(lambda *args: jax.lax.scan(step, *args))(
        (jnp.asarray(start), tx.init(start)), grads
    )
    expected = numpy_adafactor(start, grads, offset)
    np.testing.assert_allclose(weights, expected, atol=2e-3, rtol=1e-3)
    assert np.abs(expected - start).mean() > 0.5
    sizes = {leaf.size for leaf in jax.tree.leaves(state)}
    assert (length * D in sizes) == (length == 100)


def test_a_decay_that_starts_later_or_grows_is_refused():
    # As T5X writes it, whose steps count on from those of the checkpoint.
    with pytest.raises(
        ValueError, match=r"decay_offset 1100000, .*: its second moment"
    ):
        adafactor(decay_offset=1_100_000)
    for rate in (-0.8, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"decay_rate {rate} of 'adafactor'"):
            adafactor(decay_rate=rate)


def test_schedules():
    def rates(name, warmup, *steps):
        schedule = make_schedule(name, 0.3, steps=100, warmup=warmup)
        return [float(schedule(jnp.asarray(step))) for step in steps]

    assert rates("constant", 0, 0, 50, 100) == pytest.approx([0.3] * 3)
    assert rates("constant", 20, 0, 5, 20, 99) == pytest.approx([0, 0.075, 0.3, 0.3])
    assert rates("linear", 20, 10, 20, 60, 100) == pytest.approx([0.15, 0.3, 0.15, 0])
    assert rates("linear", 0, 0, 25, 100) == pytest.approx([0.3, 0.225, 0])
    assert rates("cosine", 20, 20, 60, 100) == pytest.approx([0.3, 0.15, 0], abs=1e-6)
    assert rates("inverse_sqrt", 25, 25, 100) == pytest.approx([0.3, 0.15])
    assert rates("inverse_sqrt", 0, 0, 3) == pytest.approx([0.3, 0.15])


def test_a_rate_falls_by_its_factor_after_every_epoch():
    rate = make_schedule("exponential", 0.4, steps=9, falls_to=0.5, falls_every=3)
    found = [float(rate(step)) for step in (0, 2, 3, 5, 6)]
    assert found == pytest.approx([0.4, 0.4, 0.2, 0.2, 0.1])
    with pytest.raises(
        ValueError, match=r"'exponential' by 0\.95 every 0 steps: use a"
    ):
        make_schedule("exponential", 0.4, steps=9)


def test_impossible_schedules_are_refused():
    with pytest.raises(ValueError, match=r"unknown schedule 'steps'.*constant"):
        make_schedule("steps", 0.3, steps=10)
    for rate in (0, -0.3, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"learning rate {rate}: use a positive"):
            make_schedule("constant", rate, steps=10)
    with pytest.raises(ValueError, match="warmup of 10 steps in a run of 10"):
        make_schedule("linear", 0.3, steps=10, warmup=10)
    with pytest.raises(ValueError, match="warmup of -1 steps"):
        make_schedule("linear", 0.3, steps=10, warmup=-1)


@pytest.mark.parametrize("tx", [adafactor(), optax.adamw(0.1), optax.sgd(0.1, 0.9)])
def test_the_state_holds_nothing_of_what_is_frozen(tx):
    prompt, model = draw_prompt(0, members=2), {"w": jnp.zeros((7, 5))}
    state = train_only(tx, FREEZE).init({"model": optax.MaskedNode(), "prompt": prompt})
    assert jax.tree.leaves(state)
    # Every leaf has the axis of the members, even a count of steps.
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(state))
    state = train_only(tx, MODEL_TUNING).init(
        {"model": model, "prompt": optax.MaskedNode()}
    )
    shapes = {leaf.shape for leaf in jax.tree.leaves(state)}
    assert shapes <= {(7, 5), (7,), (5,), (1,), ()}


def test_members_share_no_norm_and_no_moment():
    """Clipped by its global norm, a member with large gradients slows no other."""
    tx = optax.chain(optax.clip_by_global_norm(1.0), adafactor(weight_decay=0.1))
    bank = draw_prompt(0, members=3).rows
    grads = (
        draw_prompt(1, members=3).rows * jnp.array([1.0, 100.0, 0.01])[:, None, None]
    )
    banked = per_member(tx)
    updates, state = banked.update(grads, banked.init(bank), bank)
    for m in range(3):
        alone, alone_state = tx.update(grads[m], tx.init(bank[m]), bank[m])
        np.testing.assert_allclose(updates[m], alone, rtol=1e-6)
        for both, one in zip(
            jax.tree.leaves(state), jax.tree.leaves(alone_state), strict=True
        ):
            np.testing.assert_allclose(both[m], one, rtol=1e-6)


def test_an_absent_member_does_not_move():
    tx = per_member(adafactor(weight_decay=0.1))
    bank, grads = draw_prompt(0, members=2).rows, draw_prompt(1, members=2).rows
    _, before = tx.update(grads, tx.init(bank), bank)
    present = jnp.array([True, False])
    updates, after = tx.update(grads, before, bank, present=present)
    everyone, _ = tx.update(grads, before, bank)
    np.testing.assert_array_equal(updates[1], 0)
    np.testing.assert_array_equal(updates[0], everyone[0])
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(old[1], new[1])
    assert list(after[0].count) == [2, 1]
