"""How wide a batch has to be: one of a few widths, each of which is compiled once."""

import dataclasses

import numpy as np

from jaxprompt.shapes import Batch

STEP = 64
"""Widths are multiples of this many tokens, or of a multiple of it."""

MOST = 8
"""Most widths that one model is compiled for."""


def step_of(full: int, most: int = MOST) -> int:
    """Returns the distance between widths that makes at most so many of them.

    Args:
        full: The largest width, in tokens.
        most: Most widths.
    """
    return max(-(-full // (most * STEP)), 1) * STEP


def fitting_width(longest: int, step: int, full: int) -> int:
    """Returns the smallest width that holds a row.

    Args:
        longest: Tokens of the row.
        step: Distance between widths, from `step_of`.
        full: The largest width.
    """
    return min(max(-(-longest // step), 1) * step, full)


def cut_to_longest(batch: Batch) -> Batch:
    """Cuts the padding behind the longest input of a batch, up to one of a few widths.

    Rows that are shorter, and what is computed of them, stay as they were.

    Args:
        batch: NumPy arrays, padded at their ends to the full width.
    """
    full = batch.inputs.shape[1]
    used = np.flatnonzero(np.asarray(batch.input_segments).any(axis=0))
    longest = int(used[-1]) + 1 if used.size else 0
    width = fitting_width(longest, step_of(full), full)
    return dataclasses.replace(
        batch,
        inputs=batch.inputs[:, :width],
        input_segments=batch.input_segments[:, :width],
    )
