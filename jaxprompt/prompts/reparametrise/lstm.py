"""Soft tokens made by a bidirectional LSTM and a network: P-Tuning's prompt encoder."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.prompts.prompt import Prompt

LAYERS = 2
"""Layers of the LSTM, each in both directions."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Direction:
    """One direction of one layer, with the gates input, forget, cell and output.

    Attributes:
        read: Matrix from what it reads to the four gates, of H numbers each.
        recall: Matrix from its last output to the gates.
        bias: Added to the gates.
    """

    read: Float[Array, "M D 4*H"]
    recall: Float[Array, "M H 4*H"]
    bias: Float[Array, "M 4*H"]

    def __call__(self, x: Float[Array, "M P D"]) -> Float[Array, "M P H"]:
        """Reads tokens from the first to the last.

        Source: Gers et al. 2000, with PyTorch's order of gates (torch.nn.LSTM).
        """
        read_PM4H = jnp.einsum("mpd,mdh->pmh", x, self.read) + self.bias[None]

        def step(state: tuple[Array, Array], read_M4H: Array) -> tuple:
            output, cell = state
            gates = read_M4H + jnp.einsum("mh,mhg->mg", output, self.recall)
            into, forget, new, out = jnp.split(gates, 4, axis=-1)
            kept = jax.nn.sigmoid(forget) * cell
            cell = kept + jax.nn.sigmoid(into) * jnp.tanh(new)
            output = jax.nn.sigmoid(out) * jnp.tanh(cell)
            return (output, cell), output

        nothing = jnp.zeros((x.shape[0], self.recall.shape[1]))
        _, outputs_PMH = jax.lax.scan(step, (nothing, nothing), read_PM4H)
        return outputs_PMH.swapaxes(0, 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Lstm:
    """The rows relu(LSTM(x) W_1 + b_1) W_2 + b_2.

    Attributes:
        prompt: x, and all else that trains; keys and values are read as they are.
        layers: Both directions of each layer, the backward one second.
        hidden: W_1 of each member.
        hidden_bias: b_1.
        out: W_2.
        out_bias: b_2.

    Source: Liu et al. 2021 (arXiv:2103.10385); THUDM/P-tuning, LAMA/p_tuning: two
    layers of D/2 in each direction, then two matrices [D, D] with a ReLU between.
    """

    prompt: Prompt
    layers: Sequence[tuple[Direction, Direction]]
    hidden: Float[Array, "M D D"]
    hidden_bias: Float[Array, "M D"]
    out: Float[Array, "M D D"]
    out_bias: Float[Array, "M D"]

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.prompt.members

    def expand(self) -> Prompt:
        """Passes the rows of each member through its encoder."""
        x = self.prompt.rows
        for forward, backward in self.layers:
            both = forward(x), backward(x[:, ::-1])[:, ::-1]
            x = jnp.concatenate(both, axis=-1)
        x = jnp.einsum("mpd,mdh->mph", x, self.hidden) + self.hidden_bias[:, None]
        x = jnp.einsum("mph,mhd->mpd", jax.nn.relu(x), self.out)
        return dataclasses.replace(self.prompt, rows=x + self.out_bias[:, None])


def lstm(key: jax.Array, prompt: Prompt) -> Lstm:
    """Puts an encoder behind the soft tokens of a prompt.

    What a model reads starts at what a random encoder makes of them.

    Args:
        key: Typed PRNG key; consumed.
        prompt: A bank of one, with soft tokens.

    Raises:
        ValueError: If the width D is odd: each direction gives half of it.

    Source: PyTorch's default for both kinds of layers: uniform, up to 1 / sqrt(fan in).
    """
    width = prompt.width
    if width % 2:
        raise ValueError(
            f"reparametrisation 'lstm' gives half of each row in each direction, but "
            f"the model width {width} is odd: use another one"
        )
    keys = iter(jax.random.split(key, 6 * LAYERS + 4))

    def draw(fan_in: int, *shape: int) -> Array:
        limit = fan_in**-0.5
        return jax.random.uniform(next(keys), (1, *shape), minval=-limit, maxval=limit)

    half = width // 2

    def direction() -> Direction:
        read, recall = draw(half, width, 4 * half), draw(half, half, 4 * half)
        return Direction(read, recall, draw(half, 4 * half))

    layers = [(direction(), direction()) for _ in range(LAYERS)]
    matrices = [
        draw(width, *shape) for shape in ((width, width), (width,)) for _ in range(2)
    ]
    hidden, out, hidden_bias, out_bias = matrices
    return Lstm(prompt, layers, hidden, hidden_bias, out, out_bias)
