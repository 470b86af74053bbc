"""A decoder reads what stands in front of every row once, and nothing else changes.

"Whole" are the same rows with all of their tokens.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import take_lead

from jaxprompt.evaluate.decode import beam, greedy, nucleus
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gemma import Gemma3Config
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.prompts.join import folded, prompted_logits
from jaxprompt.prompts.prompt import Prompt, empty_prompt
from jaxprompt.shapes import Batch
from jaxprompt.train.loss import loss, token_shares

WIDTH = 32
BACKBONES = {
    "gpt2": Decoder(
        GPT2Config(
            vocab_size=60, width=WIDTH, heads=4, ffn_width=48, layers=3, positions=60
        )
    ),
    # Its window of four tokens is shorter than the lead.
    "gemma3": Decoder(
        Gemma3Config(
            vocab_size=60,
            width=WIDTH,
            heads=4,
            kv_heads=2,
            head_width=8,
            ffn_width=48,
            layers=3,
            positions=60,
            theta=100.0,
            window=4,
            sliding=(True, False, True),
            query_scalar=8.0,
        )
    ),
}
FIRST = BACKBONES["gpt2"].vocab_rows
BEFORE = {
    "soft tokens": [*range(FIRST, FIRST + 5)],
    "words around soft tokens": [2, 9, FIRST, FIRST + 1, FIRST + 2, 17, 5],
    "words": [2, 9, 17, 5],
}
"""What stands in front of every text; the last token of it may begin the targets."""

END = 3
TEXT_LENGTHS = [(5, 3), (1, 4), (0, 2), (7, 1)]
"""Tokens of text and of target in each row."""


def draw_model(name: str) -> Any:
    params = jax.jit(BACKBONES[name].init)(jax.random.key(0))
    # Far from the start, where a prompt would hardly matter.
    return jax.tree.map(lambda leaf: leaf * 4 if leaf.ndim > 1 else leaf, params)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: draw_model(name) for name in BACKBONES}


def bank(members: int, length: int) -> Prompt:
    rows = np.random.default_rng(7).normal(size=(members, length, WIDTH))
    return Prompt(jnp.asarray(rows, jnp.float32))


def whole_batch(before: Sequence[int], members: list[int]) -> Batch:
    """Puts texts behind what stands in front of all, as the data pipeline does."""
    draw = np.random.default_rng(1)
    rows = []
    for text, target in TEXT_LENGTHS:
        words = draw.integers(4, 60, text + target).tolist()
        front = [*before, *words[:text]] or [END]
        rows.append((front[:-1], front[-1], words[text:]))
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


def with_lead(before: Sequence[int], members: list[int]) -> Batch:
    """Moves all but the last token of what stands in front of all out of the rows."""
    return take_lead(whole_batch(before, members), max(len(before) - 1, 0))


def test_what_is_read_once_adds_up_gradients_in_float32():
    backbone = dataclasses.replace(BACKBONES["gpt2"], dtype="bfloat16")
    params = {"model": jax.jit(backbone.init)(jax.random.key(0)), "prompt": bank(2, 5)}

    def read(params: Any) -> Prompt:
        return folded(backbone, params, (9, FIRST))["prompt"]

    prompt = jax.eval_shape(read, params)
    assert {leaf.dtype for leaf in jax.tree.leaves(prompt)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("name", "before", "members"),
    [
        ("gpt2", "soft tokens", [2, 0, 1, 2]),
        ("gpt2", "words around soft tokens", [0, 0, 0, 0]),
        ("gemma3", "words around soft tokens", [2, 0, 1, 2]),
    ],
)
def test_loss_and_gradient_are_those_of_whole_rows(models, name, before, members):
    prompt = bank(max(members) + 1, 5)
    backbone = BACKBONES[name]

    def objective(prompt: Prompt, batch: Batch) -> tuple[jax.Array, Any]:
        params = {"model": models[name], "prompt": prompt}
        shares = token_shares(batch, prompt.members)
        logits = prompted_logits(backbone, params, batch)
        return loss(backbone, params, batch, shares)[0], (
            logits * batch.weights[..., None]
        )

    found = jax.jit(jax.value_and_grad(objective, has_aux=True))
    (once, logits), gradient = found(prompt, with_lead(BEFORE[before], members))
    (whole, expected), whole_gradient = found(
        prompt, whole_batch(BEFORE[before], members)
    )
    np.testing.assert_allclose(once, whole, rtol=1e-5)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    scale = np.abs(whole_gradient.rows).max()
    assert scale > 1e-3
    np.testing.assert_allclose(gradient.rows, whole_gradient.rows, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("name", "method", "before"),
    [
        ("gpt2", "greedy", "soft tokens"),
        ("gpt2", "beam", "words around soft tokens"),
        ("gpt2", "nucleus", "words around soft tokens"),
        ("gpt2", "rank", "words"),
        ("gemma3", "greedy", "words around soft tokens"),
        ("gemma3", "rank", "words"),
    ],
)
def test_answers_are_those_of_whole_rows(models, name, method, before):
    backbone, members = BACKBONES[name], [2, 0, 1, 2]
    params = {"model": models[name], "prompt": bank(3, 5)}

    @jax.jit
    def answer(batch: Batch) -> jax.Array:
        if method == "rank":
            labels = jnp.array([[10, END, 0], [11, 12, END], [13, END, 0]])
            return rank_labels(backbone, params, batch, labels)
        if method == "beam":
            return beam(backbone, params, batch, length=6, end=END)[0]
        if method == "nucleus":
            keys = jax.random.split(jax.random.key(3), 4)
            return nucleus(backbone, params, batch, keys, length=6, top_p=0.7, end=END)
        return greedy(backbone, params, batch, length=6, end=END)

    found = answer(with_lead(BEFORE[before], members))
    whole = answer(whole_batch(BEFORE[before], members))
    np.testing.assert_allclose(found, whole, atol=1e-4)


def test_it_is_computed_once_however_many_rows_there_are(models):
    """By the operations of the compiled gradient, of rows behind sixteen words."""
    backbone, prompt = BACKBONES["gpt2"], bank(1, 3)

    def operations(batch: Batch) -> float:
        def objective(prompt: Prompt, batch: Batch) -> jax.Array:
            params = {"model": models["gpt2"], "prompt": prompt}
            return loss(backbone, params, batch, token_shares(batch, 1))[0]

        compiled = jax.jit(jax.grad(objective)).lower(prompt, batch).compile()
        analysis: Any = compiled.cost_analysis()
        return analysis["flops"]

    before = [*range(20, 33), FIRST, FIRST + 1, FIRST + 2]
    # A row has 7 + 4 tokens of its own, and 16 in front.
    once, whole = (
        operations(make(before, [0] * 4)) for make in (with_lead, whole_batch)
    )
    assert once < 0.75 * whole


def test_greedy_goes_on_with_the_likeliest_token_by_recomputation(models):
    """Without a cache: the whole sequence again for every token."""
    backbone, prompt = BACKBONES["gpt2"], bank(1, 5)
    batch = with_lead(BEFORE["soft tokens"], [0, 0, 0, 0])
    params = {"model": models["gpt2"], "prompt": prompt}
    found = np.asarray(greedy(backbone, params, batch, length=4, end=END))
    score = jax.jit(functools.partial(prompted_logits, backbone))
    starts = batch.target_inputs[:, :1]
    known = np.zeros((4, 0), np.int32)
    for _ in range(4):
        read = jnp.concatenate([starts, known], axis=1)
        ones = jnp.ones_like(read)
        longer = dataclasses.replace(
            batch, target_inputs=read, target_segments=ones, targets=read
        )
        logits = score(params, longer)
        known = np.concatenate(
            [known, np.argmax(logits[:, -1:], axis=-1).astype(np.int32)], axis=1
        )
    ended = np.cumsum(known == END, axis=1) - (known == END) > 0
    np.testing.assert_array_equal(found, np.where(ended, 0, known))


def test_the_lead_counts(models):
    backbone, model = BACKBONES["gpt2"], models["gpt2"]
    alone = whole_batch([], [0, 0, 0, 0])
    params = {"model": model, "prompt": empty_prompt(WIDTH)}
    score = jax.jit(functools.partial(prompted_logits, backbone))
    logits = score(params, alone)
    prompted = {"model": model, "prompt": bank(1, 5)}
    behind = with_lead(BEFORE["soft tokens"], [0] * 4)
    changed = score(prompted, behind)
    assert np.abs(logits - changed)[alone.weights > 0].max() > 0.1
