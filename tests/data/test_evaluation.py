"""Scores: t5's metrics are sklearn's numbers; majority and illegal shares."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.batches import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.soft_ids import prefix

LENGTHS = Lengths(inputs=40, targets=20)
SOFT_IDS = prefix(num_rows=500, length=3)


@pytest.fixture(scope="module")
def cb(official: Path, vocabulary):
    return load_task("cb", vocabulary=vocabulary, data_dir=official)


def constant_rows(evaluation, ids_BL):
    """A model that answers row i of the split with row i of `ids_BL`."""
    answers = {
        tuple(batch.inputs[0][batch.input_segments[0] > 0]): ids_BL[number]
        for batch, (number,) in evaluation.batches(1)
    }
    nothing = np.full(ids_BL.shape[1], NO_TOKEN, np.int32)
    return lambda batch: np.stack(
        [
            answers.get(tuple(ids[segments > 0]), nothing)
            for ids, segments in zip(batch.inputs, batch.input_segments, strict=True)
        ]
    )


def test_metrics_are_sklearns(cb):
    evaluation = EvaluationSet(Sample(cb, "validation", LENGTHS, SOFT_IDS))
    labels = cb.label_ids(20)
    answers = np.array([0, 2, 2, 1])
    scores = evaluation.score(constant_rows(evaluation, labels[answers]), batch_size=3)
    targets = evaluation.targets
    assert targets == [0, 2, 1, 0]
    f1 = sklearn.metrics.f1_score(
        targets, answers, average="macro", labels=[0, 1, 2], zero_division=0
    )
    accuracy = sklearn.metrics.accuracy_score(targets, answers)
    assert scores.metrics == pytest.approx(
        {"mean_3class_f1": 100 * f1, "accuracy": 100 * accuracy}
    )
    assert scores.score == pytest.approx(50 * (f1 + accuracy))
    assert scores.predictions == [cb.labels[i] for i in answers]
    assert scores.illegal == 0.0
    # The same object scores again, with other predictions.
    again = evaluation.score(constant_rows(evaluation, labels[targets]), batch_size=4)
    assert again.metrics == {"mean_3class_f1": 100.0, "accuracy": 100.0}


def test_text_that_is_no_label_is_illegal_and_wrong(cb, vocabulary):
    evaluation = EvaluationSet(Sample(cb, "validation", LENGTHS, SOFT_IDS))
    ids = np.full((4, 20), NO_TOKEN, np.int32)
    labels = cb.label_ids(20)[[0, 2, 1, 0]]
    ids[:, : labels.shape[1]] = labels
    words = [*vocabulary.encode("maybe"), 1]
    ids[1] = NO_TOKEN
    ids[1, : len(words)] = words
    scores = evaluation.score(constant_rows(evaluation, ids), batch_size=2)
    assert scores.predictions[1] == "maybe"
    assert scores.illegal == 0.25
    assert scores.metrics["accuracy"] == 75.0


def test_batches_hold_every_row_and_are_filled_up(cb, vocabulary):
    evaluation = EvaluationSet(Sample(cb, "validation", LENGTHS, SOFT_IDS))
    batches = list(evaluation.batches(3))
    numbers = np.concatenate([some.numbers for some in batches])
    assert sorted(numbers) == [-1, -1, 0, 1, 2, 3]
    last = batches[-1][0]
    assert last.inputs.shape[0] == 3
    assert not last.inputs[1:].any()
    assert not last.weights[1:].any()
    texts = [
        vocabulary.decode(row[3:].tolist())
        for some in batches
        for row in some.batch.inputs[: some.num_examples]
    ]
    assert [texts[place] for place in np.argsort(numbers[:4])] == [
        f"hypothesis: wet premise: rain {i}" for i in range(4)
    ]
    seen = []
    evaluation.score(
        lambda batch: batch.targets, 3, progress=lambda count, _: seen.append(count)
    )
    assert seen == [3, 1]
    with pytest.raises(ValueError, match="batch size 0: use 1 or more"):
        list(evaluation.batches(0))


def test_majority_of_the_real_sst2(shared: Path):
    vocabulary = load_vocabulary(shared / "data" / "vocab" / "t5")
    task = load_task("sst2", vocabulary=vocabulary, data_dir=shared / "data")
    evaluation = EvaluationSet(
        Sample(task, "validation", Lengths(64, 4), prefix(32128, 5))
    )
    majority = evaluation.majority()
    assert majority.score == pytest.approx(50.9174, abs=1e-4)
    assert set(majority.predictions) == {"positive"}
    assert majority.illegal == 0.0
    perfect = evaluation.score(lambda batch: batch.targets, 100)
    assert perfect.metrics == {"accuracy": 100.0}


def test_majority_ties_go_to_the_first_label(vocabulary, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("q,a\nx,no\ny,yes\nz,yes\nw,no\n")
    options = {"files": tmp_path / "rows.csv", "inputs": "{q}", "target": "a"}
    task = file_task(
        "tie", labels={"yes": "yes", "no": "no"}, vocabulary=vocabulary, **options
    )
    majority = EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS)).majority()
    assert set(majority.predictions) == {"yes"}
    free = file_task("free", vocabulary=vocabulary, **options)
    majority = EvaluationSet(Sample(free, "train", LENGTHS, SOFT_IDS)).majority()
    assert set(majority.predictions) == {"no"}
    assert majority.score == 50.0
    assert majority.illegal == 0.0


def test_truth_is_not_truncated(vocabulary, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("q,a\nx,the rain and the stove\n")
    task = file_task(
        "free",
        files=tmp_path / "rows.csv",
        inputs="{q}",
        target="a",
        vocabulary=vocabulary,
    )
    evaluation = EvaluationSet(Sample(task, "train", Lengths(10, 3), SOFT_IDS))
    assert evaluation.texts == ["the rain and the stove"]
    assert evaluation.targets == [["the rain and the stove"]]  # All right answers.
    assert evaluation.score(lambda batch: batch.targets, 1).score == 0.0


def test_num_examples_is_the_same_subset_every_time(official: Path, vocabulary):
    task = load_task("sst2", vocabulary=vocabulary, data_dir=official)
    whole = EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS))
    some, again = (
        EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS, num_examples=7))
        for _ in range(2)
    )
    assert (whole.num_examples, some.num_examples) == (20, 7)
    head, ours, theirs = (next(e.batches(7))[0].inputs for e in (whole, some, again))
    np.testing.assert_array_equal(ours, theirs)
    # Not the head of the file, which may be sorted by label.
    assert (ours != head).any()
    with pytest.raises(ValueError, match="0 examples: use 1 or more, or None"):
        EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS, num_examples=0))


def test_splits_that_cannot_be_scored(official: Path, vocabulary):
    task = load_task("sst2", vocabulary=vocabulary, data_dir=official)
    with pytest.raises(ValueError, match="split 'test' of task sst2 has no labels"):
        EvaluationSet(Sample(task, "test", LENGTHS, SOFT_IDS))
    with pytest.raises(ValueError, match="no split 'dev' in task sst2: it has train"):
        EvaluationSet(Sample(task, "dev", LENGTHS, SOFT_IDS))


def test_a_class_that_is_nowhere_needs_no_warning(cb):
    evaluation = EvaluationSet(
        Sample(cb, "validation", LENGTHS, SOFT_IDS, num_examples=1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluation.majority().metrics["accuracy"] == 100.0
