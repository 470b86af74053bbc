"""int8 weights: the nearest levels, the same model but for rounding, less memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.models.load import find_checkpoint, load
from jaxprompt.models.quantise import (
    Int8Matrix,
    dequantise,
    look_up,
    quantise,
)
from jaxprompt.models.tokens import Tokens
from jaxprompt.models.weights.checkpoint import read_params
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.join import embed
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.sharding import RULES, RULES_OVER_DATA, make_mesh, place


@pytest.fixture(scope="module")
def int8(example):
    """The example, its matrices in int8."""
    return dataclasses.replace(example, params=jax.jit(quantise)(example.params))


@pytest.fixture(scope="module")
def rounded(example, int8):
    """The example, its float32 weights those that int8 can hold."""
    return dataclasses.replace(example, params=dequantise(int8.params))


def assert_same_tree(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_weights_are_rounded_to_the_nearest_level_of_their_channel():
    draw = np.random.default_rng(0)
    # Channels of very different sizes, as those of real models are.
    matrix = draw.normal(size=(3, 40, 8)) * np.logspace(-6, 3, 8)
    params = {"ffn": {"up": jnp.asarray(matrix, jnp.float32)}}
    found = quantise(params)["ffn"]["up"]
    assert found.values.dtype == jnp.int8
    assert found.scale.shape == (3, 1, 8)
    largest = np.abs(np.asarray(found.values)).max(axis=1)
    np.testing.assert_array_equal(largest, 127)
    off = np.abs(dequantise(found) - params["ffn"]["up"])
    assert (off <= 0.5001 * found.scale).all()
    assert off.max(axis=1).min() > 0


def test_a_row_of_the_embedding_table_has_a_scale_of_its_own(int8):
    assert int8.params["embedding"].scale.shape == (64, 1)
    assert int8.params["logits"].scale.shape == (1, 64)


def test_channels_of_zeros_stay_zeros():
    params = {"logits": jnp.zeros((4, 3)).at[:, 1].set(2.0)}
    found = dequantise(quantise(params))["logits"]
    np.testing.assert_array_equal(found, params["logits"])


def test_norms_and_the_position_bias_stay_as_they_are(example, int8):
    layer, expected = (x.params["decoder"]["layers"] for x in (int8, example))
    assert_same_tree(layer["cross_norm"], expected["cross_norm"])
    for name in ("relative_bias", "final_norm"):
        assert_same_tree(int8.params["encoder"][name], example.params["encoder"][name])
    kinds = {type(leaf) for leaf in (*layer["cross"].values(), *layer["ffn"].values())}
    assert kinds == {Int8Matrix}


def test_shapes_are_enough(example, int8):
    shapes = jax.eval_shape(quantise, jax.eval_shape(lambda: example.params))
    expected = jax.eval_shape(lambda: int8.params)
    assert jax.tree.leaves(shapes) == jax.tree.leaves(expected)


@pytest.mark.parametrize("variant", ["t5_1_0", "t5_1_1"])
def test_a_checkpoint_is_read_as_int8_bit_for_bit(golden, variant):
    folder = golden(variant).folder
    expected, exact = load(folder)
    backbone, params = load(folder, quantise="int8")
    assert backbone == expected
    assert_same_tree(params, quantise(exact))
    # What is computed in bfloat16 is rounded from float32 all the same.
    _, params = load(folder, dtype="bfloat16", quantise="int8")
    assert_same_tree(params["embedding"], quantise(exact)["embedding"])
    assert params["encoder"]["final_norm"].dtype == jnp.bfloat16


@pytest.mark.parametrize("variant", ["t5_1_0", "t5_1_1"])  # Tied and untied.
def test_scores_are_those_of_the_rounded_weights(golden, variant):
    golden = golden(variant)
    backbone, params = load(golden.folder, quantise="int8")
    inputs, targets = golden.arrays["inputs"], golden.arrays["targets"]
    prompt = make_prompt(golden.arrays["prompt"])
    segments = [jnp.asarray(ids > 0, jnp.int32) for ids in (inputs, targets)]

    @jax.jit
    def logits(params):
        table = backbone.table(params)
        members = jnp.zeros(len(inputs), jnp.int32)
        x, y = (
            embed(table, prompt, jnp.asarray(ids), members) for ids in (inputs, targets)
        )
        return backbone.logits(params, Tokens(x, segments[0]), Tokens(y, segments[1]))

    found, expected = logits(params), logits(dequantise(params))
    assert relative_error(found, expected) < 1e-5
    assert relative_error(found, logits(load(golden.folder)[1])) > 1e-4


def test_the_gradient_is_that_of_the_rounded_weights(int8, rounded):
    def gradient(model, **options):
        backbone = dataclasses.replace(model.backbone, **options)

        def loss(x):
            return jnp.sum(jnp.sin(dataclasses.replace(model, x=x).logits(backbone)))

        return jax.jit(jax.grad(loss))(model.x)

    expected = gradient(rounded)
    assert np.abs(expected).max() > 1
    for options in ({}, {"remat": "dots", "unroll": True}):
        found = gradient(int8, **options)
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=str(options))


def test_decoding_by_steps_equals_scoring_at_once(int8):
    backbone, params = int8.backbone, int8.params
    encoded = jax.jit(backbone.encode)(params, int8.source)
    cache = backbone.start_cache(params, encoded, length=6)
    step = jax.jit(backbone.decode_step)
    expected = int8.logits()
    for index in range(2):
        logits, cache = step(params, cache, int8.y[:, index], jnp.asarray(index))
        np.testing.assert_allclose(logits, expected[:, index], atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_are_near_those_of_float32(example, int8, dtype):
    """Within 3%, as bfloat16 is; random weights are the worst case."""
    backbone = dataclasses.replace(example.backbone, dtype=dtype)
    found = int8.logits(backbone)
    assert found.dtype == jnp.float32
    assert 0.001 < relative_error(found, example.expected) < 0.03


def test_logits_of_trained_weights_are_near_those_of_float32(shared):
    folder = shared / "backbones" / "t5-nano-lm-adapt"
    backbone, exact = load(folder)
    _, params = load(folder, quantise="int8")
    ids = np.random.default_rng(0).integers(2, 4000, (8, 24))
    ones = jnp.ones_like(jnp.asarray(ids), jnp.int32)

    @jax.jit
    def logits(params):
        x = look_up(backbone.table(params), jnp.asarray(ids))
        return backbone.logits(params, Tokens(x, ones), Tokens(x[:, :8], ones[:, :8]))

    assert relative_error(logits(params), logits(exact)) < 0.02


def test_only_the_rows_that_are_read_become_float32():
    table = quantise({"embedding": jnp.ones((4096, 64))})["embedding"]
    prompt, ids = make_prompt(jnp.ones((3, 64))), jnp.array([[2, 4097]])
    members = jnp.zeros(1, jnp.int32)
    compiled = jax.jit(embed).lower(table, prompt, ids, members).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4096
    assert compiled(table, prompt, ids, members).dtype == jnp.float32


@pytest.mark.parametrize("rules", [RULES, RULES_OVER_DATA])
@pytest.mark.parametrize(("data", "model"), [(1, 8), (2, 4), (8, 1)])
def test_a_mesh_holds_the_same_levels(example, int8, tmp_path, data, model, rules):
    save(tmp_path / "t5", example.backbone, example.params)
    mesh, checkpoint = make_mesh(data, model), find_checkpoint(tmp_path / "t5")
    params = read_params(checkpoint, "float32", mesh, rules, quantise="int8")
    assert_same_tree(params, int8.params)
    assert_same_tree(place(int8.params, mesh, rules), int8.params)
    down = params["decoder"]["layers"]["ffn"]["down"]
    over = data if rules is RULES_OVER_DATA else 1
    assert down.values.sharding.shard_shape((2, 48, 32)) == (2, 48 // model, 32 // over)
    assert down.scale.sharding.shard_shape((2, 1, 32)) == (2, 1, 32 // over)


def test_an_unknown_quantisation_is_refused(golden):
    with pytest.raises(ValueError, match=r"unknown quantisation 'int4': use one of"):
        load(golden("t5_1_1").folder, quantise="int4")


def test_int8_weights_are_not_saved(int8, tmp_path):
    with pytest.raises(ValueError, match="load the model with quantise='none'"):
        save(tmp_path / "t5", int8.backbone, int8.params)
    assert not (tmp_path / "t5").exists()
