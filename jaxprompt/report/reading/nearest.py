"""Which vocabulary words are the soft tokens near?"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxprompt.prompts.prompt import Prompt
from jaxprompt.report.reading.drift import Drift, measure_drift

Table = Float[Array | np.ndarray, "V D"]
"""Frozen embeddings, in any dtype."""

METRICS = ("cosine", "dot", "l2")
"""Ways to be near: the cosine, the dot product, the Euclidean distance."""


class SoftToken(NamedTuple):
    """What can be said of one row of a prompt.

    Attributes:
        norm: Its Euclidean length.
        words: The nearest words, nearest first, and how near each is: its cosine or
            dot product, or its distance by "l2".
        drift: How far it is from its start; None if that is not known.
        ids: The rows of the embedding table that the words are.
    """

    norm: float
    words: list[tuple[str, float]]
    drift: Drift | None = None
    ids: tuple[int, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{word} ({value:.2f})" for word, value in self.words)


def describe_prompt(
    table: Table,
    prompt: Prompt,
    decode: Callable[[list[int]], str],
    count: int,
    *,
    metric: str = "cosine",
    among: Bool[np.ndarray, "V"] | None = None,
    start: Prompt | None = None,
) -> list[SoftToken]:
    """Describes each soft token by the words that it is near.

    Args:
        table: Frozen embeddings.
        prompt: A bank of one.
        decode: From ids to text; a row without text is named by its id.
        count: Words for each soft token.
        metric: One of `METRICS`.
        among: Rows that may be a neighbour; None for all.
        start: What the prompt's training started from.

    Returns:
        One description for each soft token, in order.

    Raises:
        ValueError: As `nearest_ids` and `drift.measure_drift`.
    """
    ids, values = nearest_ids(table, prompt, count, metric=metric, among=among)
    described = []
    for token, row, near in zip(
        describe_rows(prompt, start), ids.tolist(), values.tolist(), strict=True
    ):
        words = [name_row(number, decode) for number in row]
        pairs = [*zip(words, near, strict=True)]
        described.append(token._replace(words=pairs, ids=tuple(row)))
    return described


def describe_rows(prompt: Prompt, start: Prompt | None = None) -> list[SoftToken]:
    """Describes each soft token by what its row alone tells: no words.

    Args:
        prompt: A bank of one.
        start: What its training started from.

    Raises:
        ValueError: As `drift.measure_drift`.
    """
    norms = np.linalg.norm(prompt.soft_rows(), axis=1).tolist()
    drifts = [None] * len(norms) if start is None else measure_drift(prompt, start)
    return [
        SoftToken(norm, [], drift) for norm, drift in zip(norms, drifts, strict=True)
    ]


def name_row(number: int, decode: Callable[[list[int]], str]) -> str:
    """Returns the text of a row of the table, or its id if it has none."""
    return decode([number]) or f"id {number}"


def nearest_ids(
    table: Table,
    prompt: Prompt,
    count: int,
    *,
    metric: str = "cosine",
    among: Bool[np.ndarray, "V"] | None = None,
) -> tuple[Int[np.ndarray, "P K"], Float[np.ndarray, "P K"]]:
    """Finds the nearest vocabulary rows of each soft token.

    Args:
        table: Frozen embeddings.
        prompt: A bank of one.
        count: Neighbours K of each soft token.
        metric: One of `METRICS`.
        among: Rows that may be a neighbour; None for all.

    Returns:
        Ids of the neighbours, nearest first, and their cosines, dot products or
        distances.

    Raises:
        ValueError: If the prompt is a larger bank, if there are too few rows, or if
            there is no such metric.

    Source: by cosine: Lester et al. 2021, sec. 7 (arXiv:2104.08691).
    """
    if prompt.members != 1:
        raise ValueError(f"a bank of {prompt.members} prompts: take one by unstack")
    candidates = table.shape[0] if among is None else int(among.sum())
    if not 1 <= count <= candidates:
        raise ValueError(
            f"{count} neighbours of each soft token: use 1 to {candidates}, the "
            "words of the embedding table"
        )
    return nearest_rows(prompt.soft_rows(), table, count, metric, among)


def nearest_rows(
    rows: Float[np.ndarray, "P D"],
    table: Table,
    count: int,
    metric: str,
    among: Bool[np.ndarray, "V"] | None,
) -> tuple[Int[np.ndarray, "P K"], Float[np.ndarray, "P K"]]:
    """Finds the neighbours of any vectors; see `nearest_ids`."""
    scores_PV = closeness(rows, table, metric)
    if among is not None:
        scores_PV[:, ~among] = -np.inf
    # Sorting only the nearest: a vocabulary may have 250,000 words.
    ids = np.argpartition(-scores_PV, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores_PV, ids, axis=1), axis=1)
    ids = np.take_along_axis(ids, order, axis=1)
    if metric != "l2":
        return ids, np.take_along_axis(scores_PV, ids, axis=1)
    # Measured directly: a score is a difference of large numbers.
    gaps_PKD = rows[:, None] - np.asarray(table, np.float32)[ids]
    return ids, np.linalg.norm(gaps_PKD, axis=2)


def closeness(
    rows: Float[np.ndarray, "P D"], table: Table, metric: str
) -> Float[np.ndarray, "P V"]:
    """Scores how near each row is to each row of a table: the larger, the nearer.

    Args:
        rows: Soft tokens, float32.
        table: Embeddings, in any dtype.
        metric: One of `METRICS`.

    Returns:
        Cosines or dot products; by "l2" half of |row|^2 - distance^2, which orders
        the table as the distance does.

    Raises:
        ValueError: If there is no such metric.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}: use one of {list(METRICS)}")
    # NumPy on purpose: accelerators round the factors, and near words change places.
    words_VD = np.asarray(table, np.float32)
    if metric == "cosine":
        rows, words_VD = unit(rows), unit(words_VD)
    scores = rows @ words_VD.T
    if metric == "l2":
        scores -= 0.5 * np.square(words_VD).sum(axis=1)
    return scores


def unit(vectors: Float[np.ndarray, "... D"]) -> Float[np.ndarray, "... D"]:
    """Scales vectors to length 1; zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
