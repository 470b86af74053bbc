"""Hugging Face files: exact cover of the weights, shards, dtypes, damaged files."""

import json

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jaxprompt.models.load import load
from jaxprompt.models.weights import leaf
from jaxprompt.sharding import make_mesh

QUERY = "encoder.block.1.layer.0.SelfAttention.q.weight"
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


def test_a_missing_tensor_is_named(golden):
    golden = golden("t5_1_1")
    weights = golden.weights()
    del weights[QUERY]
    golden.write(weights)
    with pytest.raises(ValueError, match=f"1 of 52 tensors are missing: {QUERY}"):
        load(golden.folder)


def test_an_extra_tensor_is_named(golden):
    golden = golden("t5_1_1")
    golden.write({**golden.weights(), "encoder.foo": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"have no place in T5: encoder\.foo"):
        load(golden.folder)


def test_a_misshapen_tensor_is_named_with_both_shapes(golden):
    golden = golden("t5_1_1")
    weights = golden.weights()
    golden.write({**weights, QUERY: np.ascontiguousarray(weights[QUERY].T)})
    message = rf"{QUERY} \(32, 30\) where the sizes of the model say \(30, 32\)"
    with pytest.raises(ValueError, match=message):
        load(golden.folder)


def test_a_config_of_another_size_names_some_tensors_only(golden):
    golden = golden("t5_1_1")
    golden.write(config={**golden.config(), "d_model": 64})
    with pytest.raises(ValueError, match=r"have another shape: .* and \d+ more"):
        load(golden.folder)


def test_copies_of_the_embedding_table_are_fine_if_they_are_copies(golden):
    golden = golden("t5_1_0")
    _, expected = load(golden.folder)
    weights = golden.weights()
    table = weights["shared.weight"]
    copies = {
        "encoder.embed_tokens.weight": table,
        "decoder.embed_tokens.weight": table,
    }
    unused = {UNUSED: np.zeros((32, 3), np.float32)}
    golden.write({**weights, **copies, **unused})
    _, found = load(golden.folder)
    jax.tree.map(np.testing.assert_array_equal, found, expected)

    del weights["shared.weight"]
    golden.write({**weights, **copies})
    _, found = load(golden.folder)
    jax.tree.map(np.testing.assert_array_equal, found, expected)

    changed = table.copy()
    changed[5, 5] += 1e-3
    golden.write({**weights, **copies, "shared.weight": changed})
    with pytest.raises(ValueError, match=r"embed_tokens\.weight differs from shared"):
        load(golden.folder)


def test_shards_of_an_index_equal_one_file(golden):
    golden = golden("t5_1_1")
    backbone, expected = load(golden.folder)
    weights = golden.weights()
    shards = {f"model-{n}.safetensors": sorted(weights)[n::3] for n in range(3)}
    for name, members in shards.items():
        part = {member: weights[member] for member in members}
        safetensors.numpy.save_file(part, golden.folder / name)
    weight_map = {
        member: name for name, members in shards.items() for member in members
    }
    (golden.folder / "model.safetensors").unlink()
    index = golden.folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    again, found = load(golden.folder)
    assert again.fingerprint == backbone.fingerprint
    jax.tree.map(np.testing.assert_array_equal, found, expected)

    (golden.folder / "model-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks model-1\.safetensors"):
        load(golden.folder)
    index.write_text("{}")
    with pytest.raises(ValueError, match="has no weight_map"):
        load(golden.folder)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_half_precision_files_load(golden, dtype):
    golden = golden("t5_1_1")
    _, exact = load(golden.folder)
    golden.write(
        {name: array.astype(dtype) for name, array in golden.weights().items()}
    )
    _, params = load(golden.folder)
    rounded = jax.tree.map(lambda leaf: np.asarray(leaf).astype(dtype), exact)
    jax.tree.map(
        lambda found, expected: np.testing.assert_array_equal(
            found, expected.astype(np.float32)
        ),
        params,
        rounded,
    )


def test_a_file_may_say_anything_beside_its_tensors(golden):
    golden = golden("t5_1_1")
    _, expected = load(golden.folder)
    about = {"dtype": "F32", "shape": "[]"}
    path = golden.folder / "model.safetensors"
    safetensors.numpy.save_file(golden.weights(), path, about)
    jax.tree.map(np.testing.assert_array_equal, load(golden.folder)[1], expected)


def test_a_cpu_takes_weights_as_they_were_read(golden, monkeypatch):
    blocks = []

    def spy(*options):
        blocks.append(new_array(*options))
        return blocks[-1]

    new_array = leaf._new_array
    monkeypatch.setattr(leaf, "_new_array", spy)
    mesh = make_mesh(devices=jax.devices()[:1])
    _, params = load(golden("t5_1_1").folder, mesh=mesh)
    held = {x.unsafe_buffer_pointer() for x in jax.tree.leaves(params)}
    assert held == {block.ctypes.data for block in blocks}


def test_a_cut_file_is_refused(golden):
    folder = golden("t5_1_1").folder
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is no whole safetensors file"):
        load(folder)
