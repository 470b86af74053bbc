"""Writes GGUF files by the library `gguf`, as llama.cpp's converter does."""

import itertools
import json
from pathlib import Path

import gguf
import numpy as np
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

_PARTS = (
    "Hello world!|naïve café|cafe\u0301|日本語のテキスト|한국어|العربية|2024|3.14159|"
    "1,000,000|x²₃|①②|٣٤٥|Ⅷ|it's I'LL we'Ve 'd|don\u2019t|O'Brien's|''s|  two  spaces|"
    "   | ||\t\tab\t|a\nb|\r\n\r\n| \n |\u00a0nbsp|👩\u200d🔬🙂|🏳️\u200d🌈|"
    "\u202eright\u202c|\ufb01\ufb02|\uff21\uff22\uff23|İI\u0307ß|\ufeffbom|"
    "def f(x): return x**2|<b>&amp;</b>|C:\\dir\\file|snake_case|camelCaseABC|"
    "https://a.b/c?d=e#f|$100 + 50% = ?|...!!!???|\u2014\u2013-|{text} %s|\x00\x07\x1b"
).split("|")


def awkward_strings(count: int = 200) -> list[str]:
    """Returns strings on which tokenizers disagree: each part, then joins of parts."""
    draw, found = np.random.default_rng(0), list(_PARTS)
    while len(found) < count:
        parts = draw.choice(len(_PARTS), draw.integers(2, 5))
        joints = draw.choice(["", " ", "\n", "  "], len(parts))
        pairs = zip(parts, joints, strict=True)
        found.append("".join(itertools.chain(*((_PARTS[p], j) for p, j in pairs))))
    return found


def start_file(path: Path, architecture: str = "llama") -> gguf.GGUFWriter:
    """Begins a file; `finish` writes it."""
    return gguf.GGUFWriter(str(path), architecture)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_byte_pairs(writer: gguf.GGUFWriter, tokenizer: Tokenizer, pre: str) -> None:
    """Writes byte-pair encoding over bytes."""
    content = json.loads(tokenizer.to_str())
    added = {token["id"]: token for token in content["added_tokens"]}
    ids = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(ids, key=ids.__getitem__)
    kinds = [
        NORMAL if n not in added else CONTROL if added[n]["special"] else USER_DEFINED
        for n in range(len(tokens))
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in content["model"]["merges"]])


def add_sentencepiece(writer: gguf.GGUFWriter, model: SentencePieceProcessor) -> None:
    """Writes byte-pair encoding over characters."""
    numbers = range(model.get_piece_size())
    kinds = [
        UNKNOWN
        if model.is_unknown(n)
        else CONTROL
        if model.is_control(n)
        else BYTE
        if model.is_byte(n)
        else NORMAL
        for n in numbers
    ]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([model.id_to_piece(n) for n in numbers])
    writer.add_token_scores([model.get_score(n) for n in numbers])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(model.unk_id())
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
