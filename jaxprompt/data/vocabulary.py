"""A backbone's vocabulary: text <-> ids, by SentencePiece or a tokenizer.json."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import sentencepiece
import tokenizers

from jaxprompt.data.causal_vocabulary import load_causal_vocabulary
from jaxprompt.data.libraries import seqio, tf
from jaxprompt.json_file import read_json_object
from jaxprompt.strict_json import as_json

Vocabulary = seqio.Vocabulary
"""What the other rooms call it; only this one imports seqio."""

DEFAULT_EXTRA_IDS = 100
"""Sentinels of T5. Source: Raffel et al. 2020, sec. 3.1.4 (arXiv:1910.10683)."""


def load_vocabulary(
    path: str | Path, extra_ids: int | None = None, *, causal: bool = False
) -> seqio.Vocabulary:
    """Loads the vocabulary of a backbone; the same path gives the same object.

    Args:
        path: A SentencePiece model (spiece.model), a tokenizer.json, a vocab.json with
            merges.txt, or a folder that holds one of them; the first of these wins.
        extra_ids: Sentinels to add behind a SentencePiece model. By default none if
            the model holds <extra_id_0> already (mT5), else as the
            tokenizer_config.json beside it says, else 100.
        causal: Whether it is a decoder-only model's, whose ids are one up here.

    Returns:
        The vocabulary; id 0 is padding.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the vocabulary does not pad with id 0 or has no end-of-sequence.
    """
    # Not resolved: the Hub's cache links a name with a suffix to a file without one.
    found = _find(Path(path)).absolute()
    if causal:
        return load_causal_vocabulary(found)
    return _load(found, extra_ids)


def decode(vocabulary: seqio.Vocabulary, ids: Iterable[Iterable[int]]) -> list[str]:
    """Turns ids [B, L] into B texts; a text ends at its end-of-sequence."""
    return [vocabulary.decode([int(i) for i in row]) for row in ids]


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    names = ("spiece.model", "tokenizer.json", "vocab.json")
    for name in names:
        if (path / name).is_file():
            return path / name
    wanted = f" with {' or '.join(names)}" if path.is_dir() else ""
    raise FileNotFoundError(
        f"no vocabulary at {str(path)!r}: give a spiece.model, a tokenizer.json, or a "
        f"folder{wanted or ' that holds one'}"
    )


@functools.cache
def _load(path: Path, extra_ids: int | None) -> seqio.Vocabulary:
    if path.suffix == ".json":
        return TokenizerVocabulary(path)
    try:
        pieces = seqio.SentencePieceVocabulary(str(path)).tokenizer
    except Exception as err:
        # A file that is no model fails inside protobuf or SentencePiece.
        raise ValueError(f"{path}: not a SentencePiece model: {err}") from err
    _check_special_ids(path, pieces.pad_id(), pieces.eos_id())
    if extra_ids is None:
        extra_ids = _extra_ids(path, pieces)
    return seqio.SentencePieceVocabulary(str(path), extra_ids)


def _extra_ids(path: Path, pieces: sentencepiece.SentencePieceProcessor) -> int:
    # A piece that is not there has the id of <unk>.
    sentinels = ("<extra_id_0>", "▁<extra_id_0>")
    if any(pieces.piece_to_id(piece) != pieces.unk_id() for piece in sentinels):
        return 0
    config = path.with_name("tokenizer_config.json")
    if not config.is_file():
        return DEFAULT_EXTRA_IDS
    extra_ids = read_json_object(config, "fetch it again").get(
        "extra_ids", DEFAULT_EXTRA_IDS
    )
    if type(extra_ids) is not int or extra_ids < 0:
        raise ValueError(
            f"{config}: extra_ids is {as_json(extra_ids)}: it must be a whole number"
        )
    return extra_ids


def _check_special_ids(path: Path, pad_id: int | None, eos_id: int | None) -> None:
    if pad_id != 0:
        raise ValueError(f"{path}: padding has id {pad_id}, not 0: not a T5 vocabulary")
    if eos_id is None or eos_id < 0:
        raise ValueError(f"{path}: no end-of-sequence piece: not a T5 vocabulary")


class TokenizerVocabulary(seqio.Vocabulary):
    """The tokenizer.json of a T5-like backbone as a seqio vocabulary."""

    def __init__(self, path: Path):
        super().__init__(extra_ids=0)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as err:
            # The Rust library raises plain Exception.
            raise ValueError(f"{path}: not a tokenizer.json: {err}") from err
        self._eos_id = self._tokenizer.token_to_id("</s>")
        self._unk_id = self._tokenizer.token_to_id("<unk>")
        _check_special_ids(path, self._tokenizer.token_to_id("<pad>"), self._eos_id)

    @property
    def bos_id(self) -> int | None:
        """None: T5's decoder starts with padding."""
        return None

    @property
    def eos_id(self) -> int | None:
        """Id of end-of-sequence."""
        return self._eos_id

    @property
    def unk_id(self) -> int | None:
        """Id of a piece that the vocabulary lacks."""
        return self._unk_id

    @property
    def _base_vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def _encode(self, s: str) -> Sequence[int]:
        return self._tokenizer.encode(s, add_special_tokens=False).ids

    def _decode(self, ids: Iterable[int]) -> str:
        kept = [int(i) for i in ids if i not in (self.pad_id, self.eos_id)]
        return self._tokenizer.decode(kept, skip_special_tokens=False)

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
