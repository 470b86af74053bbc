"""The options that every backbone has: how it computes, not what."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from jaxprompt.models.attention_form import AttentionForm
from jaxprompt.models.product import ROUNDED

DTYPES = ("float32", "bfloat16")
"""What backbones compute in."""

Remat: TypeAlias = Literal["none", "dots", "full"]
"""What a backward pass computes again: nothing, everything but the products with
weights, or everything inside a layer."""

Precision: TypeAlias = Literal["float32", "tensorfloat32", "bfloat16"]
"""What products of float32 matrices are computed in."""

PASSES: Mapping[Precision, int] = MappingProxyType(
    {"float32": 6, "tensorfloat32": 3, "bfloat16": 1}
)
"""Precision -> products in bfloat16 that a TPU makes of one in float32.

Source: JAX's documentation of `jax.lax.Precision`, HIGHEST, HIGH and DEFAULT.
"""


def precision_in_force(precision: Precision, dtype: str, platform: str) -> str | None:
    """Returns what JAX's `default_matmul_precision` is to be for a model.

    By JAX's own default NVIDIA's GPUs round the factors of a float32 product to 10 bits
    of mantissa (TensorFloat-32), and TPUs to 7 (bfloat16). Logits are then not those of
    a CPU to 1e-4.

    Args:
        precision: What is asked for.
        dtype: Dtype that the model computes in.
        platform: Of the devices, as JAX calls it.

    Returns:
        None where products are as they are by themselves: factors that are bfloat16 are
        rounded no further, and a CPU, which has no tensorfloat32, multiplies in float32
        unless "bfloat16" is asked for.
    """
    if dtype != "float32":
        return None
    if platform == "cpu":
        return ROUNDED if precision == "bfloat16" else None
    return precision


def check_precision(precision: str) -> None:
    """Raises ValueError unless this is one of those there are."""
    if precision not in PASSES:
        raise ValueError(f"precision {precision!r}: use one of {list(PASSES)}")


def check_dtype(dtype: str) -> None:
    """Raises ValueError unless backbones compute in it."""
    if dtype not in DTYPES:
        raise ValueError(
            f"dtype {dtype!r} is none of {', '.join(DTYPES)} (T5 overflows in float16)"
        )


def check_options(dtype: str, dropout: float, remat: str, attention: str) -> None:
    """Raises ValueError if an option is none of those there are."""
    check_dtype(dtype)
    if remat not in ("none", "dots", "full"):
        raise ValueError(f"remat {remat!r} is none of none, dots, full")
    if attention not in get_args(AttentionForm):
        raise ValueError(
            f"attention {attention!r} is none of {', '.join(get_args(AttentionForm))}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout} is not in [0, 1)")


def checkpointed(
    body: Callable[..., Any], remat: Remat, *, unrolled: bool
) -> Callable[..., Any]:
    """Returns the body of a loop over layers, which keeps what `remat` says.

    Args:
        body: For `jax.lax.scan`.
        remat: What the backward pass computes again.
        unrolled: Whether the loop is unrolled.
    """
    if remat == "none":
        return body
    policies = jax.checkpoint_policies
    policy = {
        "dots": policies.dots_with_no_batch_dims_saveable,
        "full": policies.nothing_saveable,
    }[remat]
    # A loop's body cannot be merged with its backward pass; unrolled code can.
    return jax.checkpoint(body, policy=policy, prevent_cse=unrolled)


def over_layers(
    body: Callable[[Any, Any, Any], tuple[Any, Any]],
    x: Any,
    layers: Any,
    read: Any,
    *,
    below: int = 0,
    first: int = 0,
    end: int | None = None,
    remat: Remat,
    unroll: bool,
) -> tuple[Any, Any]:
    """Applies a body to every layer in turn, or to some of them.

    The layers below all that read a prefix have a loop of their own: as nothing that
    trains reaches it, it has no backward pass.

    Args:
        body: From x, a layer's share of `layers` and its share of `read`, which is None
            below, to x and what is kept of it.
        x: What the first of these layers reads.
        layers: A tree of arrays, the layers N first.
        read: Another, of the prefixes.
        below: Layers below the first that reads a prefix.
        first: Layers that x has been through already.
        end: Number of the layer to stop below; None for all layers.
        remat: What the backward pass computes again.
        unroll: Whether layers are compiled one by one, not as a loop.

    Returns:
        What the last of these layers makes, and what is kept of them; None if there
        are none.
    """

    def loop(step: Callable[..., Any], x: Any, shares: Any) -> tuple[Any, Any]:
        step = checkpointed(step, remat, unrolled=unroll)
        return jax.lax.scan(step, x, shares, unroll=unroll)

    if not (first or below) and end is None:
        return loop(lambda x, share: body(x, *share), x, (layers, read))
    end = len(jax.tree.leaves(layers)[0]) if end is None else end
    below = min(max(below, first), end)

    # A loop over a slice of all weights would copy them.
    def at(number: Any) -> Any:
        return jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, keepdims=False),
            layers,
        )

    def some(x: Any, numbers: range, read: Any) -> tuple[Any, Any]:
        shares = jax.tree.map(lambda leaf: leaf[numbers.start : numbers.stop], read)
        return loop(
            lambda x, share: body(x, at(share[0]), share[1]),
            x,
            (jnp.arange(numbers.start, numbers.stop), shares),
        )

    kept: list[Any] = []
    for numbers, shares in ((range(first, below), None), (range(below, end), read)):
        if numbers:
            x, found = some(x, numbers, shares)
            kept.append(found)
    if not kept:
        return x, None
    return x, jax.tree.map(lambda *parts: jnp.concatenate(parts), *kept)
