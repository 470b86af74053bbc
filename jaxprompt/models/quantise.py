"""int8 weights of a frozen model: a scale for each output channel, and their product.

Own code, as the libraries hold more memory: qwix multiplies by the weights cast to the
tokens' dtype, and under `jax.grad` a loop over layers then keeps that cast of the whole
stack for the way back. The product here keeps the int8 values and casts them again.
"""

import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int8

from jaxprompt.models.product import rounded_product, rounds_factors
from jaxprompt.parameters import kind_of
from jaxprompt.shapes import Params

QUANTISATIONS = ("none", "int8")
"""How frozen weights are stored: in the dtype to compute in, or as here."""

LEVELS = 127
"""Largest int8 value; -128 is not used, so that the levels are symmetric.

Source: Jacob et al. 2018, sec. 3 (arXiv:1712.05877): weights in [-127, 127].
"""

HostOrDevice = TypeVar("HostOrDevice", jax.Array, np.ndarray)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Int8Matrix:
    """A matrix, or a stack of them: `values * scale`. A pytree, so it scans and shards.

    Attributes:
        values: From -127 to 127. First of the leaves: Flax checks its shape.
        scale: Size of one level of each block of an output channel; the axis that a
            product sums over is the number X of blocks of equal size. That is D of
            every matrix [D, F], and of an embedding table [V, D] too, which as an
            output matrix is multiplied by its transpose. Our own rounding has one block
            for a channel; GGUF files have one for 32 weights.
    """

    values: Int8[Array, "*N D F"]
    scale: Float[Array, "*N X F"] | Float[Array, "V X"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the matrix."""
        return self.values.shape

    @property
    def T(self) -> "Int8Matrix":  # noqa: N802 - as of an array
        """The transpose of a single matrix."""
        return Int8Matrix(self.values.T, self.scale.T)


Table = Float[Array, "V D"] | Int8Matrix
"""A frozen embedding table."""


def check_quantisation(quantise: str) -> None:
    """Raises ValueError unless this is one of `QUANTISATIONS`."""
    if quantise not in QUANTISATIONS:
        raise ValueError(
            f"unknown quantisation {quantise!r}: use one of {list(QUANTISATIONS)}"
        )


def quantise(params: Params) -> Params:
    """Rounds every matrix to int8; norms, biases and positions stay as they are.

    Args:
        params: The tree of a backbone. From float32 rather than from bfloat16, or the
            weights are rounded twice.

    Returns:
        The same tree with an `Int8Matrix` in the place of each matrix.
    """

    def quantise_leaf(path: Any, leaf: jax.Array) -> jax.Array | Int8Matrix:
        axis = summed_axis(jax.tree_util.keystr(path, simple=True, separator="/"))
        if axis is None:
            return leaf
        scale = scale_of(leaf, axis)
        return Int8Matrix(to_int8(leaf, scale), scale)

    return jax.tree_util.tree_map_with_path(quantise_leaf, params)


def summed_axis(name: str) -> int | None:
    """Returns the axis of a leaf that products sum over; None if it stays as it is.

    Args:
        name: Path of the leaf, as "encoder/layers/ffn/up".
    """
    return kind_of(name).summed_axis


def scale_of(matrix: HostOrDevice, axis: int) -> HostOrDevice:
    """Returns the float32 size of one level, so that each channel's largest is 127.

    A channel of zeros has scale 1. Equal weights give equal bits in NumPy and in JAX.

    Args:
        matrix: Weights, of any float dtype.
        axis: The axis that products sum over; it stays, with size 1.
    """
    largest: Any = abs(matrix.astype(np.float32)).max(axis=axis, keepdims=True)
    # Not a division: XLA may make a product of it, whose last bit can differ.
    scale = largest * (1.0 / LEVELS)
    return scale + (scale == 0).astype(np.float32)


def to_int8(matrix: HostOrDevice, scale: HostOrDevice) -> HostOrDevice:
    """Rounds weights to the nearest level."""
    # One reciprocal for a channel, as XLA takes it, and NumPy would not on its own.
    levels = (matrix.astype(np.float32) * (1.0 / scale)).round()
    return levels.clip(-LEVELS, LEVELS).astype(np.int8)


def dequantise(params: Any) -> Any:
    """Returns the tree with float32 matrices again; other leaves as they are."""

    def whole(leaf: Any) -> Any:
        if not isinstance(leaf, Int8Matrix):
            return leaf
        return leaf.values.astype(jnp.float32) * spread(leaf)

    return jax.tree.map(whole, params, is_leaf=lambda x: isinstance(x, Int8Matrix))


def spread(matrix: Int8Matrix) -> jax.Array:
    """Returns scales that multiply the values: that of a block for each of its weights.

    A scale of a whole channel keeps its size of 1.
    """
    scale = matrix.scale
    sizes = zip(matrix.shape, scale.shape, strict=True)
    for axis, (size, blocks) in enumerate(sizes):
        if blocks not in (1, size):
            scale = jnp.repeat(scale, size // blocks, axis, total_repeat_length=size)
    return scale


def look_up(table: Table, ids: Int[Array, "*B"]) -> Float[Array, "*B D"]:
    """Gathers rows of an embedding table; int8 ones become float32 after that.

    So no more than the rows that are wanted is ever dequantised.
    """
    if not isinstance(table, Int8Matrix):
        return table[ids]
    rows = Int8Matrix(table.values[ids], table.scale[ids])
    return rows.values.astype(jnp.float32) * spread(rows)


def multiply(
    x: Float[Array, "B D"], matrix: Int8Matrix, dtype: Any = None
) -> Float[Array, "B F"]:
    """Multiplies by an int8 matrix; the scale of a channel multiplies the product.

    Where a channel has several blocks, a float copy of this one matrix is made. The
    gradient reaches x alone.

    Args:
        x: Rows, in the dtype to compute in.
        matrix: A single matrix [D, F].
        dtype: Of the result and of the sums inside; None for that of x.
    """
    return _multiply(x, matrix, x.dtype, jnp.dtype(dtype or x.dtype))


def _product(x: Array, matrix: Int8Matrix, inside: Any, outside: Any) -> Array:
    if matrix.scale.shape[0] > 1:
        return _matmul(x, dequantise(matrix), 0, inside, outside)
    product = _matmul(x, matrix.values, 0, inside, outside)
    # In float32: a scale rounded to bfloat16 would be off for the whole channel.
    return (product.astype(jnp.float32) * matrix.scale).astype(outside)


def _matmul(x: Array, matrix: Array, axis: int, inside: Any, outside: Any) -> Array:
    """Sums over the last axis of x and this one of the matrix."""
    if inside == jnp.float32 and rounds_factors():
        return rounded_product(x, matrix, (1, axis)).astype(outside)
    matrix = matrix.astype(inside)
    factor = matrix.T if axis else matrix
    return jnp.matmul(x.astype(inside), factor, preferred_element_type=outside)


# Differentiated by hand: see the head of the file.
_multiply = jax.custom_vjp(_product, nondiff_argnums=(2, 3))


def _forward(
    x: Array, matrix: Int8Matrix, inside: Any, outside: Any
) -> tuple[Array, Int8Matrix]:
    # Not `_multiply`, in which `jax.checkpoint` would not see the product to keep it.
    return _product(x, matrix, inside, outside), matrix


def _backward(
    inside: Any, _: Any, matrix: Int8Matrix, gradient: Array
) -> tuple[Array, None]:
    if matrix.scale.shape[0] > 1:
        return _matmul(gradient, dequantise(matrix), 1, inside, inside), None
    scaled = gradient.astype(jnp.float32) * matrix.scale
    return _matmul(scaled, matrix.values, 1, inside, inside), None


_multiply.defvjp(_forward, _backward)
