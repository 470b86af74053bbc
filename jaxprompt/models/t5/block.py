"""One layer of T5: norms, attentions over parts, feed-forward."""

from collections.abc import Sequence

import flax.linen as nn
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.attention_form import AttentionForm
from jaxprompt.models.layers.attention import Attention, Part, remember
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.models.layers.feed_forward import FeedForward
from jaxprompt.models.layers.norms import rms_norm
from jaxprompt.models.t5.config import T5Config


class T5Block(nn.Module):
    """One layer of the encoder or of the decoder: norm first, residual around each.

    Attention has no biases, and does not scale its scores.

    Source: initial scales of Mesh TensorFlow's `attention_params`, which fold the
    1 / sqrt(K) of other Transformers into the query.
    """

    config: T5Config
    decoder: bool
    dropout: float
    form: AttentionForm = "chunked"

    def setup(self) -> None:
        """Declares the layer's norms, attentions and feed-forward."""
        config, ones = self.config, nn.initializers.ones
        self.attention_norm = self.param("attention_norm", ones, (config.width,))
        self.attention = self._attention()
        if self.decoder:
            self.cross_norm = self.param("cross_norm", ones, (config.width,))
            self.cross = self._attention()
        self.ffn_norm = self.param("ffn_norm", ones, (config.width,))
        self.ffn = FeedForward(
            config.width,
            config.ffn_width,
            config.activation,
            gated=config.gated,
            biases=False,
            into_scale=config.width**-0.5,
            out_scale=config.ffn_width**-0.5,
            dropout=self.dropout,
        )

    def _attention(self) -> Attention:
        config = self.config
        width, head_width = config.width, config.head_width
        return Attention(
            width,
            heads=config.heads,
            kv_heads=config.heads,
            head_width=head_width,
            biases=(),
            scale=1.0,
            query_scale=(width * head_width) ** -0.5,
            into_scale=width**-0.5,
            out_scale=(config.heads * head_width) ** -0.5,
            dropout=self.dropout,
            shared_dropout=True,
            form=self.form,
        )

    def cross_keys_values(
        self, encoded: Float[Array, "B T D"]
    ) -> tuple[Float[Array, "B T H K"], Float[Array, "B T H K"]]:
        """Projects the encoder's output for the part that `__call__` takes of it."""
        return self.cross.keys_values(encoded)

    def cross_states(
        self, encoded: Float[Array, "B T D"], mask: Bool[Array, "B L T"]
    ) -> Part:
        """Returns that part without projecting: for a few target tokens L."""
        return self.cross.unprojected(encoded, mask)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Bool[Array, "B T S"],
        bias: Float[Array, "H T S"],
        *,
        before: Sequence[Part] = (),
        cross: Sequence[Part] = (),
        past: tuple[Array, Array, Int[Array, ""]] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Array, tuple[Array, Array]]:
        """Transforms x, and returns the keys and values of its self-attention too.

        Args:
            x: Tokens.
            mask: What x attends to of itself, or of `past`.
            bias: Added to the scores of these.
            before: What x attends to besides: a prefix.
            cross: What a decoder attends to of the source, a prefix among it.
            past: Keys and values [B, L, H, K] of all steps, and the row to write now.
            dropout_key: None for no dropout.
        """
        epsilon, rate = self.config.norm_epsilon, self.dropout
        keys = split_key(dropout_key, 6)
        normed = rms_norm(x, self.attention_norm, epsilon)
        own = self.attention.keys_values(normed)
        if past is not None:
            own = remember(past, own)
        attended = self.attention(normed, (*before, Part(*own, mask, bias)), keys[0])
        x = x + drop(attended, rate, keys[1])
        if self.decoder:
            normed = rms_norm(x, self.cross_norm, epsilon)
            x = x + drop(self.cross(normed, cross, keys[2]), rate, keys[3])
        normed = rms_norm(x, self.ffn_norm, epsilon)
        x = x + drop(self.ffn(normed, keys[4]), rate, keys[5])
        return x, own
