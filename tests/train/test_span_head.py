"""A head for spans: what it loses and learns, and the spans that it finds."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.data.tasks.answers.spans import BEST, NEVER
from jaxprompt.heads.kinds import HEADS, Layer
from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_states
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.shapes import Batch, unpacked_batch
from jaxprompt.train.loss import loss, token_shares

IDS = np.array([[3, 6, 4, 7, 8, 9, 10, 4], [3, 6, 7, 4, 8, 9, 4, NO_TOKEN]])
PLACES = np.array([[4, 5, 0, 3, 6], [0, 0, 0, 4, 5]], np.int32)
"""Of the first row the answer is two tokens of four; the second has none."""

HEAD = HEADS["spans"].make([HEADS["spans"].made_up()], Layer(longest=3, stddev=0.5))


@pytest.fixture(scope="module")
def backbone() -> Encoder:
    sizes = {"width": 16, "heads": 2, "ffn_width": 24, "layers": 1, "positions": 32}
    return Encoder(BertConfig(vocab_size=12, **sizes))


@pytest.fixture(scope="module")
def params(backbone: Encoder) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(backbone.init, jax.random.key(0))
    model = jax.tree.map(lambda x: jnp.asarray(draw.normal(0, 0.5, x.shape)), shapes)
    head = HEAD.init(jax.random.key(0), backbone, model)
    return {"model": model, "prompt": empty_prompt(16), "head": head}


def batch_of(places: np.ndarray = PLACES) -> Batch:
    targets = np.array([[1, 1, *[NO_TOKEN] * 3]] * 2)
    rows = unpacked_batch(IDS, targets)
    return dataclasses.replace(rows, target_places=jnp.asarray(places))


def states_of(backbone: Encoder, params: dict[str, Any]) -> np.ndarray:
    states = jax.jit(prompted_states, static_argnums=0)(backbone, params, batch_of())
    return np.asarray(states, np.float64)


def scored(backbone: Encoder, params: dict[str, Any], row: int) -> np.ndarray:
    """Scores of the tokens of a row, [2, T], by NumPy; -inf where none may stand."""
    states = states_of(backbone, params)[row]
    weight, bias = (np.asarray(params["head"][x])[0] for x in ("weight", "bias"))
    scores = (states @ weight + bias).T
    places = np.arange(IDS.shape[1])
    _, _, nowhere, first, last = PLACES[row]
    may = (places == nowhere) | ((places >= first) & (places <= last))
    return np.where(may, scores, -np.inf)


def test_the_loss_is_over_the_tokens_of_the_text_and_no_answer(backbone, params):
    batch = batch_of()
    nats, gradient = [], np.zeros((16, 2))
    states = states_of(backbone, params)
    for row in (0, 1):
        scores = scored(backbone, params, row)
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        for column in (0, 1):
            true = PLACES[row, column]
            nats.append(-np.log(shares[column, true]))
            wrong = shares[column] - np.eye(len(IDS[0]))[true]
            gradient[:, column] += wrong @ states[row] / 4

    def of_head(head: Any) -> jax.Array:
        joined = {**params, "head": head}
        return loss(backbone, joined, batch, token_shares(batch, 1), head=HEAD)[0]

    found, moved = jax.jit(jax.value_and_grad(of_head))(params["head"])
    assert found == pytest.approx(np.mean(nats), rel=1e-4)
    np.testing.assert_allclose(moved["weight"][0], gradient, rtol=1e-3, atol=1e-5)


def test_the_best_spans_are_found_and_no_answer_beside_them(backbone, params):
    found = np.asarray(
        jax.jit(HEAD.find, static_argnums=0)(backbone, params, batch_of())
    )
    for row in (0, 1):
        start, end = scored(backbone, params, row)
        nowhere, first, last = PLACES[row, 2:]
        assert found[row, 0, 2] == pytest.approx(
            start[nowhere] + end[nowhere], rel=1e-4
        )
        spans = sorted(
            (
                (start[a] + end[b], a - first, b - first)
                for a in range(first, last + 1)
                for b in range(a, min(a + 3, last + 1))
            ),
            reverse=True,
        )
        own = found[row, 1:][found[row, 1:, 2] > NEVER]
        assert own[:, :2].astype(int).tolist() == [[a, b] for _, a, b in spans]
        np.testing.assert_allclose(own[:, 2], [score for score, *_ in spans], rtol=1e-4)
    assert found.shape[1] == 1 + BEST


def test_a_text_without_tokens_has_no_span(backbone, params):
    empty = np.array([[0, 0, 0, -1, -1]] * 2, np.int32)
    found = np.asarray(HEAD.find(backbone, params, batch_of(empty)))
    assert (found[:, 1:, 2] < NEVER).all()
    assert np.isfinite(found[:, 0, 2]).all()
