"""Have soft tokens kept the label words that they started from?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxprompt.prompts.prompt import Prompt
from jaxprompt.report.reading.nearest import Table, closeness

_SAME = 0.01
"""Rows count as equal within this share of their length: bfloat16 rounds to 0.004."""


class LabelWord(NamedTuple):
    """Where a label word stands among the words that soft tokens are near.

    Attributes:
        word: The label word.
        ranks: Its rank among all words for each soft token; 1 is the nearest word. A
            word of several pieces ranks by their mean embedding.
        started: The soft tokens that started from it.
        near: The soft tokens that have it among their neighbours.
    """

    word: str
    ranks: tuple[int, ...]
    started: tuple[int, ...]
    near: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """The soft tokens that started from it and still have it as a neighbour."""
        return tuple(token for token in self.started if token in self.near)


def trace_label_words(
    table: Table,
    prompt: Prompt,
    words: Mapping[str, Sequence[int]],
    count: int,
    *,
    metric: str = "cosine",
    among: Bool[np.ndarray, "V"] | None = None,
    start: Prompt | None = None,
    started: Sequence[str] = (),
) -> list[LabelWord]:
    """Finds each label word among the neighbours of the soft tokens.

    A soft token started from a word if its start is the word's embedding, the mean of
    its pieces', as class-label initialisation makes it.

    Args:
        table: Frozen embeddings.
        prompt: A bank of one.
        words: Label word -> its ids without end-of-sequence, at least one.
        count: Neighbours of each soft token.
        metric: One of `nearest.METRICS`.
        among: Rows that may be a neighbour; None for all.
        start: What the prompt's training started from; None if that is not known.
        started: The words that the first soft tokens started from, in order, where
            `start` is None.

    Returns:
        One answer for each word, in order.

    Raises:
        ValueError: If a word has an id behind the table.

    Source: Lester et al. 2021, sec. 7 (arXiv:2104.08691): class labels persist through
    training, and appear among the neighbours after other initialisations too.
    """
    if not words:
        return []
    for word, ids in words.items():
        if max(ids) >= table.shape[0]:
            raise ValueError(
                f"label word {word!r} has token {max(ids)}, but the model has "
                f"{table.shape[0]}: this is another model's vocabulary"
            )
    rows, table = prompt.soft_rows(), np.asarray(table, np.float32)
    means_WD = np.stack([table[list(ids)].mean(axis=0) for ids in words.values()])
    scores_PV = closeness(rows, table, metric)
    scores_PW = closeness(rows, means_WD, metric)
    others_V = np.ones(table.shape[0], bool) if among is None else among
    if start is None:
        order = [started.index(word) if word in started else -1 for word in words]
        starts_PW = np.arange(prompt.length)[:, None] == np.array(order)[None]
    else:
        starts_PW = _are_equal(np.asarray(start.rows[0]), means_WD)
    traced = []
    for place, (word, ids) in enumerate(words.items()):
        # A word of one piece is in the table: the very score that it has there.
        own_P = scores_PV[:, ids[0]] if len(ids) == 1 else scores_PW[:, place]
        ranks = 1 + (others_V & (scores_PV > own_P[:, None])).sum(axis=1)
        near = np.flatnonzero(ranks <= count)
        begun = np.flatnonzero(starts_PW[:, place])
        traced.append(
            LabelWord(word, *(tuple(x.tolist()) for x in (ranks, begun, near)))
        )
    return traced


def _are_equal(
    rows: Float[np.ndarray, "P D"], means: Float[np.ndarray, "W D"]
) -> Bool[np.ndarray, "P W"]:
    gaps = np.linalg.norm(rows[:, None] - means[None], axis=2)
    return gaps <= _SAME * np.linalg.norm(means, axis=1)[None]
