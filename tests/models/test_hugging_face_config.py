"""config.json as old and new transformers write it, and what is wrong with others."""

from pathlib import Path

import pytest

from jaxprompt.models.families import FAMILIES, family_of_settings
from jaxprompt.models.families.t5 import config_of, settings_of
from jaxprompt.models.load import load

OLD = {
    "model_type": "t5",
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
}


def read(tied=True, **settings):
    return config_of({**OLD, **settings}, Path("config.json"), tied=tied)


def test_old_1_0_is_tied_scaled_relu():
    config = read()
    assert (config.tied, config.scaled_logits) == (True, True)
    assert (config.gated, config.activation) == (False, "relu")
    assert (config.decoder_layers, config.buckets, config.max_distance) == (8, 32, 128)
    assert config.head_width * config.heads != config.width


def test_old_1_1_is_untied_unscaled_gated():
    old = {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}
    config = read(tied=False, **old)
    assert (config.tied, config.scaled_logits) == (False, False)
    assert (config.gated, config.activation) == (True, "gelu_new")


def test_new_1_1_says_tied_and_means_unscaled():
    new = {"tie_word_embeddings": True, "scale_decoder_outputs": False}
    config = read(tied=True, **new)
    assert (config.tied, config.scaled_logits) == (True, False)
    config = read(tied=False, **new)
    assert (config.tied, config.scaled_logits) == (False, False)


def test_new_1_0_says_scaled():
    config = read(tie_word_embeddings=True, scale_decoder_outputs=True)
    assert (config.tied, config.scaled_logits) == (True, True)


def test_whether_it_is_tied_is_up_to_the_file():
    assert not read(tied=False, tie_word_embeddings=True).tied
    assert read(tied=True, tie_word_embeddings=False).tied


def test_mt5_is_gated_and_never_scaled():
    config = read(tied=False, model_type="mt5")
    assert (config.gated, config.activation) == (True, "gelu_new")
    assert not config.scaled_logits


@pytest.mark.parametrize(
    ("projection", "gated", "activation"),
    [
        ("relu", False, "relu"),
        ("gated-silu", True, "silu"),
        ("gated-relu", True, "relu"),
        ("gelu", False, "gelu"),
        ("gelu_new", False, "gelu_new"),
        ("swish", False, "silu"),
    ],
)
def test_projections(projection, gated, activation):
    config = read(feed_forward_proj=projection)
    assert (config.gated, config.activation) == (gated, activation)


def test_fewer_decoder_layers():
    assert read(num_decoder_layers=3).decoder_layers == 3
    assert read(num_decoder_layers=None).decoder_layers == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"d_model": "512"}, r"config\.json: T5 width '512' is no positive integer"),
        ({"d_ff": -1}, "T5 ffn_width -1 is no positive integer"),
        ({"feed_forward_proj": "gated-tanh"}, "activation 'tanh' is none of relu"),
        ({"feed_forward_proj": "a-b-c"}, "feed_forward_proj 'a-b-c': write gated-gelu"),
        ({"feed_forward_proj": 3}, "feed_forward_proj 3: write gated-gelu"),
        ({"dense_act_fn": ["relu"]}, r"config\.json: "),
        ({"layer_norm_epsilon": "x"}, "norm_epsilon 'x'"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        read(**settings)


@pytest.mark.parametrize("settings", [{"model_type": "bart"}, {}])
def test_a_family_that_is_not_there_is_told_with_all_that_are(settings):
    with pytest.raises(
        ValueError, match=r"config\.json: model_type ('bart'|None) is none of"
    ) as error:
        family_of_settings(settings, Path("config.json"))
    for family in FAMILIES:
        for model_type in family.hugging_face.model_types:
            assert f"{model_type} ({family.name})" in str(error.value)


def test_a_missing_setting_is_named():
    settings = {key: value for key, value in OLD.items() if key != "d_kv"}
    with pytest.raises(ValueError, match=r"config\.json: no d_kv: is this a whole"):
        config_of(settings, Path("config.json"), tied=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_config_that_is_no_json_object(golden, text):
    folder = golden("mt5").folder
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(
        ValueError, match=r"config\.json (is (not JSON|empty)|holds no JSON)"
    ):
        load(folder)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_new", "silu"])
def test_settings_are_read_back(gated, activation):
    projection = f"gated-{activation}" if gated else activation
    config = read(feed_forward_proj=projection, dense_act_fn=activation)
    settings = settings_of(config, "float32")
    assert config_of(settings, Path("config.json"), tied=True) == config
