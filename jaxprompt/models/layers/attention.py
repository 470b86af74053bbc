"""Attention over keys and values that lie in parts, such as prefix, source, target."""

import functools
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.attention_form import LONG, AttentionForm
from jaxprompt.models.layers.dense import affine, project, split_columns
from jaxprompt.models.layers.dropout import drop
from jaxprompt.models.layers.fused_attention import (
    Attended,
    attend_by_cudnn,
    attend_by_splash,
)
from jaxprompt.models.layers.kinds import NormKind
from jaxprompt.models.layers.norms import Norm
from jaxprompt.models.layers.turn import Rotation, rotate
from jaxprompt.models.quantise import Int8Matrix

_CHUNK = 512

_MASKED = -1e9
"""What a mask adds to the scores of tokens that it hides. It is finite, so that a query
that may attend to nothing (padding) stays free of NaN."""

_HIDDEN = -1e30
"""A score below that of any token that a mask hides."""


class Through(NamedTuple):
    """The matrices of each head through which states are attended to; see `Part`."""

    keys: Float[Array, "H D K"] | Int8Matrix
    values: Float[Array, "H D K"] | Int8Matrix


class Gate(NamedTuple):
    """Tokens that are read by a softmax of their own, and what that counts.

    Attributes:
        logit: What each head reads of them counts tanh(logit) times; without the axis
            B where all rows have the same.
        tokens: How many of each row these are, the first ones of a part; the others
            share the softmax of the other parts. None for all of the part.
    """

    logit: Float[Array, "*B H"]
    tokens: Int[Array, " B"] | None = None


class Part(NamedTuple):
    """Some of the tokens that are attended to, in one layer.

    Attributes:
        keys: Their keys, of G heads; without the axis B where all rows have the same.
        values: Their values, of the same shape.
        mask: Which of them each query attends to; None where all do to all of them.
        bias: Added to their scores, for each head; without the axis B where all
            rows have the same, None for nothing.
        used: Whether this layer attends to them at all; None where it does. Of the
            parts of one layer, only one can have it.
        gate: Of tokens that are read by a softmax of their own; None where one softmax
            is over this part and the others.
        through: Where `keys` and `values` are states [B, S, 1, D] that were never
            projected, the matrices that would do it. Queries go through those of the
            keys instead, and what is mixed goes through those of the values. It is
            less work where there are fewer queries than head features K, and nothing
            of S * H * K is kept.
    """

    keys: Float[Array, "*B S G K"]
    values: Float[Array, "*B S G K"]
    mask: Bool[Array, "B T S"] | None = None
    bias: Float[Array, "*B H T S"] | None = None
    used: Bool[Array, ""] | None = None
    gate: Gate | None = None
    through: Through | None = None


