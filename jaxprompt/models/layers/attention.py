"""Attention over keys and values that lie in parts, such as prefix, source, target."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.layers.dense import affine
from jaxprompt.models.layers.dropout import drop


class Part(NamedTuple):
    """Some of the tokens that are attended to, in one layer.

    Attributes:
        keys: Their keys, of G heads; without the axis B where all rows have the same.
        values: Their values, of the same shape.
        mask: Added to their scores; None where every query attends to all of them.
        bias: Added to their scores too, for each head; without the axis B where all
            rows have the same, None for nothing.
        used: Whether this layer attends to them at all; None where it does. Of the
            parts of one layer, only one can have it.
    """

    keys: Float[Array, "*B S G K"]
    values: Float[Array, "*B S G K"]
    mask: Float[Array, "B T S"] | None = None
    bias: Float[Array, "*B H T S"] | None = None
    used: Bool[Array, ""] | None = None


def attend(
    queries: Float[Array, "B T H K"],
    parts: Sequence[Part],
    *,
    scale: float = 1.0,
    dropout: float = 0.0,
    dropout_key: Key[Array, "..."] | None = None,
    shared_dropout: bool = False,
) -> Float[Array, "B T H K"]:
    """Attends to all parts at once: one softmax, in float32, over all their scores.

    The parts are never joined, so that no row gets a copy of what all rows share. With
    fewer heads G of keys and values than heads H of queries, query head h attends to
    key head h // (H / G).

    Args:
        queries: Of the attending tokens.
        parts: What they attend to, one part or more; empty ones are passed over.
        scale: Multiplies the scores.
        dropout: Share of the attention weights that are zeroed.
        dropout_key: None for no dropout.
        shared_dropout: Whether all queries have the same weights zeroed.

    Source: Ainslie et al. 2023, sec. 2.2 (arXiv:2305.13245), for fewer key heads.
    """
    mix = functools.partial(
        _mix_parts,
        queries,
        scale=scale,
        dropout=functools.partial(
            drop, rate=dropout, key=dropout_key, shared=shared_dropout
        ),
    )
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
    dropout: functools.partial[Array],
) -> Float[Array, "B T H K"]:
    parts = [part for part in parts if part.keys.shape[-3]] or parts[:1]
    scores = [_scores(queries, part, scale) for part in parts]
    weights_BHTS = jax.nn.softmax(jnp.concatenate(scores, axis=-1), axis=-1)
    weights_BHTS = dropout(weights_BHTS.astype(queries.dtype))
    mixed, start = [], 0
    for part in parts:
        end = start + part.keys.shape[-3]
        mixed.append(_mix(weights_BHTS[..., start:end], part.values))
        start = end
    return sum(mixed[1:], mixed[0])


def _scores(queries: Array, part: Part, scale: float) -> Float[Array, "B H T S"]:
    rows, length, heads, width = queries.shape
    others, groups = part.keys.shape[-3:-1]
    shared = heads // groups
    # The query heads of one key head are more queries of it.
    split = queries.reshape(rows, length, groups, shared, width)
    queries_BNGK = split.swapaxes(2, 3).reshape(rows, length * shared, groups, width)
    product = "bngk,sgk->bgns" if part.keys.ndim == 3 else "bngk,bsgk->bgns"
    scores_BGNS = scale * jnp.einsum(
        product, queries_BNGK, part.keys, preferred_element_type=jnp.float32
    )
    split = scores_BGNS.reshape(rows, groups, length, shared, others)
    scores_BHTS = split.swapaxes(2, 3).reshape(rows, heads, length, others)
    if part.bias is not None:
        scores_BHTS += part.bias if part.bias.ndim == 4 else part.bias[None]
    return scores_BHTS if part.mask is None else scores_BHTS + part.mask[:, None]


def _mix(weights: Float[Array, "B H T S"], values: Array) -> Float[Array, "B T H K"]:
    rows, heads, length, others = weights.shape
    groups, width = values.shape[-2:]
    shared = heads // groups
    split = weights.reshape(rows, groups, shared, length, others)
    weights_BGNS = split.swapaxes(2, 3).reshape(rows, groups, length * shared, others)
    product = "bgns,sgk->bngk" if values.ndim == 3 else "bgns,bsgk->bngk"
    mixed_BNGK = jnp.einsum(product, weights_BGNS, values)
    split = mixed_BNGK.reshape(rows, length, shared, groups, width)
    return split.swapaxes(2, 3).reshape(rows, length, heads, width)


class Attention(nn.Module):
    """Multi-head attention. The weights are plain matrices, [D, H*K] and [H*K, D].

    Attributes:
        width: Model width D.
        heads: Heads H of the queries.
        kv_heads: Heads G of keys and values, whose matrices are [D, G*K].
        head_width: Width K of one head.
        biases: Whether each of the four matrices has a bias.
        scale: Multiplies the scores.
        query_scale: Standard deviation of a new query matrix.
        into_scale: Standard deviation of new key and value matrices.
        out_scale: Standard deviation of a new output matrix.
        dropout: Share of the attention weights that are zeroed.
        shared_dropout: Whether all queries have the same weights zeroed.
    """

    width: int
    heads: int
    kv_heads: int
    head_width: int
    biases: bool
    scale: float
    query_scale: float
    into_scale: float
    out_scale: float
    dropout: float
    shared_dropout: bool

    def setup(self) -> None:
        """Declares the four matrices, and their biases."""
        width, inner = self.width, self.heads * self.head_width
        kv_width = self.kv_heads * self.head_width
        normal = nn.initializers.normal
        self.query = self.param("query", normal(self.query_scale), (width, inner))
        self.key = self.param("key", normal(self.into_scale), (width, kv_width))
        self.value = self.param("value", normal(self.into_scale), (width, kv_width))
        self.out = self.param("out", normal(self.out_scale), (inner, width))
        self.query_bias = self._bias("query_bias", inner)
        self.key_bias = self._bias("key_bias", kv_width)
        self.value_bias = self._bias("value_bias", kv_width)
        self.out_bias = self._bias("out_bias", width)

    def keys_values(
        self, x: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"]]:
        """Projects the tokens that are attended to."""
        keys = self._heads(x, self.key, self.key_bias)
        return keys, self._heads(x, self.value, self.value_bias)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        parts: Sequence[Part],
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Attends from x to the parts; scores and softmax in float32."""
        mixed_BTHK = attend(
            self._heads(x, self.query, self.query_bias),
            parts,
            scale=self.scale,
            dropout=self.dropout,
            dropout_key=dropout_key,
            shared_dropout=self.shared_dropout,
        )
        mixed = mixed_BTHK.reshape(*x.shape[:2], -1)
        return affine(mixed, self.out, self.out_bias)

    def _bias(self, name: str, width: int) -> Float[Array, " F"] | None:
        if not self.biases:
            return None
        return self.param(name, nn.initializers.zeros, (width,))

    def _heads(self, x: Array, matrix: Array, bias: Array | None) -> Array:
        split = (*x.shape[:2], matrix.shape[-1] // self.head_width, self.head_width)
        return affine(x, matrix, bias).reshape(split)


def remember(
    past: tuple[Array, Array, Int[Array, ""]],
    new: tuple[Array, Array],
) -> tuple[Float[Array, "B L G K"], Float[Array, "B L G K"]]:
    """Writes the keys and the values of one token among those of all steps.

    Args:
        past: Keys and values [B, L, G, K], and the row to write.
        new: Keys and values [B, 1, G, K].
    """
    keys, values, index = past

    def write(old: Array, token: Array) -> Array:
        token = token.astype(old.dtype)
        return jax.lax.dynamic_update_slice_in_dim(old, token, index, axis=1)

    return write(keys, new[0]), write(values, new[1])
