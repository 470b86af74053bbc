"""The vocabulary inside a GGUF file, as a tokenizer of the library `tokenizers`.

Own code, as transformers' reader splits digits of SmolLM's vocabulary as GPT-2 does.

Source: src/llama-vocab.cpp of llama.cpp: the regular expressions by which each kind of
pre-tokenizer splits a text, and which tokens stand in front of a text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    normalizers,
    pre_tokenizers,
)
from tokenizers.models import BPE

from jaxprompt.models.weights.gguf_head import Metadata, read_metadata
from jaxprompt.screen.quoting import quoted, quoted_path

_SPACE = "▁"
# Of a token: far more than any has, and deriving merges takes its square.
_LONGEST_TOKEN = 1024
_CONTROL, _USER_DEFINED = 3, 4

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+"
_CAPITALS = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
_CASED_REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

_LLAMA3 = (rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_REST}",)
_QWEN2 = (rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}|{_REST}",)
_SMOLLM = (r"\p{N}", _GPT2)
_SPLITS: Mapping[str, tuple[str, ...]] = {
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
    "gpt-2": (_GPT2,),
    "olmo": (_GPT2,),
    "smollm": _SMOLLM,
    "starcoder": _SMOLLM,
    "refact": _SMOLLM,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "falcon3": _LLAMA3,
    "dbrx": _LLAMA3,
    "smaug-bpe": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "tekken": (rf"{_CASED}|{_CAPITALS}|\p{{N}}|{_CASED_REST}",),
    "gpt-4o": (
        rf"{_CASED}{_CONTRACTIONS}?|{_CAPITALS}{_CONTRACTIONS}?|\p{{N}}{{1,3}}"
        rf"|{_CASED_REST}",
    ),
}
"""`tokenizer.ggml.pre` -> what splits a text, one expression after the other."""

# A word that is a token is one token, whatever its merges say.
_WHOLE_WORDS = ("llama3", "llama-v3", "llama-bpe", "falcon3", "tekken")
# Their converters do not write that a text begins with beginning-of-sequence.
_BEGINS = _WHOLE_WORDS
# GGUF files do not record that these compose characters first (NFC).
_COMPOSED = ("qwen2", "deepseek-r1-qwen")


class GGUFTokenizer(NamedTuple):
    """A vocabulary that came with a model's weights.

    Attributes:
        tokenizer: Text <-> ids; it adds no token that the text does not hold.
        tokens: Every token, by id.
        begin: Id of beginning-of-sequence; None where there is none.
        adds_begin: Whether the model was trained on texts that begin with it.
        ends: Ids that end an answer, as the file says: end-of-sequence first, then the
            end of a turn.
        unknown: Id of what the vocabulary lacks; None where bytes are tokens.
        pad: Id of padding; None where there is none.
        chat_template: Jinja source that writes a conversation; None where there is
            none.
    """

    tokenizer: Tokenizer
    tokens: tuple[str, ...]
    begin: int | None
    adds_begin: bool
    ends: tuple[int, ...]
    unknown: int | None
    pad: int | None
    chat_template: str | None


def read_tokenizer(path: Path) -> GGUFTokenizer:
    """Reads the vocabulary of a GGUF file.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no GGUF file, or its vocabulary is of another kind than
            byte-pair encoding over bytes ("gpt2") or over characters ("llama"), is
            split by an unknown pre-tokenizer, or is not whole.
    """
    metadata = read_metadata(path)
    try:
        return _read(metadata)
    except _Unsound as err:
        raise ValueError(
            f"{quoted_path(path)}: its vocabulary cannot be read: {err}; give another "
            "by --gin.VOCABULARY, as a folder with the model's tokenizer.json"
        ) from err


class _Unsound(Exception):
    """Why a vocabulary cannot be read."""


class _Vocabulary:
    """What `tokenizer.ggml.*` says, each value checked."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self.tokens: tuple[str, ...] = self.texts("tokens")
        if not self.tokens:
            raise _Unsound("tokenizer.ggml.tokens is absent or empty")
        longest = max(map(len, self.tokens))
        if longest > _LONGEST_TOKEN:
            raise _Unsound(
                f"a token has {longest:,} characters, where {_LONGEST_TOKEN:,} are "
                "plenty"
            )
        self.kinds = self.numbers("token_type")
        # A token that stands twice keeps its first id.
        self.ids: dict[str, int] = {}
        for number, token in enumerate(self.tokens):
            self.ids.setdefault(token, number)

    def value(self, name: str, kind: type, default: Any = None) -> Any:
        """Returns a value of a type; the default where it is absent."""
        found = self._metadata.get(f"tokenizer.ggml.{name}", default)
        if found is not default and type(found) is not kind:
            raise _Unsound(f"tokenizer.ggml.{name} is {quoted(found)}")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """Returns a list of texts; empty where it is absent."""
        return self.value(name, tuple, ())

    def numbers(self, name: str) -> np.ndarray | None:
        """Returns a number for each token; None where it is absent."""
        found = self.value(name, np.ndarray)
        if found is not None and len(found) != len(self.tokens):
            raise _Unsound(
                f"tokenizer.ggml.{name} has {len(found):,} numbers for "
                f"{len(self.tokens):,} tokens"
            )
        return found

    def token(self, name: str) -> int | None:
        """Returns the id of a special token, as "bos"; None where it is absent."""
        found = self.value(f"{name}_token_id", int)
        if found is not None and not 0 <= found < len(self.tokens):
            raise _Unsound(
                f"tokenizer.ggml.{name}_token_id is {found}, but there are "
                f"{len(self.tokens):,} tokens"
            )
        return found

    def of_kind(self, kind: int) -> list[str]:
        """Returns the tokens of a kind."""
        if self.kinds is None:
            return []
        numbers = np.flatnonzero(self.kinds == kind)
        return [self.tokens[n] for n in numbers if self.tokens[n]]


