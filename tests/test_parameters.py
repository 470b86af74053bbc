"""What a parameter is, said once: the optimizer, int8 and the mesh agree on it."""

import jax
import numpy as np
import optax
import pytest

from jaxprompt import parameters
from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.quantise import Int8Matrix, quantise
from jaxprompt.models.weights.checkpoint import shapes_of
from jaxprompt.parameters import kind_of
from jaxprompt.sharding import RULES, RULES_OVER_DATA, make_mesh, shardings
from jaxprompt.train.optimizer import adamw

FAMILIES = {
    "t5": (parameters.T5, PUBLISHED["google/t5-v1_1-small"]),
    "t5_tied": (parameters.T5, PUBLISHED["google-t5/t5-small"]),
    "gpt2": (parameters.DECODER, PUBLISHED["openai-community/gpt2"]),
    "llama": (parameters.DECODER, PUBLISHED["meta-llama/Meta-Llama-3-8B"]),
    "gemma3": (parameters.DECODER, PUBLISHED["google/gemma-3-1b-pt"]),
}


def named(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(
            tree, is_leaf=lambda leaf: isinstance(leaf, Int8Matrix)
        )
    }


def is_norm_or_bias(name):
    return "norm" in name or name.endswith("bias")


@pytest.fixture(params=FAMILIES)
def shapes(request):
    """The params of one model of each family, as shapes."""
    return shapes_of(FAMILIES[request.param][1])


def test_weight_decay_spares_exactly_norms_and_biases(shapes):
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape[:1], "f4"), shapes)
    zeros = jax.tree.map(np.zeros_like, params)
    tx = adamw(0.1, weight_decay=0.5)
    updates, _ = tx.update(zeros, tx.init(params), params)
    after = named(optax.apply_updates(params, updates))
    for name, leaf in after.items():
        expected = 1.0 if is_norm_or_bias(name) else 0.95
        np.testing.assert_allclose(leaf, expected, 1e-6, err_msg=name)


def test_int8_takes_exactly_the_matrices(shapes):
    for name, leaf in named(jax.eval_shape(quantise, shapes)).items():
        kept = is_norm_or_bias(name) or name == "positions"
        assert isinstance(leaf, Int8Matrix) is not kept, name


@pytest.mark.parametrize("rules", [RULES, RULES_OVER_DATA], ids=["", "over_data"])
def test_a_mesh_splits_exactly_the_matrices_int8_ones_too(shapes, rules):
    for tree in (shapes, jax.eval_shape(quantise, shapes)):
        for name, place in named(shardings(tree, make_mesh(2, 4), rules)).items():
            kept = is_norm_or_bias(name) or name == "positions"
            whole = place.values if isinstance(place, Int8Matrix) else place
            assert whole.is_fully_replicated is kept, name


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_says_what_each_of_its_parameters_is(family):
    own, config = FAMILIES[family]
    for name, leaf in named(shapes_of(config)).items():
        kind = kind_of(name)
        assert kind in [own[end] for end in own if f"/{name}".endswith(f"/{end}")]
        assert not kind.axes or len(kind.axes.split()) == leaf.ndim


def test_one_name_means_one_thing_in_all_families():
    for name in parameters.T5.keys() & parameters.DECODER.keys():
        assert parameters.T5[name] is parameters.DECODER[name]


def test_biases_do_not_decay_wherever_they_are():
    for name in ("head/bias", "head/pooler/bias", "prompt/network/hidden_bias"):
        assert not kind_of(name).decays
    assert kind_of("head/weight").decays
    assert kind_of("prompt/rows").decays


def test_a_parameter_of_no_family_is_named():
    with pytest.raises(ValueError, match="no family has a parameter 'model/novelty'"):
        kind_of("model/novelty")
    with pytest.raises(ValueError, match="no family has a parameter 'scale'"):
        kind_of("scale")
