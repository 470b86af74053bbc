"""Prompt: the trainable pytree, a bank of one or more soft prompts."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Prompt:
    """A bank of M soft prompts of one length; most runs train a bank of one.

    Its rows are more vocabulary behind the frozen table's V rows: in a batch's row of
    member m, the token V + p is row p of this member. Made by `make_prompt`, which
    checks its argument (unflattening a pytree runs the constructor, on masks and
    shardings too).

    Attributes:
        rows: The trained vectors, float32.
    """

    rows: Float[Array, "M P D"]

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.rows.shape[0]

    @property
    def length(self) -> int:
        """Prompt length P, in tokens."""
        return self.rows.shape[1]

    @property
    def width(self) -> int:
        """Model width D."""
        return self.rows.shape[2]


def make_prompt(rows: Float[Array, "P D"]) -> Prompt:
    """Makes a bank of one prompt from its rows, as float32.

    Args:
        rows: One vector for each soft token; P = 0 is the empty prompt.

    Returns:
        The prompt, with rows [1, P, D].

    Raises:
        ValueError: If `rows` does not have two axes.
    """
    if rows.ndim != 2:
        raise ValueError(
            f"a prompt has rows [P, D], but this array has shape {rows.shape}: "
            "make one prompt at a time and join them with stack"
        )
    return Prompt(jnp.asarray(rows, jnp.float32)[None])


def empty_prompt(width: int) -> Prompt:
    """Returns the prompt without tokens: the model alone."""
    return make_prompt(jnp.zeros((0, width)))


def stack(prompts: Sequence[Prompt]) -> Prompt:
    """Joins prompts of one shape into a bank, in order.

    Args:
        prompts: Banks of any number of members, with equal P and D.

    Returns:
        One bank with all their members.

    Raises:
        ValueError: If there are none, or if their lengths or widths differ.
    """
    shapes = sorted({prompt.rows.shape[1:] for prompt in prompts})
    if len(shapes) != 1:
        raise ValueError(
            f"prompts of shapes [P, D] = {shapes} make no bank: use prompts of one "
            "length, for one model"
        )
    return Prompt(jnp.concatenate([prompt.rows for prompt in prompts]))


def lengthen(prompt: Prompt, length: int) -> Prompt:
    """Adds zero rows that nothing names, so that prompts of any length make a bank.

    Args:
        prompt: A bank with rows [M, P, D].
        length: Rows that each member is to have, P or more.
    """
    return Prompt(jnp.pad(prompt.rows, ((0, 0), (0, length - prompt.length), (0, 0))))


def unstack(bank: Prompt) -> list[Prompt]:
    """Splits a bank into its M members, each a bank of one."""
    return [Prompt(bank.rows[m : m + 1]) for m in range(bank.members)]
