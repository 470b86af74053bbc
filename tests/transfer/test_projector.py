"""Maps between models: the original's networks, their gradients, shared words."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Tiny, draw_examples, one_each

from jaxprompt.bundled import resolve
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.transfer.fitting import (
    distance,
    fit_distance,
    fit_tasks,
    task_loss,
)
from jaxprompt.transfer.projector import Projector
from jaxprompt.transfer.shared_words import linear_map, relative_map, shared_words

FORMS = {
    "flat": Projector("flat", 3, 6, 16, hidden_width=5),
    "per_token": Projector("per_token", 3, 6, 16, hidden_width=5, activation="tanh"),
    "layer": Projector("layer", 3, 6, 16),
}
ROWS = np.random.default_rng(0).normal(size=(2, 3, 6)).astype(np.float32)


def original(form: str, params: dict, rows: np.ndarray) -> np.ndarray:
    """The published networks, one prompt at a time, in NumPy."""
    p = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}

    def leaky(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0) + 0.01 * np.minimum(x, 0)

    made = []
    for prompt in rows.astype(np.float64):
        if form == "layer":
            made.append(leaky(prompt @ p["weight"] + p["bias"]))
            continue
        x = prompt.reshape(-1) if form == "flat" else prompt
        activate = leaky if form == "flat" else np.tanh
        x = activate(x @ p["into"] + p["into_bias"]) @ p["out"] + p["out_bias"]
        x = x.reshape(3, 16)
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        made.append((x - mean) / np.sqrt(variance + 1e-5) * p["scale"] + p["shift"])
    return np.stack(made)


@pytest.mark.parametrize("form", FORMS)
def test_networks_are_the_published_ones(form: str):
    projector = FORMS[form]
    params = projector.init(jax.random.key(0))
    assert sum(leaf.size for leaf in params.values()) == projector.size
    found = projector.apply(params, jnp.asarray(ROWS))
    np.testing.assert_allclose(found, original(form, params, ROWS), atol=1e-5)
    if form != "layer":
        np.testing.assert_allclose(found.mean(-1), 0, atol=1e-5)
        np.testing.assert_allclose(found.std(-1), 1, atol=1e-2)
        short = dataclasses.replace(projector, gain=0.25)
        quarter = short.apply(short.init(jax.random.key(0)), jnp.asarray(ROWS))
        np.testing.assert_allclose(quarter, found / 4, atol=1e-6)
    with pytest.raises(ValueError, match=r"\[P, D\] = \[3, 5\] for .* \[3, 6\]: use"):
        projector.apply(params, jnp.zeros((2, 3, 5)))


def test_sizes_and_refusals():
    # RoBERTa-base to large, as the paper has it.
    assert Projector("flat", 100, 768, 1024).size == 137_730_816
    with pytest.raises(ValueError, match=r"unknown projector 'deep': use one of"):
        Projector("deep", 1, 1, 1)
    with pytest.raises(ValueError, match=r"unknown activation 'relu': use one of leak"):
        Projector("flat", 1, 1, 1, activation="relu")


@pytest.mark.parametrize("form", ["flat", "per_token"])
def test_every_weight_has_a_gradient_through_the_frozen_model(tiny: Tiny, form: str):
    projector = FORMS[form]
    batch = one_each([*draw_examples(0, 3), *draw_examples(1, 3, member=1)])
    model = {"model": tiny.model, "head": {}}

    def value(params: dict, rows: jax.Array) -> jax.Array:
        joined = {**model, "projector": params}
        return task_loss(projector, tiny.backbone, joined, rows, batch)

    params = projector.init(jax.random.key(0))
    differentiate = jax.jit(jax.grad(value, argnums=(0, 1)))
    gradient, of_rows = differentiate(params, jnp.asarray(ROWS))
    for name, leaf in gradient.items():
        assert (np.abs(leaf) > 0).any(), f"no gradient reaches {name}"
    np.testing.assert_array_equal(of_rows, 0)  # The source's prompts are frozen.


def test_both_objectives_go_down(tiny: Tiny):
    projector, sources = FORMS["per_token"], jnp.asarray(ROWS)
    targets = jax.random.normal(jax.random.key(1), (2, 3, 16))
    fitted = fit_distance(projector, sources, targets, steps=60, learning_rate=0.05)
    last = distance(projector, fitted.params, sources, targets)
    assert last < 0.5 * fitted.losses[0]
    start = projector.init(jax.random.key(0))
    apart = np.asarray(projector.apply(start, sources) - targets)
    assert fitted.losses[0] == pytest.approx(np.square(apart).sum() / 2, rel=1e-5)

    batch = one_each([*draw_examples(0, 3), *draw_examples(1, 3, member=1)])
    kept = jax.tree.map(np.array, tiny.model)
    fitted = fit_tasks(
        projector,
        tiny.backbone,
        tiny.model,
        sources,
        iter([batch] * 20),
        learning_rate=0.05,
    )
    assert len(fitted.losses) == 20
    assert fitted.losses[-1] < fitted.losses[0]
    jax.tree.map(np.testing.assert_array_equal, kept, tiny.model)


def test_a_model_onto_itself_is_the_identity():
    draw = np.random.default_rng(0)
    words = draw.normal(size=(40, 6)).astype(np.float32)
    np.testing.assert_allclose(linear_map(words, words), np.eye(6), atol=1e-5)
    np.testing.assert_allclose(relative_map(ROWS, words, words), ROWS, atol=1e-5)
    turn = np.linalg.qr(draw.normal(size=(6, 6)))[0]
    np.testing.assert_allclose(linear_map(words, words @ turn), turn, atol=1e-5)
    # A turned and stretched space has the same cosines: its prompt is turned as well.
    found = relative_map(ROWS, words, 3 * words @ turn)
    np.testing.assert_allclose(found, 3 * ROWS @ turn, atol=1e-4)


def test_words_are_shared_by_their_strings(shared: Path):
    nano = load_vocabulary(Path(resolve("bundled:nano")) / "spiece.model")
    bert = load_vocabulary(
        shared / "data" / "vocab" / "bert-uncased", causal=False, encoder_only=True
    )
    found = shared_words(nano, bert, nano.vocab_size)
    assert len(found.words) > 1000
    for word, here, there in zip(*found, strict=True):
        assert nano.encode(word) == [here]
        assert bert.encode(word) == [there]
    assert {"good", "house"} <= {*found.words}
    same = shared_words(nano, nano, nano.vocab_size)
    np.testing.assert_array_equal(same.source_ids, same.target_ids)
