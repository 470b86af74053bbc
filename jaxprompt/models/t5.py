"""T5 in one file: versions 1.0 and 1.1, LM-adapted, Flan and mT5; sizes are data."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxprompt.models import layers
from jaxprompt.models.options import Remat, check_options, checkpointed
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.quantise import Int8Matrix, Table, multiply
from jaxprompt.models.t5_block import Block, Cache
from jaxprompt.models.t5_config import T5Config
from jaxprompt.shapes import Params
from jaxprompt.sharding import DATA, MODEL, constrain


@dataclasses.dataclass(frozen=True)
class T5:
    """A frozen T5: static and hashable, its weights are arguments.

    `params` is a tree of arrays, layers stacked over N and every weight a matrix:

        embedding [V, D], logits [D, V] (only when untied), and for `encoder` and
        `decoder`: relative_bias [buckets, H], final_norm [D], and in `layers`:
        attention_norm [N, D], attention/{query, key, value} [N, D, H*K],
        attention/out [N, H*K, D], ffn_norm [N, D], ffn/{gate, up} [N, D, F] (gate only
        when gated), ffn/down [N, F, D]; in the decoder also cross_norm and cross.

    Each matrix may be an `Int8Matrix`, from `quantise.quantise`.

    Attributes:
        config: Sizes and switches.
        name: Hub name or folder name, for provenance.
        revision: Commit of the Hub repository; None for a folder.
        fingerprint: Identity of the checkpoint, from `fingerprint.fingerprint`.
        first_fingerprint: The same by the rule of version 1, for files that hold it.
        vocabulary: Path of `spiece.model`, or of a folder with `tokenizer.json`.
        dtype: Dtype to compute in; logits, scores, softmax and norms are float32.
        dropout: Share of features to drop where a `dropout_key` is given.
        remat: What the backward pass computes again: nothing, everything but the
            products with weights, or everything inside a layer.
        unroll: Compile each layer on its own rather than one loop over layers.
        mesh: Devices over whose data axis activations stay split, layer for layer, and
            logits over the model axis too; None leaves that to the compiler.

    Raises:
        ValueError: If dtype, dropout or remat is none of the above.
    """

    config: T5Config
    name: str = "t5"
    revision: str | None = None
    fingerprint: str = ""
    first_fingerprint: str = ""
    vocabulary: str | None = None
    dtype: str = "float32"
    dropout: float = 0.0
    remat: Remat = "none"
    unroll: bool = False
    mesh: jax.sharding.Mesh | None = None

    def __post_init__(self) -> None:
        check_options(self.dtype, self.dropout, self.remat)
        if self.config.vocab_rows < 1:
            raise ValueError("T5 vocab_rows 0: set it, or use T5Config.for_vocabulary")

    @property
    def width(self) -> int:
        """Model width D."""
        return self.config.width

    @property
    def causal(self) -> bool:
        """False: a T5 has an encoder."""
        return False

    @property
    def folds(self) -> bool:
        """False: in an encoder the text changes what soft tokens become."""
        return False

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table, padded rows included."""
        return self.config.vocab_rows

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

    def table(self, params: Params) -> Table:
        """Returns the frozen embedding table, as it is stored."""
        return params["embedding"]

    def fold(self, params: Params, rows: Float[Array, "M P D"]) -> tuple[Array, Array]:
        """Raises ValueError: see `folds`."""
        raise ValueError("T5 does not fold prompts: leave soft tokens in the source")

    def encode(
        self,
        params: Params,
        x: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        prefix: Prefix | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Encodes source tokens that are embedded already.

        Args:
            params: The weights.
            x: Embedded tokens, soft ones among them.
            segments: Example of each token within its row, from 1; 0 on padding.
            prefix: None: a T5 has no key/value prefix.
            dropout_key: None for no dropout.

        Returns:
            The encoder's output, in the dtype to compute in.

        Raises:
            ValueError: If there is a prefix.
        """
        _refuse(prefix)
        stack = params["encoder"]
        mask = layers.segment_mask(segments, segments)
        rows = jnp.arange(x.shape[1])
        bias = self._bias(stack, rows, rows, bidirectional=True)
        block = self._block("encoder")

        def layer(x: Array, layer_params: Params, key: Array | None) -> Array:
            return block.apply(
                {"params": layer_params}, x, mask, bias, dropout_key=key
            )[0]

        return self._run(stack, x, layer, dropout_key)

    def logits(
        self,
        params: Params,
        x: Float[Array, "B T D"],
        input_segments: Int[Array, "B T"],
        y: Float[Array, "B L D"],
        target_segments: Int[Array, "B L"],
        *,
        prefix: Prefix | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Scores every next token of targets that are known (teacher forcing).

        Args:
            params: The weights.
            x: Embedded source tokens, soft ones among them.
            input_segments: Example of each source token within its row, from 1.
            y: Embedded target tokens, shifted right by one within each segment.
            target_segments: Example of each target token within its row, from 1.
            prefix: None: a T5 has no key/value prefix.
            dropout_key: None for no dropout.

        Returns:
            Unnormalised log probabilities, float32.
        """
        encoder_key, decoder_key = layers.split_key(dropout_key, 2)
        encoded = self.encode(
            params, x, input_segments, prefix=prefix, dropout_key=encoder_key
        )
        return self.decode(
            params,
            encoded,
            input_segments,
            y,
            target_segments,
            dropout_key=decoder_key,
        )

    def decode(
        self,
        params: Params,
        encoded: Float[Array, "B T D"],
        input_segments: Int[Array, "B T"],
        y: Float[Array, "B L D"],
        target_segments: Int[Array, "B L"],
        *,
        prefix: Prefix | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Does the second half of `logits`: `encoded` comes from `encode`."""
        _refuse(prefix)
        stack = params["decoder"]
        mask = layers.segment_mask(target_segments, target_segments, causal=True)
        cross_mask = layers.segment_mask(target_segments, input_segments)
        rows = jnp.arange(y.shape[1])
        bias = self._bias(stack, rows, rows, bidirectional=False)
        block = self._block("decoder")

        def layer(y: Array, layer_params: Params, key: Array | None) -> Array:
            weights = {"params": layer_params}
            cross = block.apply(weights, encoded, method="cross_keys_values")
            return block.apply(
                weights,
                y,
                mask,
                bias,
                cross=cross,
                cross_mask=cross_mask,
                dropout_key=key,
            )[0]

        return self._unembed(params, self._run(stack, y, layer, dropout_key))

    def start_cache(
        self,
        params: Params,
        encoded: Float[Array, "B T D"],
        input_segments: Int[Array, "B T"],
        length: int,
        *,
        prefix: Prefix | None = None,
    ) -> Cache:
        """Projects the source once, and makes room for the target.

        Args:
            params: The weights.
            encoded: From `encode`.
            input_segments: 1 on source tokens, 0 on padding: one example in each row.
            length: Target tokens L that the cache can hold.
            prefix: None; not for T5 yet.

        Returns:
            A cache whose next index is 0.
        """
        _refuse(prefix)
        block = self._block("decoder")

        def project(carry: None, layer_params: Params) -> tuple[None, Any]:
            weights = {"params": layer_params}
            return carry, block.apply(weights, encoded, method="cross_keys_values")

        _, cross = jax.lax.scan(project, None, params["decoder"]["layers"])
        mask = layers.segment_mask(jnp.ones_like(input_segments[:, :1]), input_segments)
        config = self.config
        shape = (len(cross[0]), len(encoded), length, config.heads, config.head_width)
        empty = jnp.zeros(shape, self.dtype)
        return Cache(empty, empty, cross[0], cross[1], jnp.swapaxes(mask, 0, 1))

    def decode_step(
        self,
        params: Params,
        cache: Cache,
        y: Float[Array, "B D"],
        index: Int[Array, ""],
    ) -> tuple[Float[Array, "B V"], Cache]:
        """Scores the next token of each row, one position at a time.

        Args:
            params: The weights.
            cache: From `start_cache` or from the step before.
            y: Embedded token at this position; the first is the start token.
            index: This position, from 0; less than the cache's length.

        Returns:
            Unnormalised log probabilities (float32), and the cache for index + 1.
        """
        stack = params["decoder"]
        rows = jnp.arange(cache.keys.shape[2])
        index = jnp.asarray(index, rows.dtype)
        bias = self._bias(stack, index[None], rows, bidirectional=False)
        seen = (rows <= index).astype(rows.dtype)[None, :]
        mask = layers.segment_mask(jnp.ones_like(seen[:, :1]), seen)
        mask = jnp.broadcast_to(mask, (len(y), *mask.shape[1:]))
        cross_mask = jnp.swapaxes(cache.cross_mask, 0, 1)
        block = self._block("decoder")

        def step(y: Array, layer: tuple[Params, *tuple[Array, ...]]) -> Any:
            layer_params, keys, values, *cross = layer
            return block.apply(
                {"params": layer_params},
                y,
                mask,
                bias,
                cross=tuple(cross),
                cross_mask=cross_mask,
                past=(keys, values, index),
            )

        past = (cache.keys, cache.values, cache.cross_keys, cache.cross_values)
        y_B1D = y.astype(self.dtype)[:, None, :]
        y_B1D, (keys, values) = jax.lax.scan(
            step, y_B1D, (stack["layers"], *past), unroll=self.unroll
        )
        y_B1D = layers.rms_norm(y_B1D, stack["final_norm"], self.config.norm_epsilon)
        logits = self._unembed(params, y_B1D)[:, 0]
        return logits, dataclasses.replace(cache, keys=keys, values=values)

    def _block(self, stack: str) -> Block:
        return Block(self.config, decoder=stack == "decoder", dropout=self.dropout)

    def _init_layers(self, key: Key[Array, ""], stack: str) -> Params:
        """Draws the weights of each layer with a key of its own."""
        config, block = self.config, self._block(stack)
        token = jnp.zeros((1, 1, config.width))
        mask, bias = jnp.zeros((1, 1, 1)), jnp.zeros((config.heads, 1, 1))
        cross = cross_mask = None
        layer_count = config.encoder_layers
        if stack == "decoder":
            source = jnp.zeros((1, 1, config.heads, config.head_width))
            cross, cross_mask = (source, source), mask
            layer_count = config.decoder_layers

        def init_layer(key: Key[Array, ""]) -> Params:
            drawn = block.init(
                key, token, mask, bias, cross=cross, cross_mask=cross_mask
            )
            return drawn["params"]

        return jax.vmap(init_layer)(jax.random.split(key, layer_count))

    def _bias(
        self, stack: Params, query_rows: Array, key_rows: Array, *, bidirectional: bool
    ) -> Array:
        return layers.relative_bias(
            stack["relative_bias"],
            query_rows,
            key_rows,
            bidirectional=bidirectional,
            max_distance=self.config.max_distance,
        )

    def _run(
        self, stack: Params, x: Array, layer: Any, dropout_key: Array | None
    ) -> Array:
        """Applies `layer(x, layer_params, key)` for every layer, then the last norm."""
        count = stack["layers"]["ffn_norm"].shape[0]
        first_key, layers_key, last_key = layers.split_key(dropout_key, 3)
        keys: Any = None if layers_key is None else layers.split_key(layers_key, count)

        def body(x: Array, inputs: tuple[Params, Array | None]) -> tuple[Array, None]:
            return constrain(layer(x, *inputs), self.mesh, DATA, None, None), None

        x = constrain(x.astype(self.dtype), self.mesh, DATA, None, None)
        x = layers.drop(x, self.dropout, first_key)
        x, _ = jax.lax.scan(
            checkpointed(body, self.remat, unrolled=self.unroll),
            x,
            (stack["layers"], keys),
            unroll=self.unroll,
        )
        x = layers.rms_norm(x, stack["final_norm"], self.config.norm_epsilon)
        return layers.drop(x, self.dropout, last_key)

    def _unembed(self, params: Params, y: Array) -> Array:
        if self.config.scaled_logits:
            y = y * self.config.width**-0.5
        if self.config.tied:
            matrix, product = params["embedding"], "bld,vd->blv"
        else:
            matrix, product = params["logits"], "bld,dv->blv"
        if isinstance(matrix, Int8Matrix):
            columns = matrix.T if self.config.tied else matrix
            logits = multiply(y.reshape(-1, y.shape[-1]), columns, jnp.float32)
            logits = logits.reshape(*y.shape[:-1], -1)
        else:
            logits = jnp.einsum(
                product, y, matrix.astype(y.dtype), preferred_element_type=jnp.float32
            )
        return constrain(logits, self.mesh, DATA, None, MODEL)


def _refuse(prefix: Prefix | None) -> None:
    if prefix is not None:
        raise ValueError("T5 takes no prefix yet: leave soft tokens in the source")
