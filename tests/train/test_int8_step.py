"""A train step on int8 weights: no copy of them in floats, and no needless work."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import CONFIG, Tiny, draw_examples, draw_prompt, make_tiny, one_each

from jaxprompt.models.quantise import dequantise, quantise
from jaxprompt.models.t5.model import T5
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.sharding import make_mesh, place, place_batch
from jaxprompt.train.loss import loss
from jaxprompt.train.optimizer import FREEZE, adafactor, train_only
from jaxprompt.train.step import init_state, make_train_step

TX = train_only(adafactor(), FREEZE)


@pytest.fixture(scope="module")
def int8(tiny):
    return Tiny(tiny.backbone, quantise(tiny.model))


def train(tiny, mesh=None, steps=3):
    """Returns the prompt's rows after a few steps, and the last loss."""
    params = tiny.join(draw_prompt(0))
    state, frozen = init_state(place(params, mesh) if mesh else params, TX)
    step = make_train_step(tiny.backbone, TX)
    for seed in range(steps):
        batch = one_each(draw_examples(seed, 8))
        batch = place_batch(batch, mesh) if mesh else batch
        state, metrics = step(state, frozen, batch)
    jax.tree.map(np.testing.assert_array_equal, frozen["model"], tiny.model)
    return np.asarray(state.trained["prompt"].rows), float(metrics["loss"])


@pytest.fixture(scope="module")
def trained(int8):
    return train(int8)


def test_a_prompt_trains_as_on_the_rounded_weights(int8, trained):
    rows, told = train(Tiny(int8.backbone, dequantise(int8.model)))
    np.testing.assert_allclose(trained[0], rows, atol=1e-4)
    assert trained[1] == pytest.approx(told, rel=1e-5)
    assert np.abs(rows - draw_prompt(0).rows).max() > 0.1


@pytest.mark.parametrize(
    ("data", "model"),
    [
        (2, 4),
        pytest.param(1, 8, marks=pytest.mark.long),
        pytest.param(8, 1, marks=pytest.mark.long),
    ],
)
def test_sharded_equals_unsharded(int8, trained, data, model):
    rows, told = train(int8, make_mesh(data, model))
    np.testing.assert_allclose(rows, trained[0], atol=1e-4)
    assert told == pytest.approx(trained[1], rel=1e-4)


def test_no_stack_of_weights_is_copied():
    """Everything else that a step holds is less than half of the bfloat16 weights.

    In bfloat16 unquantised ones are not so on CPU: XLA casts them to float32 there.
    """
    sizes = {"width": 256, "ffn_width": 1024, "encoder_layers": 12}
    config = dataclasses.replace(CONFIG, **sizes, decoder_layers=12)
    backbone = T5(config, dtype="bfloat16")
    model = jax.eval_shape(backbone.init, jax.random.key(0))
    weights = sum(leaf.size for leaf in jax.tree.leaves(model))
    frozen = {"model": jax.eval_shape(quantise, model)}
    prompt = make_prompt(jnp.ones((3, 256)))
    state, _ = init_state({"model": {}, "prompt": prompt}, TX)
    step, batch = make_train_step(backbone, TX), one_each(draw_examples(0, 1))
    memory = step.lower(state, frozen, batch).compile().memory_analysis()
    assert memory.argument_size_in_bytes < 1.05 * weights
    assert memory.temp_size_in_bytes < weights


def test_a_step_computes_no_weight_gradient():
    """As for float32: at most 2.05 times the FLOPs of the forward pass."""
    sizes = {"vocab_rows": 512, "width": 256, "ffn_width": 1024, "head_width": 32}
    tiny = make_tiny(dataclasses.replace(CONFIG, **sizes))
    backbone = dataclasses.replace(tiny.backbone, unroll=True)
    batch = one_each(draw_examples(0, 8), inputs=24)
    prompt = make_prompt(tiny.model["embedding"][:3])
    params = {"model": quantise(tiny.model), "prompt": prompt}

    def forward(params, batch):
        return loss(backbone, params, batch, batch.weights)[0]

    def flops(function, *args):
        return function.lower(*args).compile().cost_analysis()["flops"]

    state, frozen = init_state(params, TX)
    whole = flops(make_train_step(backbone, TX), state, frozen, batch)
    assert 1.9 < whole / flops(jax.jit(forward), params, batch) <= 2.05
