"""Norms are summed up by their mean and percentiles."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.report.reading.norms import measure_norms


def test_mean_and_percentiles_of_the_lengths():
    lengths = np.arange(101.0)
    rows = np.stack([0.6 * lengths, -0.8 * lengths], axis=1)
    norms = measure_norms(np.append(rows, [[300.0, 400.0]], axis=0))
    assert norms.mean == pytest.approx((5050 + 500) / 102)
    assert norms[1:] == pytest.approx((5.05, 50.5, 95.95))
    assert str(norms) == "54.4 (percentiles 5, 50, 95: 5.1, 50.5, 95.9)"


def test_any_dtype_is_measured_in_float32():
    norms = measure_norms(jnp.full((3, 512), 3.0, jnp.bfloat16))
    assert norms.mean == pytest.approx(3 * 512**0.5, rel=1e-6)
