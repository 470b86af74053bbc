"""Products of float32 tokens with a matrix whose factors are rounded, on CPUs.

GPUs and TPUs do what JAX's `default_matmul_precision` says. XLA's CPU backend does not
read it, so here its factors are rounded by hand.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

ROUNDED = "BF16_BF16_F32"
"""JAX's name for products of bfloat16 factors with float32 sums."""


def rounds_factors() -> bool:
    """Whether this is what products that are traced now are to be."""
    return jax.default_matmul_precision.value == ROUNDED


def rounded_product(one: Array, other: Array, axes: tuple[int, int]) -> Array:
    """Sums over an axis of each factor, which is rounded to bfloat16; sums are float32.

    On a processor with AVX512-BF16, XLA of JAX 0.10 does this at twice the rate of
    float32 as it is written. With a factor that is stored in bfloat16, or transposed
    before it is rounded, the rate is that of float32 or less.
    """
    return jax.lax.dot_general(
        one.astype(jnp.bfloat16),
        other.astype(jnp.bfloat16),
        (((axes[0],), (axes[1],)), ((), ())),
        preferred_element_type=jnp.float32,
    )


def multiply_rounded(
    x: Float[Array, "N D"], matrix: Float[Array, "D F"], axis: int
) -> Float[Array, "N F"]:
    """Multiplies rows by a matrix, in products and sums of `rounded_product`.

    Args:
        x: Rows, float32.
        matrix: float32, [D, F], or [F, D] with axis 1.
        axis: Of the matrix, which is summed over.
    """
    return _multiply(x, matrix, axis)


# Differentiated by hand: by itself the gradient would meet a rounded factor in float32.
@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _multiply(x: Array, matrix: Array, axis: int) -> Array:
    return rounded_product(x, matrix, (1, axis))


def _forward(x: Array, matrix: Array, axis: int) -> tuple[Array, tuple[Array, Array]]:
    # Not `_multiply`, in which `jax.checkpoint` would not see the product.
    return rounded_product(x, matrix, (1, axis)), (x, matrix)


def _backward(
    axis: int, factors: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, matrix = factors
    of_matrix = (x, gradient) if axis == 0 else (gradient, x)
    return (
        rounded_product(gradient, matrix, (1, 1 - axis)),
        rounded_product(*of_matrix, (0, 0)),
    )


_multiply.defvjp(_forward, _backward)
