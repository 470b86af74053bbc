"""An encoder-only model: tokens in, one state of each out; its sizes are data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.base import Base
from jaxprompt.models.config import SiteName
from jaxprompt.models.encoder.block import EncoderBlock
from jaxprompt.models.encoder.config import EncoderConfig
from jaxprompt.models.encoder.init import init_params
from jaxprompt.models.layers.dense import affine, score_ids
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.models.layers.feed_forward import ACTIVATIONS
from jaxprompt.models.layers.masks import rows_since_start
from jaxprompt.models.layers.norms import normalise
from jaxprompt.models.options import over_layers
from jaxprompt.models.prefix import (
    KeysValues,
    Prefix,
    Prefixes,
    check_prefixes,
    layers_below,
)
from jaxprompt.models.sight import Places, numbered, sights, stacked
from jaxprompt.models.tokens import Tokens
from jaxprompt.shapes import Params
from jaxprompt.sharding import DATA, MODEL, constrain

# Finite, and so small that a softmax gives these ids nothing.
_NEVER = -1e9


@dataclasses.dataclass(frozen=True)
class Encoder(Base[EncoderConfig]):
    """A frozen encoder: static and hashable, its weights are arguments.

    It writes no words: a head turns its states into answers, or where the checkpoint
    has a masked-LM head, `fill` scores the words in a mask's place.

    `params` is a tree of arrays, layers stacked over N and every weight a matrix:

        embedding [V, D], whose rows from vocab_size on are zeros,
        positions [S, D] and types [Y, D], if there are tables,
        embedding_norm/{scale, bias} [D],
        in `layers`: {attention_norm, ffn_norm}/{scale, bias} [N, D],
        attention/{query, key, value, out} [N, D, D], ffn/{up, gate} [N, D, F],
        ffn/down [N, F, D], and a bias to each of these, attention/query_bias [N, D] and
        so on,
        where norms come first, final_norm/{scale, bias} [D],
        where the first layer reads bare tokens, attention_norms/{scale, bias}
        [N - 1, D] of the others, in the place of attention_norm,
        where the checkpoint has a pooler, pooler/weight [D, D] and pooler/bias [D],
        and where it fills masks, in `fill`: weight [D, D], bias [D],
        norm/{scale, bias} [D], word_bias [V]; `config.switches` says which of these
        have a gate and biases.

    Each matrix of a layer and the embedding table may be an `Int8Matrix`, from
    `quantise.quantise`.
    """

    name: str = "encoder"

    def init(self, key: Key[Array, ""]) -> Params:
        """Draws random weights; see `init_params`."""
        params = init_params(self.config, key)
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype), params)

    def states(
        self,
        params: Params,
        tokens: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Reads tokens for a head; see `Backbone.states`. The one site is "encoder".

        A model with fewer token types takes its last one for those that it lacks.
        """
        x, _ = self._read(params, tokens, self._own(prefix), dropout_key)
        if not self.config.switches.norms_first:
            return x
        return self._norm(x, params["final_norm"])

    def lower(
        self,
        params: Params,
        source: Tokens,
        target: Tokens | None = None,
        *,
        prefix: Prefixes | None = None,
    ) -> tuple[Tokens, Tokens | None]:
        """Reads tokens below a prefix; see `Backbone.lower`."""
        own = self._own(prefix)
        end = layers_below(own, without=self.config.layers)
        if not end:
            return source, target
        x, _ = self._read(params, source, own, end=end)
        return dataclasses.replace(source, x=x, layers=end), target

    def keys_values(
        self, params: Params, rows: Float[Array, "M P D"]
    ) -> Mapping[SiteName, KeysValues]:
        """Returns what the one site keeps of soft tokens alone."""
        tokens = Tokens(rows, jnp.ones(rows.shape[:2], jnp.int32))
        # M need not be divisible by the mesh's data axis, over which kernels are split.
        encoder = dataclasses.replace(self, mesh=None, attention="chunked")
        return {"encoder": encoder._read(params, tokens, keep=True)[1]}

    def _read(
        self,
        params: Params,
        tokens: Tokens,
        own: Prefix | None = None,
        dropout_key: Key[Array, ""] | None = None,
        *,
        keep: bool = False,
        end: int | None = None,
    ) -> tuple[Float[Array, "B T D"], Any]:
        """Applies every layer that x has not been through, or those below `end`.

        Where `keep`, also returns their keys and values.
        """
        first = self._check_length(own, tokens.length)
        first_key, layers_key = split_key(dropout_key, 2)
        config, switches = self.config, self.config.switches
        keys: Any = None
        if layers_key is not None:
            keys = split_key(layers_key, config.layers)
        block = EncoderBlock(config, self.dropout, self.attention, self.mesh)
        kinds, numbers = numbered(switches.layers, config.layers)
        positions = first + rows_since_start(tokens.segments)
        places = Places(tokens.segments, positions)
        seen = sights(
            kinds,
            places,
            places,
            causal=False,
            both_ways=True,
            prefix=own,
            dtype=self.dtype,
        )
        of_kind = stacked(seen) if len(seen) > 1 else None

        def body(x: Array, layer: Any, prefix: Any) -> tuple[Array, Any]:
            layer_params, bare, key, number = layer
            if of_kind is None:
                (sight,) = seen
            else:
                sight = jax.tree.map(lambda leaf: leaf[number], of_kind)
            before = ()
            if own is not None and prefix is not None:
                before = (own.part(prefix, mask=sight.prefix),)
            x, kept = block.apply(
                {"params": layer_params},
                x,
                sight.own,
                before=before,
                turn=sight.turn,
                bare=bare,
                dropout_key=key,
            )
            x = constrain(x, self.mesh, DATA, None, None)
            return x, kept if keep else None

        x = tokens.x.astype(self.dtype)
        if not tokens.layers:
            x = self._enter(params, tokens, positions)
            x = drop(x, self.dropout, first_key, shared=False)
        x = constrain(x, self.mesh, DATA, None, None)
        by_layer = None if own is None else own.by_layer(self.dtype)
        return over_layers(
            body,
            x,
            (*self._layers_of(params), keys, jnp.asarray(numbers)),
            by_layer,
            below=layers_below(own),
            first=tokens.layers,
            end=end,
            remat=self.remat,
            unroll=self.unroll,
        )

    def fill(
        self, params: Params, states: Float[Array, "B L D"]
    ) -> Float[Array, "B L V"]:
        """Scores the words that may stand where a token stands, by the masked-LM head.

        Args:
            params: The weights.
            states: Of the tokens to score, from `states`.

        Returns:
            Unnormalised log probabilities, float32; -1e9 for ids that are no token.

        Raises:
            ValueError: If the checkpoint has no such head.

        Source: Devlin et al. 2019 (arXiv:1810.04805), released code,
        `get_masked_lm_output`.
        """
        if not self.config.fills:
            raise ValueError(
                f"{self.name} has no masked-LM head: take a checkpoint that has one, "
                "or a head that trains, as of classes"
            )
        fill = params["fill"]
        y = affine(states.astype(self.dtype), fill["weight"], fill.get("bias"))
        y = self._norm(ACTIVATIONS[self.config.fill_activation](y), fill["norm"])
        logits = score_ids(y, params["embedding"], is_table=True)
        logits = logits + fill["word_bias"].astype(logits.dtype)[None, None]
        ids_V = jnp.arange(self.config.vocab_rows)
        real_V = ids_V < self.config.vocab_size
        logits = jnp.where(real_V[None, None], logits, jnp.float32(_NEVER))
        return constrain(logits, self.mesh, DATA, None, MODEL)

    def _own(self, prefix: Prefixes | None) -> Prefix | None:
        """Returns the prefix of the one site that there is."""
        return check_prefixes(self.name, prefix, self.config.sites).get("encoder")

    def _enter(
        self,
        params: Params,
        tokens: Tokens,
        positions: Int[Array, "B T"],
    ) -> Float[Array, "B T D"]:
        """Adds to embedded tokens what the model knows of places and types."""
        x = tokens.x.astype(self.dtype)
        if self.config.switches.tables:
            rows = self.config.first_position + positions
            x = x + params["positions"][rows].astype(self.dtype)
            types = tokens.types
            if types is None:
                types = jnp.zeros_like(tokens.segments)
            types = jnp.minimum(types, self.config.types - 1)
            x = x + params["types"][types].astype(self.dtype)
        return self._norm(x, params["embedding_norm"])

    def _layers_of(self, params: Params) -> tuple[Params, Bool[Array, " N"] | None]:
        """Returns the weights of the layers, and which of them read bare tokens.

        The first of these has no norm of its own, so it gets one that is not read.
        """
        layers = params["layers"]
        if not self.config.switches.first_reads_bare:
            return layers, None
        norms = jax.tree.map(
            lambda leaf: jnp.concatenate([leaf[:1], leaf]), params["attention_norms"]
        )
        bare = jnp.arange(self.config.layers) == 0
        return {**layers, "attention_norm": norms}, bare

    def _norm(self, x: Float[Array, "B T D"], weights: Params) -> Float[Array, "B T D"]:
        config = self.config
        return normalise(config.switches.norm, x, weights, config.norm_epsilon)

    def _check_length(self, prefix: Prefix | None, length: int) -> int:
        """Returns how far a prefix moves the positions of a text."""
        first = 0 if prefix is None else prefix.first_position
        most = self.config.most_tokens
        # A program that is exported for texts of any length has no number here.
        if isinstance(length, int) and first + length > most:
            raise ValueError(
                f"a prefix of {first} and {length} tokens in a row = {first + length}, "
                f"but {self.name} has {most} positions: use shorter inputs or prompts"
            )
        return first
