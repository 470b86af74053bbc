"""The options that every backbone has: how it computes, not what."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax

DTYPES = ("float32", "bfloat16")
"""What backbones compute in."""

Remat: TypeAlias = Literal["none", "dots", "full"]
"""What a backward pass computes again: nothing, everything but the products with
weights, or everything inside a layer."""


def check_options(dtype: str, dropout: float, remat: str) -> None:
    """Raises ValueError if an option is none of those there are."""
    if dtype not in DTYPES:
        raise ValueError(
            f"dtype {dtype!r} is none of {', '.join(DTYPES)} (T5 overflows in float16)"
        )
    if remat not in ("none", "dots", "full"):
        raise ValueError(f"remat {remat!r} is none of none, dots, full")
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
