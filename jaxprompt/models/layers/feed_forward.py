"""The feed-forward layer, and the activations that it can have."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import flax.linen as nn
import jax
from jaxtyping import Array, Float, Key

from jaxprompt.models.layers.dense import affine
from jaxprompt.models.layers.dropout import drop

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "relu": jax.nn.relu,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "gelu_new": lambda x: jax.nn.gelu(x, approximate=True),
        "silu": jax.nn.silu,
    }
)
"""The function of each."""


class FeedForward(nn.Module):
    """Two matrices around an activation, or three where a gate multiplies.

    Source: Shazeer 2020, eq. 5 and 6 (arXiv:2002.05202), for the gate.

    Attributes:
        width: Model width D.
        hidden_width: Width F in the middle.
        activation: What is applied in the middle.
        gated: Whether there is a gate.
        biases: Whether the matrices have biases, that of the gate too.
        into_scale: Standard deviation of new matrices [D, F].
        out_scale: Standard deviation of a new matrix [F, D].
        dropout: Share of the features in the middle that are zeroed.
    """

    width: int
    hidden_width: int
    activation: str
    gated: bool
    biases: bool
    into_scale: float
    out_scale: float
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], dropout_key: Key[Array, ""] | None = None
    ) -> Float[Array, "B T D"]:
        """Transforms every token by itself."""
        width, hidden_width = self.width, self.hidden_width
        into = nn.initializers.normal(self.into_scale), (width, hidden_width)
        out = nn.initializers.normal(self.out_scale), (hidden_width, width)
        activate = ACTIVATIONS[self.activation]
        up = self.param("up", *into)
        hidden = affine(x, up, self._bias("up_bias", hidden_width))
        if self.gated:
            gate = self.param("gate", *into)
            gate = affine(x, gate, self._bias("gate_bias", hidden_width))
            hidden = activate(gate) * hidden
        else:
            hidden = activate(hidden)
        hidden = drop(hidden, self.dropout, dropout_key)
        down = self.param("down", *out)
        return affine(hidden, down, self._bias("down_bias", width))

    def _bias(self, name: str, width: int) -> Float[Array, " F"] | None:
        if not self.biases:
            return None
        return self.param(name, nn.initializers.zeros, (width,))
