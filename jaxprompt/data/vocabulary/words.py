"""Which rows of an embedding table are words, not padding, sentinels or controls."""

import re

import numpy as np
from jaxtyping import Bool

from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.data.vocabulary.writing import lost_ids

_SENTINEL = re.compile(r"<extra_id_\d+>")


def word_rows(vocabulary: Vocabulary, rows: int) -> Bool[np.ndarray, "V"]:
    """Finds the rows that stand for a piece of text.

    The others are padding, end-of-sequence, the unknown piece, the sentinels of span
    corruption, and rows behind the vocabulary, which only round the table's size up.

    Args:
        vocabulary: The backbone's vocabulary.
        rows: Rows V of its embedding table.

    Returns:
        True for each row that is a word or a part of one.
    """
    pieces = min(rows, vocabulary.vocab_size)
    special = lost_ids(vocabulary)
    words = np.zeros(rows, bool)
    words[:pieces] = [
        number not in special
        and not _SENTINEL.fullmatch(vocabulary.decode([number]).strip())
        for number in range(pieces)
    ]
    return words
