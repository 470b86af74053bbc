"""Do a soft token's neighbours belong together, and which tokens share them?"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxprompt.report.reading.nearest import Table, nearest_rows, unit

_RANDOM_VECTORS = 100


class Cluster(NamedTuple):
    """Soft tokens that share neighbours, each with at least one other of them.

    Attributes:
        tokens: Their places in the prompt, two or more, in order.
        words: (id, tokens near it) of each word that two or more of them are near,
            the most shared first.
    """

    tokens: tuple[int, ...]
    words: tuple[tuple[int, int], ...]


class Cohesion(NamedTuple):
    """How alike words are: the mean cosine between two different ones of a group.

    Attributes:
        neighbours: Of one soft token's neighbours; the mean over the soft tokens.
        of_random_vectors: Of the neighbours of a vector that was never trained.
        random_words: Of words that nothing has chosen.
    """

    neighbours: float
    of_random_vectors: float
    random_words: float


def group_tokens(ids: Int[np.ndarray, "P K"]) -> list[Cluster]:
    """Groups the soft tokens that share any of their neighbours.

    Sharing is passed on: where a shares with b and b with c, all are of one cluster.

    Args:
        ids: The neighbours of each soft token, from `nearest.nearest_ids`.

    Returns:
        The clusters, the largest first. Tokens that share nothing are in none.

    Source: several tokens with the same neighbours: Lester et al. 2021, sec. 7
    (arXiv:2104.08691).
    """
    # Here, for SciPy takes half a second, and a run needs it at its end only.
    import scipy.sparse
    from scipy.sparse.csgraph import connected_components

    tokens = np.repeat(np.arange(len(ids)), ids.shape[1])
    ones = np.ones(ids.size, np.int64)
    of_words_PV = scipy.sparse.csr_array((ones, (tokens, ids.ravel())))
    _, groups = connected_components(of_words_PV @ of_words_PV.T, directed=False)
    clusters = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        if len(members) < 2:
            continue
        # Among equal counts, the words of the first token come first, nearest first.
        counts = Counter(ids[members].ravel().tolist()).most_common()
        words = tuple((word, count) for word, count in counts if count > 1)
        clusters.append(Cluster(tuple(members.tolist()), words))
    return sorted(clusters, key=lambda cluster: -len(cluster.tokens))


def measure_cohesion(
    table: Table,
    ids: Int[np.ndarray, "P K"],
    *,
    metric: str = "cosine",
    among: Bool[np.ndarray, "V"] | None = None,
) -> Cohesion | None:
    """Compares how alike neighbours are with how alike words are anyhow.

    Neighbours of any vector are alike, being near to one point: of use is only the
    comparison with neighbours of random vectors. These are normal draws with the mean
    and the standard deviation of the words in every dimension, always the same ones.

    Args:
        table: Frozen embeddings.
        ids: The neighbours of each soft token, from `nearest.nearest_ids`.
        metric: How they were found; random vectors' neighbours are found likewise.
        among: Rows that may be a neighbour; None for all.

    Returns:
        The mean cosines, from -1 to 1; None for a single neighbour of each token.

    Source: semantic clusters of neighbours, which random vectors do not have: Lester
    et al. 2021, sec. 7 (arXiv:2104.08691). The paper gives no number for it.
    """
    count = ids.shape[1]
    if count < 2:
        return None
    rows = np.asarray(table, np.float32)
    words = rows if among is None else rows[among]
    shape = _RANDOM_VECTORS, rows.shape[1]
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    random = words.mean(axis=0) + words.std(axis=0) * noise
    of_random, _ = nearest_rows(random, rows, count, metric, among)
    return Cohesion(
        neighbours=float(_mean_cosine(rows[ids]).mean()),
        of_random_vectors=float(_mean_cosine(rows[of_random]).mean()),
        random_words=float(_mean_cosine(words)),
    )


def _mean_cosine(vectors: Float[np.ndarray, "... R D"]) -> Float[np.ndarray, "..."]:
    """Returns the mean cosine of all pairs of different vectors, of each group."""
    units, count = unit(vectors), vectors.shape[-2]
    # The squared length of the sum is the sum over all pairs, each with itself too.
    squared = np.square(units.sum(axis=-2, dtype=np.float64)).sum(axis=-1)
    own = np.square(units).sum(axis=(-2, -1), dtype=np.float64)
    return (squared - own) / (count * (count - 1))
