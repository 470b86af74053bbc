"""Drawing the next token of each row, from the likeliest ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

NEVER = -1e9
"""Log-probability of what is not to be chosen."""


def draw(
    log_probs: Float[Array, "B V"],
    keys: Key[Array, " B"],
    *,
    top_p: Float[Array, "B 1"] | float = 1.0,
    temperature: Float[Array, "B 1"] | float = 1.0,
    top_k: Int[Array, "B 1"] | None = None,
) -> Int[Array, " B"]:
    """Draws a token of each row. It follows from the row and its key alone.

    Args:
        log_probs: Of each token, in nats.
        keys: Typed PRNG key of each row; consumed.
        top_p: Probability of the nucleus, above 0, up to 1. It is the fewest tokens
            that reach it, at least one.
        temperature: What logits are divided by before, above 0.
        top_k: How many tokens, the likeliest, may be drawn; None for no limit. As many
            more may be as are equally likely.

    Source: Holtzman et al. 2020, sec. 3.1 (arXiv:1904.09751); Fan et al. 2018, sec. 5.4
    (arXiv:1805.04833), for top_k.
    """
    # From the likeliest down, which stays at 0: at a low temperature the others would
    # fall below what is left out.
    least = jnp.finfo(jnp.float32).tiny
    highest_B1 = log_probs.max(axis=-1, keepdims=True)
    logits_BV = (log_probs - highest_B1) / jnp.maximum(temperature, least)
    sorted_BV = -jnp.sort(-jax.nn.softmax(logits_BV), axis=-1)
    # The mass before a token: the one that crosses top_p still belongs to it.
    before_BV = jnp.cumsum(sorted_BV, axis=-1) - sorted_BV
    inside_BV = before_BV < top_p
    if top_k is not None:
        inside_BV &= jnp.arange(inside_BV.shape[-1])[None] < top_k
    least_B1 = jnp.min(sorted_BV, axis=-1, where=inside_BV, initial=2.0, keepdims=True)
    kept_BV = jnp.where(jax.nn.softmax(logits_BV) >= least_B1, logits_BV, NEVER)
    return jax.vmap(jax.random.categorical)(keys, kept_BV)
