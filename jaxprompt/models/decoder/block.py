"""One layer of a decoder: norms, attention over parts, feed-forward."""

from collections.abc import Sequence

import flax.linen as nn
from jaxtyping import Array, Float, Int, Key

from jaxprompt.models.decoder.config import DecoderConfig
from jaxprompt.models.layers.attention import Attention, Part, remember
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.models.layers.feed_forward import FeedForward
from jaxprompt.models.layers.norms import LayerNorm

INITIAL_SCALE = 0.02
"""Standard deviation of a new matrix."""


class Block(nn.Module):
    """One layer: norm first, residual around attention and feed-forward.

    Source: Radford et al. 2019, sec. 2.3: the matrices that end a residual branch
    start smaller by sqrt(2 * N); 0.02 as in Radford et al. 2018, sec. 4.1.
    """

    config: DecoderConfig
    dropout: float

    def setup(self) -> None:
        """Declares the layer's norms, attention and feed-forward."""
        config = self.config
        out_scale = INITIAL_SCALE * (2 * config.layers) ** -0.5
        self.attention_norm = LayerNorm(config.width, config.norm_epsilon)
        self.attention = Attention(
            config.width,
            heads=config.heads,
            kv_heads=config.kv_heads,
            head_width=config.head_width,
            biases=True,
            scale=config.head_width**-0.5,
            query_scale=INITIAL_SCALE,
            into_scale=INITIAL_SCALE,
            out_scale=out_scale,
            dropout=self.dropout,
            shared_dropout=False,
        )
        self.ffn_norm = LayerNorm(config.width, config.norm_epsilon)
        self.ffn = FeedForward(
            config.width,
            config.ffn_width,
            config.activation,
            gated=False,
            biases=True,
            into_scale=INITIAL_SCALE,
            out_scale=out_scale,
        )

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Float[Array, "B T S"],
        *,
        before: Sequence[Part] = (),
        past: tuple[Array, Array, Int[Array, ""]] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Array, tuple[Array, Array]]:
        """Transforms x, and returns the keys and values of its attention too.

        Args:
            x: Tokens.
            mask: Added to the scores of x among itself, or of x and `past`.
            before: What stands in front of x: a prefix, the source.
            past: Keys and values [B, L, G, K] of all steps, and the row to write now.
            dropout_key: None for no dropout.
        """
        keys = split_key(dropout_key, 3)
        normed = self.attention_norm(x)
        own = self.attention.keys_values(normed)
        if past is not None:
            own = remember(past, own)
        attended = self.attention(normed, (*before, Part(*own, mask)), keys[0])
        x = x + drop(attended, self.dropout, keys[1], shared=False)
        transformed = self.ffn(self.ffn_norm(x))
        x = x + drop(transformed, self.dropout, keys[2], shared=False)
        return x, own
