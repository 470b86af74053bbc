"""GGUF files: the model of the folder that each was made of, weight for weight."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from gguf_files import SIZES, draw_tensors, in_file, write_model

from jaxprompt.models.layers.dense import project, score_ids
from jaxprompt.models.layers.turn import turn_at
from jaxprompt.models.load import find_checkpoint, load
from jaxprompt.models.quantise import dequantise, look_up
from jaxprompt.models.tokens import Tokens
from jaxprompt.models.weights.checkpoint import read_params, storage_note
from jaxprompt.shapes import Params
from jaxprompt.sharding import RULES, RULES_OVER_DATA, make_mesh


def write_folder(
    folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    safetensors.numpy.save_file(dict(tensors), folder / "model.safetensors")
    return folder


def assert_same_params(found: Params, expected: Params, tolerance: float = 0.0) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, ours), theirs in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=tolerance, err_msg=jax.tree_util.keystr(path)
        )


FAMILIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # Name -> architecture, settings, and metadata that the sizes do not tell.
    "llama": ("llama", {"model_type": "llama"}, {}),
    "llama with biases": (
        "llama",
        {"model_type": "llama", "attention_bias": True, "tie_word_embeddings": False},
        {},
    ),
    "qwen2": ("qwen2", {"model_type": "qwen2"}, {}),
    "qwen3": ("qwen3", {"model_type": "qwen3", "tie_word_embeddings": False}, {}),
    "smollm3": (
        "smollm3",
        {"model_type": "smollm3", "num_hidden_layers": 4},
        {},
    ),
    "olmo2": ("olmo2", {"model_type": "olmo2"}, {}),
    "phi3": (
        "phi3",
        {"model_type": "phi3", "sliding_window": 9},
        {"attention.sliding_window": 9},
    ),
    "gemma2": (
        "gemma2",
        {
            "model_type": "gemma2",
            "sliding_window": 9,
            "query_pre_attn_scalar": 64,
            "attn_logit_softcapping": 40.0,
            "final_logit_softcapping": 20.0,
        },
        {
            "attention.sliding_window": 9,
            "attn_logit_softcapping": 40.0,
            "final_logit_softcapping": 20.0,
        },
    ),
    "gemma3": (
        "gemma3",
        {
            "model_type": "gemma3_text",
            "num_hidden_layers": 7,
            "sliding_window": 9,
            "query_pre_attn_scalar": 64,
            "rope_local_base_freq": 10_000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        {
            "attention.sliding_window": 9,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
    "linear": (
        "llama",
        {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 4.0}},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    "linear of older files": (
        "llama",
        {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 4.0}},
        {"rope.scale_linear": 4.0},
    ),
    "linear by its factor alone": (
        "llama",
        {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 4.0}},
        {"rope.scaling.factor": 4.0},
    ),
    "yarn": (
        "llama",
        {
            "model_type": "llama",
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 16,
                "beta_fast": 16.0,
            },
        },
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 16,
            "rope.scaling.yarn_beta_fast": 16.0,
        },
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_file_is_the_model_of_its_folder(name: str, tmp_path: Path):
    architecture, own, more = FAMILIES[name]
    settings = {**SIZES, **own}
    tensors = draw_tensors(settings)
    folder = write_folder(tmp_path / "folder", settings, tensors)
    path = tmp_path / "model.gguf"
    write_model(path, settings, tensors, architecture=architecture, more=more)
    theirs, ours = load(folder), load(path)
    assert ours[0].config == theirs[0].config
    above = architecture.startswith("gemma")
    assert_same_params(ours[1], theirs[1], tolerance=1e-7 if above else 0.0)
    # One model has one identity, whatever its files are; w + 1 - 1 is not always w.
    assert above or ours[0].fingerprint == theirs[0].fingerprint
    assert ours[0].name == "model.gguf"
    assert ours[0].vocabulary == str(path)


@pytest.mark.parametrize(
    "kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
)
def test_matrices_of_every_kind_are_what_the_library_unpacks(kind: str, tmp_path: Path):
    settings = {**SIZES, "model_type": "llama"}
    tensors = draw_tensors(settings)
    quantisation = gguf.GGMLQuantizationType[kind]
    # In the file a row is packed as a whole, so the order of rows does not matter.
    unpacked = {
        name: value
        if value.ndim == 1
        else gguf.dequantize(gguf.quantize(value, quantisation), quantisation)
        for name, value in tensors.items()
    }
    folder = write_folder(tmp_path / "folder", settings, unpacked)
    path = tmp_path / "model.gguf"
    write_model(path, settings, tensors, architecture="llama", kind=kind)
    (theirs, expected), (ours, found) = load(folder), load(path)
    assert_same_params(found, expected)
    assert ours.fingerprint == theirs.fingerprint


def llama3_divisors(rope: Mapping[str, Any], width: int) -> np.ndarray:
    """Returns what llama.cpp's converter writes for Llama 3.1's positions."""
    frequencies = rope["rope_theta"] ** -(np.arange(0, width, 2) / width)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / rope["factor"] + smooth)


def test_divisors_of_frequencies_are_those_of_llama_3(tmp_path: Path):
    """GGUF files of Llama 3.1 say by a tensor alone how positions are scaled."""
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    }
    settings = {**SIZES, "model_type": "llama", "rope_scaling": scaling}
    tensors = draw_tensors(settings)
    theirs, _ = load(write_folder(tmp_path / "folder", settings, tensors))
    divisors = llama3_divisors({**scaling, "rope_theta": 100_000.0}, 64)
    path = tmp_path / "model.gguf"
    write_model(path, settings, tensors, architecture="llama", divisors=divisors)
    ours, _ = load(path)
    positions = jnp.arange(50)[None]
    turns = [
        turn_at(backbone.config.layer_kinds[0].rotary, positions, "float32")
        for backbone in (ours, theirs)
    ]
    np.testing.assert_allclose(*(turn.sine for turn in turns), atol=2e-6)
    assert ours.fingerprint == theirs.fingerprint


@pytest.mark.parametrize(
    ("variant", "architecture"), [("llama3", "llama"), ("qwen2_yarn", "qwen2")]
)
def test_logits_equal_those_of_pytorch(
    variant: str, architecture: str, golden: Callable, tmp_path: Path
):
    """The reference read the model's safetensors, of which the file is written here."""
    found = golden(f"decoders/{variant}")
    settings, rope = found.config(), found.config()["rope_parameters"]
    settings["rope_theta"] = rope["rope_theta"]
    settings.setdefault("head_dim", 8)
    more: dict[str, Any] = {}
    divisors = None
    if rope["rope_type"] == "yarn":
        more = {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": rope["factor"],
            "rope.scaling.original_context_length": rope[
                "original_max_position_embeddings"
            ],
        }
    else:
        divisors = llama3_divisors(rope, settings["head_dim"])
    path = tmp_path / "model.gguf"
    write_model(
        path,
        settings,
        found.weights(),
        architecture=architecture,
        more=more,
        divisors=divisors,
    )
    backbone, params = load(path)
    ids, seen = found.arrays["ids"], found.arrays["seen"]
    x = np.array(backbone.table(params)[jnp.asarray(ids)])
    x[-1, : len(found.arrays["prompt"])] = found.arrays["prompt"]
    segments = jnp.asarray(seen, jnp.int32)
    logits = jax.jit(backbone.logits)(
        params,
        Tokens(x[:, :0], segments[:, :0]),
        Tokens(jnp.asarray(x), segments),
    )
    expected = found.arrays["logits"][seen > 0]
    ours = np.asarray(logits)[seen > 0][:, : expected.shape[1]]
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "size"), [("Q4_K", 144), ("Q5_K", 176), ("Q6_K", 210)]
)
def test_blocks_of_256_are_what_the_library_unpacks(
    kind: str, size: int, tmp_path: Path
):
    settings = {**SIZES, "model_type": "llama", "num_hidden_layers": 1}
    tensors, draw = draw_tensors(settings), np.random.default_rng(0)
    quantisation = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), "llama")
    write_model(tmp_path / "plain.gguf", settings, tensors, architecture="llama")
    reader = gguf.GGUFReader(tmp_path / "plain.gguf")
    for field in reader.fields.values():
        if field.name.startswith("llama."):
            writer.add_key_value(field.name, field.contents(), field.types[0])
    unpacked = {}
    for name, value in in_file(settings, tensors, "llama").items():
        if value.ndim == 1:
            writer.add_tensor(name, value)
            unpacked[name] = value
            continue
        # The library packs none of these kinds: any bytes without huge scales will do.
        packed = draw.integers(0, 56, (len(value), size)).astype(np.uint8)
        writer.add_tensor(name, packed, raw_dtype=quantisation)
        unpacked[name] = gguf.dequantize(packed, quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    _, found = load(tmp_path / "model.gguf")
    up = unpacked["blk.0.ffn_up.weight"]
    np.testing.assert_array_equal(found["layers"]["ffn"]["up"][0], up.T)
    query = unpacked["blk.0.attn_q.weight"].reshape(4, 32, 2, 256)
    query = query.swapaxes(1, 2).reshape(256, 256)
    np.testing.assert_array_equal(found["layers"]["attention"]["query"][0], query.T)
    table = unpacked["token_embd.weight"]
    np.testing.assert_array_equal(found["embedding"][:40], table)


@pytest.mark.parametrize(
    ("architecture", "key", "value", "refused"),
    [
        ("olmo2", "attention.sliding_window", 4096, True),  # OLMo 3.
        ("llama", "logit_scale", 8.0, True),  # Granite.
        ("llama", "logit_scale", 1.0, False),
        ("llama", "attention.scale", 0.0078125, True),
        ("qwen2", "rope.scaling.yarn_log_multiplier", 0.1, True),
        ("phi3", "attention.sliding_window", 32, False),
        ("gemma2", "attn_logit_softcapping", 50.0, False),
    ],
)
def test_what_only_another_kind_of_model_computes_is_refused(
    architecture: str, key: str, value: float, refused: bool, tmp_path: Path
):
    settings = {**SIZES, **FAMILIES[architecture][1]}
    tensors, path = draw_tensors(settings), tmp_path / "model.gguf"
    more = {**FAMILIES[architecture][2], key: value}
    write_model(path, settings, tensors, architecture=architecture, more=more)
    if not refused:
        assert load(path)
        return
    told = rf"model\.gguf: {architecture}\.{key} is {value}, but {architecture} models"
    with pytest.raises(ValueError, match=told):
        load(path)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_levels_of_a_file_stay_packed_and_multiply_as_the_unpacked_matrix(
    kind: str, tmp_path: Path
):
    settings = {**SIZES, "model_type": "llama"}
    tensors = draw_tensors(settings)
    path = tmp_path / "model.gguf"
    write_model(path, settings, tensors, architecture="llama", kind=kind)
    checkpoint = find_checkpoint(path)
    packed = read_params(checkpoint, "float32", None, quantise="int8")
    unpacked = read_params(checkpoint, "float32", None)
    up = packed["layers"]["ffn"]["up"]
    assert up.values.shape == (2, 256, 256)
    assert up.scale.shape == (2, 256 // 32, 256)
    # 8 bits of a level and 1 of its scale, for 32 of the unpacked weight.
    sizes = (sum(x.nbytes for x in jax.tree.leaves(p)) for p in (packed, unpacked))
    assert next(sizes) < 0.3 * next(sizes)
    assert_same_params(dequantise(packed), unpacked)
    ids = jnp.asarray([[3, 7, 11, 2]])
    rows = look_up(packed["embedding"], ids)
    np.testing.assert_array_equal(rows, unpacked["embedding"][ids])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 256)), jnp.float32)

    def products(params: Params, x: jax.Array) -> list[jax.Array]:
        matrix = jax.tree.map(lambda leaf: leaf[1], params["layers"]["ffn"]["down"])
        return [project(x, matrix), score_ids(x, params["embedding"], is_table=True)]

    for n in range(2):
        found, expected = (
            jax.value_and_grad(lambda x, p=p, n=n: products(p, x)[n].std())(x)
            for p in (packed, unpacked)
        )
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-8)
    assert storage_note(checkpoint, "float32", "int8") == (
        f"matrices of model.gguf in memory: 15 {kind} kept as int8 levels"
    )
    assert storage_note(checkpoint, "bfloat16", "none") == (
        f"matrices of model.gguf in memory: 15 {kind} unpacked to bfloat16"
    )


