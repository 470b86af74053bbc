"""Metrics of splits that lack a class or vary in nothing: no surprise, and no NaN."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from official_rows import write_official

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import LABEL_METRICS, METRICS, file_task
from jaxprompt.evaluate.evaluation_set import EvaluationSet

LENGTHS = Lengths(inputs=40, targets=20)
NO_PROMPT = np.zeros(0, np.int32)


def labelled(
    targets: str, labels: str, metrics: list[str], tmp_path: Path, vocabulary
) -> EvaluationSet:
    """The split whose rows have these one-letter labels, in order."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"q": "x", "a": a}) + "\n" for a in targets))
    task = file_task(
        "own",
        files=path,
        inputs="{q}",
        target="a",
        labels={label: label for label in labels},
        metrics=metrics,
        vocabulary=vocabulary,
    )
    return EvaluationSet(Sample(task, "train", LENGTHS, NO_PROMPT))


@pytest.mark.parametrize(
    ("targets", "predictions"),
    [("aab", "aab"), ("aab", "aba"), ("aab", "aac"), ("aaa", "aaa"), ("abc", "abc")],
)
def test_mean_f1_is_of_the_classes_that_are_there(
    targets, predictions, tmp_path: Path, vocabulary
):
    rows = labelled(targets, "abcd", ["mean_multiclass_f1"], tmp_path, vocabulary)
    # As scikit-learn has it, where nobody names the labels.
    expected = sklearn.metrics.f1_score([*targets], [*predictions], average="macro")
    found = rows.score_texts([*predictions]).metrics
    assert found == {"mean_4class_f1": pytest.approx(100 * expected)}
    if targets == predictions:
        assert rows.perfect().score == 100


def test_a_prediction_that_is_no_class_is_none_of_its_own(tmp_path, vocabulary):
    rows = labelled("aabb", "abc", ["mean_multiclass_f1"], tmp_path, vocabulary)
    a, b = sklearn.metrics.f1_score([0, 0, 1, 1], [0, 9, 1, 1], average=None)[:2]
    assert rows.score_texts(["a", "?", "b", "b"]).score == pytest.approx(50 * (a + b))


def test_a_label_that_no_row_has_is_told(tmp_path: Path, vocabulary):
    rows = labelled("aab", "abc", ["mean_multiclass_f1"], tmp_path, vocabulary)
    assert rows.limits() == ["no row of split 'train' has the label c, of 3 labels"]


def test_cb_keeps_the_mean_over_its_three_classes(official: Path, vocabulary):
    task = load_task("cb", vocabulary=vocabulary, data_dir=official)
    whole = EvaluationSet(Sample(task, "validation", LENGTHS, NO_PROMPT))
    assert (whole.perfect().score, whole.limits()) == (100, [])
    # Of one row SuperGLUE's metric sees one class of three; and so it is said.
    one = EvaluationSet(Sample(task, "validation", LENGTHS, NO_PROMPT, num_examples=1))
    assert one.perfect().metrics["mean_3class_f1"] == pytest.approx(100 / 3)
    _, said = one.limits()
    assert said == "right answers score mean_3class_f1 33.3, not 100, on split " + (
        "'validation'"
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("metric", "scikit", "targets"),
    [
        ("f1_score_with_invalid", sklearn.metrics.f1_score, "aaa"),
        ("f1_score_with_invalid", sklearn.metrics.f1_score, "bbb"),
        ("matthews_corrcoef", sklearn.metrics.matthews_corrcoef, "aaa"),
        ("matthews_corrcoef", sklearn.metrics.matthews_corrcoef, "bbb"),
        ("accuracy", sklearn.metrics.accuracy_score, "bbb"),
    ],
)
def test_one_class_is_scored_as_by_scikit_learn_and_told(
    metric, scikit, targets, tmp_path: Path, vocabulary
):
    rows = labelled(targets, "ab", [metric], tmp_path, vocabulary)
    for predictions in ("aaa", "bbb", "aba"):
        ours = rows.score_texts([*predictions]).score
        numbers = [["ab".index(x) for x in texts] for texts in (targets, predictions)]
        assert ours == pytest.approx(100 * scikit(*numbers))
    # Where right answers do not score 100, this is said before anything is trained.
    perfect = rows.perfect().score
    said = " ".join(rows.limits())
    assert (perfect < 100) == (f"{perfect:.1f}, not 100" in said)
    assert f"has the label {'b' if targets == 'aaa' else 'a'}, of 2 labels" in said


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", ["matthews_corrcoef", "mcc"])
def test_a_split_of_one_label_that_is_predicted_needs_no_warning(
    metric, tmp_path: Path, vocabulary
):
    rows = labelled("aaa", "ab", [metric], tmp_path, vocabulary)
    assert rows.score_texts([*"aaa"]).metrics == {metric: 0.0}


