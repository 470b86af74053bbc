"""ModernBERT's own: its config.json, its windows, and the way back to PyTorch."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_files import tensor_shapes

from jaxprompt.interop.peft_prefix import check_prefix
from jaxprompt.models.families import PUBLISHED, family_of
from jaxprompt.models.families.modernbert import ModernBertConfig
from jaxprompt.models.load import load
from jaxprompt.models.tokens import Tokens
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.prompt import make_deep, make_prompt

BASE = "answerdotai/ModernBERT-base"
RELEASED = {
    "attention_bias": False,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "classifier_pooling": "mean",
    "decoder_bias": True,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160_000.0,
    "hidden_activation": "gelu",
    "hidden_size": 768,
    "intermediate_size": 1152,
    "local_attention": 128,
    "local_rope_theta": 10_000.0,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "modernbert",
    "norm_bias": False,
    "norm_eps": 1e-5,
    "num_attention_heads": 12,
    "num_hidden_layers": 22,
    "pad_token_id": 50_283,
    "position_embedding_type": "absolute",
    "vocab_size": 50_368,
}
"""What the config.json of ModernBERT-base says of what is computed."""


@pytest.fixture
def small(golden):
    return golden("encoders/modernbert")


def write_settings(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_the_released_config_is_read_as_published(tmp_path):
    published = PUBLISHED[BASE]
    form, shapes = family_of(published).hugging_face, tensor_shapes(published)
    tensors = types.SimpleNamespace(shapes=shapes)
    assert form.read_config(RELEASED, tmp_path / "config.json", tensors) == published
    # As many as transformers counts.
    assert sum(map(np.prod, shapes.values())) == 149_655_232


def test_a_saved_folder_holds_the_same_model_and_tensors(small, tmp_path):
    backbone, params = load(small.folder)
    save(tmp_path / "saved", backbone, params)
    again, found = load(tmp_path / "saved")
    assert again.config == backbone.config
    assert again.fingerprint == backbone.fingerprint
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_packed_texts_do_not_see_each_other_through_windows(small):
    backbone, params = load(small.folder)
    states = jax.jit(backbone.states)
    x = jax.random.normal(jax.random.key(0), (1, 15, backbone.width))
    segments = np.array([[1] * 9 + [2] * 6], np.int32)
    packed = states(params, Tokens(x, segments))[0]
    for part, own in ((packed[:9], x[:, :9]), (packed[9:], x[:, 9:])):
        alone = states(params, Tokens(own, np.ones(own.shape[:2], np.int32)))[0]
        np.testing.assert_allclose(part, alone, atol=1e-5)


FULL, SLIDING = "full_attention", "sliding_attention"


@pytest.mark.parametrize(
    ("settings", "bases"),
    [
        ({}, (160_000.0, 10_000.0)),
        ({"global_rope_theta": 7.0, "local_rope_theta": 5.0}, (7.0, 5.0)),
        # As transformers before 5 read it, which is what such files were made by.
        ({"global_rope_theta": 7.0, "local_rope_theta": None}, (7.0, 7.0)),
        ({"rope_parameters": None, "global_rope_theta": 7.0}, (7.0, 10_000.0)),
        ({"rope_parameters": {FULL: {"rope_theta": 7.0}}}, (7.0, 10_000.0)),
        ({"rope_parameters": {FULL: {"rope_theta": 7.0}, SLIDING: None}}, (7.0, 1e4)),
        # Of both kinds there is none.
        ({"rope_theta": 3.0, "global_rope_theta": 7.0}, (7.0, 10_000.0)),
        (
            {
                "rope_parameters": {
                    FULL: {"rope_theta": 7.0},
                    SLIDING: {"rope_theta": 5.0},
                },
                "rope_scaling": {"rope_type": "default"},
            },
            (7.0, 5.0),
        ),
    ],
)
def test_each_kind_of_layers_has_the_base_that_is_said_of_it(small, settings, bases):
    config = small.config()
    del config["rope_parameters"]
    backbone, _ = load(small.write(config={**config, **settings}))
    assert (backbone.config.theta, backbone.config.local_theta) == bases


def test_files_of_the_body_alone_and_copies_of_the_table_are_the_same_model(small):
    _, expected = load(small.folder)
    weights = small.weights()
    table = weights["model.embeddings.tok_embeddings.weight"]
    load(small.write({**weights, "decoder.weight": table}))
    with pytest.raises(ValueError, match=r"decoder\.weight differs from model\.embed"):
        load(small.write({**weights, "decoder.weight": table + 1}))
    body = {
        name.removeprefix("model."): array
        for name, array in weights.items()
        if name.startswith("model.")
    }
    backbone, found = load(small.write(body, {**small.config(), "pad_token_id": None}))
    assert not backbone.config.fills
    assert backbone.config.pad_token_id is None
    del expected["fill"]
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_classifier_of_texts_is_refused_by_what_it_has_more(small):
    weights = small.weights()
    del weights["decoder.bias"]
    weights["classifier.weight"] = np.zeros((2, 16), np.float32)
    match = "3 of .* have no place in ModernBERT: .*classifier.weight"
    with pytest.raises(ValueError, match=match) as caught:
        load(small.write(weights))
    assert "missing" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm_bias": True}, "only ModernBERT models with norm_bias False"),
        (
            {"classifier_activation": "tanh"},
            r"config\.json: .* head_activation 'tanh' is",
        ),
        (
            {"rope_parameters": {"rope_theta": 7.0}},
            "use an object with 'full_attention'",
        ),
        (
            {"rope_parameters": {FULL: [7.0]}},
            r"full_attention \[7.0\] is no JSON object",
        ),
        ({"layer_types": ["full_attention"]}, "one for each of 2 layers"),
        ({"local_attention": -1}, "local_attention -1"),
        ({"hidden_activation": "tanh"}, r"config\.json: ModernBERT activation 'tanh'"),
        (
            {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
            "rotary positions of full_attention are scaled",
        ),
    ],
)
def test_kinds_that_are_not_built_are_refused(small, settings, message):
    write_settings(small.folder, **settings)
    with pytest.raises(ValueError, match=message):
        load(small.folder)


@pytest.mark.parametrize(
    ("width", "sliding", "message"),
    [
        (10, (False, True), "heads are 5 wide, but rotary"),
        (16, (False,), "ModernBERT layers 1: use 2 or more"),
    ],
)
def test_sizes_that_no_modernbert_has_are_refused(width, sliding, message):
    with pytest.raises(ValueError, match=message):
        ModernBertConfig(61, width, 2, 24, len(sliding), sliding=sliding)


def test_peft_gives_it_no_prefix(small):
    backbone, _ = load(small.folder)
    keys = jnp.zeros((2, 3, 2, 8))
    prompt = make_prompt(jnp.zeros((0, 16)), {"encoder": make_deep(keys, keys)})
    with pytest.raises(ValueError, match="ModernBERT takes no keys and values"):
        check_prefix(prompt, backbone)


def test_transformers_scores_what_is_saved_as_the_file_says(small, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    save(tmp_path / "saved", *load(small.folder))
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "saved")
    arrays = small.arrays
    ids, seen = (torch.tensor(arrays[name]) for name in ("ids", "seen"))
    with torch.no_grad():
        scores = model.eval()(input_ids=ids, attention_mask=seen).logits.numpy()
    real = arrays["seen"] > 0
    np.testing.assert_allclose(scores[real], arrays["scores"][real], atol=1e-5)
