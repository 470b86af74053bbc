"""Drift is the distance and the cosine between a row and its own start."""

import jax.numpy as jnp
import pytest
from tiny import draw_prompt

from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.report.reading.drift import Drift, measure_drift


def test_each_row_is_compared_with_its_own_start():
    start = make_prompt(jnp.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]))
    end = make_prompt(jnp.array([[3.0, 4.0], [2.0, 0.0], [-2.0, 0.0], [0.0, 5.0]]))
    still, turned, reversed_, from_zero = measure_drift(end, start)
    assert still == Drift(0, pytest.approx(1))
    assert turned == Drift(pytest.approx(8**0.5), 0)
    assert reversed_ == Drift(3, pytest.approx(-1))
    assert from_zero == Drift(5, 0)


def test_a_small_step_of_a_long_row_is_seen():
    start = make_prompt(jnp.full((1, 4), 1000.0))
    (drift,) = measure_drift(make_prompt(start.rows[0].at[0, 0].add(0.125)), start)
    assert drift.distance == 0.125


def test_a_start_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 3, 16\) and .* \(1, 2, 16\)"):
        measure_drift(draw_prompt(0), draw_prompt(0, length=2))
    with pytest.raises(ValueError, match="compare one prompt"):
        measure_drift(draw_prompt(0, members=2), draw_prompt(0, members=2))
