"""How wide a batch has to be, and how many rows it has: each shape is compiled once."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from jaxprompt.shapes import Batch, resize

STEP = 16
"""Tokens from one width to the next, or more."""

_CPU_STEP = 8
"""The same in training on a CPU: short texts take up to a fifth less time, which pays
for compiling the widths between within some twenty steps of a small model."""

_PART_ROWS = 8
"""Rows of a part of a batch on one CPU."""

_FEW_BATCHES = 3
"""Batches that are scored whole on a CPU too, if there are fewer."""


def width_step(backend: str) -> int:
    """Returns how far apart the widths of training batches are, at least.

    Args:
        backend: "cpu", "gpu" or "tpu". An accelerator hardly gains by narrower batches
            of short texts, and compiles longer.
    """
    return _CPU_STEP if backend == "cpu" else STEP


def fitting_width(longest: int, full: int, step: int = STEP) -> int:
    """Returns the smallest width that holds a row.

    There are four widths between a power of two and the next, but none less than `step`
    apart: texts of a task are of like lengths, so that few of them are ever compiled,
    and at most a fifth of a longer one is padding.

    Args:
        longest: Tokens of the row.
        full: The largest width.
        step: Tokens from one width to the next, at least.
    """
    below = 1 << max((longest - 1).bit_length() - 1, 0)
    step = max(below // 4, step)
    return min(max(-(-longest // step), 1) * step, full)


def fitting_targets(longest: int, full: int) -> int:
    """Returns the smallest target width that holds a row: `STEP`, or twice as many.

    There are fewer than of `fitting_width`, for each goes with each of those.

    Args:
        longest: Target tokens of the row.
        full: The largest width.
    """
    return min(max(1 << max(longest - 1, 0).bit_length(), STEP), full)


def part_rows(count: int, *, devices: int, backend: str) -> int:
    """Returns how many rows the parts of a batch should have, where nothing is said.

    On a CPU, 8 for each device that splits the batch: less padding, and every product
    is large enough. An accelerator takes the whole batch at once.

    Args:
        count: Rows of the batch.
        devices: Devices that split it.
        backend: "cpu", "gpu" or "tpu".
    """
    rows = _PART_ROWS * devices
    return count if backend != "cpu" or count % rows else rows


def scored_rows(batch_size: int, count: int, *, devices: int, backend: str) -> int:
    """Returns how many rows a batch that is scored should have.

    On a CPU as many as a part of a training batch, for the same reason. Not where there
    are few: most batches have a width of their own then, which has to be compiled.

    Args:
        batch_size: Rows of a batch that are asked for.
        count: Rows to score.
        devices: Devices that split a batch.
        backend: "cpu", "gpu" or "tpu".
    """
    if count < _FEW_BATCHES * batch_size:
        return batch_size
    return part_rows(batch_size, devices=devices, backend=backend)


def cut_to_longest(batch: Batch, soft: int = 0, step: int = STEP) -> Batch:
    """Cuts the padding behind the longest input and target, up to one of a few widths.

    Rows that are shorter, and what is computed of them, stay as they were.

    Args:
        batch: NumPy arrays, padded at their ends to the full width.
        soft: Soft tokens in front of every input, those of the batch's lead among them.
        step: Tokens from one width of the inputs to the next, at least.
    """
    longest = _longest(batch.input_segments)
    soft = max(soft - len(batch.lead), 0)
    text = batch.inputs.shape[1] - soft
    width = soft + fitting_width(longest - soft, text, step)
    return cut_targets(resize(batch, width))


def cut_targets(batch: Batch) -> Batch:
    """Cuts the padding behind the longest target row, up to one of a few widths.

    Args:
        batch: NumPy arrays, padded at their ends to the full width.
    """
    inputs, full = batch.inputs.shape[1], batch.targets.shape[1]
    return resize(batch, inputs, fitting_targets(_longest(batch.target_segments), full))


def cut_in_parts(
    batch: Batch, rows: int, soft: int = 0, step: int = STEP
) -> tuple[Batch, ...]:
    """Sorts a batch by length, and cuts it into parts, each to its own longest input.

    Args:
        batch: NumPy arrays, padded at their ends to the full width.
        rows: Rows of a part; they must divide those of the batch.
        soft: Soft tokens in front of every input, those of the batch's lead among them.
        step: As of `cut_to_longest`.

    Returns:
        The parts, the longest first. Every row is in one of them.

    Raises:
        ValueError: If the batch does not divide.
    """
    count = len(batch.inputs)
    if rows < 1 or count % rows:
        raise ValueError(f"{count} rows in parts of {rows}: use a divisor")
    sizes = used_columns(np.asarray(batch.input_segments))
    order = np.argsort(-sizes, kind="stable")
    parts = [_take(batch, numbers) for numbers in order.reshape(-1, rows)]
    return tuple(cut_to_longest(part, soft, step) for part in parts)


def _take(batch: Batch, numbers: Int[np.ndarray, " rows"]) -> Batch:
    return jax.tree.map(lambda x: x[numbers], batch)


def _longest(segments: Any) -> int:
    return int(used_columns(np.asarray(segments)).max(initial=0))


def used_columns(segments: Int[np.ndarray, "B T"]) -> Int[np.ndarray, " B"]:
    """Returns how many columns of each row are used, up to the last."""
    used = segments > 0
    if not used.size:
        return np.zeros(len(used), int)
    return np.where(used.any(axis=1), used.shape[1] - used[:, ::-1].argmax(axis=1), 0)
