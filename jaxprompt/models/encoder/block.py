"""One layer of an encoder: norms, attention, feed-forward."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxprompt.models.attention_form import AttentionForm
from jaxprompt.models.encoder.config import EncoderConfig
from jaxprompt.models.layers.attention import Attention, Part
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.models.layers.feed_forward import FeedForward
from jaxprompt.models.layers.norms import Norm
from jaxprompt.models.layers.turn import Rotation

INITIAL_SCALE = 0.02
"""Standard deviation of a new matrix or table."""


class EncoderBlock(nn.Module):
    """One layer, whose norms stand behind the residual sums, or in front of the rest.

    Source: Devlin et al. 2019 (arXiv:1810.04805), released code, `transformer_model`;
    0.02 is its `initializer_range`.
    """

    config: EncoderConfig
    dropout: float
    form: AttentionForm = "chunked"
    mesh: jax.sharding.Mesh | None = None

    def setup(self) -> None:
        """Declares the layer's attention, feed-forward and norms."""
        config, switches = self.config, self.config.switches
        head_width = config.width // config.heads
        self.attention = Attention(
            config.width,
            heads=config.heads,
            kv_heads=config.heads,
            head_width=head_width,
            biases=("query", "key", "value", "out") if switches.biases else (),
            scale=head_width**-0.5,
            query_scale=INITIAL_SCALE,
            into_scale=INITIAL_SCALE,
            out_scale=INITIAL_SCALE,
            dropout=self.dropout,
            shared_dropout=False,
            form=self.form,
            mesh=self.mesh,
        )
        self.attention_norm = Norm(switches.norm, config.width, config.norm_epsilon)
        self.ffn = FeedForward(
            config.width,
            config.ffn_width,
            config.activation,
            gated=switches.gated,
            biases=switches.biases,
            into_scale=INITIAL_SCALE,
            out_scale=INITIAL_SCALE,
        )
        self.ffn_norm = Norm(switches.norm, config.width, config.norm_epsilon)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Bool[Array, "B T T"],
        *,
        before: Sequence[Part] = (),
        turn: Rotation | None = None,
        bare: Bool[Array, ""] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Array, tuple[Array, Array]]:
        """Transforms x, and returns the keys and values of its attention too.

        Args:
            x: Tokens.
            mask: What x attends to of itself.
            before: What stands in front of x: a prefix.
            turn: By how much queries and keys turn; None for not at all.
            bare: Whether attention reads x as it is, in spite of `norms_first`; None
                where no layer does.
            dropout_key: None for no dropout.
        """
        norms_first = self.config.switches.norms_first
        keys = split_key(dropout_key, 3)
        read = self.attention_norm(x) if norms_first else x
        if bare is not None:
            read = jnp.where(bare, x, read)
        own = self.attention.keys_values(read, turn)
        attended = self.attention(read, (*before, Part(*own, mask)), keys[0], turn)
        x = x + drop(attended, self.dropout, keys[1], shared=False)
        if norms_first:
            transformed = self.ffn(self.ffn_norm(x))
            return x + drop(transformed, self.dropout, keys[2], shared=False), own
        x = self.attention_norm(x)
        transformed = drop(self.ffn(x), self.dropout, keys[2], shared=False)
        return self.ffn_norm(x + transformed), own
