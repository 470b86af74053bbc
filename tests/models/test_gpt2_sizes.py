"""Published GPT-2s are as large as their checkpoints, and their sizes are checked."""

import jax
import pytest

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import FAMILY, GPT2Config
from jaxprompt.sharding import RULES, RULES_OVER_DATA, make_mesh, shardings

SIZES = {"vocab_size": 61, "width": 32, "heads": 4, "ffn_width": 64, "layers": 2}


def shapes_of(config):
    return jax.eval_shape(Decoder(config).init, jax.random.key(0))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("openai-community/gpt2", 124_439_808),
        ("openai-community/gpt2-medium", 354_823_168),
        ("openai-community/gpt2-large", 774_030_080),
        ("openai-community/gpt2-xl", 1_557_611_200),
        # The cards say "110M", "336M" and "1.3B".
        ("rinna/japanese-gpt2-small", 110_418_432),
        ("rinna/japanese-gpt2-medium", 336_128_000),
        ("rinna/japanese-gpt-1b", 1_302_712_320),
    ],
)
def test_published_models_are_as_large_as_their_checkpoints(name, parameters):
    config = FAMILY.published[name]
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes_of(config)))
    added = config.vocab_rows - config.vocab_size
    assert count - added * config.width == parameters


@pytest.mark.parametrize("rules", [RULES, RULES_OVER_DATA])
def test_every_published_model_splits_over_a_mesh(rules):
    for config in FAMILY.published.values():
        places = shardings(shapes_of(config), make_mesh(2, 4), rules)
        assert places["embedding"].spec[0] == "model"
        assert places["layers"]["attention"]["query"].spec[-1] == "model"
        assert places["layers"]["ffn"]["down_bias"].is_fully_replicated


def test_rows_are_a_multiple_of_128():
    rows = {size: GPT2Config(**{**SIZES, "vocab_size": size}).vocab_rows
            for size in (127, 128, 129, 50_257)}  # fmt: skip
    assert rows == {127: 128, 128: 128, 129: 256, 50_257: 50_304}


def test_a_vocabulary_sets_the_size():
    config = GPT2Config(**{**SIZES, "vocab_size": 0})
    with pytest.raises(ValueError, match="GPT2Config of 0 vocab_rows: set its"):
        Decoder(config)
    assert config.for_vocabulary(301).vocab_size == 301
    assert GPT2Config(**SIZES).for_vocabulary(61).vocab_size == 61
    with pytest.raises(ValueError, match="vocab_size 61 < 62 ids of the vocabulary"):
        GPT2Config(**SIZES).for_vocabulary(62)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"heads": 3}, "GPT-2 width 32 is not divisible by 3 heads"),
        ({"layers": 0}, "GPT-2 layers 0 is no positive integer"),
        ({"width": "32"}, "GPT-2 width '32' is no positive integer"),
        ({"activation": "tanh"}, "GPT-2 activation 'tanh' is none of relu"),
        ({"norm_epsilon": "x"}, "GPT-2 norm_epsilon 'x' is no number"),
    ],
)
def test_impossible_sizes(setting, message):
    with pytest.raises(ValueError, match=message):
        GPT2Config(**{**SIZES, **setting})


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"dtype": "float16"}, "dtype 'float16' is none of float32, bfloat16"),
        ({"remat": "some"}, "remat 'some' is none of none, dots, full"),
        ({"dropout": 1.0}, r"dropout 1\.0 is not in \[0, 1\)"),
    ],
)
def test_wrong_options(option, message):
    with pytest.raises(ValueError, match=message):
        Decoder(GPT2Config(**SIZES), **option)