def attend(
    queries: Float[Array, "B T H K"],
    parts: Sequence[Part],
    *,
    scale: float = 1.0,
    cap: float | None = None,
    dropout: float = 0.0,
    dropout_key: Key[Array, "..."] | None = None,
    shared_dropout: bool = False,
    form: AttentionForm = "chunked",
    mesh: jax.sharding.Mesh | None = None,
) -> Float[Array, "B T H K"]:
    """Attends to all parts at once: one softmax, in float32, over all their scores.

    Tokens with a gate have a softmax of their own, and what it gives is added.

    Unless the form is "plain", more than `LONG` queries attend in chunks, or by the
    form's kernel, so that the scores [H, T, S] of a long text are never in memory at
    once, nor kept for the way back.

    Only a kernel joins the parts: otherwise no row gets a copy of what all rows share.
    With fewer heads G of keys and values than heads H of queries, query head h attends
    to key head h // (H / G).

    Args:
        queries: Of the attending tokens.
        parts: What they attend to, one part or more; empty ones are passed over.
        scale: Multiplies the scores.
        cap: What scores stay below: they become cap * tanh(score / cap); None for
            nothing.
        dropout: Share of the attention weights that are zeroed.
        dropout_key: None for no dropout.
        shared_dropout: Whether all queries have the same weights zeroed.
        form: How it is computed. A kernel does not take gates, dropout and biases, nor
            the few queries that there are no scores to spare of; they are as "chunked".
        mesh: Devices that rows and heads are split over, for a kernel; None for one.

    Source: Ainslie et al. 2023, sec. 2.2 (arXiv:2305.13245), for fewer key heads;
    Gemma Team 2024, sec. 2 (arXiv:2408.00118), for the cap; Zhang et al. 2023, eq. 7
    to 9 (arXiv:2303.16199), for the gate, with the tanh of their code.
    """
    length = queries.shape[1]
    drops = dropout > 0 and dropout_key is not None
    if not drops and _suits_kernel(form, queries, parts):

        def by_kernel(parts: Sequence[Part]) -> Array:
            return _by_kernel(form, queries, parts, scale, cap, mesh)

        return _over_used(by_kernel, parts)

    def mix_some(
        queries: Array, parts: Sequence[Part], dropout_key: Array | None = dropout_key
    ) -> Array:
        mix = functools.partial(
            _mix_parts,
            queries,
            scale=scale,
            cap=cap,
            dropout=functools.partial(
                drop, rate=dropout, key=dropout_key, shared=shared_dropout
            ),
        )
        return _over_used(mix, parts)

    # A program that is exported for texts of any length has no number here.
    if form == "plain" or not isinstance(length, int) or length <= LONG:
        return mix_some(queries, parts)
    # With shared dropout, all queries have the same weights zeroed, in all chunks too.
    if dropout_key is not None and not shared_dropout:
        return _in_chunks(mix_some, queries, parts, dropout_key)
    return _in_chunks(mix_some, queries, parts)


def _suits_kernel(
    form: AttentionForm, queries: Float[Array, "B T H K"], parts: Sequence[Part]
) -> bool:
    """Tells whether the form is a kernel, and these queries are for it."""
    least = {"cudnn": 1, "splash": LONG}.get(form)
    length = queries.shape[1]
    if least is None or not isinstance(length, int) or length <= least:
        return False
    others = ((part.bias, part.gate, part.through) for part in parts)
    return all(x is None for part in others for x in part)


def _by_kernel(
    form: AttentionForm,
    queries: Float[Array, "B T H K"],
    parts: Sequence[Part],
    scale: float,
    cap: float | None,
    mesh: jax.sharding.Mesh | None,
) -> Float[Array, "B T H K"]:
    """Joins the parts, and attends by the form's kernel."""
    rows, length = queries.shape[:2]
    keys, values, visible = [], [], []
    for part in parts:
        shape = (rows, *part.keys.shape[-3:])
        keys.append(jnp.broadcast_to(part.keys, shape))
        values.append(jnp.broadcast_to(part.values, shape))
        seen = True if part.mask is None else part.mask
        visible.append(jnp.broadcast_to(seen, (rows, length, shape[1])))
    attended = Attended(
        jnp.concatenate(keys, axis=-3),
        jnp.concatenate(values, axis=-3),
        jnp.concatenate(visible, axis=-1),
    )
    if form == "cudnn":
        return attend_by_cudnn(queries, attended, scale=scale, mesh=mesh)
    return attend_by_splash(queries, attended, scale=scale, cap=cap, mesh=mesh)


