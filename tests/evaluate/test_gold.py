"""Loss and rank of true answers, against sums made by hand from the logits."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny import VOCAB_ROWS, draw_examples, draw_prompt, one_each

from jaxprompt.evaluate.gold import make_gold, summarise
from jaxprompt.prompts.join import prompted_logits

END = 1


@pytest.fixture(scope="module")
def batch():
    return one_each(draw_examples(0, 6))


@pytest.fixture(scope="module")
def logits(tiny, batch):
    params = tiny.join(draw_prompt(1))
    found = jax.jit(prompted_logits, static_argnums=0)(tiny.backbone, params, batch)
    return np.asarray(found, np.float64)


@pytest.fixture(scope="module")
def found(tiny, batch):
    return make_gold(tiny.backbone, END)(tiny.join(draw_prompt(1)), batch)


def test_the_loss_is_of_the_answer_without_its_end(batch, logits, found):
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    for row, ids in enumerate(batch.targets):
        answer = [i for i in ids if i not in (0, END)]
        nats = -sum(log_probs[row, place, i] for place, i in enumerate(answer))
        assert found[row, 0] == pytest.approx(nats, rel=1e-4)
        assert found[row, 1] == len(answer)


def test_the_rank_is_the_first_tokens_place_in_the_order_of_logits(
    batch, logits, found
):
    order = np.argsort(-logits[:, 0], axis=-1)
    places = [
        1 + order[row].tolist().index(ids[0]) for row, ids in enumerate(batch.targets)
    ]
    assert found[:, 2].tolist() == places
    assert len(set(places)) > 3
    assert max(places) <= VOCAB_ROWS


def test_the_likeliest_token_has_rank_one(tiny, batch, logits):
    targets = np.array(batch.targets)
    targets[:, 0] = logits[:, 0].argmax(axis=-1)
    likely = dataclasses.replace(batch, targets=targets)
    rank = make_gold(tiny.backbone, END)(tiny.join(draw_prompt(1)), likely)[:, 2]
    assert jax.device_get(rank).tolist() == [1.0] * 6


def test_what_every_answer_begins_with_does_not_count(tiny, batch, logits):
    params, targets = tiny.join(draw_prompt(1)), np.array(batch.targets)
    targets[:, 0] = 7
    opened = dataclasses.replace(batch, targets=targets)
    measure = make_gold(tiny.backbone, END, opening=1)
    # Of nothing but the first token the answers differ, and of these not at all.
    found = jax.device_get(measure(params, opened))
    assert np.array_equal(found, jax.device_get(measure(params, batch)))
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    for row, (_, *ids) in enumerate(batch.targets):
        answer = [(place, i) for place, i in enumerate(ids, 1) if i not in (0, END)]
        nats = -sum(log_probs[row, place, i] for place, i in answer)
        order = np.argsort(-logits[row, 1]).tolist()
        assert found[row, 0] == pytest.approx(nats, rel=1e-4)
        assert found[row, 1:].tolist() == [len(answer), 1 + order.index(ids[0])]


def test_the_summary_is_over_tokens_for_the_loss_and_over_rows_for_ranks():
    rows = np.array([[3.0, 1, 1], [1.0, 3, 10], [4.0, 4, 11], [0.0, 0, 200]])
    assert summarise(rows) == {
        "gold_loss": 1.0,
        "gold_mrr": pytest.approx(25 * (1 + 1 / 10 + 1 / 11 + 1 / 200)),
        "gold_recall_1": 25.0,
        "gold_recall_10": 50.0,
        "gold_recall_100": 75.0,
    }


def test_answers_without_a_token_have_no_loss():
    assert summarise(np.array([[0.0, 0, 1], [0.0, 0, 2]]))["gold_loss"] == 0
