"""A causal model computes a prompt once, and nothing else changes by that.

"Whole" is the same model with every soft token in every row.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.evaluate.decode import beam, greedy, nucleus
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.prompts.join import folded, prompted_logits, row_ids
from jaxprompt.prompts.prompt import Prompt, empty_prompt
from jaxprompt.shapes import Batch
from jaxprompt.train.loss import loss, token_shares

CONFIG = GPT2Config(
    vocab_size=60, width=32, heads=4, ffn_width=48, layers=3, positions=60
)
FOLDED = Decoder(CONFIG)
WHOLE = dataclasses.replace(FOLDED, folds=False)
END = 3
TEXT_LENGTHS = [(5, 3), (1, 4), (0, 2), (7, 1)]
"""Tokens of text and of target in each row."""


def test_what_a_prompt_folds_to_adds_up_gradients_in_float32():
    backbone = dataclasses.replace(FOLDED, dtype="bfloat16")
    params = {"model": backbone.init(jax.random.key(0)), "prompt": bank(2, 5)}
    prompt = jax.eval_shape(lambda params: folded(backbone, params), params)["prompt"]
    assert {leaf.dtype for leaf in jax.tree.leaves(prompt)} == {jnp.dtype("float32")}


@pytest.fixture(scope="module")
def model() -> Any:
    params = FOLDED.init(jax.random.key(0))
    # Far from the start, where a prompt would hardly matter.
    return jax.tree.map(lambda leaf: leaf * 4 if leaf.ndim > 1 else leaf, params)


def bank(members: int, length: int) -> Prompt:
    rows = np.random.default_rng(7).normal(size=(members, length, CONFIG.width))
    return Prompt(jnp.asarray(rows, jnp.float32))


def make_batch(backbone: Decoder, length: int, members: list[int]) -> Batch:
    """Puts each row behind its member's prompt, as the data pipeline does."""
    draw = np.random.default_rng(1)
    rows = []
    for text, target in TEXT_LENGTHS:
        soft = row_ids(backbone, length).tolist()
        words = draw.integers(4, 60, text + target).tolist()
        before = [*soft, *words[:text]] or [END]
        rows.append((before[:-1], before[-1], words[text:]))
    width, most = max(len(r[0]) for r in rows), max(len(r[2]) for r in rows)
    fields: dict[str, np.ndarray] = {
        name: np.zeros((len(rows), max(size, 1)), np.int32)
        for name, size in {
            "inputs": width,
            "input_segments": width,
            "targets": most,
            "target_inputs": most,
            "target_segments": most,
        }.items()
    }
    for place, (inputs, start, targets) in enumerate(rows):
        fields["inputs"][place, : len(inputs)] = inputs
        fields["input_segments"][place, : len(inputs)] = 1
        fields["targets"][place, : len(targets)] = targets
        fields["target_inputs"][place, : len(targets)] = [start, *targets[:-1]]
        fields["target_segments"][place, : len(targets)] = 1
    fields["members"] = np.array(members, np.int32)
    weights = fields["target_segments"].astype(np.float32)
    return Batch(weights=jnp.asarray(weights), **jax.tree.map(jnp.asarray, fields))


@pytest.mark.parametrize(
    ("members", "length"), [([0, 0, 0, 0], 5), ([2, 0, 1, 2], 5), ([0, 0, 0, 0], 1)]
)
def test_loss_and_gradient_are_those_of_a_prompt_in_every_row(model, members, length):
    prompt = bank(max(members) + 1, length)

    def objective(prompt: Prompt, backbone: Decoder) -> tuple[jax.Array, Any]:
        batch = make_batch(backbone, length, members)
        params = {"model": model, "prompt": prompt}
        shares = token_shares(batch, prompt.members)
        logits = prompted_logits(backbone, params, batch)
        return loss(backbone, params, batch, shares)[0], (
            logits * batch.weights[..., None]
        )

    found = jax.value_and_grad(objective, has_aux=True)
    (folded, folded_logits), folded_gradient = found(prompt, FOLDED)
    (whole, whole_logits), whole_gradient = found(prompt, WHOLE)
    np.testing.assert_allclose(folded, whole, rtol=1e-5)
    np.testing.assert_allclose(folded_logits, whole_logits, atol=1e-4)
    scale = np.abs(whole_gradient.rows).max()
    assert scale > 1e-3
    np.testing.assert_allclose(
        folded_gradient.rows, whole_gradient.rows, atol=1e-5 * scale
    )


@pytest.mark.parametrize("method", ["greedy", "beam", "nucleus", "rank"])
def test_answers_are_those_of_a_prompt_in_every_row(model, method: str):
    prompt = bank(3, 5)

    def answer(backbone: Decoder) -> np.ndarray:
        batch = make_batch(backbone, 5, [2, 0, 1, 2])
        params = {"model": model, "prompt": prompt}
        if method == "rank":
            labels = jnp.array([[10, END, 0], [11, 12, END], [13, END, 0]])
            return np.asarray(rank_labels(backbone, params, batch, labels))
        if method == "beam":
            return np.asarray(beam(backbone, params, batch, length=6, end=END)[0])
        if method == "nucleus":
            keys = jax.random.split(jax.random.key(3), 4)
            return np.asarray(
                nucleus(backbone, params, batch, keys, length=6, top_p=0.7, end=END)
            )
        return np.asarray(greedy(backbone, params, batch, length=6, end=END))

    np.testing.assert_allclose(answer(FOLDED), answer(WHOLE), atol=1e-4)


def test_greedy_goes_on_with_the_likeliest_token_by_recomputation(model):
    """Without a cache: the whole sequence again for every token."""
    prompt = bank(1, 5)
    batch = make_batch(FOLDED, 5, [0, 0, 0, 0])
    params = {"model": model, "prompt": prompt}
    found = np.asarray(greedy(FOLDED, params, batch, length=4, end=END))
    starts = batch.target_inputs[:, :1]
    known = np.zeros((4, 0), np.int32)
    for _ in range(4):
        read = jnp.concatenate([starts, known], axis=1)
        ones = jnp.ones_like(read)
        longer = dataclasses.replace(
            batch, target_inputs=read, target_segments=ones, targets=read
        )
        logits = prompted_logits(FOLDED, params, longer)
        known = np.concatenate(
            [known, np.argmax(logits[:, -1:], axis=-1).astype(np.int32)], axis=1
        )
    ended = np.cumsum(known == END, axis=1) - (known == END) > 0
    np.testing.assert_array_equal(found, np.where(ended, 0, known))


def test_without_a_prompt_there_is_no_prefix(model):
    batch = make_batch(FOLDED, 0, [0, 0, 0, 0])
    params = {"model": model, "prompt": empty_prompt(CONFIG.width)}
    logits = prompted_logits(FOLDED, params, batch)
    whole = prompted_logits(WHOLE, params, batch)
    np.testing.assert_array_equal(logits, whole)
    with_prompt = {"model": model, "prompt": bank(1, 5)}
    changed = prompted_logits(FOLDED, with_prompt, make_batch(FOLDED, 5, [0] * 4))
    assert np.abs(logits - changed)[batch.weights > 0].max() > 0.1
