"""Maps between models that need no training: from words that both vocabularies have."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.data.vocabulary.words import word_rows

Table = Float[np.ndarray, "V D"]


class SharedWords(NamedTuple):
    """Words that two vocabularies write as one token each.

    Attributes:
        words: The words.
        source_ids: Id of each in the first vocabulary.
        target_ids: Id of each in the second.
    """

    words: list[str]
    source_ids: Int[np.ndarray, " words"]
    target_ids: Int[np.ndarray, " words"]


def shared_words(
    source: Vocabulary, target: Vocabulary, source_rows: int
) -> SharedWords:
    """Finds the words that both vocabularies write as one token, by their strings.

    So the tokenizers may differ in kind: what counts is that the word alone, as a text,
    is one token of each.

    Args:
        source: The first vocabulary.
        target: The second.
        source_rows: Rows V of the first model's table.

    Raises:
        ValueError: If they share none.
    """
    ids = np.flatnonzero(word_rows(source, source_rows)).tolist()
    texts = {source.decode([one]).strip(): one for one in ids}
    texts = {text: one for text, one in texts.items() if text.isalpha()}
    own = source.encode_all(list(texts))
    other = target.encode_all(list(texts))
    found: dict[tuple[int, int], str] = {}
    for text, here, there in zip(texts, own, other, strict=True):
        if len(here) == 1 and len(there) == 1 and there[0] != target.unk_id:
            found.setdefault((here[0], there[0]), text)
    if not found:
        raise ValueError(
            "the two vocabularies write no word as one token each: there is nothing "
            "that both models know, so fit a projector to prompts or tasks"
        )
    pairs = np.array(list(found), np.int64)
    return SharedWords(list(found.values()), pairs[:, 0], pairs[:, 1])


def linear_map(
    source: Float[np.ndarray, "words D"], target: Float[np.ndarray, "words E"]
) -> Float[np.ndarray, "D E"]:
    """Returns the matrix that maps embeddings of words best, by least squares.

    Of a model onto itself it is the identity. Where there are fewer words than
    dimensions, it is the smallest of the matrices that fit.

    Args:
        source: Embeddings of words in the first model.
        target: Embeddings of the same words in the second.

    Source: the recycling of prompts in google-research/prompt-tuning, "v2v-linear".
    """
    found, *_ = np.linalg.lstsq(
        source.astype(np.float64), target.astype(np.float64), rcond=None
    )
    return found


def relative_map(
    rows: Float[np.ndarray, "prompts P D"],
    source: Float[np.ndarray, "words D"],
    target: Float[np.ndarray, "words E"],
) -> Float[np.ndarray, "prompts P E"]:
    """Maps prompts by what they are like: their cosines with words that both know.

    A soft token's relative code is its cosine with every anchor word. What is returned
    has, in the target model, the code that comes closest in the least squares, and is
    as long beside that model's words as the token is beside its own.

    Args:
        rows: Soft tokens of the prompts.
        source: Embeddings of the anchor words in the first model.
        target: Embeddings of the same words in the second.

    Source: the relative space is that of Wu et al. 2024, "Zero-Shot Continuous Prompt
    Transfer" (arXiv:2310.01691), who search for the token by gradient steps; the least
    squares in their place are this project's.
    """
    source, target = source.astype(np.float64), target.astype(np.float64)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)
    codes = (rows / np.maximum(lengths, 1e-12)) @ _units(source).T
    flat = codes.reshape(-1, codes.shape[-1]).T
    found, *_ = np.linalg.lstsq(_units(target), flat, rcond=None)
    directions = _units(found.T).reshape(*rows.shape[:2], -1)
    scale = mean_length(target) / mean_length(source)
    return directions * lengths * scale


def _units(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def mean_length(rows: Float[np.ndarray, "words D"]) -> float:
    """Returns the mean Euclidean length of the words of a table."""
    return float(np.linalg.norm(rows, axis=-1).mean())
