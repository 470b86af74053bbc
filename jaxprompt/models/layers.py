"""The layers that models are made of: norms, attention, feed-forward, position bias."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxprompt.models.quantise import Int8Matrix, multiply

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "relu": jax.nn.relu,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "gelu_new": lambda x: jax.nn.gelu(x, approximate=True),
        "silu": jax.nn.silu,
    }
)
"""The activations of published models, by the names that Hugging Face configs use."""

# Finite, so that a row that may attend to nothing (padding) stays free of NaN.
_MASKED = -1e9


def rms_norm(
    x: Float[Array, "B T D"], scale: Float[Array, " D"], epsilon: float
) -> Float[Array, "B T D"]:
    """Divides by the root mean square, in float32; no mean, no offset.

    Source: Zhang and Sennrich 2019, eq. 4 (arXiv:1910.07467).
    """
    x_f32 = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x_f32), axis=-1, keepdims=True)
    normed = x_f32 * jax.lax.rsqrt(mean_square + epsilon)
    return (normed * scale.astype(jnp.float32)[None, None, :]).astype(x.dtype)


def layer_norm(
    x: Float[Array, "B T D"],
    scale: Float[Array, " D"],
    bias: Float[Array, " D"],
    epsilon: float,
) -> Float[Array, "B T D"]:
    """Takes the mean away and divides by the standard deviation, in float32.

    Source: Ba et al. 2016, eq. 3 and 4 (arXiv:1607.06450).
    """
    x_f32 = x.astype(jnp.float32)
    centred = x_f32 - jnp.mean(x_f32, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    normed = centred * jax.lax.rsqrt(variance + epsilon)
    scaled = normed * scale.astype(jnp.float32)[None, None, :]
    return (scaled + bias.astype(jnp.float32)[None, None, :]).astype(x.dtype)


def drop(
    x: Array, rate: float, key: Key[Array, "..."] | None, *, shared: bool = True
) -> Array:
    """Zeroes features at random and scales up the rest; nothing without a key.

    Args:
        x: Rows first, features last.
        rate: Share of the features that are zeroed.
        key: One key; or M keys, one for each of M equal groups of rows, so that each
            member of a bank gets the masks that it would get alone.
        shared: Whether all positions (the axis before the last) share one mask, as in
            T5; each has its own otherwise.

    Source: dropout of Mesh TensorFlow's Transformer and of T5X, which both broadcast
    over the length.
    """
    if key is None or rate == 0.0:
        return x
    shape = (*x.shape[:-2], 1, x.shape[-1]) if shared else x.shape
    keys_M = key.reshape(-1)
    group = (shape[0] // keys_M.size, *shape[1:])
    draw = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate, group))
    keep = draw(keys_M).reshape(shape)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros_like(x))


def project(
    x: Float[Array, "B T D"], matrix: Float[Array, "D F"] | Int8Matrix
) -> Float[Array, "B T F"]:
    """Multiplies every token by a matrix, in the token's dtype.

    Rows and tokens are one axis meanwhile: with two to sum over, XLA's CPU backend
    writes transposed copies of the activations to get the gradient of the matrix.
    """
    tokens_ND = x.reshape(-1, x.shape[-1])
    if isinstance(matrix, Int8Matrix):
        product = multiply(tokens_ND, matrix)
    else:
        product = tokens_ND @ matrix.astype(x.dtype)
    return product.reshape(*x.shape[:-1], -1)


def split_key(
    key: Key[Array, "*M"] | None, number: int
) -> Key[Array, "number *M"] | list[None]:
    """Splits a key, or each of M keys; no key gives none."""
    if key is None:
        return [None] * number
    split = jax.random.split
    if key.ndim:
        split = jax.vmap(split, in_axes=(0, None), out_axes=1)
    return split(key, number)


def segment_mask(
    query_segments: Int[Array, "B T"],
    key_segments: Int[Array, "B S"],
    *,
    causal: bool = False,
) -> Float[Array, "B T S"]:
    """Lets a token see its own segment only: adds 0 there, a large negative elsewhere.

    Args:
        query_segments: Segment of each attending token; 0 on padding.
        key_segments: Segment of each attended token; 0 is never attended to.
        causal: Also hide the later rows.

    Returns:
        float32 to add to the attention scores.
    """
    queries_BT1, keys_B1S = query_segments[:, :, None], key_segments[:, None, :]
    visible_BTS = (queries_BT1 == keys_B1S) & (keys_B1S != 0)
    if causal:
        visible_BTS &= jnp.tri(*visible_BTS.shape[1:], dtype=bool)[None]
    return jnp.where(visible_BTS, jnp.float32(0), jnp.float32(_MASKED))


def relative_bias(
    table: Float[Array, "buckets H"],
    query_rows: Int[Array, " T"],
    key_rows: Int[Array, " S"],
    *,
    bidirectional: bool,
    max_distance: int,
) -> Float[Array, "H T S"]:
    """Looks up the bias of each head for each pair of rows, in float32.

    Row numbers serve as positions even when a row holds several packed examples: only
    differences inside one segment reach a score that is not masked, and they are the
    same wherever the segment starts.

    Args:
        table: Learned bias of each bucket of distances.
        query_rows: Row number of each attending token.
        key_rows: Row number of each attended token.
        bidirectional: Whether a query attends to later rows too (the encoder).
        max_distance: Distance in tokens from which on all share the last bucket.

    Returns:
        float32 to add to the attention scores of every layer.

    Source: Raffel et al. 2020, sec. 2.1 (arXiv:1910.10683).
    """
    bucket_of = _bucket_table(table.shape[0], bidirectional, max_distance)
    relative_TS = key_rows[None, :] - query_rows[:, None]
    index_TS = jnp.clip(relative_TS, -max_distance, max_distance) + max_distance
    by_distance = table.astype(jnp.float32)[bucket_of]
    return jnp.transpose(by_distance[index_TS], (2, 0, 1))


def _bucket_table(buckets: int, bidirectional: bool, max_distance: int) -> np.ndarray:
    """Returns the bucket of each relative position -max_distance .. max_distance.

    Half of the buckets of one direction hold one distance each, the others grow
    logarithmically up to max_distance. A relative position is key minus query.
    """
    relative = np.arange(-max_distance, max_distance + 1)
    if bidirectional:
        buckets //= 2
        first = np.where(relative > 0, buckets, 0)
        distance = np.abs(relative)
    else:
        first = np.zeros_like(relative)
        distance = np.maximum(-relative, 0)
    exact = buckets // 2
    # float32, and an epsilon as in T5X, so that a distance on the edge of two buckets
    # falls where it fell when the published models were trained.
    ratio = distance.astype(np.float32) / exact + np.finfo(np.float32).eps
    growth = np.log(ratio) / math.log(max_distance / exact) * (buckets - exact)
    far = np.minimum(exact + np.maximum(growth, 0).astype(np.int64), buckets - 1)
    return (first + np.where(distance < exact, distance, far)).astype(np.int32)


class Attention(nn.Module):
    """Multi-head attention without biases or scaling of the scores.

    The weights are plain matrices, [D, H*K] and [H*K, D].

    Source: initial scales of Mesh TensorFlow's `attention_params`, which fold the
    1 / sqrt(K) of other Transformers into the query.
    """

    width: int
    heads: int
    head_width: int
    dropout: float = 0.0

    def setup(self) -> None:
        """Declares the four matrices."""
        width, inner = self.width, self.heads * self.head_width
        normal = nn.initializers.normal
        into = (width, inner)
        query_scale = (width * self.head_width) ** -0.5
        self.query = self.param("query", normal(query_scale), into)
        self.key = self.param("key", normal(width**-0.5), into)
        self.value = self.param("value", normal(width**-0.5), into)
        self.out = self.param("out", normal(inner**-0.5), (inner, width))

    def keys_values(
        self, x: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "B S H K"], Float[Array, "B S H K"]]:
        """Projects the tokens that are attended to."""
        return self._heads(x, self.key), self._heads(x, self.value)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        keys: Float[Array, "B S H K"],
        values: Float[Array, "B S H K"],
        mask: Float[Array, "B T S"],
        bias: Float[Array, "H T S"] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Attends from x to keys and values; scores and softmax in float32."""
        queries_BTHK = self._heads(x, self.query)
        scores_BHTS = jnp.einsum(
            "bthk,bshk->bhts", queries_BTHK, keys, preferred_element_type=jnp.float32
        )
        if bias is not None:
            scores_BHTS += bias[None]
        weights_BHTS = jax.nn.softmax(scores_BHTS + mask[:, None], axis=-1)
        weights_BHTS = drop(weights_BHTS.astype(x.dtype), self.dropout, dropout_key)
        mixed_BTHK = jnp.einsum("bhts,bshk->bthk", weights_BHTS, values)
        return project(mixed_BTHK.reshape(*x.shape[:2], -1), self.out)

    def _heads(self, x: Array, matrix: Array | Int8Matrix) -> Array:
        split = (*x.shape[:2], self.heads, self.head_width)
        return project(x, matrix).reshape(split)


class FeedForward(nn.Module):
    """Two matrices around an activation, or three where a gate multiplies.

    Source: Shazeer 2020, eq. 5 and 6 (arXiv:2002.05202), without biases.
    """

    width: int
    hidden_width: int
    gated: bool
    activation: str
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], dropout_key: Key[Array, ""] | None = None
    ) -> Float[Array, "B T D"]:
        """Transforms every token by itself."""
        into, outof = (self.width, self.hidden_width), (self.hidden_width, self.width)
        activate = ACTIVATIONS[self.activation]
        scale_in = nn.initializers.normal(self.width**-0.5)
        scale_out = nn.initializers.normal(self.hidden_width**-0.5)
        hidden = project(x, self.param("up", scale_in, into))
        if self.gated:
            gate = project(x, self.param("gate", scale_in, into))
            hidden = activate(gate) * hidden
        else:
            hidden = activate(hidden)
        hidden = drop(hidden, self.dropout, dropout_key)
        return project(hidden, self.param("down", scale_out, outof))
