"""A train step costs no more than a forward pass and its way back to the prompt."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny import CONFIG, draw_examples, make_tiny, one_each

from jaxprompt.heads.labels import LabelsHead
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.prompts.join import prompted_lower
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.train.loss import loss
from jaxprompt.train.optimizer import FREEZE, MODEL_TUNING, adafactor, train_only
from jaxprompt.train.step import init_state, make_train_step


def flops(function, *args):
    return function.lower(*args).compile().cost_analysis()["flops"]


@pytest.fixture(scope="module")
def costs():
    """Compiled FLOPs of the forward pass, of prompt tuning and of model tuning.

    The model is wide enough for its matrices to outweigh norms, softmax and Adafactor,
    and unrolled: XLA counts the body of a loop once.
    """
    one_layer = {"encoder_layers": 1, "decoder_layers": 1}
    sizes = {"vocab_rows": 512, "width": 256, "ffn_width": 1024, "head_width": 32}
    tiny = make_tiny(dataclasses.replace(CONFIG, **one_layer, **sizes))
    backbone = dataclasses.replace(tiny.backbone, unroll=True)
    batch = one_each(draw_examples(0, 8), inputs=24)
    params = tiny.join(make_prompt(tiny.model["embedding"][:3]))

    def forward(params, batch):
        return loss(backbone, params, batch, batch.weights)[0]

    found = [flops(jax.jit(forward), params, batch)]
    for freeze in (FREEZE, MODEL_TUNING):
        tx = train_only(adafactor(), freeze)
        state, frozen = init_state(params, tx, freeze)
        step = make_train_step(backbone, tx, freeze=freeze)
        found.append(flops(step, state, frozen, batch))
    return found


def test_no_weight_gradient_is_computed(costs):
    forward, prompt_tuning, _ = costs
    assert 1.9 < prompt_tuning / forward <= 2.05


def test_model_tuning_computes_them(costs):
    """So the test above can fail."""
    forward, _, model_tuning = costs
    assert model_tuning / forward > 2.9


def layers_passed(jaxpr):
    """Adds up how often the bodies of loops run, forth and back."""
    found = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            found += equation.params["length"]
        elif "jaxpr" in equation.params:
            inner = equation.params["jaxpr"]
            found += layers_passed(getattr(inner, "jaxpr", inner))
    return found


def test_layers_below_a_deep_prompt_have_no_backward_pass():
    sizes = {"width": 128, "heads": 4, "ffn_width": 512, "layers": 4, "positions": 64}
    backbone = Decoder(GPT2Config(vocab_size=60, **sizes), unroll=True)
    shapes = jax.eval_shape(backbone.init, jax.random.key(0))
    model = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.01, "f4"), shapes)
    batch = one_each(draw_examples(0, 8, length=0), inputs=32)

    def cost(*used):
        keys = np.ones((4, 2, 4, 32), np.float32)
        deep = {"decoder": make_deep(keys, keys, used)}
        prompt = make_prompt(np.zeros((0, 128)), deep)

        # Arguments all: what is constant would be computed by the compiler.
        def step(prompt, model, batch):
            params = {"model": model, "prompt": prompt}
            return loss(backbone, params, batch, batch.weights)[0]

        return [flops(jax.jit(f), prompt, model, batch) for f in (step, jax.grad(step))]

    (forward, every), (_, last) = cost(1, 1, 1, 1), cost(0, 0, 0, 1)
    assert 1.6 < every / forward < 2.05
    # About a quarter of the way back.
    assert 0.1 < (last - forward) / (every - forward) < 0.35

    # In a loop over layers the compiler alone would not see it.
    backbone = dataclasses.replace(backbone, unroll=False)
    keys = np.ones((4, 2, 4, 32), np.float32)
    for used, passes in ((None, 4 + 4), ((0, 0, 0, 1), 4 + 1)):
        deep = {"decoder": make_deep(keys, keys, used)}
        prompt = make_prompt(np.zeros((0, 128)), deep)

        def step(prompt, model, batch):
            params = {"model": model, "prompt": prompt}
            return loss(backbone, params, batch, batch.weights)[0]

        traced = jax.make_jaxpr(jax.grad(step))(prompt, model, batch)
        assert layers_passed(traced.jaxpr) == passes


def test_a_step_by_kept_states_costs_the_layers_above_alone():
    sizes = {"width": 128, "heads": 4, "ffn_width": 512, "layers": 4, "positions": 64}
    backbone = Encoder(BertConfig(vocab_size=60, **sizes), unroll=True)
    shapes = jax.eval_shape(backbone.init, jax.random.key(0))
    model = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.01, "f4"), shapes)
    batch = one_each(draw_examples(0, 8, length=0), inputs=32)
    batch = dataclasses.replace(batch, target_places=np.zeros_like(batch.targets))
    head = LabelsHead("classes", 64)
    weights = head.init(jax.random.key(0), backbone, model)

    def cost(*used, kept):
        keys = np.ones((4, 2, 4, 32), np.float32)
        deep = {"encoder": make_deep(keys, keys, used)}
        prompt = make_prompt(np.zeros((0, 128)), deep)

        def step(prompt, model, batch):
            params = {"model": model, "prompt": prompt, "head": weights}
            return loss(backbone, params, batch, batch.weights, head=head)[0]

        rows = batch
        if kept:
            params = {"model": model, "prompt": prompt}
            lower = prompted_lower(backbone, params, batch)
            rows = dataclasses.replace(batch, lower=lower)
        return flops(jax.jit(jax.grad(step)), prompt, model, rows)

    # The lowest layer's way back ends at its own keys and values, so that one layer of
    # four costs somewhat less than a quarter.
    every = cost(1, 1, 1, 1, kept=False)
    assert 1 / 4 - 0.04 < cost(0, 0, 0, 1, kept=True) / every <= 1 / 4
    assert 2 / 4 - 0.04 < cost(0, 0, 1, 1, kept=True) / every <= 2 / 4


def test_no_copy_of_the_vocabulary_is_made():
    """Of neither matrix, nor of the table with soft tokens joined to it."""
    sizes = {"vocab_rows": 65_536, "width": 64, "encoder_layers": 1}
    tiny = make_tiny(dataclasses.replace(CONFIG, **sizes))
    prompt = make_prompt(tiny.model["embedding"][:3])
    batch = one_each(draw_examples(0, 2))
    tx = train_only(adafactor())
    state, frozen = init_state(tiny.join(prompt), tx)
    step = make_train_step(tiny.backbone, tx).lower(state, frozen, batch).compile()
    table = tiny.model["embedding"].nbytes
    logits = batch.targets.size * tiny.model["embedding"].shape[0] * 4
    assert logits < table / 4
    assert step.memory_analysis().temp_size_in_bytes < logits * 3 < table
