"""Ranking gives each label the log-probability that teacher forcing gives it."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from byte_vocabulary import byte_vocabulary
from tiny import (
    CONFIG,
    Example,
    draw_examples,
    draw_prompt,
    make_tiny,
    one_each,
    to_batch,
)

from jaxprompt.data.tasks.own import file_task
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.evaluate.score import make_predict
from jaxprompt.prompts.join import prompted_logits

LABELS = np.array([[5, 1, -1, -1], [9, 0, 1, -1], [3, 7, 20, 1]], np.int32)


def test_a_label_scores_the_sum_of_its_tokens(tiny):
    inputs = [example.inputs for example in draw_examples(0, 4)]
    params = tiny.join(draw_prompt(0))
    # The targets of the batch are not looked at.
    batch = one_each(draw_examples(0, 4))
    rank = jax.jit(functools.partial(rank_labels, tiny.backbone))
    scores = rank(params, batch, LABELS)
    assert scores.shape == (4, 1, 3)

    logits = jax.jit(prompted_logits, static_argnums=0)
    expected = np.zeros((4, 3))
    for c, label in enumerate(LABELS):
        forced = one_each([Example(ids, label[label >= 0]) for ids in inputs])
        log_probs = jax.nn.log_softmax(logits(tiny.backbone, params, forced))
        for b in range(4):
            for place, token in enumerate(label[label >= 0]):
                expected[b, c] += log_probs[b, place, token]
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-5)
    assert (expected < -1).all()


def test_packed_examples_score_as_they_do_alone(tiny):
    """Two to a row, in rows of two members; one row has one."""
    params = tiny.join(draw_prompt(0, members=2))
    examples = [*draw_examples(0, 3), *draw_examples(1, 2, member=1)]
    rank = jax.jit(
        functools.partial(rank_labels, tiny.backbone), static_argnames="examples"
    )
    alone = rank(params, one_each(examples), LABELS)[:, 0]
    a, b, c, d, e = examples
    packed = to_batch([[a, b], [e, d], [c]], inputs=20, targets=10)
    scores = rank(params, packed, LABELS, examples=2)
    assert scores.shape == (3, 2, 3)
    found = [scores[0, 0], scores[0, 1], scores[2, 0], scores[1, 1], scores[1, 0]]
    np.testing.assert_allclose(np.stack(found), alone, atol=1e-5)
    assert np.abs(alone[0] - alone[3]).max() > 0.01


@pytest.mark.parametrize("score", ["sum", "mean"])
def test_a_class_is_chosen_by_all_of_its_words(score):
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=264))
    letters = [chr(97 + number) for number in range(13)]
    labels = {"0": letters[:-1], "1": letters[-1]}
    task = file_task(
        "own",
        files={},
        inputs="{text}",
        target="label",
        labels=labels,
        vocabulary=byte_vocabulary(),
        word_score=score,
    )
    batch = one_each(draw_examples(0, 12))
    params = tiny.join(draw_prompt(0))
    words = task.word_ids(2)
    scores = np.asarray(rank_labels(tiny.backbone, params, batch, words))[:, 0]
    probabilities = np.exp(scores)
    combined = {"sum": np.sum, "mean": np.mean}[score](probabilities[:, :-1], axis=1)
    expected = np.where(combined > probabilities[:, -1], letters[0], letters[-1])
    predict = make_predict(tiny.backbone, task, method="rank", length=2)
    assert task.decode(np.asarray(predict(params, batch))) == expected.tolist()
    if score == "sum":  # Twelve words are likelier than one.
        assert set(expected) == {letters[0]}
