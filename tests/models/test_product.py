"""Products of bfloat16 factors on a CPU: what is rounded, and how far that is off."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.models.product import ROUNDED, multiply_rounded


def relative_error(found, expected):
    found, expected = (jax.flatten_util.ravel_pytree(x)[0] for x in (found, expected))
    return float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected))


@pytest.mark.parametrize("axis", [0, 1])
def test_only_the_factors_are_rounded(axis):
    draw = np.random.default_rng(0)
    # Of 8 bits, as bfloat16 has; sums of 300 products are not.
    x = jnp.asarray(draw.integers(-127, 128, (5, 300)), jnp.float32)
    matrix = jnp.asarray(draw.integers(-127, 128, (300, 4)), jnp.float32)
    given = matrix if axis == 0 else matrix.T
    weights = jnp.asarray(draw.integers(-127, 128, (5, 4)), jnp.float32)

    def total(x, given):
        product = multiply_rounded(x, given, axis)
        return jnp.sum(weights * product), product

    gradients, product = jax.grad(total, (0, 1), has_aux=True)(x, given)
    np.testing.assert_array_equal(product, np.float64(x) @ np.float64(matrix))
    of_matrix = np.float64(x).T @ weights
    np.testing.assert_array_equal(gradients[0], weights @ np.float64(matrix).T)
    np.testing.assert_array_equal(gradients[1], of_matrix if axis == 0 else of_matrix.T)
    # 257 has nine bits, and is rounded to an even number of eight.
    one = multiply_rounded(jnp.full((1, 1), 257.0), jnp.ones((1, 1)), 0)
    assert one.item() == 256


def test_logits_and_gradients_are_those_of_float32_but_for_rounding(example):
    backbone = dataclasses.replace(example.backbone, remat="dots")

    def loss(x, params):
        logits = dataclasses.replace(example, x=x).logits(backbone, params)
        return jnp.mean(jnp.sin(logits)), logits

    def found(precision):
        with jax.default_matmul_precision(precision):
            both = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
            return both(example.x, example.params)

    (of_x, of_params), logits = found(ROUNDED)
    (x, params), expected = found(None)
    assert 1e-4 < relative_error(logits, expected) < 0.02
    assert 1e-4 < relative_error(of_x, x) < 0.03
    assert 1e-4 < relative_error(of_params, params) < 0.03