def test_correlations_are_numbers_whatever_is_predicted(tmp_path, vocabulary):
    write_official("stsb", tmp_path)
    task = load_task("stsb", vocabulary=vocabulary, data_dir=tmp_path)
    rows = EvaluationSet(Sample(task, "validation", LENGTHS, NO_PROMPT))
    targets = rows.targets
    for texts in (["nan", "inf"], ["1", "1"], ["-inf", "what"], ["", ""]):
        found = rows.score_texts(texts).metrics
        assert found == {"pearson_corrcoef": 0, "spearman_corrcoef": 0}, texts
    # "nan" is no number, and counts as t5 counts a text: as -1.
    found = rows.score_texts(["nan", "3"]).metrics
    pearson, _ = scipy.stats.pearsonr(targets, [-1, 3])
    assert found["pearson_corrcoef"] == pytest.approx(100 * pearson)
    assert rows.score_texts(rows.texts).score == pytest.approx(100)


def test_answers_without_words(tmp_path: Path, vocabulary):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"a": a}) + "\n" for a in ("the", ",", "rain")))
    task = file_task(
        "own",
        files=path,
        inputs="x",
        target="a",
        metrics=["squad"],
        vocabulary=vocabulary,
    )
    rows = EvaluationSet(Sample(task, "train", LENGTHS, NO_PROMPT))
    assert rows.perfect().metrics == {"em": 100, "f1": pytest.approx(100)}
    assert rows.score_texts(["rain", "the rain", "stove"]).metrics == {"em": 0, "f1": 0}
    assert rows.limits() == ["empty answers score em 66.7, f1 66.7, not 0, on split "
                             "'train'"]  # fmt: skip


def test_answers_too_short_for_a_metric_are_told(tmp_path: Path, vocabulary):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"a": "rain"}) + "\n")
    task = file_task(
        "own",
        files=path,
        inputs="x",
        target="a",
        metrics=["bleu", "rouge"],
        vocabulary=vocabulary,
    )
    rows = EvaluationSet(Sample(task, "train", LENGTHS, NO_PROMPT))
    assert rows.limits() == [
        "right answers score bleu 0.0, rouge2 0.0, not 100, on split 'train'"
    ]


def test_every_prediction_is_compared(tmp_path: Path, vocabulary):
    rows = labelled("ab", "ab", ["accuracy"], tmp_path, vocabulary)
    for texts in ([], ["a"], ["a", "b", "a"]):
        with pytest.raises(ValueError, match=f"{len(texts)} predictions for 2 rows of"):
            rows.score_texts(texts)


def test_a_metric_that_is_no_number_is_an_error(tmp_path, vocabulary, monkeypatch):
    made = {"accuracy": lambda targets, predictions: {"accuracy": float("nan")}}
    monkeypatch.setattr("jaxprompt.data.tasks.own.METRICS", {**METRICS, **made})
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"a": "rain"}) + "\n")
    task = file_task("own", files=path, inputs="x", target="a", vocabulary=vocabulary)
    rows = EvaluationSet(Sample(task, "train", LENGTHS, NO_PROMPT))
    with pytest.raises(
        ValueError, match="accuracy of task own on split 'train' is nan"
    ):
        rows.perfect()


def test_all_label_metrics_give_right_answers_the_most(tmp_path: Path, vocabulary):
    rows = labelled("abba", "ab", list(LABEL_METRICS), tmp_path, vocabulary)
    assert set(rows.perfect().metrics.values()) == {100.0}
    assert rows.limits() == []


def test_rouge_is_the_same_number_every_time(tmp_path: Path, vocabulary):
    words = ["rain", "the rain", "a stove", "nobody minds"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"a": word}) + "\n" for word in words))
    options = {"inputs": "x", "target": "a", "metrics": ["rouge"]}
    task = file_task("own", files=path, vocabulary=vocabulary, **options)
    rows = EvaluationSet(Sample(task, "train", LENGTHS, NO_PROMPT))
    first, again = (rows.score_texts(["the rain"] * 4).metrics for _ in range(2))
    assert first == again
