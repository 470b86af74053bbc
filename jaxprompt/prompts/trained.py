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


def join_members(members: Sequence[Trained]) -> Trained:
    """Makes one bank of members that are of one kind and one shape."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *members)
