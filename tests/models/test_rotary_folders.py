"""Folders of decoders with rotary positions: exact cover, the way back, refusals."""

import dataclasses
import json
import types

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from golden_files import GOLDEN, tensor_shapes

from jaxprompt.models.families import PUBLISHED, family_of
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


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_half_precision_files_in_shards_load(variant, dtype):
    golden = variant("phi3")
    whole, expected = load(golden.folder)
    weights = {name: x.astype(dtype) for name, x in golden.weights().items()}
    shards = [dict(sorted(weights.items())[place::2]) for place in (0, 1)]
    names = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        safetensors.numpy.save_file(shard, golden.folder / file)
        names |= dict.fromkeys(shard, file)
    (golden.folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": names}
    (golden.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    backbone, found = load(golden.folder)
    # The golden weights have few enough bits for both.
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert backbone.fingerprint == whole.fingerprint


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


def test_older_configs_of_gemma_say_by_a_pattern_which_layers_slide(variant):
    golden = variant("gemma3_linear")
    newer, _ = load(golden.folder)
    settings = golden.config()
    rope = settings.pop("rope_parameters")
    scaled = {"factor": 8.0, "rope_type": "linear"}
    settings |= {
        "rope_theta": rope["full_attention"]["rope_theta"],
        "rope_local_base_freq": rope["sliding_attention"]["rope_theta"],
        "rope_scaling": scaled,
        "sliding_window_pattern": 3,
    }
    del settings["layer_types"]
    older, _ = load(golden.write(config=settings))
    assert older.config == newer.config


def test_older_configs_of_qwen_say_from_which_layer_on_they_slide(variant):
    golden = variant("qwen2_sliding")
    newer, _ = load(golden.folder)
    settings = golden.config()
    del settings["layer_types"]
    older, _ = load(golden.write(config=settings))
    assert older.config == newer.config
    assert older.config.sliding == (False, True, True)
    unused, _ = load(golden.write(config={**settings, "use_sliding_window": False}))
    assert unused.config.window is None


def with_images(golden, before="language_model.model."):
    """The folder of a Gemma 3 that also reads images: names, and a nested config."""
    text = golden.config()
    ids = {"bos_token_id": 2, "eos_token_id": [1, 9]}
    settings = {"model_type": "gemma3", "vision_config": {}, "text_config": text, **ids}
    weights = {
        f"{before}{name.removeprefix('model.')}": array
        for name, array in golden.weights().items()
    }
    outer = before.removesuffix("language_model.model.").removesuffix("language_model.")
    weights[f"{outer}vision_tower.post_layernorm.bias"] = np.ones(3, np.float32)
    weights[f"{outer}multi_modal_projector.mm_soft_emb_norm.weight"] = np.ones(3)
    return weights, settings


@pytest.mark.parametrize("before", ["language_model.model.", "model.language_model."])
def test_of_a_gemma_that_reads_images_the_text_model_is_read(variant, before):
    golden = variant("gemma3_linear")
    alone, expected = load(golden.folder)
    backbone, params = load(golden.write(*with_images(golden, before)))
    ids = {"bos_token_id": 2, "eos_token_id": (1, 9)}
    assert backbone.config == dataclasses.replace(alone.config, **ids)
    assert backbone.fingerprint == alone.fingerprint
    jax.tree.map(np.testing.assert_array_equal, params, expected)


def test_what_the_released_config_of_gemma_leaves_out_is_the_usual(tmp_path):
    """That of google/gemma-3-4b-it says of its text model no more than this."""
    published = PUBLISHED["google/gemma-3-4b-pt"]
    text = {
        "hidden_size": 2560,
        "intermediate_size": 10_240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    }
    settings = {"model_type": "gemma3", "eos_token_id": [1, 106], "text_config": text}
    tensors = types.SimpleNamespace(shapes=tensor_shapes(published))
    found = family_of(published).hugging_face.read_config(
        settings, tmp_path / "config.json", tensors
    )
    assert found == dataclasses.replace(published, eos_token_id=(1, 106))


def test_a_text_model_of_another_family_is_refused(variant):
    golden = variant("gemma3")
    weights, settings = with_images(golden)
    settings["text_config"]["model_type"] = "gemma2"
    folder = golden.write(weights, settings)
    with pytest.raises(ValueError, match="'gemma2': only gemma3_text can be read"):
        load(folder)


@pytest.mark.parametrize("text", [None, [3]])
def test_a_gemma_without_settings_of_its_text_model_is_refused(variant, text):
    golden = variant("gemma3")
    weights, settings = with_images(golden)
    folder = golden.write(weights, {**settings, "text_config": text})
    with pytest.raises(ValueError, match=r"text_config .*: use the settings of the te"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gemma2", {"use_bidirectional_attention": True}, "only Gemma 2 models that"),
        ("gemma3", {"attn_logit_softcapping": 50.0}, "only Gemma 3 models with attn_l"),
        ("gemma3", {"layer_types": ["chunked"] * 3}, "layer_types .*: use a list of"),
        ("gemma3", {"layer_types": ["full_attention"]}, "one for each of 3 layers"),
        ("gemma3", {"sliding_window": "7"}, r"config\.json: Gemma 3 window '7': use 1"),
        ("phi3", {"rope_scaling": {"type": "yarn", "factor": 4.0}}, "means 'longrope'"),
        ("smollm3", {"no_rope_layers": [2]}, r"no_rope_layers \[2\]: use a list"),
        ("smollm3", {"use_sliding_window": True}, "only SmolLM3 models with use_slid"),
        ("qwen2_sliding", {"max_window_layers": "1"}, "layers '1' is no whole number"),
    ],
)
def test_kinds_of_other_families_that_are_not_built(variant, name, settings, message):
    folder = variant(name).folder
    write_settings(folder, **settings)
    with pytest.raises(ValueError, match=message):
        load(folder)


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
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("Qwen/Qwen2.5-0.5B", 494_032_768),
        ("Qwen/Qwen2.5-7B", 7_615_616_512),
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("google/gemma-2-2b", 2_614_341_888),
        ("google/gemma-2-27b", 27_227_128_320),
        ("google/gemma-3-270m", 268_098_176),
        ("google/gemma-3-1b-pt", 999_885_952),
        ("microsoft/Phi-3-mini-4k-instruct", 3_821_079_552),
        ("allenai/OLMo-2-0425-1B", 1_484_916_736),
        ("HuggingFaceTB/SmolLM3-3B", 3_075_098_624),
    ],
)
def test_published_models_are_as_large_as_their_checkpoints(name, parameters):
    config = PUBLISHED[name]
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes_of(config)))
    tables = 1 if config.tied else 2
    added = config.vocab_rows - config.vocab_size
    assert count - tables * added * config.width == parameters
