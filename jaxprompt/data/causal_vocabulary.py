"""The vocabulary of a decoder-only model: its own ids one up, for 0 is padding."""

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sentencepiece
import tokenizers

from jaxprompt.data.libraries import seqio, tf
from jaxprompt.json_file import read_json_object
from jaxprompt.strict_json import as_json

_END_OF_TEXT = "<|endoftext|>"
_SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
"""Pieces of rinna's Japanese models that text may name, as its [SEP] does."""


class Pieces(NamedTuple):
    """A model's own vocabulary, with its own ids.

    Attributes:
        size: How many ids there are.
        end: Id of end-of-sequence.
        unknown: Id of what the vocabulary lacks; None where bytes are pieces.
        encode: From a text to its ids, without end-of-sequence.
        decode: From ids to their text.
        special: Texts that are one id each.
    """

    size: int
    end: int
    unknown: int | None
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    special: tuple[str, ...] = ()


class CausalVocabulary(seqio.Vocabulary):
    """A decoder-only model's vocabulary as a seqio vocabulary.

    GPT-2 gives id 0 to "!" and rinna's models to <unk>, but here, as in seqio, 0 is
    padding. So each id is one up: V is one more than the model's own.
    """

    def __init__(self, pieces: Pieces):
        super().__init__(extra_ids=0)
        self._pieces = pieces

    @property
    def bos_id(self) -> int | None:
        """None: a text starts from its prompt, or from end-of-sequence."""
        return None

    @property
    def eos_id(self) -> int | None:
        """Id of end-of-sequence."""
        return self._pieces.end + 1

    @property
    def unk_id(self) -> int | None:
        """Id of a piece that the vocabulary lacks; the end's, where it lacks none."""
        unknown = self._pieces.unknown
        return self.eos_id if unknown is None else unknown + 1

    @property
    def special(self) -> tuple[str, ...]:
        """Texts that are one id each, wherever they stand."""
        return self._pieces.special

    @property
    def _base_vocab_size(self) -> int:
        return self._pieces.size + 1

    def _encode(self, s: str) -> Sequence[int]:
        return [i + 1 for i in self._pieces.encode(s)]

    def _decode(self, ids: Iterable[int]) -> str:
        end = self._pieces.end
        kept = [int(i) - 1 for i in ids if i != 0 and i - 1 != end]
        return self._pieces.decode(kept)

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        def encode(text: bytes | np.ndarray) -> np.ndarray:
            # Bytes in a graph, an array outside of one.
            return np.asarray(
                self._encode(np.asarray(text, object).item().decode("utf-8")), np.int32
            )

        ids = tf.numpy_function(encode, [s], tf.int32, stateful=False)
        ids.set_shape([None])
        return ids

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(
            lambda row: self._decode(row.tolist()), [ids], tf.string, stateful=False
        )


@functools.cache
def load_causal_vocabulary(path: Path) -> CausalVocabulary:
    """Loads the vocabulary of a decoder-only model.

    Args:
        path: A spiece.model (rinna), a tokenizer.json, or the vocab.json of GPT-2's
            byte-level BPE, whose merges.txt lies beside it.

    Raises:
        FileNotFoundError: If merges.txt is absent.
        ValueError: If the file is no such vocabulary, or has no end-of-sequence.
    """
    try:
        if path.suffix == ".model":
            return CausalVocabulary(_sentencepiece(path))
        return CausalVocabulary(_byte_level(path))
    except (FileNotFoundError, ValueError):
        raise
    except Exception as err:
        # SentencePiece and the Rust library raise plain exceptions of their own.
        raise ValueError(f"{path}: no vocabulary that can be read: {err}") from err


def _sentencepiece(path: Path) -> Pieces:
    if not path.read_bytes():
        raise ValueError(f"{path}: not a SentencePiece model: it is empty")
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    if model.eos_id() < 0:
        raise ValueError(f"{path}: no end-of-sequence piece </s>")
    special = {
        text: model.piece_to_id(text)
        for text in _SPECIAL
        if model.piece_to_id(text) != model.unk_id()
    }
    lower = _lower_cases(path.with_name("tokenizer_config.json"))

    def encode(text: str) -> list[int]:
        ids: list[int] = []
        for part in re.split(f"({'|'.join(map(re.escape, special))})", text):
            if part in special:
                ids.append(special[part])
            elif part:
                ids += model.encode(part.lower() if lower else part)
        return ids

    names = {number: text for text, number in special.items()}

    def decode(ids: list[int]) -> str:
        # SentencePiece leaves out what it holds for a control piece.
        parts = itertools.groupby(ids, key=names.get)
        return "".join(
            model.decode(list(run)) if name is None else name * len(list(run))
            for name, run in parts
        )

    return Pieces(
        size=model.get_piece_size(),
        end=model.eos_id(),
        unknown=model.unk_id(),
        encode=encode if special else model.encode,
        decode=decode if special else model.decode,
        special=tuple(special),
    )


def _lower_cases(config: Path) -> bool:
    if not config.is_file():
        return False
    lower = read_json_object(config, "fetch it again").get("do_lower_case", False)
    if not isinstance(lower, bool):
        raise ValueError(
            f"{config}: do_lower_case is {as_json(lower)}: it must be true or false"
        )
    return lower


def _byte_level(path: Path) -> Pieces:
    if path.name == "vocab.json":
        merges = path.with_name("merges.txt")
        if not merges.is_file():
            raise FileNotFoundError(f"{path} needs {merges}, which is absent")
        tokenizer = tokenizers.ByteLevelBPETokenizer(str(path), str(merges))
        tokenizer.add_special_tokens([_END_OF_TEXT])
    else:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    ends = (_END_OF_TEXT, "</s>")
    found = [name for name in ends if tokenizer.token_to_id(name) is not None]
    if not found:
        raise ValueError(f"{path}: no end-of-sequence {' or '.join(ends)}")
    end = tokenizer.token_to_id(found[0])
    assert end is not None
    return Pieces(
        size=tokenizer.get_vocab_size(),
        end=end,
        unknown=None,
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        decode=lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
        special=(found[0],),
    )
