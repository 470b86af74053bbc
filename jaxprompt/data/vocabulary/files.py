"""Which file is a model's vocabulary, and who reads it."""

import functools
from pathlib import Path

from jaxprompt.data.vocabulary.model_tokenizer import FILES, read_tokenizer
from jaxprompt.data.vocabulary.pieces import Pieces
from jaxprompt.data.vocabulary.sentencepiece_model import (
    read_rinna_model,
    read_t5_model,
)
from jaxprompt.models.weights.gguf_head import is_gguf

_NAMES = (
    "tokenizer.json",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
)


def find_vocabulary(path: str | Path) -> Path:
    """Returns the file of a vocabulary: the path itself, or the first in a folder.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    if path.is_file():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    wanted = f" with {' or '.join(_NAMES)}" if path.is_dir() else ""
    raise FileNotFoundError(
        f"no vocabulary at {str(path)!r}: give a spiece.model, a tokenizer.json, a "
        f"GGUF file, or a folder{wanted or ' that holds one'}"
    )


@functools.cache
def read_vocabulary(
    path: Path,
    extra_ids: int | None = None,
    causal: bool = False,
    encoder_only: bool = False,
    rows: int | None = None,
) -> Pieces:
    """Reads a vocabulary; `vocabulary.load_vocabulary` says how.

    Args:
        path: The file, from `find_vocabulary`.
        extra_ids: Sentinels behind a SentencePiece model that is read as if it lay
            alone; None for the tokenizer's own.
        causal: Whether it is a decoder-only model's.
        encoder_only: Whether it is an encoder-only model's.
        rows: Rows of the embedding table; None for no limit.

    Raises:
        FileNotFoundError: If a file that belongs to it is absent.
        ValueError: If it is no vocabulary, or lacks padding or end-of-sequence.
    """
    if is_gguf(path):
        # Imported here, as it brings a library that other vocabularies do not need.
        from jaxprompt.data.vocabulary.gguf_model import read_gguf_model

        return read_gguf_model(path)
    if path.suffix in (".json", ".txt") or encoder_only:
        return read_tokenizer(path, causal=causal, encoder_only=encoder_only)
    if causal:
        return read_rinna_model(path)
    alone = not any(path.with_name(file).is_file() for file in FILES)
    if alone or extra_ids is not None or path.name != "spiece.model":
        return read_t5_model(path, extra_ids, rows)
    return read_tokenizer(path, causal=False)
