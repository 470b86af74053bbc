"""Where a new embedding table can start: which pieces stand near which in the text."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxprompt.data.vocabulary.vocabulary import Vocabulary

WINDOW = 8
"""Pieces on either side of a piece that count as near it."""

_SMOOTHING = 0.75
"""Exponent of the neighbours' frequencies. Source: Levy, Goldberg and Dagan 2015,
sec. 3.1 (TACL 3), as is the square root of the singular values (sec. 3.3)."""


def cooccurrence_rows(
    texts: Sequence[str], vocabulary: Vocabulary, width: int
) -> dict[int, Float[np.ndarray, " D"]]:
    """Factors the positive pointwise mutual information of pieces that stand near.

    Words of like meaning get like rows at once, which a model of a few million
    weights would need many passes over the text for.

    Args:
        texts: The text to count in.
        vocabulary: Its pieces.
        width: Width D of a row.

    Returns:
        The id of every piece that the text holds -> its row, float32, with a root mean
        square of 1, as T5's embeddings start.

    Raises:
        ValueError: If the text holds too few kinds of pieces for the width.
    """
    # Here, for SciPy takes half a second, and only a new model needs it.
    import scipy.sparse
    import scipy.sparse.linalg

    ids = np.concatenate(vocabulary.encode_all(texts))
    kinds, ids = np.unique(ids, return_inverse=True)
    if len(kinds) <= width:
        raise ValueError(
            f"the text holds {len(kinds)} kinds of pieces, but co-occurrence rows "
            f"of width {width} need more than {width}: use more text, or random ones"
        )
    shape = (len(kinds), len(kinds))
    near = scipy.sparse.csr_array(shape, dtype=np.float64)
    for distance in range(1, WINDOW + 1):
        ones = np.ones(len(ids) - distance)
        pairs = (ids[:-distance], ids[distance:])
        one_way = scipy.sparse.csr_array((ones, pairs), shape=shape)
        near = near + one_way + one_way.T
    totals = near.sum(axis=1)
    neighbours = totals**_SMOOTHING
    neighbours = neighbours / neighbours.sum()
    found = near.tocoo()
    row, column = found.coords
    information = np.log(found.data / (totals[row] * neighbours[column]))
    positive = information > 0
    table = scipy.sparse.csr_array(
        (information[positive], (row[positive], column[positive])), shape=shape
    )
    # A fixed start vector: the same text gives the same rows.
    start = np.ones(len(kinds))
    left, singular, _ = scipy.sparse.linalg.svds(table, k=width, v0=start)
    rows = left * np.sqrt(singular)
    rows /= np.sqrt(np.mean(np.square(rows), axis=1, keepdims=True)) + 1e-9
    return dict(zip(kinds.tolist(), rows.astype(np.float32), strict=True))
