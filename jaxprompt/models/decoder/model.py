"""A decoder-only model, read as source -> target; its sizes and switches are data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.base import Base
from jaxprompt.models.config import SiteName
from jaxprompt.models.decoder.block import DecoderBlock
from jaxprompt.models.decoder.cache import DecoderCache, DecoderEncoded, Front
from jaxprompt.models.decoder.config import DecoderConfig
from jaxprompt.models.decoder.ends import enter, unembed
from jaxprompt.models.decoder.init import init_params
from jaxprompt.models.layers.attention import Gate
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.models.layers.masks import number_seen, segment_mask
from jaxprompt.models.layers.norms import normalise
from jaxprompt.models.options import over_layers
from jaxprompt.models.prefix import (
    KeysValues,
    Prefix,
    Prefixes,
    check_prefixes,
    layers_below,
)
from jaxprompt.models.sight import (
    Places,
    numbered,
    places_of,
    sights,
    stacked,
)
from jaxprompt.models.slots import Slots
from jaxprompt.models.tokens import Tokens
from jaxprompt.shapes import Params
from jaxprompt.sharding import DATA, MODEL, constrain


@dataclasses.dataclass(frozen=True)
class Decoder(Base[DecoderConfig]):
    """A frozen decoder: static and hashable, its weights are arguments.

    The source is the text in front, the target what follows. There is no start token:
    the target inputs of a segment begin with its last source token, and what stands
    there predicts the first target. Within a segment the source comes first; padding
    may be anywhere, and changes nothing.

    `params` is a tree of arrays, layers stacked over N and every weight a matrix;
    `config.switches` says which of them there are:

        embedding [V, D] and, if not tied, unembedding [V, D], whose rows from
        vocab_size on are zeros,
        positions [S, D], if learned, and final_norm/{scale, bias} [D],
        and in `layers`:
        {attention_norm, attention_out_norm, ffn_norm, ffn_out_norm}/{scale, bias}
        [N, D],
        attention/query [N, D, H*K], attention/{key, value} [N, D, G*K],
        attention/out [N, H*K, D], attention/{query_norm, key_norm}/scale,
        ffn/{up, gate} [N, D, F], ffn/down [N, F, D],
        and a bias to each of these, attention/query_bias [N, H*K] and so on.

    Each matrix may be an `Int8Matrix`, from `quantise.quantise`.
    """

    name: str = "decoder"

    def init(self, key: Key[Array, ""]) -> Params:
        """Draws random weights; see `init_params`."""
        params = init_params(self.config, key)
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype), params)

    def keys_values(
        self, params: Params, rows: Float[Array, "M P D"]
    ) -> Mapping[SiteName, KeysValues]:
        """Returns what the one site keeps of tokens; see `Backbone.keys_values`.

        Tokens in front of every row see none of the row, so their keys and values are
        the same in all of them: behind these a row scores as behind the tokens.
        """
        # M need not be divisible by the mesh's data axis, over which kernels are split.
        backbone = dataclasses.replace(self, mesh=None, attention="chunked")
        ones = jnp.ones(rows.shape[:2], jnp.int32)
        encoded = backbone.encode(params, Tokens(rows, ones))
        return {"decoder": (encoded.keys, encoded.values)}

    def encode(
        self,
        params: Params,
        source: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> DecoderEncoded:
        """Reads a source; see `Backbone.encode`. The one site is "decoder"."""
        own = self._own(prefix)
        first = self._check_length(own, source=source.length)
        places = places_of(source.segments, first)
        if source.length == 0:
            empty = self._no_keys(len(source.segments), 0)
            return DecoderEncoded(empty, empty, places, own)
        _, (keys, values) = self._run(
            params, source.x, places, Front(own), dropout_key=dropout_key
        )
        return DecoderEncoded(keys, values, places, own)

    def states(
        self,
        params: Params,
        tokens: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Reads tokens for a head; see `Backbone.states`."""
        own = self._own(prefix)
        first = self._check_length(own, source=tokens.length)
        x, _ = self._run(
            params,
            tokens.x,
            places_of(tokens.segments, first),
            Front(own),
            first=tokens.layers,
            dropout_key=dropout_key,
            keep=False,
        )
        norm, epsilon = self.config.switches.norm, self.config.norm_epsilon
        return normalise(norm, x, params["final_norm"], epsilon)

    def logits(
        self,
        params: Params,
        source: Tokens,
        target: Tokens,
        *,
        prefix: Prefixes | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Scores every next target token; see `Backbone.logits`.

        It makes the same logits as `encode` and `decode`, in one pass over T + L
        tokens; they are -1e9 for ids that are no token. The target begins with the last
        source token, which the source does without.
        """
        y = self.target_states(
            params, source, target, prefix=prefix, dropout_key=dropout_key
        )
        return self.unembed(params, y)

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
        own = self._own(prefix)
        both = self._together(source, target)
        first = self._check_length(own, source=source.length, target=target.length)
        y, _ = self._run(
            params,
            both.x,
            places_of(both.segments, first),
            Front(own),
            first=both.layers,
            dropout_key=dropout_key,
            keep=False,
        )
        return y[:, source.length :]

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
        both = source if target is None else self._together(source, target)
        after = 0 if target is None else target.length
        first = self._check_length(own, source=source.length, target=after)
        x, _ = self._run(
            params,
            both.x,
            places_of(both.segments, first),
            Front(own),
            end=end,
            keep=False,
        )
        read = dataclasses.replace(source, x=x[:, : source.length], layers=end)
        if target is None:
            return read, None
        return read, dataclasses.replace(target, x=x[:, source.length :], layers=end)

    def _together(self, source: Tokens, target: Tokens) -> Tokens:
        """Puts a target behind its source."""
        x, segments = (
            jnp.concatenate(parts, axis=1)
            for parts in (
                (source.x.astype(self.dtype), target.x.astype(self.dtype)),
                (source.segments, target.segments),
            )
        )
        return Tokens(x, segments, layers=target.layers)

    def decode(
        self,
        params: Params,
        encoded: DecoderEncoded,
        target: Tokens,
        *,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Does the second half of `logits`; see `Backbone.decode`."""
        source = encoded.segments
        first = self._check_length(
            encoded.prefix, source=source.shape[1], target=target.length
        )
        before = number_seen(segment_mask(target.segments, source))
        places = places_of(target.segments, first)
        y, _ = self._run(
            params,
            target.x,
            places._replace(positions=places.positions + before),
            Front(encoded.prefix, encoded),
            dropout_key=dropout_key,
            keep=False,
        )
        return self.unembed(params, y)

    def start_cache(
        self, params: Params, encoded: DecoderEncoded, length: int
    ) -> DecoderCache:
        """Makes room for the target behind the source; see `Backbone.start_cache`."""
        del params
        source = encoded.segments
        rows, before = source.shape
        first = self._check_length(encoded.prefix, source=before, target=length)
        mask = segment_mask(jnp.ones((rows, 1), jnp.int32), source)
        empty = self._no_keys(rows, length)
        return DecoderCache(empty, empty, encoded, first + number_seen(mask)[:, 0])

    def decode_step(
        self,
        params: Params,
        cache: DecoderCache,
        y: Float[Array, "B D"],
        index: Int[Array, ""],
    ) -> tuple[Float[Array, "B V"], DecoderCache]:
        """Scores the next token of each row; see `Backbone.decode_step`."""
        steps = jnp.arange(cache.keys.shape[2])
        index = jnp.asarray(index, steps.dtype)
        written = jnp.broadcast_to(steps <= index, (len(y), len(steps)))
        own = Places(written.astype(steps.dtype), cache.first[:, None] + steps[None])
        here = Places(jnp.ones_like(own.segments[:, :1]), cache.first[:, None] + index)
        y, (keys, values) = self._run(
            params,
            y[:, None],
            here,
            Front(cache.encoded.prefix, cache.encoded),
            past=(cache.keys, cache.values),
            past_places=own,
            index=index,
        )
        logits = self.unembed(params, y)[:, 0]
        return logits, dataclasses.replace(cache, keys=keys, values=values)

    def start_slots(self, rows: int, capacity: int) -> Slots:
        """Makes empty rows; see `SlotWriter.start_slots`."""
        if capacity > self.config.positions:
            raise ValueError(
                f"slots of {capacity} tokens, but {self.name} has "
                f"{self.config.positions} positions: take shorter slots"
            )
        # No two are one array, or they could not be donated.
        return Slots(
            self._no_keys(rows, capacity),
            self._no_keys(rows, capacity),
            jnp.zeros(rows, jnp.int32),
            jnp.zeros(rows, jnp.int32),
            jnp.zeros((self.config.layers, rows), jnp.int32),
            jnp.zeros(rows, jnp.int32),
            jnp.zeros((self.config.layers, rows, self.config.heads), jnp.float32),
        )

    def extend_slots(self, params: Params, slots: Slots, tokens: Tokens) -> Slots:
        """Reads more tokens of each row; see `SlotWriter.extend_slots`."""
        _, keys, values = self._behind(params, slots, tokens, slots.capacity)
        counts = tokens.segments.sum(axis=1, dtype=jnp.int32)
        wide = slots.resize(slots.capacity + tokens.length)
        return wide.append(keys, values, counts).resize(slots.capacity)

    def step_slots(
        self,
        params: Params,
        slots: Slots,
        y: Float[Array, "R D"],
        active: Bool[Array, " R"],
        *,
        columns: int,
    ) -> tuple[Float[Array, "R V"], Slots]:
        """Scores the next token of each row; see `SlotWriter.step_slots`."""
        rows = y.shape[0]
        one = jnp.ones((rows, 1), jnp.int32)
        y, keys, values = self._behind(params, slots, Tokens(y[:, None], one), columns)
        # Written at once, and not layer by layer in the loop, which would copy all of
        # the slots to give them back.
        slots = slots.append_one(keys, values, active)
        return self.unembed(params, y)[:, 0], slots

    def _behind(
        self, params: Params, slots: Slots, tokens: Tokens, columns: int
    ) -> tuple[Float[Array, "R T D"], Array, Array]:
        """Reads tokens of the first rows, behind the first columns of what these hold.

        Returns:
            The tokens' states, keys and values.
        """
        seen = slots.first(tokens.x.shape[0], columns)
        # Each layer cuts its own keys and values: to cut all of them is to copy them.
        source = DecoderEncoded(
            slots.keys, slots.values, Places(seen.holding(), seen.positions)
        )
        steps = jnp.arange(tokens.length, dtype=jnp.int32)
        places = Places(tokens.segments, seen.next_position[:, None] + steps[None])
        x, (keys, values) = self._run(
            params, tokens.x, places, Front(None, source), slots=seen
        )
        return x, keys, values

    def _no_keys(self, rows: int, length: int) -> Float[Array, "N B L G K"]:
        """Returns zeros in the place of keys or values."""
        site = self.config.sites["decoder"]
        shape = (site.layers, rows, length, site.kv_heads, site.head_width)
        return jnp.zeros(shape, self.dtype)

    def _own(self, prefix: Prefixes | None) -> Prefix | None:
        """Returns the prefix of the one site that there is."""
        return check_prefixes(self.name, prefix, self.config.sites).get("decoder")

    def _check_length(
        self, prefix: Prefix | None, *, source: int, target: int = 0
    ) -> int:
        """Returns the first position of a text."""
        first = 0 if prefix is None else prefix.first_position
        total, most = first + source + target, self.config.positions
        if total > most:
            raise ValueError(
                f"{first} in front + {source} source + {target} target = {total} "
                f"tokens, but {self.name} has {most} positions: use shorter inputs, "
                "targets or prompts"
            )
        return first

    def _run(
        self,
        params: Params,
        x: Float[Array, "B T D"],
        places: Places,
        front: Front,
        *,
        past: tuple[Array, Array] | None = None,
        past_places: Places | None = None,
        index: Array | None = None,
        slots: Slots | None = None,
        first: int = 0,
        end: int | None = None,
        dropout_key: Key[Array, ""] | None = None,
        keep: bool = True,
    ) -> tuple[Array, Any]:
        """Applies every layer to embedded tokens, but not the last norm.

        Where `keep`, also returns the keys and values [N, B, T, G, K] of x, or `past`
        with them written at `index`. The source's first columns may be those of deep
        prompts, another one in each row: `slots` says how they are read. Layers below
        `first`, which x has been through, and from `end` on are left out.
        """
        first_key, layers_key = split_key(dropout_key, 2)
        count = self.config.layers
        keys: Any = None if layers_key is None else split_key(layers_key, count)
        block = DecoderBlock(self.config, self.dropout, self.attention, self.mesh)
        kinds, numbers = numbered(self.config.switches.layers, count)
        seen = sights(
            kinds,
            places,
            places if past_places is None else past_places,
            causal=past is None,
            source=front.source_places,
            prefix=front.prefix,
            dtype=self.dtype,
        )
        of_kind = stacked(seen) if len(seen) > 1 else None

        def body(x: Array, layer: Any, prefix: Any) -> tuple[Array, Any]:
            layer_params, source, past, key, number, deep = layer
            if of_kind is None:
                (sight,) = seen
            else:
                sight = jax.tree.map(lambda leaf: leaf[number], of_kind)
            if slots is not None:
                sight = sight.of_rows(deep.hidden, Gate(deep.gate, slots.gated))
            x, own = block.apply(
                {"params": layer_params},
                x,
                sight.own,
                before=front.parts(prefix, source, sight),
                turn=sight.turn,
                past=None if past is None else (*past, index),
                dropout_key=key,
            )
            x = constrain(x, self.mesh, DATA, None, None)
            return x, own if keep else None

        x = x.astype(self.dtype)
        if not first:
            x = enter(self.config, params, x, places.positions, self.dtype)
            x = drop(x, self.dropout, first_key, shared=False)
        x = constrain(x, self.mesh, DATA, None, None)
        prefix, source = front.by_layer(self.dtype)
        deep = None if slots is None else slots.by_layer
        return over_layers(
            body,
            x,
            (params["layers"], source, past, keys, jnp.asarray(numbers), deep),
            prefix,
            below=layers_below(front.prefix) if past is None else 0,
            first=first,
            end=end,
            remat=self.remat,
            unroll=self.unroll,
        )

    def unembed(
        self, params: Params, y: Float[Array, "B L D"]
    ) -> Float[Array, "B L V"]:
        """Scores the next token of each state; see `Writer.unembed`."""
        logits = unembed(self.config, params, y)
        return constrain(logits, self.mesh, DATA, None, MODEL)
