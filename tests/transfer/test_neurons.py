"""Activated neurons: of known weights, on every kind of model, and switched off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import LENGTH, Tiny, draw_prompt

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.taps import neuron_layers, neurons_read, switch_off
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.prompt import make_prompt, stack, unstack
from jaxprompt.transfer.neurons import drawn, most_active, overlap, read_neurons

SIZES = {"width": 16, "heads": 2, "ffn_width": 24, "layers": 2, "positions": 32}
BERT = Encoder(BertConfig(vocab_size=12, **SIZES, fills=True))
GPT2 = Decoder(GPT2Config(vocab_size=12, **SIZES))


def weights(backbone) -> dict:
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.5, leaf.shape), leaf.dtype),
        jax.eval_shape(backbone.init, jax.random.key(0)),
    )


@pytest.fixture(params=["encoder", "decoder", "encoder-decoder"])
def model(request: pytest.FixtureRequest, tiny: Tiny):
    if request.param == "encoder-decoder":
        return tiny.backbone, tiny.model, 5
    backbone = BERT if request.param == "encoder" else GPT2
    return backbone, weights(backbone), 5 if request.param == "encoder" else None


def test_neurons_of_a_prompt_do_not_depend_on_the_bank(model):
    backbone, params, mask = model
    bank = draw_prompt(0, members=2)
    neurons = read_neurons(backbone, params, bank, mask_id=mask)
    assert neurons.shape == (2, *neuron_layers(params))
    alone = read_neurons(backbone, params, unstack(bank)[1], mask_id=mask)
    np.testing.assert_allclose(alone[0], neurons[1], atol=1e-4)
    assert (neurons > 0).any()
    assert (neurons < 0).any()


def test_known_activations():
    """The first layer's neurons, computed by hand from the states before it."""
    params = weights(GPT2)
    # The first layer adds nothing to a token but its feed-forward's own.
    attention = params["layers"]["attention"]
    attention["out"] = jnp.zeros_like(attention["out"])
    attention["out_bias"] = jnp.zeros_like(attention["out_bias"])
    prompt = draw_prompt(1)
    found = read_neurons(GPT2, params, prompt)
    x = np.asarray(prompt.rows[0, -1] + params["positions"][LENGTH - 1], np.float64)
    norm = jax.tree.map(lambda leaf: np.asarray(leaf[0]), params["layers"]["ffn_norm"])
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * norm["scale"] + norm["bias"]
    ffn = params["layers"]["ffn"]
    wanted = x @ np.asarray(ffn["up"][0]) + np.asarray(ffn["up_bias"][0])
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-4)


def test_an_encoder_reads_soft_tokens_where_they_were_trained():
    """In front of [CLS], with the mask behind it."""
    params, prompt = weights(BERT), draw_prompt(1)
    cls, mask, sep = 3, 5, 4
    found = read_neurons(BERT, params, prompt, mask_id=mask, frame=((cls,), (sep,)))
    words = params["embedding"][jnp.array([cls, mask, sep])]
    x = jnp.concatenate([prompt.rows[0], words])[None]
    tokens = Tokens(x, jnp.ones(x.shape[:2], jnp.int32))
    layers = neurons_read(lambda: BERT.states(params, tokens))
    wanted = np.stack([layer[0, LENGTH + 1] for layer in layers])
    np.testing.assert_allclose(found[0], wanted, atol=1e-4)


def test_overlap_by_windows():
    neurons = np.zeros((3, 4, 2), np.float32) - 1
    neurons[0, 0] = neurons[1, :2] = 1  # The third prompt switches on nothing.
    found = overlap(neurons)
    assert [*found] == ["ON", "ON_0-2", "ON_3-3"]
    assert found["ON"][0, 1] == pytest.approx(2 / np.sqrt(2 * 4))
    assert found["ON"][0, 0] == pytest.approx(1)
    assert found["ON"][0, 2] == 0
    np.testing.assert_array_equal(found["ON_3-3"], 0)
    for values in found.values():
        np.testing.assert_array_equal(values, values.T)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


def test_switched_off_neurons_give_nothing(model):
    _, params, _ = model
    layers, width = neuron_layers(params)
    none = np.zeros((layers, width), bool)
    same = switch_off(params, none)
    jax.tree.map(np.testing.assert_array_equal, same, params)
    off = switch_off(params, ~none)
    at = off.get("decoder", off)
    np.testing.assert_array_equal(at["layers"]["ffn"]["down"], 0)
    with pytest.raises(ValueError, match=r"neurons \[1, 2\] for a model of \[\d, 24\]"):
        switch_off(params, np.zeros((1, 2), bool))


def test_the_most_active_and_as_many_by_chance():
    neurons = np.arange(10, dtype=np.float32).reshape(2, 5)
    chosen = most_active(neurons, 0.2)
    assert np.argwhere(chosen).tolist() == [[1, 3], [1, 4]]
    assert drawn((2, 5), 0.2, seed=0).sum() == 2
    with pytest.raises(ValueError, match=r"share 0 of the neurons: use one over 0"):
        most_active(neurons, 0)


def test_a_prompt_of_nothing_is_refused():
    nothing = stack([make_prompt(jnp.zeros((0, 16)))])
    with pytest.raises(ValueError, match=r"and no mask to read it at"):
        read_neurons(GPT2, weights(GPT2), nothing)
