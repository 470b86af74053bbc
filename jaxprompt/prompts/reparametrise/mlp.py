"""Keys and values made by a network of two layers: P-Tuning v2's prefix encoder."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.prompts.flat import ROWS, put_together, take_apart
from jaxprompt.prompts.prompt import Prompt

HIDDEN = 512
"""Width H of the hidden layer."""

_INITIAL_SCALE = 0.02


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Network:
    """What makes the keys and values of one site: F = 2 * N * G * K numbers a token.

    Attributes:
        embedding: A vector of model width D for each of P tokens.
        down: Matrix into the hidden layer.
        down_bias: Its bias.
        up: Matrix out of the hidden layer.
        up_bias: Its bias.
    """

    embedding: Float[Array, "M P D"]
    down: Float[Array, "M D H"]
    down_bias: Float[Array, "M H"]
    up: Float[Array, "M H F"]
    up_bias: Float[Array, "M F"]

    def __call__(self) -> Float[Array, "M P F"]:
        """Returns what each token becomes."""
        hidden = jnp.einsum("mpd,mdh->mph", self.embedding, self.down)
        hidden = jnp.tanh(hidden + self.down_bias[:, None])
        return jnp.einsum("mph,mhf->mpf", hidden, self.up) + self.up_bias[:, None]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Mlp:
    """The keys and values tanh(E W_down + b_down) W_up + b_up at every site.

    Attributes:
        prompt: All else that trains; its keys and values are of P = 0 tokens.
        networks: The network of each site.

    Source: Liu et al. 2022, sec. 3.3 (arXiv:2110.07602); THUDM/P-tuning-v2,
    model/prefix_encoder.py: tanh, 512 hidden, weights drawn from N(0, 0.02), zero
    biases.
    """

    prompt: Prompt
    networks: Mapping[str, Network]

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.prompt.members

    def expand(self) -> Prompt:
        """Runs each site's network."""
        made = {site: network() for site, network in self.networks.items()}
        return put_together(self.prompt, made)


def mlp(key: jax.Array, prompt: Prompt) -> Mlp:
    """Puts a network in the place of a prompt's keys and values.

    The network starts at random, and so do they: of those of the prompt it takes the
    shapes alone.

    Args:
        key: Typed PRNG key; consumed.
        prompt: A bank of one, with keys and values at a site or more.
    """
    parts, rest = take_apart(prompt)
    rows = parts.pop(ROWS)
    networks = {}
    for site, flat in parts.items():
        key, *keys = jax.random.split(key, 4)
        length, numbers = flat.shape[1:]
        shapes = (
            (1, length, prompt.width),
            (1, prompt.width, HIDDEN),
            (1, HIDDEN, numbers),
        )
        embedding, down, up = (
            _INITIAL_SCALE * jax.random.normal(own, shape)
            for own, shape in zip(keys, shapes, strict=True)
        )
        biases = jnp.zeros((1, HIDDEN)), jnp.zeros((1, numbers))
        networks[site] = Network(embedding, down, biases[0], up, biases[1])
    return Mlp(put_together(rest, {ROWS: rows}), networks)