_KEEPS_SPACE = ("<unk>", "<s>", "<|endoftext|>")
"""Special tokens of Phi-3 behind which a space stays.

Source: `llama_vocab::impl::load` of llama.cpp, and the folder's tokenizer.json.
"""


def _read(metadata: Metadata) -> GGUFTokenizer:
    vocabulary = _Vocabulary(metadata)
    kind = vocabulary.value("model", str)
    pre = vocabulary.value("pre", str, "default")
    unknown = vocabulary.token("unknown")
    if kind == "gpt2":
        tokenizer = _over_bytes(vocabulary, pre)
        begins, unknown = pre in _BEGINS, None
    elif kind == "llama":
        gemma = str(metadata.get("general.architecture")).startswith("gemma")
        tokenizer = _over_characters(vocabulary, unknown, gemma=gemma)
        begins = True
    else:
        raise _Unsound(
            f"tokenizer.ggml.model is {quoted(kind)}, and only gpt2 and llama are read"
        )
    # Phi-3's special tokens take the spaces behind them, which no file says. Phi-4 is
    # of the same architecture, and over bytes.
    strips = kind == "llama" and metadata.get("general.architecture") == "phi3"
    for special, of in ((True, _CONTROL), (False, _USER_DEFINED)):
        added = [
            AddedToken(
                token,
                special=special,
                normalized=False,
                rstrip=special and strips and token not in _KEEPS_SPACE,
            )
            for token in vocabulary.of_kind(of)
        ]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    ends = [vocabulary.token(name) for name in ("eos", "eot", "eom")]
    template = metadata.get("tokenizer.chat_template")
    return GGUFTokenizer(
        tokenizer,
        vocabulary.tokens,
        begin=vocabulary.token("bos"),
        adds_begin=vocabulary.value("add_bos_token", bool, begins),
        ends=tuple(dict.fromkeys(end for end in ends if end is not None)),
        unknown=unknown,
        pad=vocabulary.token("padding"),
        chat_template=template if isinstance(template, str) else None,
    )


def _over_bytes(vocabulary: _Vocabulary, pre: str) -> Tokenizer:
    """Makes byte-pair encoding over bytes."""
    if pre not in _SPLITS:
        raise _Unsound(
            f"tokenizer.ggml.pre is {quoted(pre)}, and only {', '.join(_SPLITS)} are "
            "read"
        )
    merges = []
    for merge in vocabulary.texts("merges"):
        # A token may begin with a space of its own.
        cut = merge.find(" ", 1)
        if cut < 0:
            raise _Unsound(f"the merge {quoted(merge)} is no two tokens")
        merges.append((merge[:cut], merge[cut + 1 :]))
    tokenizer = _make(
        vocabulary.ids, merges, ignore_merges=pre in _WHOLE_WORDS, dropout=None
    )
    if pre in _COMPOSED:
        tokenizer.normalizer = normalizers.NFC()
    splits = [pre_tokenizers.Split(Regex(x), "isolated") for x in _SPLITS[pre]]
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _over_characters(
    vocabulary: _Vocabulary, unknown: int | None, *, gemma: bool
) -> Tokenizer:
    """Makes byte-pair encoding over characters, as SentencePiece trains it."""
    # Gemma's tokens of several spaces are stored with real ones.
    ids = {
        _SPACE * len(token) if token and not token.strip(" ") else token: number
        for token, number in vocabulary.ids.items()
    }
    scores = vocabulary.numbers("scores")
    if scores is None:
        raise _Unsound("tokenizer.ggml.scores is absent")
    # Gemma's scores are not the order of its merges; the order of its tokens is.
    rank: list[float] = (-np.arange(float(len(scores))) if gemma else scores).tolist()
    tokenizer = _make(
        ids,
        _derived_merges(ids, rank),
        unk_token=None if unknown is None else vocabulary.tokens[unknown],
        fuse_unk=True,
        byte_fallback=True,
    )
    to_space = normalizers.Replace(" ", _SPACE)
    from_space = decoders.Replace(_SPACE, " ")
    steps = [from_space, decoders.ByteFallback(), decoders.Fuse()]
    if vocabulary.value("add_space_prefix", bool, True):
        prepend = normalizers.Prepend(_SPACE)
        tokenizer.normalizer = normalizers.Sequence([prepend, to_space])
        steps.append(decoders.Strip(" ", left=1, right=0))
    else:
        tokenizer.normalizer = to_space
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def _derived_merges(ids: dict[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """Finds the pairs of tokens that make up a token, the best token's first.

    Source: `generate_merges` of transformers 5.23, which makes tokenizer.json of such
    vocabularies.
    """
    found = []
    for token, number in ids.items():
        pairs = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        known = [(left, right) for left, right in pairs if left in ids and right in ids]
        known.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        found += [(scores[number], len(left), left, right) for left, right in known]
    found.sort(key=lambda merge: (merge[0], merge[1], len(merge[3])), reverse=True)
    return [(left, right) for *_, left, right in found]


def _make(ids: dict[str, int], merges: list[tuple[str, str]], **how: Any) -> Tokenizer:
    try:
        return Tokenizer(BPE(ids, merges, **how))
    except Exception as err:
        # The Rust library raises plain exceptions.
        raise _Unsound(" ".join(str(err).split())) from err
