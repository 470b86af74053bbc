"""Which vocabulary words are the soft tokens near?"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.prompts.prompt import Prompt


def nearest_ids(
    table: Float[Array, "V D"], prompt: Prompt, count: int
) -> tuple[Int[Array, "P C"], Float[Array, "P C"]]:
    """Finds the nearest vocabulary rows of each soft token, by cosine.

    Args:
        table: Frozen embeddings.
        prompt: A bank of one.
        count: Neighbours of each soft token, nearest first.

    Returns:
        Ids of the neighbours, and their cosines, from -1 to 1.

    Raises:
        ValueError: If the prompt is a larger bank, or if the table has fewer rows.

    Source: Lester et al. 2021, sec. 7 (arXiv:2104.08691).
    """
    if prompt.members != 1:
        raise ValueError(f"a bank of {prompt.members} prompts: take one by unstack")
    if not 1 <= count <= table.shape[0]:
        raise ValueError(
            f"{count} neighbours of each soft token: use 1 to {table.shape[0]}, the "
            "rows of the embedding table"
        )
    directions_VD = _unit(table.astype(jnp.float32))
    cosines_PV = _unit(prompt.rows[0]) @ directions_VD.T
    cosines, ids = jax.lax.top_k(cosines_PV, count)
    return ids, cosines


def _unit(rows: jax.Array) -> jax.Array:
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
