"""Writes GGUF files by the library `gguf`, as llama.cpp's converter does."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


_ARCHITECTURES = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}


def write_model(
    path: Path,
    settings: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    *,
    architecture: str,
    kind: str = "F32",
    more: Mapping[str, float | str] = {},
    divisors: np.ndarray | None = None,
) -> None:
    """Writes a model that a Hugging Face folder holds.

    Args:
        path: The file to make.
        settings: What config.json says.
        tensors: The weights by Hugging Face's names.
        architecture: What the file calls it.
        kind: How matrices are stored; all else is float32.
        more: Further metadata, by keys behind the architecture.
        divisors: What rotary frequencies are divided by.
    """
    writer = start_file(path, architecture)
    writer.add_context_length(settings["max_position_embeddings"])
    writer.add_embedding_length(settings["hidden_size"])
    writer.add_block_count(settings["num_hidden_layers"])
    writer.add_feed_forward_length(settings["intermediate_size"])
    writer.add_head_count(settings["num_attention_heads"])
    writer.add_head_count_kv(settings["num_key_value_heads"])
    writer.add_key_length(settings["head_dim"])
    writer.add_value_length(settings["head_dim"])
    writer.add_layer_norm_rms_eps(settings["rms_norm_eps"])
    writer.add_rope_freq_base(settings["rope_theta"])
    writer.add_rope_dimension_count(settings["head_dim"])
    writer.add_vocab_size(settings["vocab_size"])
    for name in ("bos", "eos", "pad"):
        if settings.get(f"{name}_token_id") is not None:
            getattr(writer, f"add_{name}_token_id")(settings[f"{name}_token_id"])
    for key, value in more.items():
        add = {
            int: writer.add_uint32,
            float: writer.add_float32,
            str: writer.add_string,
        }
        add[type(value)](f"{architecture}.{key}", value)
    quantisation = gguf.GGMLQuantizationType[kind]
    for name, value in in_file(settings, tensors, architecture).items():
        if value.ndim == 1:
            writer.add_tensor(name, value)
        else:
            packed = gguf.quantize(value, quantisation)
            writer.add_tensor(name, packed, raw_dtype=quantisation)
    if divisors is not None:
        writer.add_tensor("rope_freqs.weight", divisors.astype(np.float32))
    finish(writer)


def in_file(
    settings: Mapping[str, Any], tensors: Mapping[str, np.ndarray], architecture: str
) -> dict[str, np.ndarray]:
    """Returns tensors by the names and in the layout of GGUF files.

    Source: conversion/llama.py (`permute`) and conversion/gemma.py of llama.cpp.
    """
    layers = settings["num_hidden_layers"]
    names = gguf.get_tensor_name_map(_ARCHITECTURES[architecture], layers)
    heads = {
        "q_proj": settings["num_attention_heads"],
        "k_proj": settings["num_key_value_heads"],
    }
    found = {}
    for name, value in tensors.items():
        begin, end = name.rsplit(".", 1)
        last = begin.rsplit(".", 1)[-1]
        if architecture == "llama" and last in heads:
            count = heads[last]
            halves = value.reshape(count, 2, len(value) // count // 2, *value.shape[1:])
            value = halves.swapaxes(1, 2).reshape(value.shape)
        if architecture.startswith("gemma") and last.endswith("norm"):
            value = value + 1
        found[f"{names.get_name(begin)}.{end}"] = value
    return found