def test_levels_are_split_over_devices_with_their_scales(tmp_path: Path):
    settings = {**SIZES, "model_type": "llama"}
    path = tmp_path / "model.gguf"
    tensors = draw_tensors(settings)
    write_model(path, settings, tensors, architecture="llama", kind="Q8_0")
    checkpoint = find_checkpoint(path)
    whole = read_params(checkpoint, "float32", None, quantise="int8")
    for mesh, rules in ((make_mesh(2, 4), RULES), (make_mesh(8, 1), RULES_OVER_DATA)):
        split = read_params(checkpoint, "float32", mesh, rules, quantise="int8")
        assert_same_params(split, whole)
        place = split["layers"]["ffn"]["up"].scale.sharding
        assert not place.is_fully_replicated


def test_int8_weights_are_those_of_the_unpacked_folder(tmp_path: Path):
    settings = {**SIZES, "model_type": "llama", "num_hidden_layers": 1}
    tensors = draw_tensors(settings)
    folder = write_folder(tmp_path / "folder", settings, tensors)
    path = tmp_path / "model.gguf"
    write_model(path, settings, tensors, architecture="llama")
    theirs = read_params(find_checkpoint(folder), "bfloat16", None, quantise="int8")
    ours = read_params(find_checkpoint(path), "bfloat16", None, quantise="int8")
    assert_same_params(ours, theirs)
