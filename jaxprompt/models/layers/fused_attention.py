"""Attention by kernels that keep scores on the chip: cuDNN's, and splash for TPUs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxprompt.sharding import DATA, MODEL

_EVEN = 8
"""Tokens that lengths are padded to a multiple of, for cuDNN: its bias asks for 2, and
rows of a mask that begin at multiples of 16 bytes are read faster."""

_BLOCK = 512
"""Queries, and keys, that the TPU's kernel scores at once."""


class Attended(NamedTuple):
    """All that the queries of a row attend to.

    Attributes:
        keys: Of G heads.
        values: Of the same shape.
        visible: Which tokens each query attends to.
    """

    keys: Float[Array, "B S G K"]
    values: Float[Array, "B S G K"]
    visible: Bool[Array, "B T S"]


def attend_by_cudnn(
    queries: Float[Array, "B T H K"],
    attended: Attended,
    *,
    scale: float,
    mesh: jax.sharding.Mesh | None = None,
) -> Float[Array, "B T H K"]:
    """Attends by cuDNN's flash attention, in bfloat16 with sums in float32.

    Args:
        queries: Of the attending tokens.
        attended: What they attend to.
        scale: Multiplies the scores.
        mesh: Devices that rows and heads are split over; None for one.

    Source: `jax.nn.dot_product_attention`.
    """
    length = queries.shape[1]
    queries = _pad(queries, 1, _EVEN)
    attended = _padded(attended, _EVEN, _EVEN)

    def attend(queries: Array, keys: Array, values: Array, visible: Array) -> Array:
        return jax.nn.dot_product_attention(
            queries,
            keys,
            values,
            mask=visible[:, None],
            scale=scale,
            implementation="cudnn",
        )

    return _on(mesh, attend, queries, attended)(queries, *attended)[:, :length]


def attend_by_splash(
    queries: Float[Array, "B T H K"],
    attended: Attended,
    *,
    scale: float,
    cap: float | None = None,
    mesh: jax.sharding.Mesh | None = None,
) -> Float[Array, "B T H K"]:
    """Attends by the TPU's sparse flash attention, one row behind the other.

    Blocks of which no query sees any token are passed over.

    Args:
        queries: Of the attending tokens.
        attended: What they attend to.
        scale: Multiplies the scores.
        cap: What scores stay below; None for nothing.
        mesh: Devices that rows and heads are split over; None for one.

    Source: jax.experimental.pallas.ops.tpu.splash_attention, with a mask that is known
    only when it runs.
    """
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as splash,
    )

    length = queries.shape[1]
    scaled = (queries.astype(jnp.float32) * scale).astype(queries.dtype)
    scaled = _pad(scaled, 1, _BLOCK)
    attended = _padded(attended, _BLOCK, _BLOCK)
    # A query that sees nothing, as padding, would divide by a sum of nothing.
    blind = ~attended.visible.any(axis=-1, keepdims=True)
    first = jnp.arange(attended.visible.shape[-1])[None, None] == 0
    attended = attended._replace(visible=attended.visible | (blind & first))
    blocks = splash.BlockSizes(
        block_q=_BLOCK,
        block_kv=_BLOCK,
        block_q_dkv=_BLOCK,
        block_kv_dkv=_BLOCK,
        block_q_dq=_BLOCK,
        block_kv_dq=_BLOCK,
    )

    def attend_row(row: tuple[Array, Array, Array, Array]) -> Array:
        queries_HTK, keys_GSK, values_GSK, visible_TS = row
        # One mask for all heads; it takes fewer heads of keys than of queries.
        kernel: Any = splash.make_splash_mha(
            visible_TS[None],
            block_sizes=blocks,
            attn_logits_soft_cap=cap,
            head_shards=1,
            q_seq_shards=1,
        )
        # JAX 0.10 makes an array of this switch, and then asks whether it is true.
        kernel.fwd_mask_info = kernel.fwd_mask_info._replace(is_dynamic_mask=True)
        return kernel(queries_HTK, keys_GSK, values_GSK)

    def attend(queries: Array, keys: Array, values: Array, visible: Array) -> Array:
        by_head = (jnp.swapaxes(x, 1, 2) for x in (queries, keys, values))
        return jnp.swapaxes(jax.lax.map(attend_row, (*by_head, visible)), 1, 2)

    mixed = _on(mesh, attend, scaled, attended)(scaled, *attended)
    return mixed[:, :length]


def _pad(x: Array, axis: int, multiple: int) -> Array:
    """Fills an axis up with zeros."""
    missing = -x.shape[axis] % multiple
    if not missing:
        return x
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, missing)
    return jnp.pad(x, widths)


def _padded(attended: Attended, queries: int, keys: int) -> Attended:
    """Fills lengths up to multiples, with tokens that see and are seen by none."""
    return Attended(
        _pad(attended.keys, 1, keys),
        _pad(attended.values, 1, keys),
        _pad(_pad(attended.visible, 1, queries), 2, keys),
    )


def _on(
    mesh: jax.sharding.Mesh | None,
    attend: Callable[..., Array],
    queries: Float[Array, "B T H K"],
    attended: Attended,
) -> Callable[..., Array]:
    """Has each device attend for its rows and heads: no compiler splits a kernel.

    Where the devices do not divide the heads of keys, each has all heads.
    """
    if mesh is None or mesh.size == 1:
        return attend
    heads, groups = queries.shape[2], attended.keys.shape[2]
    divided = not heads % mesh.shape[MODEL] and not groups % mesh.shape[MODEL]
    of_heads = jax.P(DATA, None, MODEL if divided else None, None)
    return jax.shard_map(
        attend,
        mesh=mesh,
        in_specs=(of_heads, of_heads, of_heads, jax.P(DATA, None, None)),
        out_specs=of_heads,
        check_vma=False,
    )
