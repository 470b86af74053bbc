"""Soft tokens with a small network behind them, which is added to what they are."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.prompts.prompt import Prompt

HIDDEN = 128
"""Width H of the hidden layer."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ResidualMlp:
    """Rows x and a network: the model reads x + relu(x W_down) W_up.

    Attributes:
        prompt: What is trained of the prompt itself; its keys and values are read as
            they are.
        down: W_down of each member.
        up: W_up of each member; 0 at the start, so that a prompt starts as it is.

    Source: Razdaibiedina et al. 2023, sec. 3 (arXiv:2305.03937), a network of each
    prompt's own that all of its tokens share, here without the layer norm behind it,
    under which no prompt would start as it is.
    """

    prompt: Prompt
    down: Float[Array, "M D H"]
    up: Float[Array, "M H D"]

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.prompt.members

    def expand(self) -> Prompt:
        """Passes the rows of each member through its network."""
        rows = self.prompt.rows
        hidden = jax.nn.relu(jnp.einsum("mpd,mdh->mph", rows, self.down))
        added = jnp.einsum("mph,mhd->mpd", hidden, self.up)
        return dataclasses.replace(self.prompt, rows=rows + added)


def residual_mlp(key: jax.Array, prompt: Prompt) -> ResidualMlp:
    """Puts a network behind a prompt, which changes nothing yet.

    Args:
        key: Typed PRNG key; consumed.
        prompt: A bank of one, with soft tokens.

    Raises:
        ValueError: If there are none.
    """
    if not prompt.length:
        raise ValueError(
            f"reparametrisation 'residual_mlp' is of soft tokens: this is {prompt.told}"
        )
    width = prompt.width
    down = jax.random.normal(key, (1, width, HIDDEN)) * width**-0.5
    return ResidualMlp(prompt, down, jnp.zeros((1, HIDDEN, width)))
