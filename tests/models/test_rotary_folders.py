"""Folders of decoders with rotary positions: exact cover, the way back, refusals."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from golden_files import GOLDEN

from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.layers.rotary import Divided
from jaxprompt.models.load import load
from jaxprompt.models.weights.checkpoint import shapes_of
from jaxprompt.models.weights.save import save

VARIANTS = sorted(path.stem for path in (GOLDEN / "decoders").iterdir())


@pytest.fixture
def variant(golden):
    return lambda name: golden(f"decoders/{name}")


def write_settings(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_saved_folder_holds_the_same_model_and_tensors(variant, tmp_path, name):
    golden = variant(name)
    backbone, params = load(golden.folder)
    save(tmp_path / "saved", backbone, params)
    again, found = load(tmp_path / "saved")
    assert again.config == backbone.config
    assert again.fingerprint == backbone.fingerprint
    jax.tree.map(np.testing.assert_array_equal, found, params)
    tensors = safetensors.numpy.load_file(tmp_path / "saved" / "model.safetensors")
    assert tensors.keys() == golden.weights().keys()
    for tensor, expected in golden.weights().items():
        np.testing.assert_array_equal(tensors[tensor], expected)


@pytest.mark.parametrize("name", VARIANTS)
def test_transformers_reads_a_saved_config_as_its_own(variant, tmp_path, name):
    transformers = pytest.importorskip("transformers")
    golden = variant(name)
    save(tmp_path / "saved", *load(golden.folder))
    ours, theirs = (
        transformers.AutoConfig.from_pretrained(folder).to_dict()
        for folder in (tmp_path / "saved", golden.folder)
    )
    # What has no effect on scores, or only says where a file comes from.
    for setting in ("_name_or_path", "architectures", "dtype", "initializer_range"):
        ours.pop(setting, None), theirs.pop(setting, None)
    assert ours == theirs


def test_older_and_newer_spellings_are_one_model(variant):
    golden = variant("llama3")
    newer, _ = load(golden.folder)
    settings = golden.config()
    rope = settings.pop("rope_parameters")
    theta = rope.pop("rope_theta")
    rope["type"] = rope.pop("rope_type")
    settings |= {"rope_theta": theta, "rope_scaling": rope}
    settings["torch_dtype"] = settings.pop("dtype")
    older, _ = load(golden.write(config=settings))
    assert older.config == newer.config


def test_a_tied_model_may_carry_a_copy_of_its_table_and_old_buffers(variant):
    golden = variant("llama_biases_tied")
    weights = golden.weights()
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)
    load(golden.write(weights))
    weights["lm_head.weight"] = weights["lm_head.weight"] + 1
    with pytest.raises(ValueError, match=r"lm_head\.weight differs from model\.embed"):
        load(golden.write(weights))


def test_an_untied_model_needs_its_output_matrix(variant):
    golden = variant("llama")
    weights = golden.weights()
    del weights["lm_head.weight"]
    with pytest.raises(ValueError, match=r"1 of .* are missing: lm_head\.weight"):
        load(golden.write(weights))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "kind 'dynamic' cannot"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "kind 'longrope' cannot be read"),
        ({"rope_scaling": {"mrope_section": [1, 1, 2]}}, "kind 'mrope' cannot be read"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope_scaling: no factor: is this"),
        ({"rope_scaling": [2]}, r"rope_scaling \[2\] is no JSON object"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5: only models"),
        ({"num_key_value_heads": 3}, r"config\.json: Llama kv_heads 3 do not divide 2"),
        ({"head_dim": 7}, "Llama head_width 7 is odd, but rotary"),
        (
            {"hidden_size": 15, "head_dim": None},
            "15 is not divisible by num_attention_he",
        ),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings 'yes' is neither true"),
        ({"num_hidden_layers": 4}, "num_hidden_layers 4, but the tensors beside it"),
        ({"eos_token_id": "</s>"}, "eos_token_id '</s>' is no id of a token"),
        ({"model_type": "mixtral"}, "model_type 'mixtral' is none of the families"),
    ],
)
def test_models_that_are_not_built_are_refused(variant, settings, message):
    folder = variant("llama").folder
    write_settings(folder, **settings)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_a_divisor_for_each_frequency_is_longrope_of_one_list(variant, tmp_path):
    backbone, params = load(variant("llama").folder)
    scaling = Divided((1.0, 2.0, 3.0, 4.5))
    config = dataclasses.replace(backbone.config, scaling=scaling)
    save(tmp_path / "saved", dataclasses.replace(backbone, config=config), params)
    assert load(tmp_path / "saved")[0].config == config
    rope = json.loads((tmp_path / "saved/config.json").read_text())["rope_scaling"]
    for other in ({"long_factor": [1.0] * 4}, {"attention_factor": 1.2}):
        write_settings(tmp_path / "saved", rope_scaling={**rope, **other})
        with pytest.raises(ValueError, match="kind 'longrope' cannot be read"):
            load(tmp_path / "saved")
    lists = {"short_factor": [1.0] * 3, "long_factor": [1.0] * 3}
    write_settings(tmp_path / "saved", rope_scaling={**rope, **lists})
    with pytest.raises(ValueError, match="have 3 divisors, but heads of width 8"):
        load(tmp_path / "saved")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("HuggingFaceTB/SmolLM2-135M", 134_515_008),
        ("HuggingFaceTB/SmolLM2-360M", 361_821_120),
        ("HuggingFaceTB/SmolLM2-1.7B", 1_711_376_384),
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("meta-llama/Llama-3.2-1B", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B", 3_212_749_824),
    ],
)
def test_published_models_are_as_large_as_their_checkpoints(name, parameters):
    config = PUBLISHED[name]
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes_of(config)))
    tables = 1 if config.tied else 2
    added = config.vocab_rows - config.vocab_size
    assert count - tables * added * config.width == parameters
