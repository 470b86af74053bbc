"""One prompt that a bank shares, times a matrix of rank one of each member's own."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.prompts.flat import put_together, take_apart
from jaxprompt.prompts.prompt import Prompt


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scaled:
    """What is shared, times u v^T, entry by entry.

    Attributes:
        shared: A copy of what is shared for each member. What counts is their mean, so
            that each learns from all members.
        columns: u of each member.
        rows: v of each member.
    """

    shared: Float[Array, "M P F"]
    columns: Float[Array, "M P"]
    rows: Float[Array, "M F"]

    def __call__(self) -> Float[Array, "M P F"]:
        """Returns each member's own."""
        own = self.columns[:, :, None] * self.rows[:, None]
        return self.shared.mean(axis=0, keepdims=True) * own


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Multitask:
    """A bank whose prompts are one matrix, scaled: members are not independent.

    Attributes:
        prompt: What is not shared; its rows, keys and values are of P = 0 tokens.
        parts: Those of "rows", and of each site.

    Source: Wang et al. 2023, eq. 2 (arXiv:2303.02861), without its distillation; here
    u and v start at 1, so that a bank starts at the mean of its members' starts.
    """

    prompt: Prompt
    parts: Mapping[str, Scaled]

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.prompt.members

    def expand(self) -> Prompt:
        """Scales what is shared for each member."""
        made = {name: part() for name, part in self.parts.items()}
        return put_together(self.prompt, made)


def multitask(key: jax.Array, prompt: Prompt) -> Multitask:
    """Makes a member of a bank that shares its prompt.

    Args:
        key: Not used: nothing is drawn.
        prompt: A bank of one.
    """
    del key
    whole, rest = take_apart(prompt)
    parts = {
        name: Scaled(matrix, jnp.ones(matrix.shape[:2]), jnp.ones(matrix.shape[::2]))
        for name, matrix in whole.items()
    }
    return Multitask(rest, parts)
