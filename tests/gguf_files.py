"""Writes GGUF files by the library `gguf`, as llama.cpp's converter does."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

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


def start_file(
    path: Path, architecture: str = "llama", split: int = 0
) -> gguf.GGUFWriter:
    """Begins a file, or several of `split` tensors each; `finish` writes them."""
    return gguf.GGUFWriter(str(path), architecture, split_max_tensors=split)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def byte_pairs(size: int, special: Sequence[str], first: str = "") -> Tokenizer:
    """Trains byte-pair encoding over bytes, which splits as GPT-2's does.

    Args:
        size: How many tokens it has.
        special: The special ones.
        first: That which it puts in front of every text; "" for none.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["system user assistant good bad\n\n"], trainer)
    if first:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A",
            pair=f"{first} $A {first} $B",
            special_tokens=[(first, tokenizer.token_to_id(first))],
        )
    return tokenizer


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


SIZES = {
    "vocab_size": 40,
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100_000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}


def draw_tensors(settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Draws the weights of a model, by the names of Hugging Face."""
    draw, kind = np.random.default_rng(0), settings["model_type"]
    width, ffn = settings["hidden_size"], settings["intermediate_size"]
    query = settings["num_attention_heads"] * settings["head_dim"]
    key = settings["num_key_value_heads"] * settings["head_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (settings["vocab_size"], width),
        "model.norm.weight": (width,),
    }
    if not settings["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (settings["vocab_size"], width)
    layer = {
        "self_attn.q_proj.weight": (query, width),
        "self_attn.k_proj.weight": (key, width),
        "self_attn.v_proj.weight": (key, width),
        "self_attn.o_proj.weight": (width, query),
        "mlp.gate_proj.weight": (ffn, width),
        "mlp.up_proj.weight": (ffn, width),
        "mlp.down_proj.weight": (width, ffn),
        "post_attention_layernorm.weight": (width,),
    }
    if kind != "olmo2":
        layer["input_layernorm.weight"] = (width,)
    if kind in ("gemma2", "gemma3_text"):
        layer["pre_feedforward_layernorm.weight"] = (width,)
    if kind in ("gemma2", "gemma3_text", "olmo2"):
        layer["post_feedforward_layernorm.weight"] = (width,)
    if kind in ("qwen3", "gemma3_text", "olmo2"):
        whole = kind == "olmo2"
        layer["self_attn.q_norm.weight"] = (query if whole else settings["head_dim"],)
        layer["self_attn.k_norm.weight"] = (key if whole else settings["head_dim"],)
    if kind == "qwen2" or settings.get("attention_bias"):
        layer |= {
            "self_attn.q_proj.bias": (query,),
            "self_attn.k_proj.bias": (key,),
            "self_attn.v_proj.bias": (key,),
        }
    if settings.get("attention_bias"):
        layer["self_attn.o_proj.bias"] = (width,)
    if kind == "phi3":
        for name in ("q_proj", "k_proj", "v_proj"):
            del layer[f"self_attn.{name}.weight"]
        del layer["mlp.gate_proj.weight"], layer["mlp.up_proj.weight"]
        layer["self_attn.qkv_proj.weight"] = (query + 2 * key, width)
        layer["mlp.gate_up_proj.weight"] = (2 * ffn, width)
    for n in range(settings["num_hidden_layers"]):
        shapes |= {f"model.layers.{n}.{name}": shape for name, shape in layer.items()}
    return {
        name: draw.normal(0.0, 0.1, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


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
    tokenizer: Tokenizer | None = None,
    template: str | None = None,
    split: int = 0,
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
        tokenizer: Its vocabulary, split as GPT-2's.
        template: Its chat template.
        split: Tensors of one of several files; 0 for one file.
    """
    writer = start_file(path, architecture, split)
    if tokenizer is not None:
        add_byte_pairs(writer, tokenizer, "gpt-2")
    if template is not None:
        writer.add_chat_template(template)
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
        if architecture in ("llama", "smollm3") and last in heads:
            count = heads[last]
            halves = value.reshape(count, 2, len(value) // count // 2, *value.shape[1:])
            value = halves.swapaxes(1, 2).reshape(value.shape)
        if architecture.startswith("gemma") and last.endswith("norm"):
            value = value + 1
        found[f"{names.get_name(begin)}.{end}"] = value
    return found


def write_parts(path: Path) -> list[Path]:
    """Writes a small Llama as several files; `path` is the name before it is split."""
    settings = {**SIZES, "model_type": "llama"}
    tensors = draw_tensors(settings)
    write_model(path, settings, tensors, architecture="llama", split=8)
    return sorted(path.parent.glob(f"{path.stem}-*.gguf"))


TINY_LLAMA = {
    **SIZES,
    "model_type": "llama",
    "vocab_size": 280,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_chat_model(path: Path) -> None:
    """Writes a random model of one layer that has a chat template, in Q8_0."""
    write_model(
        path,
        TINY_LLAMA,
        draw_tensors(TINY_LLAMA),
        architecture="llama",
        kind="Q8_0",
        tokenizer=byte_pairs(280, ("<|endoftext|>", "<|im_start|>", "<|im_end|>")),
        template=_CHATML,
    )
