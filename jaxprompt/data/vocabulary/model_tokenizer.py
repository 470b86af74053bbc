"""Reads a model's own tokenizer by transformers, which is imported only here."""

import functools
import json
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers
from tokenizers.models import Unigram

from jaxprompt.data.vocabulary.pieces import (
    TURN_ENDS,
    Frame,
    Pieces,
    check_t5_ids,
    locate,
    read_settings,
)
from jaxprompt.files import file_cache
from jaxprompt.files.strict_json import as_json
from jaxprompt.models.families import tokenizer_class_of

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

_READ = (".json", ".txt", ".model", ".jinja")
"""How the names of the files end that transformers reads of a folder."""

_AS_IT_IS = ("mistral", "olmo2", "phi3")
"""Kinds of model whose tokenizer.json counts as it is, whatever class is named."""

_OWN_CLASS = {"qwen2": "Qwen2Tokenizer"}
"""Kind of model -> the class that counts, whatever class a folder names."""

_KEPT = "2"
"""Version of what is kept of tokenizers."""


class _Opened(NamedTuple):
    """A tokenizer as transformers reads it, without truncation, padding and dropout.

    Attributes:
        backend: In the form of the tokenizers library.
        names: "eos", "pad" and "unk" -> how this token is written; None for none.
        decode: From ids to their text; None where that is what the library decodes.
    """

    backend: Any
    names: dict[str, str | None]
    decode: Callable[[list[int]], str] | None


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
    backend, names, decode = _find(path)

    def find(names: Sequence[str | None]) -> int | None:
        ids = (backend.token_to_id(name) for name in names if name)
        return next((number for number in ids if number is not None), None)

    frame = _frame_of(path, backend) if encoder_only else None
    end = frame.last[-1] if frame else find([names["eos"], *_ENDS])
    if not causal and frame is None:
        check_t5_ids(path, find([names["pad"], "<pad>"]), end)
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
        unknown=None if causal else find([names["unk"], "<unk>"]),
        encode=functools.partial(_encode, backend),
        decode=decode or functools.partial(backend.decode, skip_special_tokens=False),
        name=lambda number: backend.id_to_token(number) or f"id {number}",
        tokenizer_json=backend.to_str,
        turn_ends=tuple(named - {end}),
        frame=frame,
        bos=_bos_of(backend) if causal else (),
        locate=functools.partial(locate, backend),
    )


def _find(path: Path) -> _Opened:
    """Opens a tokenizer, by the tokenizers library alone where it was opened before.

    To import transformers takes a second.
    """
    opened: list[_Opened] = []

    def make() -> str:
        opened.append(_open(path))
        return _to_text(opened[0])

    packages = ("transformers", "tokenizers")
    made_by = [_KEPT, *(f"{name} {version(name)}" for name in packages)]
    text = file_cache.find("tokenizers", ", ".join(made_by), _files(path), make)
    if opened:
        return opened[0]
    return _from_text(text, path) if text else _open(path)


def _files(path: Path) -> list[Path]:
    """Returns all files that decide what a tokenizer does, as far as they are there."""
    if not _is_whole(path):
        return [path]
    found = (file for file in path.parent.iterdir() if file.suffix in _READ)
    return sorted(file for file in found if file.is_file())


def _to_text(opened: _Opened) -> str:
    """Writes a tokenizer for `_from_text`; "" if it cannot be written."""
    backend = opened.backend
    try:
        text = backend.to_str()
        same = _build(text).to_str() == text
    except Exception:
        # The Rust library raises plain exceptions, as for parts that are in Python.
        return ""
    if backend.encode_special_tokens or not same:
        return ""
    return f"{json.dumps([opened.names, opened.decode is None])}\n{text}"


def _from_text(text: str, path: Path) -> _Opened:
    header, _, tokenizer = text.partition("\n")
    names, is_plain = json.loads(header)
    decode = None if is_plain else lambda ids: _decoding(path)(ids)
    return _Opened(_build(tokenizer), names, decode)


def _build(text: str) -> tokenizers.Tokenizer:
    """Makes what wrote a text by `to_str`, with the same scores to the last bit.

    The library reads some numbers of a text as their neighbours; Python does not.
    """
    backend = tokenizers.Tokenizer.from_str(text)
    if isinstance(backend.model, Unigram):
        model = json.loads(text)["model"]
        pieces = [(piece, score) for piece, score in model["vocab"]]
        backend.model = Unigram(pieces, model["unk_id"], model["byte_fallback"])
    return backend


@functools.cache
def _decoding(path: Path) -> Callable[[list[int]], str]:
    """Returns how transformers decodes, which is imported when it first has to."""
    return _read(path).decode


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


def _bos_of(backend: Any) -> tuple[int, ...]:
    """Finds what a decoder's tokenizer puts in front of a text: it is shown one."""
    bare = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a").ids
    places = range(len(whole) - len(bare) + 1)
    start = next((i for i in places if whole[i:][: len(bare)] == bare), 0)
    return tuple(whole[:start])


def _encode(backend: Any, texts: Sequence[str]) -> list[list[int]]:
    # Without offsets into the text, which nobody asks for.
    encoded = backend.encode_batch_fast(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in encoded]


def _is_whole(path: Path) -> bool:
    """Whether a file stands for its folder, all of whose settings count."""
    return path.name in ("tokenizer.json", *_VOCABULARIES)


def _open(path: Path) -> _Opened:
    tokenizer = _read(path)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        kind = type(tokenizer).__name__
        raise ValueError(f"{path}: {kind} has no form of the tokenizers library")
    backend.no_truncation()
    backend.no_padding()
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None
    names = {
        name: getattr(tokenizer, f"{name}_token") for name in ("eos", "pad", "unk")
    }
    decode = None if _decodes_plainly(tokenizer) else tokenizer.decode
    return _Opened(backend, names, decode)


def _decodes_plainly(tokenizer: Any) -> bool:
    """Whether transformers gives what the tokenizers library decodes as it is."""
    plain = _import_transformers().PreTrainedTokenizerFast
    same = all(
        getattr(type(tokenizer), name) is getattr(plain, name)
        for name in ("decode", "_decode")
    )
    return same and not tokenizer.clean_up_tokenization_spaces


def _read(path: Path) -> Any:
    whole = _is_whole(path)
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

    A class of transformers has pre-tokenizers and normalizers of its own, in the place
    of those that tokenizer.json holds. Published folders name some that are wrong.

    Source: transformers 5.23, `AutoTokenizer.from_pretrained` and
    `MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS`, which cannot be imported without
    PyTorch.
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
    whole, kind = path.with_name("tokenizer.json"), config.get("model_type")
    if named:
        name = str(named).removesuffix("Fast")
        if kind in _OWN_CLASS:
            return _OWN_CLASS[kind]
        # Llama's class splits at spaces and not into bytes.
        over_bytes = name == "LlamaTokenizer" and '"ByteLevel"' in _text_of(whole)
        as_it_is = whole.is_file() and (kind in _AS_IT_IS or over_bytes)
        return None if as_it_is else name
    of_model = tokenizer_class_of(config)
    if of_model or whole.is_file():
        return of_model
    return _VOCABULARIES[path.name]


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


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
