"""One layer of a decoder: norms, attention over parts, feed-forward."""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.attention_form import AttentionForm
from jaxprompt.models.decoder.config import DecoderConfig
from jaxprompt.models.layers.attention import Attention, Part, remember
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.models.layers.feed_forward import FeedForward
from jaxprompt.models.layers.norms import Norm
from jaxprompt.models.layers.turn import Rotation

INITIAL_SCALE = 0.02
"""Standard deviation of a new matrix."""


class DecoderBlock(nn.Module):
    """One layer: residual around attention and around the feed-forward layer.

    Source: Radford et al. 2019, sec. 2.3: the matrices that end a residual branch
    start smaller by sqrt(2 * N); 0.02 as in Radford et al. 2018, sec. 4.1.
    """

    config: DecoderConfig
    dropout: float
    form: AttentionForm = "chunked"
    mesh: jax.sharding.Mesh | None = None

    def setup(self) -> None:
        """Declares the layer's norms, attention and feed-forward."""
        config, switches = self.config, self.config.switches
        out_scale = INITIAL_SCALE * (2 * config.layers) ** -0.5
        self.attention_norm = self._norm(switches.norms_in)
        self.attention = Attention(
            config.width,
            heads=config.heads,
            kv_heads=switches.kv_heads,
            head_width=switches.head_width,
            biases=switches.attention_biases,
            scale=switches.query_scale,
            query_scale=INITIAL_SCALE,
            into_scale=INITIAL_SCALE,
            out_scale=out_scale,
            dropout=self.dropout,
            shared_dropout=False,
            cap=switches.score_cap,
            normed=switches.heads_normed,
            norm=switches.norm,
            norm_epsilon=config.norm_epsilon,
            form=self.form,
            mesh=self.mesh,
        )
        self.attention_out_norm = self._norm(switches.norms_out)
        self.ffn_norm = self._norm(switches.norms_in)
        self.ffn = FeedForward(
            config.width,
            config.ffn_width,
            config.activation,
            gated=switches.gated,
            biases=switches.ffn_biases,
            into_scale=INITIAL_SCALE,
            out_scale=out_scale,
        )
        self.ffn_out_norm = self._norm(switches.norms_out)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Bool[Array, "B T S"],
        *,
        before: Sequence[Part] = (),
        turn: Rotation | None = None,
        past: tuple[Array, Array, Int[Array, "*B"]] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Array, tuple[Array, Array]]:
        """Transforms x, and returns the keys and values of its attention too.

        Args:
            x: Tokens.
            mask: What x attends to of itself, or of `past`.
            before: What stands in front of x: a prefix, the source.
            turn: By how much queries and keys of x turn; None for not at all.
            past: Keys and values [B, L, G, K] of all steps, and the place to write now,
                one for all rows or one for each.
            dropout_key: None for no dropout.
        """
        keys = split_key(dropout_key, 3)
        normed = _through(self.attention_norm, x)
        own = self.attention.keys_values(normed, turn)
        if past is not None:
            own = remember(past, own)
        parts = (*before, Part(*own, mask))
        attended = self.attention(normed, parts, keys[0], turn)
        attended = _through(self.attention_out_norm, attended)
        x = x + drop(attended, self.dropout, keys[1], shared=False)
        transformed = self.ffn(_through(self.ffn_norm, x))
        transformed = _through(self.ffn_out_norm, transformed)
        x = x + drop(transformed, self.dropout, keys[2], shared=False)
        return x, own

    def _norm(self, wanted: bool) -> Norm | None:
        if not wanted:
            return None
        config = self.config
        return Norm(config.switches.norm, config.width, config.norm_epsilon)


def _through(norm: Norm | None, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    return x if norm is None else norm(x)
