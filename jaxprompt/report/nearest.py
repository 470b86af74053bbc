"""Which vocabulary words are the soft tokens near?"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxprompt.prompts.prompt import Prompt


class SoftToken(NamedTuple):
    """What can be said of one row of a prompt.

    Attributes:
        norm: Its Euclidean length.
        words: The nearest words and their cosines, nearest first.
    """

    norm: float
    words: list[tuple[str, float]]

    def __str__(self) -> str:
        return ", ".join(f"{word} ({cosine:.2f})" for word, cosine in self.words)


def describe_prompt(
    table: Float[Array, "V D"],
    prompt: Prompt,
    decode: Callable[[list[int]], str],
    count: int,
) -> list[SoftToken]:
    """Describes each soft token by the words that it is near.

    Args:
        table: Frozen embeddings.
        prompt: A bank of one.
        decode: From ids to text; a row without text is named by its id.
        count: Words for each soft token.

    Returns:
        One description for each soft token, in order.

    Raises:
        ValueError: As `nearest_ids`.
    """
    ids, cosines = nearest_ids(table, prompt, count)
    norms = np.linalg.norm(prompt.rows[0], axis=1)
    return [
        SoftToken(
            float(norm),
            [
                (decode([number]) or f"id {number}", cosine)
                for number, cosine in zip(row, near, strict=True)
            ],
        )
        for norm, row, near in zip(norms, ids.tolist(), cosines.tolist(), strict=True)
    ]


def mean_norm(table: Float[Array, "V D"]) -> float:
    """Returns the mean Euclidean length of the vocabulary's rows."""
    return float(np.mean(np.linalg.norm(np.asarray(table, np.float32), axis=1)))


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
