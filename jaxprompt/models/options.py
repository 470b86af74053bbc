"""The options that every backbone has: how it computes, not what."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax

from jaxprompt.quoting import quoted

DTYPES = ("float32", "bfloat16")
"""What backbones compute in."""

MOST = 2**31 - 1
"""Largest size of anything: devices count in 32 bits."""

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


def check_epsilon(family: str, epsilon: Any) -> None:
    """Raises ValueError unless a norm can add this, 0 or a little more."""
    if type(epsilon) not in (int, float) or not 0 <= epsilon < 1:
        raise ValueError(
            f"{family} norm_epsilon {quoted(epsilon)} is no number from 0 to 1, as 1e-6"
        )


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
