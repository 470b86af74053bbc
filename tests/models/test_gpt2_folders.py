"""GPT-2's Hugging Face folders: the names there are, exact cover, and the way back."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from gpt2_models import POSITIONS, TINY, VOCAB, draw_params

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.load import find_checkpoint, load, with_fingerprint
from jaxprompt.models.quantise import quantise
from jaxprompt.models.weights.checkpoint import read_table
from jaxprompt.models.weights.save import save
from jaxprompt.sharding import make_mesh

CONFIG = dataclasses.replace(TINY, bos_token_id=1, eos_token_id=2)
TABLE = "transformer.wte.weight"


@pytest.fixture(scope="module")
def params():
    return draw_params(CONFIG)


@pytest.fixture
def folder(tmp_path, params):
    save(tmp_path / "gpt2", Decoder(CONFIG), params)
    return tmp_path / "gpt2"


def read(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def write(folder, tensors):
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def write_setting(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def assert_same_tree(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_saved_model_loads_exactly(folder, params):
    backbone, found = load(folder)
    assert_same_tree(found, params)
    assert (backbone.name, backbone.config) == ("gpt2", CONFIG)
    assert backbone.fingerprint == with_fingerprint(backbone, found).fingerprint
    half, rounded = load(folder, dtype="bfloat16")
    assert half.fingerprint == backbone.fingerprint
    assert_same_tree(rounded, jax.tree.map(lambda x: x.astype(jnp.bfloat16), params))


def test_the_fingerprint_sees_the_table_the_positions_and_the_norms(params):
    backbone = Decoder(CONFIG)
    seen = {with_fingerprint(backbone, params).fingerprint}
    for leaf in ("embedding", "positions", "final_norm"):
        moved = jax.tree.map(lambda x: x + 1, params[leaf])
        seen.add(with_fingerprint(backbone, {**params, leaf: moved}).fingerprint)
    assert len(seen) == 4


def test_the_file_holds_what_pytorch_expects(folder, params):
    tensors, attention = read(folder), params["layers"]["attention"]
    joined = [attention[name][1] for name in ("query", "key", "value")]
    stored = tensors["transformer.h.1.attn.c_attn.weight"]
    np.testing.assert_array_equal(stored, np.concatenate(joined, axis=1))
    np.testing.assert_array_equal(tensors[TABLE], params["embedding"][:VOCAB])
    assert "lm_head.weight" not in tensors
    assert len(tensors) == 4 + 2 * 12


def test_names_without_a_prefix_and_leftovers_are_fine(folder, params):
    tensors = {name.removeprefix("transformer."): x for name, x in read(folder).items()}
    mask = np.ones((1, 1, POSITIONS, POSITIONS), np.float32)
    leftovers = {
        "h.0.attn.bias": mask,
        "h.1.attn.masked_bias": np.array(-1e4, np.float32),
    }
    write(folder, {**tensors, **leftovers})
    assert_same_tree(load(folder)[1], params)


def test_an_output_matrix_must_be_the_embedding_table(folder, params):
    tensors = read(folder)
    write(folder, {**tensors, "lm_head.weight": tensors[TABLE].copy()})
    assert_same_tree(load(folder)[1], params)
    write(folder, {**tensors, "lm_head.weight": tensors[TABLE] + 1})
    with pytest.raises(ValueError, match=rf"lm_head\.weight differs from {TABLE}"):
        load(folder)


def test_missing_extra_and_misshapen_tensors_are_named(folder):
    tensors = read(folder)
    name = "transformer.h.1.attn.c_attn.bias"
    write(folder, {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(
        ValueError, match=f"does not hold this GPT-2: .*missing: {name}"
    ):
        load(folder)
    write(folder, {k: v for k, v in tensors.items() if k != TABLE})
    with pytest.raises(ValueError, match=f"1 of 28 tensors are missing: {TABLE}"):
        load(folder)
    write(folder, {**tensors, "transformer.h.0.foo": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match=r"no place in GPT-2: transformer\.h\.0\.foo"):
        load(folder)
    write(folder, tensors)
    write_setting(folder, vocab_size=VOCAB + 1)
    message = rf"wte\.weight \({VOCAB}, 16\) where the sizes .* say \({VOCAB + 1}, 16\)"
    with pytest.raises(ValueError, match=message):
        load(folder)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_half_precision_files_load(folder, params, dtype):
    write(folder, {name: x.astype(dtype) for name, x in read(folder).items()})
    expected = jax.tree.map(
        lambda x: np.asarray(x).astype(dtype).astype(np.float32), params
    )
    assert_same_tree(load(folder)[1], expected)


def test_weights_stream_to_a_mesh_and_into_int8(folder, params):
    mesh = make_mesh(1, 8)
    _, found = load(folder, mesh=mesh)
    assert_same_tree(found, params)
    # The first of these devices' rows begins with padding, the last's are all padding.
    assert found["embedding"].addressable_shards[7].data.shape == (16, 16)
    expected = quantise(params)
    assert_same_tree(load(folder, quantise="int8")[1], expected)
    assert_same_tree(load(folder, quantise="int8", mesh=mesh)[1], expected)
    with pytest.raises(ValueError, match="int8 weights cannot be saved"):
        save(folder / "copy", Decoder(CONFIG), expected)


def test_the_table_alone_is_read_as_the_model_has_it(folder, params):
    table = np.concatenate([*read_table(find_checkpoint(folder))])
    np.testing.assert_array_equal(table, params["embedding"])


def test_vocabulary_files_are_found_and_copied(folder, params, tmp_path):
    assert find_checkpoint(folder).vocabulary is None
    (folder / "vocab.json").write_text("{}")
    assert find_checkpoint(folder).vocabulary is None
    (folder / "merges.txt").write_text("")
    (folder / "tokenizer_config.json").write_text("{}")
    backbone, _ = load(folder)
    assert backbone.vocabulary == str(folder)
    save(tmp_path / "copy", backbone, params)
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {
        "config.json",
        "merges.txt",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.json",
    }
    (folder / "spiece.model").write_bytes(b"pieces")
    assert find_checkpoint(folder).vocabulary == str(folder / "spiece.model")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "layer_idx True: only GPT-2"),
        ({"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn True: only GPT-2"),
        ({"scale_attn_weights": False}, "scale_attn_weights False: only GPT-2"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings False: only GPT-2"),
        ({"add_cross_attention": True}, "add_cross_attention True: only GPT-2"),
        ({"n_head": 3}, r"config\.json: GPT-2 width 16 is not divisible by 3 heads"),
        ({"n_embd": None}, r"config\.json: "),
        ({"activation_function": "tanh"}, r"config\.json: GPT-2 activation 'tanh'"),
    ],
)
def test_models_that_are_not_built_are_refused(folder, setting, message):
    write_setting(folder, **setting)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_a_config_of_rinna_or_openai_needs_no_more_than_sizes(folder):
    """As their config.json files say it: n_inner null, or not there at all."""
    write_setting(folder, n_inner=None)
    settings = json.loads((folder / "config.json").read_text())
    kept = ("model_type", "vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    (folder / "config.json").write_text(json.dumps({k: settings[k] for k in kept}))
    with pytest.raises(
        ValueError, match=r"c_fc\.weight \(16, 32\) where .* \(16, 64\)"
    ):
        load(folder)
    del settings["n_embd"]
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"config\.json: no n_embd: is this a whole"):
        load(folder)


def test_a_pickle_is_converted_as_a_decoder(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="import AutoModelForCausalLM as M"):
        load(folder)