def _in_chunks(
    mix: Callable[..., Array],
    queries: Float[Array, "B T H K"],
    parts: Sequence[Part],
    key: Key[Array, "..."] | None = None,
) -> Float[Array, "B T H K"]:
    """Mixes for some queries after others, and scores them again on the way back."""
    length = queries.shape[1]
    count = -(-length // _CHUNK)

    def split(x: Array | None, axis: int) -> Array | None:
        """Moves chunks of an axis to the front, the last one filled up with zeros."""
        if x is None:
            return None
        axis %= x.ndim
        widths = [(0, 0)] * x.ndim
        widths[axis] = (0, count * _CHUNK - length)
        shape = (*x.shape[:axis], count, _CHUNK, *x.shape[axis + 1 :])
        return jnp.moveaxis(jnp.pad(x, widths).reshape(shape), axis, 0)

    lines = [(split(part.mask, 1), split(part.bias, -2)) for part in parts]
    chunks = (split(queries, 1), lines, jnp.arange(count))

    def attend_from(chunk: tuple[Array, list, Array]) -> Array:
        some, lines, number = chunk
        seen = [
            part._replace(mask=mask, bias=bias)
            for part, (mask, bias) in zip(parts, lines, strict=True)
        ]
        if key is None:
            return mix(some, seen)
        fold_in = jax.random.fold_in
        fold_in = jax.vmap(fold_in, (0, None)) if key.ndim else fold_in
        return mix(some, seen, dropout_key=fold_in(key, number))

    mixed = jax.lax.map(jax.checkpoint(attend_from), chunks)
    mixed_BTHK = jnp.moveaxis(mixed, 0, 1).reshape(len(queries), -1, *queries.shape[2:])
    return mixed_BTHK[:, :length]


def _over_used(
    mix: Callable[[Sequence[Part]], Array], parts: Sequence[Part]
) -> Float[Array, "B T H K"]:
    """Attends to the parts that this layer uses."""
    optional = [part for part in parts if part.used is not None]
    if not optional:
        return mix(parts)
    (part,) = optional
    others = [part for part in parts if part.used is None]
    # Not a mask: longer sums, be it of zeros, round otherwise than those without it.
    return jax.lax.cond(part.used, lambda: mix(parts), lambda: mix(others))


def _mix_parts(
    queries: Float[Array, "B T H K"],
    parts: Sequence[Part],
    *,
    scale: float,
    cap: float | None,
    dropout: functools.partial[Array],
) -> Float[Array, "B T H K"]:
    parts = [part for part in parts if part.keys.shape[-3]] or parts[:1]
    apart = [part for part in parts if _is_apart(part)]
    parts = [part for part in parts if not _is_apart(part)]
    scores = [_scores(queries, part, scale, cap) for part in parts]
    shared = [
        _without_gated(x, part.gate) for x, part in zip(scores, parts, strict=True)
    ]
    shared_BHTS = jax.nn.softmax(jnp.concatenate(shared, axis=-1), axis=-1)
    if any(part.gate is not None for part in parts):
        own = [
            _gated_weights(x, part.gate) for x, part in zip(scores, parts, strict=True)
        ]
        shared_BHTS += jnp.concatenate(own, axis=-1)
    weights = [shared_BHTS]
    for part in apart:
        scores_BHTS = _scores(queries, part, scale, cap)
        weights.append(_gated_weights(scores_BHTS, part.gate))
        parts.append(part)
    weights_BHTS = jnp.concatenate(weights, axis=-1)
    weights_BHTS = dropout(weights_BHTS.astype(queries.dtype))
    mixed, start = [], 0
    for part in parts:
        end = start + part.keys.shape[-3]
        mixed.append(_mix(weights_BHTS[..., start:end], part))
        start = end
    return sum(mixed[1:], mixed[0])


def _is_apart(part: Part) -> bool:
    """Tells whether all tokens of a part have a softmax of their own."""
    return part.gate is not None and part.gate.tokens is None


def _without_gated(
    scores: Float[Array, "B H T S"], gate: Gate | None
) -> Float[Array, "B H T S"]:
    """Hides the tokens that have a softmax of their own."""
    if gate is None or gate.tokens is None:
        return scores
    return jnp.where(_is_first(scores, gate.tokens), _HIDDEN, scores)


def _gated_weights(
    scores: Float[Array, "B H T S"], gate: Gate | None
) -> Float[Array, "B H T S"]:
    """Returns the weights of the tokens that have a gate; those of others are 0."""
    if gate is None:
        return jnp.zeros_like(scores)
    open_by = jnp.tanh(gate.logit).reshape(-1, scores.shape[1], 1, 1)
    if gate.tokens is None:
        return open_by * jax.nn.softmax(scores, axis=-1)
    of_gate = _is_first(scores, gate.tokens)
    own = jax.nn.softmax(jnp.where(of_gate, scores, _HIDDEN), axis=-1)
    return jnp.where(of_gate, open_by * own, 0.0)


def _is_first(
    scores: Float[Array, "B H T S"], counts: Int[Array, " B"]
) -> Bool[Array, "B 1 1 S"]:
    columns = jnp.arange(scores.shape[-1])[None, None, None]
    return columns < counts[:, None, None, None]


def _scores(
    queries: Array, part: Part, scale: float, cap: float | None
) -> Float[Array, "B H T S"]:
    if part.through is not None:
        queries = jax.vmap(lambda x, matrix: project(x, matrix.T), (2, 0), 2)(
            queries, part.through.keys
        )
    rows, length, heads, width = queries.shape
    others, groups = part.keys.shape[-3:-1]
    shared = heads // groups
    # The query heads of one key head are more queries of it: one head behind the other,
    # so that the scores, which are the largest array, come in the order of heads.
    split = queries.reshape(rows, length, groups, shared, width)
    split = jnp.moveaxis(split, 3, 1)
    queries_BNGK = split.reshape(rows, shared * length, groups, width)
    product = "bngk,sgk->bgns" if part.keys.ndim == 3 else "bngk,bsgk->bgns"
    scores_BGNS = scale * jnp.einsum(
        product, queries_BNGK, part.keys, preferred_element_type=jnp.float32
    )
    if cap is not None:
        scores_BGNS = cap * jnp.tanh(scores_BGNS / cap)
    scores_BHTS = scores_BGNS.reshape(rows, heads, length, others)
    if part.bias is not None:
        scores_BHTS += part.bias if part.bias.ndim == 4 else part.bias[None]
    if part.mask is None:
        return scores_BHTS
    return scores_BHTS + jnp.where(part.mask, 0, jnp.float32(_MASKED))[:, None]


def _mix(weights: Float[Array, "B H T S"], part: Part) -> Float[Array, "B T H K"]:
    values = part.values
    rows, heads, length, others = weights.shape
    groups, width = values.shape[-2:]
    shared = heads // groups
    weights_BGNS = weights.reshape(rows, groups, shared * length, others)
    product = "bgns,sgk->bngk" if values.ndim == 3 else "bgns,bsgk->bngk"
    mixed_BNGK = jnp.einsum(product, weights_BGNS, values)
    split = mixed_BNGK.reshape(rows, shared, length, groups, width)
    mixed = jnp.moveaxis(split, 1, 3).reshape(rows, length, heads, width)
    if part.through is None:
        return mixed
    return jax.vmap(project, in_axes=(2, 0), out_axes=2)(mixed, part.through.values)


class Attention(nn.Module):
    """Multi-head attention. The weights are plain matrices, [D, H*K] and [H*K, D].

    Attributes:
        width: Model width D.
        heads: Heads H of the queries.
        kv_heads: Heads G of keys and values, whose matrices are [D, G*K].
        head_width: Width K of one head.
        biases: Which of "query", "key", "value" and "out" have a bias.
        scale: Multiplies the scores.
        query_scale: Standard deviation of a new query matrix.
        into_scale: Standard deviation of new key and value matrices.
        out_scale: Standard deviation of a new output matrix.
        dropout: Share of the attention weights that are zeroed.
        shared_dropout: Whether all queries have the same weights zeroed.
        cap: What scores stay below; see `attend`.
        normed: What of queries and keys is normalised: each "head" by itself, or
            "all" heads as one vector; None for nothing.
        norm: Which norm that is.
        norm_epsilon: Its epsilon.
        form: How it is computed; see `attend`.
        mesh: Devices that rows and heads are split over; None for one.
    """

    width: int
    heads: int
    kv_heads: int
    head_width: int
    biases: tuple[str, ...]
    scale: float
    query_scale: float
    into_scale: float
    out_scale: float
    dropout: float
    shared_dropout: bool
    cap: float | None = None
    normed: Literal["head", "all"] | None = None
    norm: NormKind = "rms"
    norm_epsilon: float = 1e-6
    form: AttentionForm = "chunked"
    mesh: jax.sharding.Mesh | None = None

    def setup(self) -> None:
        """Declares the four matrices, their biases, and the norms."""
        width, inner = self.width, self.heads * self.head_width
        kv_width = self.kv_heads * self.head_width
        normal = nn.initializers.normal
        self.query = self.param("query", normal(self.query_scale), (width, inner))
        self.key = self.param("key", normal(self.into_scale), (width, kv_width))
        self.value = self.param("value", normal(self.into_scale), (width, kv_width))
        self.out = self.param("out", normal(self.out_scale), (inner, width))
        self.query_bias = self._bias("query", inner)
        self.key_bias = self._bias("key", kv_width)
        self.value_bias = self._bias("value", kv_width)
        self.out_bias = self._bias("out", width)
        self.query_norm = self._norm(inner)
        self.key_norm = self._norm(kv_width)

    def keys_values(
        self, x: Float[Array, "B S D"], turn: Rotation | None = None
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"]]:
        """Projects the tokens that are attended to; `turn` turns their keys."""
        keys = self._normed(affine(x, self.key, self.key_bias), self.key_norm)
        values = self._split(affine(x, self.value, self.value_bias))
        return keys if turn is None else rotate(keys, turn), values

    def unprojected(
        self, states: Float[Array, "B S D"], mask: Bool[Array, "B T S"]
    ) -> Part:
        """Returns states to attend to without their keys and values; see `Part`.

        For attention whose keys and values have no bias, norm or turn.
        """
        heads = self.kv_heads
        through = Through(
            split_columns(self.key, heads), split_columns(self.value, heads)
        )
        return Part(states[:, :, None], states[:, :, None], mask, through=through)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        parts: Sequence[Part],
        dropout_key: Key[Array, ""] | None = None,
        turn: Rotation | None = None,
    ) -> Float[Array, "B T D"]:
        """Attends from x to the parts; scores and softmax in float32.

        Args:
            x: Attending tokens.
            parts: What they attend to.
            dropout_key: None for no dropout.
            turn: By how much the queries turn; None for not at all.
        """
        queries = self._normed(affine(x, self.query, self.query_bias), self.query_norm)
        mixed_BTHK = attend(
            queries if turn is None else rotate(queries, turn),
            parts,
            scale=self.scale,
            cap=self.cap,
            dropout=self.dropout,
            dropout_key=dropout_key,
            shared_dropout=self.shared_dropout,
            form=self.form,
            mesh=self.mesh,
        )
        mixed = mixed_BTHK.reshape(*x.shape[:2], -1)
        return affine(mixed, self.out, self.out_bias)

    def _bias(self, matrix: str, width: int) -> Float[Array, " F"] | None:
        if matrix not in self.biases:
            return None
        return self.param(f"{matrix}_bias", nn.initializers.zeros, (width,))

    def _norm(self, width: int) -> Norm | None:
        if self.normed is None:
            return None
        size = self.head_width if self.normed == "head" else width
        return Norm(self.norm, size, self.norm_epsilon)

    def _normed(self, x: Float[Array, "B T F"], norm: Norm | None) -> Array:
        """Splits into heads; a norm over all of them comes before that."""
        if norm is None:
            return self._split(x)
        if self.normed == "all":
            return self._split(norm(x))
        return norm(self._split(x))

    def _split(self, x: Float[Array, "B T F"]) -> Array:
        return x.reshape(*x.shape[:2], -1, self.head_width)


def remember(
    past: tuple[Array, Array, Int[Array, "*B"]],
    new: tuple[Array, Array],
) -> tuple[Float[Array, "B L G K"], Float[Array, "B L G K"]]:
    """Writes the keys and the values of one token among those of all steps.

    Args:
        past: Keys and values [B, L, G, K], and the place to write: one for all rows of
            the batch, or one for each.
        new: Keys and values [B, 1, G, K].
    """
    keys, values, index = past

    def write(old: Array, token: Array) -> Array:
        token = token.astype(old.dtype)
        if index.ndim:
            return old.at[jnp.arange(len(old)), index].set(token[:, 0])
        return jax.lax.dynamic_update_slice_in_dim(old, token, index, axis=1)

    return write(keys, new[0]), write(values, new[1])
