"""The loss and its gradient, and what of a batch's layout they do not see."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import CONFIG, draw_examples, draw_prompt, make_tiny, one_each, to_batch

from jaxprompt.prompts.join import prompted_logits
from jaxprompt.train.loss import loss, token_shares, token_totals

TOLERANCE = 2e-6


def two_members():
    """Five examples of one member and three of the other, of uneven lengths."""
    return [*draw_examples(1, 5), *draw_examples(2, 3, member=1)]


@functools.partial(jax.jit, static_argnums=0)
def value_and_grad(backbone, params, batch):
    def objective(prompt):
        tree = {**params, "prompt": prompt}
        return loss(backbone, tree, batch, token_shares(batch, 2), z_loss=0.01)

    (value, metrics), grads = jax.value_and_grad(objective, has_aux=True)(
        params["prompt"]
    )
    return value, metrics, grads.rows


@pytest.fixture(scope="module")
def deep():
    return make_tiny(dataclasses.replace(CONFIG, encoder_layers=2, decoder_layers=3))


@pytest.fixture(scope="module")
def params(deep):
    return deep.join(draw_prompt(0, members=2))


@pytest.fixture(scope="module")
def unpacked(deep, params):
    return value_and_grad(deep.backbone, params, one_each(two_members()))


def test_shares_are_means_of_each_member():
    batch = one_each(two_members())
    weights = batch.weights.copy()
    weights[0, 0] = 0.5
    batch = dataclasses.replace(batch, weights=weights)
    totals = [batch.weights[:5].sum(), batch.weights[5:].sum()]
    np.testing.assert_allclose(token_totals(batch, 3), [*totals, 0])
    expected = batch.weights / np.repeat(totals, [5, 3])[:, None]
    np.testing.assert_allclose(token_shares(batch, 3), expected, rtol=1e-6)


def test_no_targets_share_nothing():
    batch = to_batch([[], []])
    np.testing.assert_array_equal(token_shares(batch, 2), np.zeros((2, 5)))


def test_cross_entropy_accuracy_and_z_loss_are_their_formulas(deep, params, unpacked):
    batch = one_each(two_members())
    logits = jax.jit(prompted_logits, static_argnums=0)(deep.backbone, params, batch)
    logits = np.asarray(logits, np.float64)
    log_z = np.log(np.exp(logits).sum(axis=-1))
    picked = np.take_along_axis(logits, batch.targets[..., None], axis=-1)[..., 0]
    hits = logits.argmax(axis=-1) == batch.targets
    shares = np.asarray(token_shares(batch, 2), np.float64)
    value, metrics, _ = unpacked
    cross_entropy = (shares * (log_z - picked)).sum()
    np.testing.assert_allclose(metrics["loss"], cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(metrics["accuracy"], (shares * hits).sum(), rtol=1e-5)
    penalised = cross_entropy + 0.01 * (shares * log_z**2).sum()
    np.testing.assert_allclose(value, penalised, rtol=1e-5)
    assert penalised > cross_entropy + 0.1


def assert_equal(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE, rtol=1e-5)


def test_padding_changes_nothing(deep, params, unpacked):
    rows = [[example] for example in two_members()]
    padded = to_batch([*rows, []], inputs=17, targets=9)
    assert_equal(value_and_grad(deep.backbone, params, padded), unpacked)


def test_packed_equals_unpacked(deep, params, unpacked):
    """Rows of both members share a batch; every example has its own soft tokens."""
    examples = two_members()
    rows = [examples[:3], examples[5:], examples[3:5]]
    packed = to_batch(rows, inputs=30, targets=15)
    assert packed.input_segments.max() == 3
    assert_equal(value_and_grad(deep.backbone, params, packed), unpacked)


def test_scanned_layers_equal_unrolled_ones(deep, params, unpacked):
    unrolled = dataclasses.replace(deep.backbone, unroll=True)
    found = value_and_grad(unrolled, params, one_each(two_members()))
    assert_equal(found, unpacked)


def test_every_member_has_the_gradient_it_has_alone(deep, params, unpacked):
    for member, present in enumerate([slice(0, 5), slice(5, 8)]):
        alone = one_each(two_members()[present])
        alone = jax.tree.map(
            lambda x: jnp.pad(x, [(0, 8 - len(x)), *[(0, 0)] * (x.ndim - 1)]), alone
        )
        _, _, grads = value_and_grad(deep.backbone, params, alone)
        np.testing.assert_allclose(grads[member], unpacked[2][member], atol=TOLERANCE)
        np.testing.assert_array_equal(grads[1 - member], 0)
        assert np.abs(grads[member]).max() > 0.001
