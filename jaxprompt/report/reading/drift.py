"""How far has training moved each soft token from where it started?"""

from typing import NamedTuple

import numpy as np

from jaxprompt.prompts.prompt import Prompt


class Drift(NamedTuple):
    """How far one soft token is from its start.

    Attributes:
        distance: Euclidean (L2) distance.
        cosine: Of the angle between the two, from -1 to 1; 0 if one is zero.
    """

    distance: float
    cosine: float


def measure_drift(prompt: Prompt, start: Prompt) -> list[Drift]:
    """Compares each trained row with the row that it started from.

    Args:
        prompt: The trained prompt, a bank of one.
        start: What its training started from.

    Returns:
        One drift for each soft token, in order.

    Raises:
        ValueError: If the two have different shapes, or are larger banks.
    """
    if prompt.rows.shape != start.rows.shape or prompt.members != 1:
        raise ValueError(
            f"a prompt of shape {prompt.rows.shape} and a start of shape "
            f"{start.rows.shape}: compare one prompt [1, P, D] with its own start"
        )
    # In float64: a small distance between long rows is a difference of large numbers.
    ends = np.asarray(prompt.rows[0], np.float64)
    starts = np.asarray(start.rows[0], np.float64)
    distances = np.linalg.norm(ends - starts, axis=1)
    lengths = np.linalg.norm(ends, axis=1) * np.linalg.norm(starts, axis=1)
    cosines = (ends * starts).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    pairs = zip(distances.tolist(), cosines.tolist(), strict=True)
    return [Drift(distance, cosine) for distance, cosine in pairs]
