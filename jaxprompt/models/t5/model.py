"""T5 in one file: versions 1.0 and 1.1, LM-adapted, Flan and mT5; sizes are data."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxprompt.models.base import Base
from jaxprompt.models.config import SiteName
from jaxprompt.models.layers.attention import Part
from jaxprompt.models.layers.dense import score_ids
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.models.layers.masks import rows_since_start, segment_mask
from jaxprompt.models.layers.norms import rms_norm
from jaxprompt.models.layers.relative_bias import relative_bias
from jaxprompt.models.options import over_layers
from jaxprompt.models.prefix import (
    KeysValues,
    Prefix,
    Prefixes,
    check_prefixes,
    layers_below,
)
from jaxprompt.models.t5.block import T5Block
from jaxprompt.models.t5.cache import T5Cache, T5Encoded
from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.tokens import Tokens
from jaxprompt.shapes import Params
from jaxprompt.sharding import DATA, MODEL, constrain


@dataclasses.dataclass(frozen=True)
class T5(Base[T5Config]):
    """A frozen T5: static and hashable, its weights are arguments.

    `params` is a tree of arrays, layers stacked over N and every weight a matrix:

        embedding [V, D], logits [D, V] (only when untied), and for `encoder` and
        `decoder`: relative_bias [buckets, H], final_norm [D], and in `layers`:
        attention_norm [N, D], attention/{query, key, value} [N, D, H*K],
        attention/out [N, H*K, D], ffn_norm [N, D], ffn/{gate, up} [N, D, F] (gate only
        when gated), ffn/down [N, F, D]; in the decoder also cross_norm and cross.

    Each matrix may be an `Int8Matrix`, from `quantise.quantise`.
    """

    name: str = "t5"

    def init(self, key: Key[Array, ""]) -> Params:
        """Draws random weights.

        Source: Mesh TensorFlow's Transformer as T5 configures it: embeddings of
        standard deviation 1, matrices of 1 / sqrt(fan in), the query's less by
        sqrt(K); the output matrix and the position bias as in T5X and Hugging Face.
        """
        config = self.config
        keys = iter(jax.random.split(key, 6))

        def normal(scale: float, *shape: int) -> Array:
            return scale * jax.random.normal(next(keys), shape)

        params: dict[str, Any] = {
            "embedding": normal(1.0, config.vocab_rows, config.width)
        }
        if not config.tied:
            params["logits"] = normal(
                config.width**-0.5, config.width, config.vocab_rows
            )
        for stack in ("encoder", "decoder"):
            params[stack] = {
                "layers": self._init_layers(next(keys), stack),
                "relative_bias": normal(
                    config.width**-0.5, config.buckets, config.heads
                ),
                "final_norm": jnp.ones(config.width),
            }
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype), params)

    def keys_values(
        self, params: Params, rows: Float[Array, "M P D"]
    ) -> Mapping[SiteName, KeysValues]:
        """Returns what the encoder keeps of soft tokens alone, and cross-attention.

        The decoder keeps nothing of them: its tokens stand behind a source.
        """
        source = Tokens(rows, jnp.ones(rows.shape[:2], jnp.int32))
        # M need not be divisible by the mesh's data axis.
        encoder = dataclasses.replace(self, mesh=None)
        states, kept = encoder._encode(params, source, keep=True)
        return {"encoder": kept, "cross": self._cross_keys_values(params, states)}

    def encode(
        self,
        params: Params,
        source: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> T5Encoded:
        """Encodes a source; see `Backbone.encode`.

        The prefix of the site "encoder" is read. One that stands in front gets the bias
        of its distance from each token.
        """
        read = check_prefixes(self.name, prefix, self.config.sites)
        own = read.get("encoder")
        states, _ = self._encode(params, source, own, dropout_key=dropout_key)
        later: Prefixes = {
            site: other for site, other in read.items() if site != "encoder"
        }
        return T5Encoded(states, source.segments, later)

    def _encode(
        self,
        params: Params,
        source: Tokens,
        own: Prefix | None = None,
        *,
        dropout_key: Key[Array, ""] | None = None,
        keep: bool = False,
        end: int | None = None,
    ) -> tuple[Float[Array, "B T D"], Any]:
        """Encodes; where `keep`, also returns the keys and values of every layer.

        With `end`, it stops below that layer.
        """
        segments = source.segments
        stack = params["encoder"]
        mask = segment_mask(segments, segments)
        rows = jnp.arange(source.length)
        bias = self._bias(stack, rows, rows, bidirectional=True)
        before = self._reader(stack, own, segments, bidirectional=True)
        block = self._block("encoder")

        def layer(x: Array, layer_params: Params, read: Any, key: Array | None) -> Any:
            return block.apply(
                {"params": layer_params},
                x,
                mask,
                bias,
                before=before(read[0]),
                dropout_key=key,
            )

        return self._run(stack, source, layer, (own,), dropout_key, keep=keep, end=end)

    def states(
        self,
        params: Params,
        tokens: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Encodes tokens for a head, without the decoder; see `Backbone.states`."""
        others = sorted({*(prefix or {})} - {"encoder"})
        if others:
            raise ValueError(
                f"keys and values at {' and '.join(others)}, but a head reads the "
                f"encoder of {self.name} alone: leave these sites out"
            )
        encoded = self.encode(params, tokens, prefix=prefix, dropout_key=dropout_key)
        return encoded.states

    def lower(
        self,
        params: Params,
        source: Tokens,
        target: Tokens | None = None,
        *,
        prefix: Prefixes | None = None,
    ) -> tuple[Tokens, Tokens | None]:
        """Reads tokens below a prefix; see `Backbone.lower`.

        The decoder reads what the whole encoder makes of the source, so that a target
        stays as it is where a layer of the encoder reads a prefix.
        """
        read = check_prefixes(self.name, prefix, self.config.sites)
        own, count = read.get("encoder"), self.config.encoder_layers
        end = layers_below(own, without=count)
        x, _ = self._encode(params, source, own, end=end)
        source = dataclasses.replace(source, x=x, layers=end)
        if target is None or end < count:
            return source, target
        encoded = self.encode(params, source, prefix=read)
        end = layers_below(
            read.get("decoder"),
            read.get("cross"),
            without=self.config.decoder_layers,
        )
        y = self._decode(params, encoded, target, end=end)
        return source, dataclasses.replace(target, x=y, layers=end)

    def logits(
        self,
        params: Params,
        source: Tokens,
        target: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Scores every next target token; see `Backbone.logits`."""
        encoder_key, decoder_key = split_key(dropout_key, 2)
        encoded = self.encode(params, source, prefix=prefix, dropout_key=encoder_key)
        return self.decode(params, encoded, target, dropout_key=decoder_key)

    def target_states(
        self,
        params: Params,
        source: Tokens,
        target: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L D"]:
        """Reads targets, and scores nothing; see `Writer.target_states`."""
        encoder_key, decoder_key = split_key(dropout_key, 2)
        encoded = self.encode(params, source, prefix=prefix, dropout_key=encoder_key)
        return self._decode(params, encoded, target, dropout_key=decoder_key)

    def decode(
        self,
        params: Params,
        encoded: T5Encoded,
        target: Tokens,
        *,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Does the second half of `logits`; see `Backbone.decode`.

        A prefix at the site "decoder" that stands in front gets the bias of its
        distance from each token; in cross-attention no token has a bias.
        """
        y = self._decode(params, encoded, target, dropout_key=dropout_key)
        return self.unembed(params, y)

    def _decode(
        self,
        params: Params,
        encoded: T5Encoded,
        target: Tokens,
        *,
        dropout_key: Key[Array, ""] | None = None,
        end: int | None = None,
    ) -> Float[Array, "B L D"]:
        """Decodes, without scoring; with `end`, it stops below that layer."""
        own, beside_source = encoded.prefix.get("decoder"), encoded.prefix.get("cross")
        segments = target.segments
        stack = params["decoder"]
        mask = segment_mask(segments, segments, causal=True)
        cross_mask = segment_mask(segments, encoded.segments)
        rows = jnp.arange(target.length)
        bias = self._bias(stack, rows, rows, bidirectional=False)
        before = self._reader(stack, own, segments, bidirectional=False)
        block = self._block("decoder")

        few = self._are_few(target.length)

        def layer(y: Array, layer_params: Params, read: Any, key: Array | None) -> Any:
            weights = {"params": layer_params}
            if few:
                cross = [self._unprojected(layer_params, encoded.states, cross_mask)]
            else:
                source: Any = block.apply(
                    weights, encoded.states, method="cross_keys_values"
                )
                cross = [Part(source[0], source[1], cross_mask)]
            if beside_source is not None and read[1] is not None:
                cross.insert(0, beside_source.part(read[1]))
            return block.apply(
                weights,
                y,
                mask,
                bias,
                before=before(read[0]),
                cross=cross,
                dropout_key=key,
            )

        prefixes = own, beside_source
        return self._run(stack, target, layer, prefixes, dropout_key, end=end)[0]

    def start_cache(self, params: Params, encoded: T5Encoded, length: int) -> T5Cache:
        """Projects the source once, or never; see `Backbone.start_cache`."""
        source = encoded.states
        if not self._are_few(length):
            source = self._cross_keys_values(params, source)
        segments = encoded.segments
        mask = segment_mask(jnp.ones_like(segments[:, :1]), segments)
        config = self.config
        layers, rows = config.decoder_layers, len(segments)
        shape = (layers, rows, length, config.heads, config.head_width)
        empty = jnp.zeros(shape, self.dtype)
        return T5Cache(empty, empty, source, mask, encoded.prefix)

    def _are_few(self, length: int) -> bool:
        """Whether so few target tokens read a source that it is not projected.

        A token that reads states rather than keys and values costs about twice the
        products of a state's projection, divided by the head width.
        """
        return 2 * length <= self.config.head_width

    def _unprojected(
        self, layer_params: Params, states: Float[Array, "B T D"], mask: Array
    ) -> Part:
        weights = {"params": layer_params}
        part: Any = self._block("decoder").apply(
            weights, states, mask, method="cross_states"
        )
        return part

    def _cross_keys_values(
        self, params: Params, states: Float[Array, "B T D"]
    ) -> KeysValues:
        """Projects the encoder's output in every layer, for cross-attention."""
        block = self._block("decoder")

        def project(carry: None, layer_params: Params) -> tuple[None, Any]:
            weights = {"params": layer_params}
            return carry, block.apply(weights, states, method="cross_keys_values")

        return jax.lax.scan(project, None, params["decoder"]["layers"])[1]

    def decode_step(
        self,
        params: Params,
        cache: T5Cache,
        y: Float[Array, "B D"],
        index: Int[Array, ""],
    ) -> tuple[Float[Array, "B V"], T5Cache]:
        """Scores the next token of each row; see `Backbone.decode_step`."""
        stack = params["decoder"]
        rows = jnp.arange(cache.keys.shape[2])
        index = jnp.asarray(index, rows.dtype)
        bias = self._bias(stack, index[None], rows, bidirectional=False)
        past = (rows <= index).astype(rows.dtype)[None, :]
        mask = segment_mask(jnp.ones_like(past[:, :1]), past)
        mask = jnp.broadcast_to(mask, (len(y), *mask.shape[1:]))
        own, beside_source = cache.prefix.get("decoder"), cache.prefix.get("cross")
        prefix_bias = None
        if own is not None and own.in_front:
            in_front = jnp.arange(-own.length, 0)
            prefix_bias = self._bias(stack, index[None], in_front, bidirectional=False)
        block = self._block("decoder")

        def step(y: Array, layer: Any) -> Any:
            layer_params, keys, values, source, *read = layer
            if isinstance(cache.source, tuple):
                cross = [Part(source[0], source[1], cache.cross_mask)]
            else:
                states, mask_of_source = cache.source, cache.cross_mask
                cross = [self._unprojected(layer_params, states, mask_of_source)]
            if beside_source is not None:
                cross.insert(0, beside_source.part(read[1]))
            return block.apply(
                {"params": layer_params},
                y,
                mask,
                bias,
                before=[] if own is None else [own.part(read[0], bias=prefix_bias)],
                cross=cross,
                past=(keys, values, index),
            )

        by_layer = (
            stack["layers"],
            cache.keys,
            cache.values,
            cache.source if isinstance(cache.source, tuple) else None,
            self._by_layer(own),
            self._by_layer(beside_source),
        )
        y_B1D = y.astype(self.dtype)[:, None, :]
        y_B1D, (keys, values) = jax.lax.scan(step, y_B1D, by_layer, unroll=self.unroll)
        y_B1D = rms_norm(y_B1D, stack["final_norm"], self.config.norm_epsilon)
        logits = self.unembed(params, y_B1D)[:, 0]
        return logits, dataclasses.replace(cache, keys=keys, values=values)

    def _by_layer(self, prefix: Prefix | None) -> Any:
        return None if prefix is None else prefix.by_layer(self.dtype)

    def _reader(
        self,
        stack: Params,
        prefix: Prefix | None,
        segments: Int[Array, "B T"],
        *,
        bidirectional: bool,
    ) -> Callable[[Any], Sequence[Part]]:
        """Returns the way from a layer's share of a prefix to what tokens attend to.

        A prefix stands in front of each segment of a row, so that its distance from a
        token is counted from where the token's segment starts.
        """
        if prefix is None:
            return lambda layer: ()
        bias = None
        if prefix.in_front:
            in_front = jnp.arange(-prefix.length, 0)
            bias = jax.vmap(
                lambda rows: self._bias(
                    stack, rows, in_front, bidirectional=bidirectional
                )
            )(rows_since_start(segments))
        return lambda layer: () if layer is None else (prefix.part(layer, bias=bias),)

    def _block(self, stack: str) -> T5Block:
        return T5Block(
            self.config,
            decoder=stack == "decoder",
            dropout=self.dropout,
            form=self.attention,
        )

    def _init_layers(self, key: Key[Array, ""], stack: str) -> Params:
        """Draws the weights of each layer with a key of its own."""
        config, block = self.config, self._block(stack)
        token = jnp.zeros((1, 1, config.width))
        mask, bias = jnp.ones((1, 1, 1), bool), jnp.zeros((config.heads, 1, 1))
        cross = ()
        layer_count = config.encoder_layers
        if stack == "decoder":
            source = jnp.zeros((1, 1, config.heads, config.head_width))
            cross = (Part(source, source, mask),)
            layer_count = config.decoder_layers

        def init_layer(key: Key[Array, ""]) -> Params:
            return block.init(key, token, mask, bias, cross=cross)["params"]

        return jax.vmap(init_layer)(jax.random.split(key, layer_count))

    def _bias(
        self, stack: Params, query_rows: Array, key_rows: Array, *, bidirectional: bool
    ) -> Array:
        return relative_bias(
            stack["relative_bias"],
            query_rows,
            key_rows,
            bidirectional=bidirectional,
            max_distance=self.config.max_distance,
        )

    def _run(
        self,
        stack: Params,
        tokens: Tokens,
        layer: Any,
        prefixes: Sequence[Prefix | None],
        dropout_key: Array | None,
        *,
        keep: bool = False,
        end: int | None = None,
    ) -> tuple[Array, Any]:
        """Applies every layer, then the last norm; returns what layers keep too.

        Args:
            stack: Weights of the encoder or of the decoder.
            tokens: What the layers read that they have not been through.
            layer: Called as `layer(x, layer_params, read, key)`; returns x and its keys
                and values.
            prefixes: What layers read besides; `read` has each one's share of a layer,
                None where it does not read it.
            dropout_key: None for no dropout.
            keep: Whether keys and values are returned.
            end: Number of the layer to stop below, without the norm; None for all.
        """
        count = stack["layers"]["ffn_norm"].shape[0]
        first_key, layers_key, last_key = split_key(dropout_key, 3)
        keys: Any = None if layers_key is None else split_key(layers_key, count)

        def body(x: Array, share: tuple[Params, Array | None], read: Any) -> Any:
            x, kept = layer(x, share[0], read or (None,) * len(prefixes), share[1])
            x = constrain(x, self.mesh, DATA, None, None)
            return x, kept if keep else None

        x = tokens.x.astype(self.dtype)
        x = constrain(x, self.mesh, DATA, None, None)
        if not tokens.layers:
            x = drop(x, self.dropout, first_key)
        x, kept = over_layers(
            body,
            x,
            (stack["layers"], keys),
            tuple(map(self._by_layer, prefixes)),
            below=layers_below(*prefixes),
            first=tokens.layers,
            end=end,
            remat=self.remat,
            unroll=self.unroll,
        )
        if end is not None:
            return x, kept
        x = rms_norm(x, stack["final_norm"], self.config.norm_epsilon)
        return drop(x, self.dropout, last_key), kept

    def unembed(
        self, params: Params, y: Float[Array, "B L D"]
    ) -> Float[Array, "B L V"]:
        """Scores the next token of each state; see `Writer.unembed`."""
        tied = self.config.tied
        if self.config.scaled_logits:
            y = y * self.config.width**-0.5
        matrix = params["embedding"] if tied else params["logits"]
        logits = score_ids(y, matrix, is_table=tied)
        return constrain(logits, self.mesh, DATA, None, MODEL)
