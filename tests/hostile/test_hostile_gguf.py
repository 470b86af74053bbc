"""GGUF files that are cut off or lie about their sizes: one quick line, no memory."""

import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf_files import SIZES, draw_tensors, finish, start_file, write_model

from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import find_checkpoint
from jaxprompt.models.weights.gguf_head import read_head

HUGE = (2**31, 2**32 - 1, 2**62, 2**64 - 1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of every kind of value, and of two tensors."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = start_file(path)
    writer.add_uint32("llama.block_count", 1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "</s>"])
    writer.add_array("tokenizer.ggml.scores", [0.0, -1.0, -2.0])
    writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    packed = gguf.quantize(np.ones((8, 32), np.float32), gguf.GGMLQuantizationType.Q8_0)
    quantised = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("blk.0.attn_q.weight", packed, raw_dtype=quantised)
    finish(writer)
    assert list(read_head(path).places) == ["token_embd.weight", "blk.0.attn_q.weight"]
    return path.read_bytes()


def _refused(path: Path, content: bytes, match: str) -> None:
    """Checks that a file is refused in one line, soon, and in little memory."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match):
            find_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    # Of this process alone: how busy the machine is does not count.
    start = time.process_time()
    with pytest.raises(ValueError, match=match) as caught:
        find_checkpoint(path)
    assert time.process_time() - start < 2
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def _put(content: bytes, place: int, form: str, value: float) -> bytes:
    part = struct.pack(form, value)
    return content[:place] + part + content[place + len(part) :]


def _behind(content: bytes, name: str) -> int:
    return content.index(name.encode()) + len(name)


def _type_of_array(content: bytes) -> int:
    return _behind(content, "tokenizer.ggml.tokens") + 4


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "it is empty"),
    "text": (lambda _: b"{}", "begins with b'{}' and not with b'GGUF'"),
    "zip": (lambda _: b"PK\3\4" * 9, "not with b'GGUF'"),
    "old": (lambda x: _put(x, 4, "<I", 1), "of version 1, where 2 and 3"),
    "swapped": (lambda x: _put(x, 4, ">I", 3), "big-endian version 3"),
    "tensors": (lambda x: _put(x, 8, "<Q", 2**40), "claims 1,099,511,627,776 tensors"),
    "entries": (lambda x: _put(x, 16, "<Q", 2**40), "1,099,511,627,776 entries"),
    "more entries": (lambda x: _put(x, 16, "<Q", 60_000), "a key has .* are plenty"),
    "key": (lambda x: _put(x, 24, "<Q", 2**50), "a key has .* where 256 are plenty"),
    "text length": (
        lambda x: _put(x, _behind(x, "general.architecture") + 4, "<Q", 2**50),
        "'general.architecture' has .* bytes",
    ),
    "type": (
        lambda x: _put(x, _behind(x, "llama.block_count"), "<I", 77),
        "'llama.block_count' is of the unknown type 77",
    ),
    "array of arrays": (
        lambda x: _put(x, _type_of_array(x), "<I", 9),
        "'tokenizer.ggml.tokens' is an array of the unknown type 9",
    ),
    "elements": (
        lambda x: _put(x, _type_of_array(x) + 4, "<Q", 2**61),
        "'tokenizer.ggml.tokens' claims .* elements",
    ),
    "numbers": (
        lambda x: _put(x, _behind(x, "tokenizer.ggml.scores") + 8, "<Q", 2**20),
        "it ends after .* bytes, inside what comes before",
    ),
    "no dimension": (
        lambda x: _put(x, _behind(x, "token_embd.weight"), "<I", 0),
        "'token_embd.weight' has 0 dimensions",
    ),
    "dimensions": (
        lambda x: _put(x, _behind(x, "token_embd.weight"), "<I", 2**31),
        "'token_embd.weight' has 2147483648 dimensions",
    ),
    "no rows": (
        lambda x: _put(x, _behind(x, "token_embd.weight") + 12, "<Q", 0),
        r"'token_embd.weight' has the shape \(0, 32\)",
    ),
    "rows": (
        lambda x: _put(x, _behind(x, "token_embd.weight") + 12, "<Q", 2**62),
        "'token_embd.weight' .* is to begin at byte .* it is cut off",
    ),
    "offset": (
        lambda x: _put(x, _behind(x, "token_embd.weight") + 24, "<Q", 2**60),
        "'token_embd.weight' .* it is cut off",
    ),
    "odd offset": (
        lambda x: _put(x, _behind(x, "token_embd.weight") + 24, "<Q", 7),
        "'token_embd.weight' .* it is cut off",
    ),
    "kind": (
        lambda x: _put(x, _behind(x, "token_embd.weight") + 20, "<I", 16),
        "'token_embd.weight' is of the kind IQ2_XXS, and only F32, .* Q6_K, BF16",
    ),
    "unknown kind": (
        lambda x: _put(x, _behind(x, "token_embd.weight") + 20, "<I", 4000),
        "'token_embd.weight' is of the kind 4000",
    ),
    "broken block": (
        lambda x: _put(x, _behind(x, "blk.0.attn_q.weight") + 4, "<Q", 33),
        "rows of 33 weights of tensor 'blk.0.attn_q.weight' are no whole blocks of 32",
    ),
    "no UTF-8": (
        lambda x: x.replace(b"token_embd", b"token_emb\xff"),
        "a tensor's name is no UTF-8",
    ),
    "twice": (
        lambda x: x.replace(b"tokenizer.ggml.scores", b"tokenizer.ggml.tokens"),
        "holds the key 'tokenizer.ggml.tokens' twice",
    ),
    "half": (lambda x: x[: len(x) - 40], "'blk.0.attn_q.weight' .* it is cut off"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_wrong_says_what_and_where(
    name: str, sound: bytes, tmp_path: Path
):
    change, match = WRONG[name]
    _refused(tmp_path / "model.gguf", change(sound), match)


def test_a_file_cut_off_anywhere_is_refused(sound: bytes, tmp_path: Path):
    path = tmp_path / "model.gguf"
    for stop in range(1, len(sound) - 40, 7):
        path.write_bytes(sound[:stop])
        with pytest.raises(ValueError, match="no GGUF file that can be read"):
            read_head(path)


def test_any_changed_byte_gives_a_head_or_one_line(sound: bytes, tmp_path: Path):
    path, draw = tmp_path / "model.gguf", np.random.default_rng(0)
    head = sound.index(b"blk.0.attn_q.weight") + 60
    for _ in range(400):
        content = bytearray(sound)
        for place in draw.integers(0, head, 2):
            content[place] = draw.integers(256)
        path.write_bytes(content)
        said = ""
        try:
            read_head(path)
        except ValueError as err:
            said = str(err)
        assert "\n" not in said


def test_two_tensors_cannot_share_bytes_to_seem_large(tmp_path: Path, sound: bytes):
    writer = start_file(tmp_path / "model.gguf")
    for n in range(20):
        writer.add_tensor(f"blk.{n}.ffn_up.weight", np.ones((64, 64), np.float32))
    finish(writer)
    content = (tmp_path / "model.gguf").read_bytes()
    for n in range(20):
        content = _put(
            content, _behind(content, f"blk.{n}.ffn_up.weight") + 24, "<Q", 0
        )
    kept = content[: len(content) - 19 * 64 * 64 * 4]
    _refused(
        tmp_path / "model.gguf", kept, "its tensors have 327,680 bytes, but it has"
    )


def test_parts_adapters_and_strangers_are_refused_by_name(tmp_path: Path):
    path = tmp_path / "model.gguf"

    def refused(architecture: str, match: str, **metadata: object) -> None:
        writer = start_file(path, architecture)
        for key, value in metadata.items():
            if isinstance(value, str):
                writer.add_string(key, value)
            else:
                writer.add_uint16(key, value)
        finish(writer)
        with pytest.raises(ValueError, match=match):
            find_checkpoint(path)

    refused("llama", "one of the 3 files of a model, which", **{"split.count": 3})
    refused("llama", "its general.type is 'adapter'", **{"general.type": "adapter"})
    refused("mamba", "general.architecture 'mamba' is none of those that can be read")


def test_a_name_of_no_file_and_a_folder_of_files(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no GGUF file at .*nowhere\.gguf"):
        find_checkpoint(tmp_path / "nowhere.gguf")
    (tmp_path / "small.Q4_K_M.gguf").write_bytes(b"")
    with pytest.raises(ValueError, match=r"name one of them, small.Q4_K_M.gguf"):
        find_checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"revision 'main' given, but .* is a file"):
        find_checkpoint(tmp_path / "small.Q4_K_M.gguf", revision="main")


SIZES_SAID = {
    "block_count": (0, 3, 2**31 - 1, 2**32 - 1),
    "embedding_length": (0, 255, 2**31),
    "feed_forward_length": (0, 255, 2**31),
    "attention.head_count": (0, 3, 2**31),
    "attention.head_count_kv": (0, 3, 2**31),
    "attention.key_length": (0, 3, 2**31),
    "attention.value_length": (0, 65),
    "context_length": (0, 2**32 - 1),
    "rope.dimension_count": (3, 0),
}
NUMBERS_SAID = {
    "attention.layer_norm_rms_epsilon": (float("nan"), float("inf"), -1.0, 2.0),
    "rope.freq_base": (0.0, -1.0, float("nan"), float("inf")),
}


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    settings = {**SIZES, "model_type": "llama"}
    path = tmp_path_factory.mktemp("small") / "model.gguf"
    write_model(path, settings, draw_tensors(settings), architecture="llama")
    find_checkpoint(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", [*SIZES_SAID, *NUMBERS_SAID])
def test_sizes_that_the_tensors_cannot_have_are_one_quick_line(
    name: str, small_model: bytes, tmp_path: Path
):
    form = "<f" if name in NUMBERS_SAID else "<I"
    for value in (*SIZES_SAID.get(name, ()), *NUMBERS_SAID.get(name, ())):
        place = _behind(small_model, f"llama.{name}") + 4
        content = _put(small_model, place, form, value)
        _refused(tmp_path / "model.gguf", content, "model.gguf")


VOCABULARIES = {
    "none": ({}, "tokenizer.ggml.tokens is absent or empty"),
    "kind": (
        {"model": "t5", "tokens": ["a"]},
        "tokenizer.ggml.model is 't5', and only gpt2 and llama are read",
    ),
    "split": (
        {"model": "gpt2", "tokens": ["a"], "pre": "tea-leaves"},
        "tokenizer.ggml.pre is 'tea-leaves', and only default, .* are read",
    ),
    "end": (
        {"model": "gpt2", "tokens": ["a", "b"], "eos_token_id": 2},
        "tokenizer.ggml.eos_token_id is 2, but there are 2 tokens",
    ),
    "no end": ({"model": "gpt2", "tokens": ["a", "b"]}, "has no end-of-sequence"),
    "scores": (
        {"model": "llama", "tokens": ["a", "b"], "scores": [0.0]},
        "tokenizer.ggml.scores has 1 numbers for 2 tokens",
    ),
    "no scores": ({"model": "llama", "tokens": ["a"]}, "scores is absent"),
    "types": (
        {"model": "gpt2", "tokens": ["a", "b"], "token_type": [1]},
        "tokenizer.ggml.token_type has 1 numbers for 2 tokens",
    ),
    "merge": (
        {"model": "gpt2", "tokens": ["a", "b"], "merges": ["ab"]},
        "the merge 'ab' is no two tokens",
    ),
    "stranger": (
        {"model": "gpt2", "tokens": ["a", "b"], "merges": ["a c"]},
        "Token `c` out of vocabulary",
    ),
    "long": (
        {"model": "llama", "tokens": ["a" * 5000], "scores": [0.0]},
        "a token has 5,000 characters, where 1,024 are plenty",
    ),
    "number": (
        {"model": "gpt2", "tokens": [1, 2]},
        r"tokenizer.ggml.tokens is array\(",
    ),
}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_vocabulary_that_is_wrong_says_what(name: str, tmp_path: Path):
    says, match = VOCABULARIES[name]
    writer = start_file(tmp_path / "model.gguf")
    for key, value in says.items():
        add = writer.add_array if isinstance(value, list) else writer.add_string
        add = writer.add_uint32 if isinstance(value, int) else add
        add(f"tokenizer.ggml.{key}", value)
    finish(writer)
    with pytest.raises(ValueError, match=match) as caught:
        load_vocabulary(tmp_path / "model.gguf", causal=True)
    assert "\n" not in str(caught.value)
