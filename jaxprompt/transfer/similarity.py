"""How alike two prompts are: five measures of their rows, in float64."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float

Rows = Float[np.ndarray, "P D"]
Pairs = Float[np.ndarray, "prompts prompts"]


def concatenated_distance(one: Rows, other: Rows) -> float:
    """E_concat: 1 / (1 + ||P1 - P2||), of all rows as one vector."""
    return float(1 / (1 + np.linalg.norm(one - other)))


def average_distance(one: Rows, other: Rows) -> float:
    """E_average: 1 / (1 + the mean distance of a row of one and a row of the other)."""
    squares = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    # Rounding may leave a little less than zero between a row and itself.
    distances = np.sqrt(np.maximum(squares - 2 * one @ other.T, 0))
    return float(1 / (1 + distances.mean()))


def concatenated_cosine(one: Rows, other: Rows) -> float:
    """C_concat: the cosine of all rows as one vector."""
    return _cosine(one.ravel(), other.ravel())


def average_cosine(one: Rows, other: Rows) -> float:
    """C_average: the mean cosine of a row of one and a row of the other."""
    return float(_units(one).mean(axis=0) @ _units(other).mean(axis=0))


def pooled_cosine(one: Rows, other: Rows) -> float:
    """C_meanpool: the cosine of the mean rows."""
    return _cosine(one.mean(axis=0), other.mean(axis=0))


SIMILARITIES: Mapping[str, Callable[[Rows, Rows], float]] = {
    "E_concat": concatenated_distance,
    "E_average": average_distance,
    "C_concat": concatenated_cosine,
    "C_average": average_cosine,
    "C_meanpool": pooled_cosine,
}
"""Name -> measure of two prompts of one length; the greater, the more alike.

Source: Su et al. 2022, sec. 6.1 (arXiv:2111.06719), with the mean over all P * P pairs
of rows as `caculate_metric_value_for_correlation.py` of their repository takes it. Vu
et al. 2022, sec. 4.1 (arXiv:2110.07904), for C_meanpool.
"""


def similarities(
    rows: Float[np.ndarray, "prompts P D"],
    mask: Bool[np.ndarray, " P"] | None = None,
) -> dict[str, Pairs]:
    """Measures every pair of prompts by every measure.

    Args:
        rows: Soft tokens of each prompt.
        mask: Which rows count; None for all. A row that a model never reads is dead,
            and says nothing about the prompt: row 0 of the prompts for RoBERTa that Su
            et al. released is one.

    Returns:
        Name of the measure -> float64, symmetric.

    Raises:
        ValueError: If the mask does not fit or leaves nothing, or if a row that counts
            is zero, which has no cosine.
    """
    kept = keep_rows(rows, mask)
    check_rows(kept, mask)
    count = len(kept)
    found = {name: np.zeros((count, count)) for name in SIMILARITIES}
    for i in range(count):
        for j in range(i, count):
            for name, measure in SIMILARITIES.items():
                found[name][i, j] = found[name][j, i] = measure(kept[i], kept[j])
    return found


def keep_rows(
    rows: Float[np.ndarray, "prompts P D"], mask: Bool[np.ndarray, " P"] | None
) -> Float[np.ndarray, "prompts kept D"]:
    """Returns the rows that count, as float64.

    Raises:
        ValueError: If the mask does not fit or leaves nothing.
    """
    if mask is None:
        return rows.astype(np.float64)
    if mask.shape != rows.shape[1:2] or not mask.any():
        raise ValueError(
            f"a mask of {int(mask.sum())} of {mask.size} rows for prompts of "
            f"{rows.shape[1]}: keep 1 or more of them"
        )
    return rows[:, mask].astype(np.float64)


def check_rows(
    kept: Float[np.ndarray, "prompts kept D"], mask: Bool[np.ndarray, " P"] | None
) -> None:
    """Raises ValueError where a row that counts is zero, which has no cosine."""
    zero = np.argwhere(~kept.any(axis=-1))
    if len(zero):
        prompt, place = zero[0].tolist()
        place = place if mask is None else int(np.flatnonzero(mask)[place])
        raise ValueError(
            f"row {place} of prompt {prompt} is zero, which is like nothing: leave it "
            "out by the mask of rows"
        )


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _units(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
