"""Long targets are scored a few columns at a time, with the losses of all at once."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import LENGTH, Tiny, draw_examples, one_each

from jaxprompt.heads import words
from jaxprompt.heads.words import columns_at_once
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.shapes import Batch, Params, unpacked_batch
from jaxprompt.train.loss import loss
from jaxprompt.train.optimizer import FREEZE, adafactor, train_only
from jaxprompt.train.step import init_state, make_train_step

SIZES: dict[str, Any] = {
    "width": 16,
    "heads": 2,
    "ffn_width": 32,
    "layers": 2,
    "positions": 600,
}
"""Of a decoder, whose targets stand behind the text."""


def made(vocabulary: int) -> Tiny:
    backbone: Any = Decoder(GPT2Config(vocab_size=vocabulary, **SIZES))
    draw = np.random.default_rng(0)
    model = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0, 0.2, leaf.shape), leaf.dtype),
        jax.eval_shape(backbone.init, jax.random.key(0)),
    )
    return Tiny(backbone, model)


def graded(tiny: Tiny, params: Params, batch: Batch) -> Any:
    def of_prompt(prompt: Any) -> Any:
        return loss(tiny.backbone, {**params, "prompt": prompt}, batch, batch.weights)

    return jax.jit(jax.value_and_grad(of_prompt, has_aux=True))(params["prompt"])


@pytest.mark.parametrize("kind", ["t5", "decoder"])
def test_losses_and_gradients_are_those_of_all_columns_at_once(
    kind: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
):
    model = tiny if kind == "t5" else made(60)
    batch = one_each(draw_examples(0, 4))
    rows, length = batch.targets.shape
    rows_of_table = jnp.asarray(model.model["embedding"])[:LENGTH]
    params = model.join(make_prompt(rows_of_table + 0.1))
    whole = graded(model, params, batch)
    monkeypatch.setattr(words, "MOST_LOGITS", 1)
    monkeypatch.setattr(words, "CHUNK_LOGITS", 3 * rows * model.backbone.vocab_rows)
    assert columns_at_once(model.backbone, rows, length) == 3 < length
    assert length % 3
    parts = graded(model, params, batch)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
        parts,
        whole,
    )


def test_a_step_holds_a_part_of_the_scores():
    tiny = made(30_000)
    tx = train_only(adafactor(), FREEZE)
    prompt = make_prompt(jnp.zeros((2, 16)))
    state, frozen = init_state(tiny.join(prompt), tx, FREEZE)

    def scratch(targets: int) -> int:
        shape = jax.ShapeDtypeStruct((8, targets), np.int32)
        text = jax.ShapeDtypeStruct((8, 16), np.int32)
        batch = jax.eval_shape(unpacked_batch, text, shape)
        step: Any = make_train_step(tiny.backbone, tx, freeze=FREEZE)
        memory = step.lower(state, frozen, batch).compile().memory_analysis()
        return memory.temp_size_in_bytes

    assert columns_at_once(tiny.backbone, 8, 256) == 256
    assert columns_at_once(tiny.backbone, 8, 512) == 64
    whole, twice = scratch(256), scratch(512)
    assert twice < 0.7 * whole
