"""A backbone's vocabulary: text <-> ids that have a row, for seqio and for everyone."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxprompt.data.libraries import seqio, tf
from jaxprompt.data.pieces import Pieces
from jaxprompt.data.vocabulary_files import find_vocabulary, read_vocabulary

Vocabulary = seqio.Vocabulary
"""What the other rooms call it; only this one imports seqio."""

_SHOWN = 5  # Tokens that a note names.
_SHOWN_TEXT = 60  # Characters of a text that an error shows.


class ModelVocabulary(seqio.Vocabulary):
    """A model's own vocabulary as a seqio vocabulary, where id 0 is padding.

    GPT-2 gives id 0 to "!" and rinna's models to <unk>. So a decoder-only model's ids
    are one up here: V is one more than the model's own.

    Attributes:
        causal: Whether it is a decoder-only model's.
        pieces: The model's own vocabulary, with its own ids.
    """

    def __init__(self, pieces: Pieces, *, causal: bool = False, rows: int | None):
        super().__init__(extra_ids=0)
        self.pieces = pieces
        self.causal = causal
        self._up = int(causal)
        self._rows = rows

    @property
    def bos_id(self) -> int | None:
        """None: a text starts from its prompt, from padding or end-of-sequence."""
        return None

    @property
    def eos_id(self) -> int | None:
        """Id of end-of-sequence."""
        return self.pieces.end + self._up

    @property
    def unk_id(self) -> int | None:
        """Id of a piece that the vocabulary lacks; the end's, where it lacks none."""
        unknown = self.pieces.unknown
        return self.eos_id if unknown is None else unknown + self._up

    @property
    def rowless(self) -> dict[int, str]:
        """Ids for which the embedding table has no row -> their tokens."""
        if self._rows is None:
            return {}
        ids = range(self._rows, self._base_vocab_size)
        return {number: self.pieces.name(number - self._up) for number in ids}

    @property
    def _base_vocab_size(self) -> int:
        return self.pieces.size + self._up

    def _encode(self, s: str) -> Sequence[int]:
        ids = [number + self._up for number in self.pieces.encode(s)]
        if self._rows is not None and max(ids, default=0) >= self._rows:
            self._refuse(s, max(ids))
        return ids

    def _refuse(self, text: str, number: int) -> None:
        shown = text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}..."
        own, rows = number - self._up, (self._rows or 0) - self._up
        raise ValueError(
            f"the text {shown!r} holds the token {self.pieces.name(own)!r} of id {own},"
            f" but the model's embedding table has {rows} rows: take the token out of "
            "the text, or give the table a row for it"
        )

    def _decode(self, ids: Iterable[int]) -> str:
        kept = [int(i) - self._up for i in ids if i not in (self.pad_id, self.eos_id)]
        return self.pieces.decode(kept)

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        def encode(text: bytes | np.ndarray) -> np.ndarray:
            # Bytes in a graph, an array outside of one.
            ids = self._encode(np.asarray(text, object).item().decode("utf-8"))
            return np.asarray(ids, np.int32)

        ids = tf.numpy_function(encode, [s], tf.int32, stateful=False)
        ids.set_shape([None])
        return ids

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(
            lambda row: self._decode(row.tolist()), [ids], tf.string, stateful=False
        )


def load_vocabulary(
    path: str | Path,
    extra_ids: int | None = None,
    *,
    causal: bool = False,
    rows: int | None = None,
) -> ModelVocabulary:
    """Loads the vocabulary of a backbone; the same arguments give the same object.

    It is the model's own tokenizer, read by transformers: tokenizer.json, or the
    spiece.model or vocab.json and merges.txt, with the added_tokens.json,
    special_tokens_map.json and tokenizer_config.json beside it. A spiece.model that
    lies alone, or belongs to a decoder-only model, is read by SentencePiece.

    Args:
        path: A folder with such files, or one of them.
        extra_ids: Sentinels to add behind a SentencePiece model, which is then read as
            if it lay alone. By default the tokenizer's own; for a SentencePiece model
            that lies alone none if it holds <extra_id_0> already (mT5), or if the table
            has no rows for them, else 100.
        causal: Whether it is a decoder-only model's, whose ids are one up here.
        rows: Ids that the model's embedding table has rows for, from id 0. A text that
            holds another token is an error. None for no limit.

    Returns:
        The vocabulary; id 0 is padding.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the vocabulary does not pad with id 0 or has no end-of-sequence.
    """
    # Not resolved: the Hub's cache links a name with a suffix to a file without one.
    return _load(find_vocabulary(path).absolute(), extra_ids, causal, rows)


def decode(vocabulary: seqio.Vocabulary, ids: Iterable[Iterable[int]]) -> list[str]:
    """Turns ids [B, L] into B texts; a text ends at its end-of-sequence."""
    return [vocabulary.decode([int(i) for i in row]) for row in ids]


def is_causal(vocabulary: seqio.Vocabulary) -> bool:
    """Says whether a vocabulary is a decoder-only model's."""
    return isinstance(vocabulary, ModelVocabulary) and vocabulary.causal


def rowless(vocabulary: seqio.Vocabulary) -> dict[int, str]:
    """Returns the ids for which the embedding table has no row -> their tokens."""
    return vocabulary.rowless if isinstance(vocabulary, ModelVocabulary) else {}


def rowless_note(vocabulary: seqio.Vocabulary) -> str | None:
    """Says which tokens have no row in the embedding table; None if all have one."""
    tokens = list(rowless(vocabulary).values())
    if not tokens:
        return None
    names = ", ".join(map(repr, tokens[:_SHOWN]))
    more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
    return (
        f"tokens of the vocabulary without a row in the model's embedding table: "
        f"{len(tokens)} ({names}{more}); a text that holds one is refused"
    )


@functools.cache
def _load(
    path: Path, extra_ids: int | None, causal: bool, rows: int | None
) -> ModelVocabulary:
    pieces = read_vocabulary(path, extra_ids, causal, rows)
    return ModelVocabulary(pieces, causal=causal, rows=rows)
