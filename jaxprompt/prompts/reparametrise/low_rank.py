"""A prompt as the product of two thin matrices, for its rows and for each site."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.prompts.flat import put_together, take_apart
from jaxprompt.prompts.prompt import Prompt

RANK = 10
"""Rank R of the product, or P where that is less."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factors:
    """The product A B.

    Attributes:
        left: A.
        right: B.
    """

    left: Float[Array, "M P R"]
    right: Float[Array, "M R F"]

    def __call__(self) -> Float[Array, "M P F"]:
        """Returns A B."""
        return jnp.einsum("mpr,mrf->mpf", self.left, self.right)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LowRank:
    """Soft tokens [P, D], and keys and values [P, 2*N*G*K], each of rank R at most.

    Attributes:
        prompt: All else that trains; its rows, keys and values are of P = 0 tokens.
        factors: Those of "rows", and of each site.

    Source: Xiao et al. 2023, sec. 3.2 (arXiv:2310.10094), with a bottleneck of 10; here
    the product starts as near to the prompt as its rank allows, not at random.
    """

    prompt: Prompt
    factors: Mapping[str, Factors]

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.prompt.members

    def expand(self) -> Prompt:
        """Multiplies the factors."""
        made = {name: part() for name, part in self.factors.items()}
        return put_together(self.prompt, made)


def low_rank(key: jax.Array, prompt: Prompt) -> LowRank:
    """Splits a prompt into factors, by its largest singular values.

    Args:
        key: Not used: nothing is drawn.
        prompt: A bank of one.
    """
    del key
    whole, rest = take_apart(prompt)
    factors = {name: _split(matrix) for name, matrix in whole.items()}
    return LowRank(rest, factors)


def _split(matrix: Float[Array, "1 P F"]) -> Factors:
    """Source: Eckart and Young 1936: no other product of this rank is nearer."""
    rank = min(RANK, *matrix.shape[1:])
    left, sizes, right = jnp.linalg.svd(matrix, full_matrices=False)
    roots = jnp.sqrt(sizes[:, :rank])
    return Factors(
        left[..., :rank] * roots[:, None], roots[..., None] * right[:, :rank]
    )
