"""How long are rows of embeddings: their mean norm and its spread."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float


class Norms(NamedTuple):
    """The Euclidean lengths of many rows.

    Attributes:
        mean: Their mean.
        low: Their 5th percentile.
        median: Their 50th.
        high: Their 95th.
    """

    mean: float
    low: float
    median: float
    high: float

    def __str__(self) -> str:
        spread = f"{self.low:.1f}, {self.median:.1f}, {self.high:.1f}"
        return f"{self.mean:.1f} (percentiles 5, 50, 95: {spread})"


def measure_norms(rows: Float[Array | np.ndarray, "R D"]) -> Norms:
    """Measures the lengths of rows, at least one, in any dtype."""
    norms = np.linalg.norm(np.asarray(rows, np.float32), axis=1)
    return Norms(float(norms.mean()), *np.percentile(norms, (5, 50, 95)).tolist())
