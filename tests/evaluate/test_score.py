"""Predictions of every method, and the score beside its two baselines."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from byte_vocabulary import byte_vocabulary
from tiny import CONFIG, WIDTH, Tiny, draw_prompt, make_tiny

from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import file_task
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.evaluate.methods import METHODS
from jaxprompt.evaluate.score import evaluate, make_predict
from jaxprompt.models.t5.model import T5
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.prompts.soft_ids import prefix

ROWS, LENGTHS, WIDE = 264, Lengths(12, 4), Lengths(32, 4)
"""Two of the task's rows share one of the wide ones."""

"""Bytes are the vocabulary: 256, after three special ids, filled up to ROWS."""


@pytest.fixture(scope="module")
def large() -> Tiny:
    return make_tiny(dataclasses.replace(CONFIG, vocab_rows=ROWS))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Seven rows: five times "no", twice "yes"."""
    path = tmp_path_factory.mktemp("own") / "own.jsonl"
    rows = [{"text": f"row {n}", "label": int(n in (2, 4))} for n in range(7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file_task(
        "own",
        files={"validation": path},
        inputs="{text}",
        target="label",
        labels={"0": "no", "1": "yes"},
        vocabulary=byte_vocabulary(),
    )


def evaluation_set(task, length, lengths=LENGTHS):
    return EvaluationSet(Sample(task, "validation", lengths, prefix(ROWS, length)))


@pytest.mark.parametrize("method", METHODS)
def test_another_prompt_does_not_compile_again(large, task, caplog, method):
    predict = make_predict(large.backbone, task, method=method, length=4, beams=2)
    ((batch, numbers),) = evaluation_set(task, 3).batches(8)
    assert sorted(numbers) == [-1, *range(7)]
    prompts = [large.join(draw_prompt(seed)) for seed in range(2)]
    with jax.log_compiles():
        first = predict(prompts[0], batch)
        lines = len(caplog.messages)
        second = predict(prompts[1], batch)
    assert lines > 0
    assert not [line for line in caplog.messages[lines:] if "Compiling" in line]
    if method == "rank":
        labels = task.label_ids(4).tolist()
        assert all(row in labels for row in first.tolist())
    else:
        assert first.shape == second.shape == (8, 4)
        assert (first != second).any()


def test_the_score_stands_beside_majority_and_the_model_alone(large, task):
    predict = make_predict(large.backbone, task, method="greedy", length=4)
    params, done = large.join(draw_prompt(0)), []
    alone = {**params, "prompt": empty_prompt(WIDTH)}
    report = evaluate(
        predict,
        (evaluation_set(task, 3), params),
        (evaluation_set(task, 0), alone),
        batch_size=4,
        progress=lambda count, _: done.append(count),
    )
    assert done == [4, 3, 4, 3]
    assert report.majority.predictions == ["no"] * 7
    assert report.majority.score == pytest.approx(500 / 7)
    assert report.tuned[0].illegal == report.untuned.illegal == 1.0

    def texts(params, length):
        ((batch, numbers),) = evaluation_set(task, length).batches(7)
        return task.decode(predict(params, batch)[np.argsort(numbers)])

    assert report.tuned[0].predictions == texts(params, 3)
    assert report.untuned.predictions == texts(alone, 0)
    assert report.tuned[0].predictions != report.untuned.predictions


def test_rank_answers_labels_only(large, task):
    predict = make_predict(large.backbone, task, method="rank", length=4)
    params = large.join(draw_prompt(0))
    scores = evaluation_set(task, 3).score(lambda batch: predict(params, batch), 4)
    assert set(scores.predictions) <= {"no", "yes"}
    assert scores.illegal == 0


def test_packed_members_answer_as_they_do_alone(large, task):
    """Rows of two members share batches, and examples of one member share a row."""
    predict = make_predict(large.backbone, task, method="rank", length=4)
    params, rows = large.join(draw_prompt(0, members=2)), evaluation_set(task, 3, WIDE)
    assert next(rows.batches(4, (0, 1), pack=True)).numbers.shape[1] > 1
    found, expected = (
        rows.score_members(functools.partial(predict, params), 4, (0, 1), pack=pack)
        for pack in (True, False)
    )
    for one, other in zip(found, expected, strict=True):
        assert one.predictions == other.predictions


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_packed_rows_cannot_be_decoded(large, task, method):
    predict = make_predict(large.backbone, task, method=method, length=4)
    rows, params = evaluation_set(task, 3, WIDE), large.join(draw_prompt(0))
    answer = functools.partial(predict, params)
    with pytest.raises(ValueError, match=f"method '{method}' for . examples in a row"):
        rows.score_members(answer, 4, (0,), pack=True)


def test_impossible_options_are_refused(task):
    def make(**options):
        return make_predict(T5(CONFIG), task, **{"length": 4, **options})

    with pytest.raises(ValueError, match=r"unknown method 'sample'.*'greedy'"):
        make(method="sample")
    for options in ({"length": 0}, {"beams": 0}, {"alpha": -0.1}):
        ((name, value),) = options.items()
        with pytest.raises(ValueError, match=f"{name} {value}"):
            make(**options)
    with pytest.raises(ValueError, match=r"label 'yes' takes 4 tokens"):
        make(method="rank", length=3)
    free = dataclasses.replace(task, labels=None)
    with pytest.raises(ValueError, match="free text: it has no label words"):
        make_predict(T5(CONFIG), free, method="rank", length=4)
    assert np.array_equal(task.label_ids(4).shape, (2, 4))
