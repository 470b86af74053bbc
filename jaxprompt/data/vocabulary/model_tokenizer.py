"""Reads a model's own tokenizer by transformers, which is imported only here."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.vocabulary.pieces import (
    TURN_ENDS,
    Frame,
    Pieces,
    check_t5_ids,
    locate,
    read_settings,
)
from jaxprompt.models.families import tokenizer_class_of
from jaxprompt.strict_json import as_json

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
)
"""What says that a folder's tokenizer is more than its SentencePiece model."""

_VOCABULARIES = {
    "spiece.model": "T5Tokenizer",
    "vocab.json": "GPT2Tokenizer",
    "vocab.txt": "BertTokenizer",
    "sentencepiece.bpe.model": "XLMRobertaTokenizer",
}
_ENDS = ("<|endoftext|>", "<|end_of_text|>", "<eos>", "</s>")


def read_tokenizer(path: Path, *, causal: bool, encoder_only: bool = False) -> Pieces:
    """Reads a tokenizer as transformers' AutoTokenizer does.

    Text is encoded whole and bare: the truncation and the padding that a tokenizer.json
    may hold, the tokens that its post-processor adds, and the random merges of
    byte-pair dropout are left out.

    PyTorch, which AutoTokenizer imports where it is installed, is not needed and not
    imported.

    Args:
        path: A tokenizer.json or one of `_VOCABULARIES`, whose folder is read; or a
            tokenizer.json by any other name, which is read alone.
        causal: Whether it is a decoder-only model's, which need not have padding.
        encoder_only: Whether it is an encoder-only model's, which reads a text between
            tokens of its own, as [CLS] and [SEP].

    Raises:
        FileNotFoundError: If vocab.json is without its merges.txt.
        ValueError: If the files are no tokenizer, or one without end-of-sequence or,
            for a T5, one that does not pad with id 0; or for an encoder-only model, one
            that puts nothing around a text.
    """
    tokenizer = _open(path)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        kind = type(tokenizer).__name__
        raise ValueError(f"{path}: {kind} has no form of the tokenizers library")
    backend.no_truncation()
    backend.no_padding()
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None

    def find(names: Sequence[str | None]) -> int | None:
        ids = (backend.token_to_id(name) for name in names if name)
        return next((number for number in ids if number is not None), None)

    frame = _frame_of(path, backend) if encoder_only else None
    end = frame.last[-1] if frame else find([tokenizer.eos_token, *_ENDS])
    if not causal and frame is None:
        check_t5_ids(path, find([tokenizer.pad_token, "<pad>"]), end)
    if end is None:
        raise ValueError(f"{path}: no end-of-sequence {' or '.join(_ENDS)}")
    named = {
        number
        for number, token in backend.get_added_tokens_decoder().items()
        if causal and token.special and token.content in TURN_ENDS
    }
    return Pieces(
        # Not how many there are: a file may leave ids out.
        size=1 + max(backend.get_vocab(with_added_tokens=True).values()),
        end=end,
        unknown=None if causal else find([tokenizer.unk_token, "<unk>"]),
        encode=functools.partial(_encode, backend),
        decode=tokenizer.decode,
        name=lambda number: backend.id_to_token(number) or f"id {number}",
        tokenizer_json=backend.to_str,
        turn_ends=tuple(named - {end}),
        frame=frame,
        locate=functools.partial(locate, backend),
    )


def _frame_of(path: Path, backend: Any) -> Frame:
    """Finds what a tokenizer puts around texts: it is shown one, and a pair."""
    bare = backend.encode("a", add_special_tokens=False).ids
    alone, pair = (backend.encode(*texts).ids for texts in (("a",), ("a", "a")))
    count = len(bare)
    starts = [i for i in range(len(pair)) if pair[i : i + count] == bare]
    if not bare or len(starts) != 2 or alone[starts[0] :][:count] != bare:
        raise ValueError(
            f"{path}: it does not put a text between tokens such as [CLS] and [SEP], "
            "as an encoder's does: take the tokenizer of the model"
        )
    first, second = starts
    frame = Frame(
        tuple(pair[:first]),
        tuple(pair[first + count : second]),
        tuple(pair[second + count :]),
    )
    if not all(frame) or alone != [*frame.first, *bare, *frame.last]:
        raise ValueError(
            f"{path}: it writes a text as {alone} and two as {pair}: only a tokenizer "
            "with a token in front, between and behind can be read"
        )
    return frame


def _encode(backend: Any, texts: Sequence[str]) -> list[list[int]]:
    # Without offsets into the text, which nobody asks for.
    encoded = backend.encode_batch_fast(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in encoded]


def _open(path: Path) -> Any:
    whole = path.name in ("tokenizer.json", *_VOCABULARIES)
    if path.name == "vocab.json" and not path.with_name("merges.txt").is_file():
        raise FileNotFoundError(
            f"{path} needs {path.with_name('merges.txt')}, which is absent"
        )
    transformers = _import_transformers()
    # A wrong file of settings is named before transformers meets it.
    name = _class_name(path) if whole else None
    for file in FILES[1:] if whole else ():
        read_settings(path.with_name(file))
    try:
        if not whole:
            return transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
        kind = _named_class(transformers, name) or transformers.PreTrainedTokenizerFast
        return kind.from_pretrained(str(path.parent), local_files_only=True)
    except Exception as err:
        # The Rust library raises plain exceptions, transformers of many kinds.
        reason = " ".join(str(err).split())
        raise ValueError(f"{path}: not a tokenizer: {reason}") from err


def _class_name(path: Path) -> str | None:
    """Returns the class that AutoTokenizer takes; None for a tokenizer.json as it is.

    Source: transformers 5.23, `AutoTokenizer.from_pretrained`.
    """
    config = read_settings(path.with_name("config.json"))
    settings = read_settings(path.with_name("tokenizer_config.json"))
    extra_ids = settings.get("extra_ids", 0)
    if type(extra_ids) is not int or extra_ids < 0:
        raise ValueError(
            f"{path.with_name('tokenizer_config.json')}: extra_ids is "
            f"{as_json(extra_ids)}: it must be a whole number"
        )
    named = settings.get("tokenizer_class") or config.get("tokenizer_class")
    if named:
        return str(named).removesuffix("Fast")
    of_model = tokenizer_class_of(config)
    if of_model or path.with_name("tokenizer.json").is_file():
        return of_model
    return _VOCABULARIES[path.name]


def _named_class(transformers: Any, name: str | None) -> Any:
    """Returns the tokenizer of a family; None for any other name a file may hold."""
    if name is None or not name.endswith("Tokenizer") or name == "PreTrainedTokenizer":
        return None
    found = getattr(transformers, name, None)
    base = transformers.PreTrainedTokenizerBase
    return found if isinstance(found, type) and issubclass(found, base) else None


def _import_transformers() -> Any:
    name = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
    before = os.environ.get(name)
    # Without PyTorch it prints that models are not available, which is true and known.
    os.environ[name] = "1"
    try:
        import transformers
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
    return transformers
