"""One layer of T5, and the cache that its attention reads while decoding."""

import dataclasses

import flax.linen as nn
import jax
from jaxtyping import Array, Float, Int, Key

from jaxprompt.models import layers
from jaxprompt.models.t5_config import T5Config


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """What the decoder remembers between steps. Rows B are the second axis throughout.

    Attributes:
        keys: Keys of the target tokens so far; rows from the next index on are unread.
        values: Values of the target tokens so far.
        cross_keys: Keys of the source tokens.
        cross_values: Values of the source tokens.
        cross_mask: Added to the scores of the source tokens, float32.
    """

    keys: Float[Array, "N B L H K"]
    values: Float[Array, "N B L H K"]
    cross_keys: Float[Array, "N B T H K"]
    cross_values: Float[Array, "N B T H K"]
    cross_mask: Float[Array, "1 B T"]

    def take(self, rows: Int[Array, " R"]) -> "Cache":
        """Gathers rows of the batch: repeats them for beams, or picks some."""
        return jax.tree.map(lambda leaf: leaf[:, rows], self)

    def reorder(self, rows: Int[Array, " B"]) -> "Cache":
        """Like `take`, cheaper, for rows that share a source, as one example's beams.

        Only what the decoder has written moves; the source's keys and values stay.
        """
        return dataclasses.replace(
            self, keys=self.keys[:, rows], values=self.values[:, rows]
        )


class Block(nn.Module):
    """One layer of the encoder or of the decoder: norm first, residual around each."""

    config: T5Config
    decoder: bool
    dropout: float

    def setup(self) -> None:
        """Declares the layer's norms, attentions and feed-forward."""
        config, ones = self.config, nn.initializers.ones
        sizes = (config.width, config.heads, config.head_width)
        self.attention_norm = self.param("attention_norm", ones, (config.width,))
        self.attention = layers.Attention(*sizes, dropout=self.dropout)
        if self.decoder:
            self.cross_norm = self.param("cross_norm", ones, (config.width,))
            self.cross = layers.Attention(*sizes, dropout=self.dropout)
        self.ffn_norm = self.param("ffn_norm", ones, (config.width,))
        self.ffn = layers.FeedForward(
            config.width,
            config.ffn_width,
            config.gated,
            config.activation,
            dropout=self.dropout,
        )

    def cross_keys_values(self, encoded: Array) -> tuple[Array, Array]:
        """Projects the encoder's output for `__call__`."""
        return self.cross.keys_values(encoded)

    def __call__(
        self,
        x: Array,
        mask: Array,
        bias: Array,
        *,
        cross: tuple[Array, Array] | None = None,
        cross_mask: Array | None = None,
        past: tuple[Array, Array, Array] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Array, tuple[Array, Array]]:
        """Transforms x, and returns the keys and values of its self-attention too.

        Args:
            x: Tokens, [B, T, D].
            mask: Added to the scores of self-attention, [B, T, S].
            bias: Likewise, [H, T, S].
            cross: Keys and values of the source, for a decoder.
            cross_mask: Added to the scores of the source, [B, T, S].
            past: Keys and values [B, L, H, K] of all steps, and the row to write now.
            dropout_key: None for no dropout.
        """
        epsilon, rate = self.config.norm_epsilon, self.dropout
        keys = layers.split_key(dropout_key, 6)
        normed = layers.rms_norm(x, self.attention_norm, epsilon)
        seen = self.attention.keys_values(normed)
        if past is not None:
            seen = (
                _write(past[0], seen[0], past[2]),
                _write(past[1], seen[1], past[2]),
            )
        attended = self.attention(normed, *seen, mask, bias, keys[0])
        x = x + layers.drop(attended, rate, keys[1])
        if cross is not None and cross_mask is not None:
            normed = layers.rms_norm(x, self.cross_norm, epsilon)
            attended = self.cross(normed, *cross, cross_mask, None, keys[2])
            x = x + layers.drop(attended, rate, keys[3])
        normed = layers.rms_norm(x, self.ffn_norm, epsilon)
        x = x + layers.drop(self.ffn(normed, keys[4]), rate, keys[5])
        return x, seen


def _write(past: Array, new: Array, index: Array) -> Array:
    new = new.astype(past.dtype)
    return jax.lax.dynamic_update_slice_in_dim(past, new, index, axis=1)
