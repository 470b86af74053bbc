"""One leaf of the params, from its tensors to its devices: as floats or as int8."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.models.quantise import Int8Matrix, scale_of, summed_axis, to_int8
from jaxprompt.models.weights.source import Levels, Tensors, TensorSource

_ALIGNED = 64
"""Bytes of which XLA wants an address to be a multiple, or it copies the array."""


def read_floats(
    tensors: Tensors,
    source: TensorSource,
    shape: tuple[int, ...],
    dtype: Any,
    place: jax.sharding.Sharding | None,
) -> jax.Array:
    """Reads a leaf, and casts one tensor after the other.

    Args:
        tensors: Where it is stored.
        source: Its place there.
        shape: Its shape.
        dtype: Its dtype in memory.
        place: Its devices; None for the default device.
    """

    def read(index: tuple[slice, ...]) -> np.ndarray:
        block = _new_array(_sizes(index), dtype)
        layers = block if source.stacked else [block]
        for layer, piece in zip(layers, source.read(tensors, index), strict=True):
            layer[...] = piece
        return block

    return _make_array(shape, place, read)


def read_levels(
    levels: Levels, source: TensorSource, leaf: Int8Matrix, place: Any
) -> Int8Matrix:
    """Reads a leaf whose tensors are int8 levels by blocks, as they are stored.

    Args:
        levels: Where it is stored.
        source: Its place there.
        leaf: Its shapes.
        place: Places of values and scale; None for the default device.
    """
    places = (None, None) if place is None else (place.values, place.scale)
    values, scale = leaf.values.shape, leaf.scale.shape
    return Int8Matrix(
        read_floats(levels.values, source, values, np.int8, places[0]),
        read_floats(levels.scales, source, scale, np.float32, places[1]),
    )


def round_to_int8(
    tensors: Tensors, source: TensorSource, name: str, leaf: Int8Matrix, place: Any
) -> Int8Matrix:
    """Reads a leaf twice: whole tensors for the scale, as a split column has one.

    Args:
        tensors: Where it is stored.
        source: Its place there.
        name: Its path.
        leaf: Its shapes.
        place: Places of values and scale; None for the default device.
    """
    axis = summed_axis(name)
    assert axis is not None
    everything = tuple(slice(0, size) for size in leaf.shape)
    scales = [scale_of(piece, axis) for piece in source.read(tensors, everything)]
    scale = np.stack(scales) if source.stacked else scales[0]

    def read(index: tuple[slice, ...]) -> np.ndarray:
        block = _new_array(_sizes(index), np.int8)
        pieces = source.read(tensors, index)
        part = scale[_where_split(index, scale.shape)]
        layers = zip(block, part, strict=True) if source.stacked else [(block, part)]
        for (layer, layer_scale), piece in zip(layers, pieces, strict=True):
            layer[...] = to_int8(piece, layer_scale)
        return block

    values_place, scale_place = (
        (None, None) if place is None else (place.values, place.scale)
    )
    return Int8Matrix(
        _make_array(leaf.shape, values_place, read),
        _make_array(scale.shape, scale_place, lambda index: scale[index]),
    )


def _where_split(index: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Returns the part of a scale that belongs to a part of its matrix."""
    parts = zip(index, shape, strict=True)
    return tuple(slice(0, 1) if size == 1 else part for part, size in parts)


def _make_array(
    shape: tuple[int, ...],
    place: jax.sharding.Sharding | None,
    read: Callable[[tuple[slice, ...]], np.ndarray],
) -> jax.Array:
    """Makes an array of the parts that each device of this host needs."""

    def read_part(index: tuple[slice, ...] | None) -> np.ndarray:
        parts = zip(index or (slice(None),) * len(shape), shape, strict=True)
        return read(tuple(slice(*part.indices(size)[:2]) for part, size in parts))

    if place is None:
        return jnp.array(read_part(None))
    return jax.make_array_from_callback(shape, place, read_part)


def _new_array(sizes: Sequence[int], dtype: Any) -> np.ndarray:
    """Makes an array to be filled, which a CPU device then takes without a copy."""
    size = math.prod(sizes) * np.dtype(dtype).itemsize
    room = np.empty(size + _ALIGNED, np.uint8)
    start = -room.ctypes.data % _ALIGNED
    return room[start : start + size].view(dtype).reshape(sizes)


def _sizes(index: tuple[slice, ...]) -> list[int]:
    return [part.stop - part.start for part in index]
