"""One layer of GPT-2: norms, attention over parts, feed-forward."""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jaxtyping import Array, Float, Key

from jaxprompt.models import layers
from jaxprompt.models.attention import Part, attend
from jaxprompt.models.gpt2_config import GPT2Config

INITIAL_SCALE = 0.02
"""Standard deviation of a new matrix."""


class Norm(nn.Module):
    """Layer norm."""

    width: int
    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Normalises every token by itself."""
        scale = self.param("scale", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        return layers.layer_norm(x, scale, bias, self.epsilon)


class Attention(nn.Module):
    """Multi-head attention with biases; scores are divided by sqrt(K).

    The weights are plain matrices, [D, H*K] and [H*K, D].
    """

    width: int
    heads: int
    head_width: int
    out_scale: float
    dropout: float

    def setup(self) -> None:
        """Declares the four matrices and their biases."""
        width, inner = self.width, self.heads * self.head_width
        normal, zeros = nn.initializers.normal, nn.initializers.zeros
        self.query = self.param("query", normal(INITIAL_SCALE), (width, inner))
        self.key = self.param("key", normal(INITIAL_SCALE), (width, inner))
        self.value = self.param("value", normal(INITIAL_SCALE), (width, inner))
        self.out = self.param("out", normal(self.out_scale), (inner, width))
        self.query_bias = self.param("query_bias", zeros, (inner,))
        self.key_bias = self.param("key_bias", zeros, (inner,))
        self.value_bias = self.param("value_bias", zeros, (inner,))
        self.out_bias = self.param("out_bias", zeros, (width,))

    def keys_values(
        self, x: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "B S H K"], Float[Array, "B S H K"]]:
        """Projects the tokens that are attended to."""
        keys = self._heads(x, self.key, self.key_bias)
        return keys, self._heads(x, self.value, self.value_bias)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        parts: Sequence[Part],
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Attends from x to the parts; scores and softmax in float32."""
        mixed_BTHK = attend(
            self._heads(x, self.query, self.query_bias),
            parts,
            scale=self.head_width**-0.5,
            dropout=self.dropout,
            dropout_key=dropout_key,
        )
        mixed = mixed_BTHK.reshape(*x.shape[:2], -1)
        return _affine(mixed, self.out, self.out_bias)

    def _heads(self, x: Array, matrix: Array, bias: Array) -> Array:
        split = (*x.shape[:2], self.heads, self.head_width)
        return _affine(x, matrix, bias).reshape(split)


class FeedForward(nn.Module):
    """Two matrices with biases around an activation."""

    width: int
    hidden_width: int
    activation: str
    out_scale: float

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Transforms every token by itself."""
        width, hidden_width = self.width, self.hidden_width
        normal, zeros = nn.initializers.normal, nn.initializers.zeros
        up = self.param("up", normal(INITIAL_SCALE), (width, hidden_width))
        up_bias = self.param("up_bias", zeros, (hidden_width,))
        down = self.param("down", normal(self.out_scale), (hidden_width, width))
        down_bias = self.param("down_bias", zeros, (width,))
        hidden = layers.ACTIVATIONS[self.activation](_affine(x, up, up_bias))
        return _affine(hidden, down, down_bias)


class Block(nn.Module):
    """One layer: norm first, residual around attention and feed-forward.

    Source: Radford et al. 2019, sec. 2.3: the matrices that end a residual branch
    start smaller by sqrt(2 * N); 0.02 as in Radford et al. 2018, sec. 4.1.
    """

    config: GPT2Config
    dropout: float

    def setup(self) -> None:
        """Declares the layer's norms, attention and feed-forward."""
        config = self.config
        out_scale = INITIAL_SCALE * (2 * config.layers) ** -0.5
        self.attention_norm = Norm(config.width, config.norm_epsilon)
        self.attention = Attention(
            config.width,
            config.heads,
            config.head_width,
            out_scale=out_scale,
            dropout=self.dropout,
        )
        self.ffn_norm = Norm(config.width, config.norm_epsilon)
        self.ffn = FeedForward(
            config.width, config.ffn_width, config.activation, out_scale=out_scale
        )

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Float[Array, "B T S"],
        *,
        before: Sequence[Part] = (),
        past: tuple[Array, Array, Array] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Array, tuple[Array, Array]]:
        """Transforms x, and returns the keys and values of its attention too.

        Args:
            x: Tokens.
            mask: Added to the scores of x among itself, or of x and `past`.
            before: What stands in front of x: a prefix, the source.
            past: Keys and values [B, L, H, K] of all steps, and the row to write now.
            dropout_key: None for no dropout.
        """
        keys = layers.split_key(dropout_key, 3)
        normed = self.attention_norm(x)
        own = self.attention.keys_values(normed)
        if past is not None:
            own = (_write(past[0], own[0], past[2]), _write(past[1], own[1], past[2]))
        attended = self.attention(normed, (*before, Part(*own, mask)), keys[0])
        x = x + layers.drop(attended, self.dropout, keys[1], shared=False)
        transformed = self.ffn(self.ffn_norm(x))
        x = x + layers.drop(transformed, self.dropout, keys[2], shared=False)
        return x, own


def _affine(x: Array, matrix: Array, bias: Array) -> Array:
    return layers.project(x, matrix) + bias.astype(x.dtype)[None, None, :]


def _write(past: Array, new: Array, index: Array) -> Array:
    new = new.astype(past.dtype)
    return jax.lax.dynamic_update_slice_in_dim(past, new, index, axis=1)
