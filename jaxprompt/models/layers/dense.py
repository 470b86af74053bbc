"""Products of tokens with a matrix, which may be int8."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.models.product import multiply_rounded, rounds_factors
from jaxprompt.models.quantise import Int8Matrix, multiply


def project(
    x: Float[Array, "B T D"], matrix: Float[Array, "D F"] | Int8Matrix
) -> Float[Array, "B T F"]:
    """Multiplies every token by a matrix, in the token's dtype.

    Rows and tokens are one axis meanwhile: with two to sum over, XLA's CPU backend
    writes transposed copies of the activations to get the gradient of the matrix.
    """
    tokens_ND = x.reshape(-1, x.shape[-1])
    if isinstance(matrix, Int8Matrix):
        product = multiply(tokens_ND, matrix)
    elif x.dtype == jnp.float32 and rounds_factors():
        product = multiply_rounded(tokens_ND, matrix, 0)
    else:
        product = tokens_ND @ matrix.astype(x.dtype)
    return product.reshape(*x.shape[:-1], -1)


def split_columns(
    matrix: Float[Array, "D F"] | Int8Matrix, heads: int
) -> Float[Array, "H D K"] | Int8Matrix:
    """Splits a matrix into one for each head, by its columns F = H * K."""

    def split(leaf: Array) -> Array:
        return jnp.moveaxis(leaf.reshape(len(leaf), heads, -1), 1, 0)

    return jax.tree.map(split, matrix)


def affine(
    x: Float[Array, "B T D"],
    matrix: Float[Array, "D F"] | Int8Matrix,
    bias: Float[Array, " F"] | None,
) -> Float[Array, "B T F"]:
    """Multiplies every token by a matrix, and adds a bias where there is one."""
    product = project(x, matrix)
    if bias is None:
        return product
    return product + bias.astype(x.dtype)[None, None, :]


def score_ids(
    y: Float[Array, "B L D"],
    matrix: Float[Array, "V D"] | Float[Array, "D V"] | Int8Matrix,
    *,
    is_table: bool,
) -> Float[Array, "B L V"]:
    """Scores every id by an output matrix; sums and scores are float32.

    Args:
        y: Tokens, behind the last norm.
        matrix: One row for each id, or one column.
        is_table: Whether it has rows, as an embedding table.
    """
    if isinstance(matrix, Int8Matrix):
        columns = matrix.T if is_table else matrix
        logits = multiply(y.reshape(-1, y.shape[-1]), columns, jnp.float32)
        return logits.reshape(*y.shape[:-1], -1)
    if y.dtype == jnp.float32 and rounds_factors():
        logits = multiply_rounded(y.reshape(-1, y.shape[-1]), matrix, int(is_table))
        return logits.reshape(*y.shape[:-1], -1)
    product = "bld,vd->blv" if is_table else "bld,dv->blv"
    return jnp.einsum(
        product, y, matrix.astype(y.dtype), preferred_element_type=jnp.float32
    )
