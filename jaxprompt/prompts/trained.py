"""What trains in a prompt's place: it expands to the prompt that the model reads."""

from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxprompt.prompts.prompt import Prompt
from jaxprompt.shapes import Params


class Trained(Protocol):
    """A pytree whose leaves all lead with the members M; a `Prompt` is one itself.

    The train step, the optimizer and the checkpoint hold it. The model reads what it
    expands to, and files hold that.
    """

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        ...

    def expand(self) -> Prompt:
        """Makes the prompts, by operations that can be differentiated."""
        ...


def expanded(params: Params) -> Params:
    """Returns the joined tree with the prompt that a model reads.

    Args:
        params: The joined tree, with a `Trained` in the prompt's place.
    """
    return {**params, "prompt": params["prompt"].expand()}


def join_heads(heads: Sequence[Params]) -> Params:
    """Makes one bank of the heads of members; of {}s, {}.

    Raises:
        ValueError: If they have different shapes.
    """
    shapes = [jax.tree.map(lambda leaf: leaf.shape[1:], head) for head in heads]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"heads of weights {_told(heads[0])} and others do not run together: their "
            "tasks have other labels, or their models another width"
        )
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *heads)


def _told(head: Params) -> str:
    return ", ".join(str([*leaf.shape[1:]]) for leaf in jax.tree.leaves(head)) or "none"


def unstack_head(weights: Params, members: int) -> list[Params]:
    """Splits the heads of a bank into banks of one; {} gives as many of {}.

    Args:
        weights: Each leaf leads with the members M.
        members: The number M.
    """
    return [
        jax.tree.map(lambda leaf, m=member: leaf[m : m + 1], weights)
        for member in range(members)
    ]


def join_members(members: Sequence[Trained]) -> Trained:
    """Makes one bank of members that are of one kind and one shape."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *members)
