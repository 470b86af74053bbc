"""What answers say: each label's scores, which is taken for which, the mistakes."""

import math

import numpy as np
import sklearn.metrics

from jaxprompt.report.results.answers import (
    OTHER,
    Answered,
    class_cells,
    confusion_cells,
    surprising_mistakes,
    worst_mistakes,
)

LABELS = ("bad", "good", "so so")


def answered(*predicted: list[str], expected: list[str], labels=LABELS) -> Answered:
    return Answered(
        task="reviews",
        places=[f"rows.csv:{n + 2}" for n in range(len(expected))],
        inputs=[f"text {n}" for n in range(len(expected))],
        expected=expected,
        predicted=predicted,
        right=[[a == b for a, b in zip(x, expected, strict=True)] for x in predicted],
        seeds=range(len(predicted)),
        labels=labels,
    )


def test_labels_score_as_scikit_learn_has_it():
    draw = np.random.default_rng(0)
    true, found = draw.choice([*LABELS], (2, 300)).tolist()
    found[:9] = ["no label"] * 9
    rows = answered(found, expected=true)
    header, cells = class_cells(rows) or ([], [])
    assert header == ["label", "rows", "precision", "recall", "F1"]
    theirs = sklearn.metrics.precision_recall_fscore_support(true, found, labels=LABELS)
    for place, (label, count, *shares) in enumerate(cells):
        assert label == LABELS[place]
        assert count == theirs[3][place]
        np.testing.assert_allclose(shares, [100 * x[place] for x in theirs[:3]])
    names, matrix = confusion_cells(rows) or ([], [])
    assert names == ["expected", *LABELS, OTHER]
    square = sklearn.metrics.confusion_matrix(true, found, labels=LABELS)
    np.testing.assert_array_equal([row[1:4] for row in matrix], square)
    assert sum(int(str(row[-1])) for row in matrix) == 9


def test_a_label_that_nobody_says_has_no_precision_and_free_text_no_labels():
    rows = answered(["bad", "bad"], expected=["bad", "good"])
    assert (class_cells(rows) or ([], []))[1][1] == ["good", 1, None, 0.0, 0.0]
    assert (class_cells(rows) or ([], []))[1][2] == ["so so", 0, None, None, None]
    free = answered(["a"], expected=["b"], labels=())
    assert class_cells(free) is None
    assert confusion_cells(free) is None
    many = answered(["1"], expected=["1"], labels=tuple(map(str, range(30))))
    assert confusion_cells(many) is None


def test_the_worst_mistakes_are_those_of_most_prompts_and_of_every_kind():
    expected = ["bad"] * 6 + ["good", "so so"]
    first = ["bad", "good", "good", "good", "bad", "bad", "bad", "so so"]
    second = ["bad", "good", "good", "bad", "bad", "bad", "bad", "so so"]
    found = worst_mistakes(answered(first, second, expected=expected), 3)
    assert [(one.place, one.expected, one.predicted, one.wrong) for one in found] == [
        ("rows.csv:3", "bad", "good", 2),
        ("rows.csv:8", "good", "bad", 2),
        ("rows.csv:4", "bad", "good", 2),
    ]
    every = worst_mistakes(answered(first, second, expected=expected), 10)
    assert [one.wrong for one in every] == [2, 2, 2, 1]
    assert worst_mistakes(answered(expected, expected=expected), 3) == []


def test_a_mistake_is_worse_the_less_likely_its_true_answer_was():
    rows = answered(["bad", "good", "good"], expected=["good", "good", "bad"])
    found = surprising_mistakes(rows, [math.log(4), 9.0, math.log(50)], 5)
    assert [one.place for one, _ in found] == ["rows.csv:4", "rows.csv:2"]
    np.testing.assert_allclose([share for _, share in found], [0.02, 0.25])
