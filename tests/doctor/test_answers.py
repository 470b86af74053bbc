"""Label words, cut examples, collapsed answers and scores of no use are found out."""

import pytest
from cases import VOCABULARY

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.coverage import Coverage
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.doctor.answers import (
    check_collapse,
    check_labels,
    check_majority,
    check_reach,
    check_truncation,
    check_unknown,
)
from jaxprompt.doctor.finding import Finding
from jaxprompt.evaluate.evaluation_set import Scores


def labels(negative: str, positive: str) -> Finding:
    words = {"negative": negative, "positive": positive}
    return check_labels(
        load_task(
            "sst2",
            data_dir="bundled:mini",
            vocabulary=VOCABULARY,
            label_words=words,
        )
    )


def test_label_words_are_one_token_each():
    finding = labels("bad", "good")
    assert (finding.verdict, finding.number) == ("ok", 1)


def test_label_words_of_several_pieces_are_told():
    size = len(VOCABULARY.encode("bad bad bad"))
    finding = labels("bad bad bad", "good")
    assert (finding.verdict, finding.number) == ("warning", size)
    assert f"'bad bad bad' ({size}) take several tokens" in finding.says
    assert "same token" not in finding.says


def test_label_words_that_begin_alike_are_told():
    finding = labels("good", "good man")
    assert finding.verdict == "warning"
    assert "'good', 'good man' begin with the same token" in finding.says


def test_label_words_that_the_vocabulary_lacks_are_told():
    finding = labels("☂", "good")
    assert finding.verdict == "warning"
    assert "'☂' hold the unknown token" in finding.says


def test_free_text_has_no_label_words():
    task = load_task("squad", data_dir=None, vocabulary=VOCABULARY)
    assert check_labels(task).verdict == "skipped"


@pytest.mark.parametrize(
    ("inputs", "targets", "verdict", "advice"),
    [
        (0.0, 0.0, "ok", ""),
        (0.2, 0.0, "warning", "Raise INPUT_LENGTH."),
        (0.0, 0.05, "warning", "Raise TARGET_LENGTH."),
        (0.8, 0.0, "wrong", "Raise INPUT_LENGTH."),
        (0.2, 0.3, "wrong", "Raise INPUT_LENGTH and TARGET_LENGTH."),
    ],
)
def test_cut_examples_are_told(inputs, targets, verdict, advice):
    share = Coverage(1000, inputs, targets, 0.0, 0.0)
    finding = check_truncation(share, Lengths(inputs=64, targets=2))
    assert (finding.verdict, finding.number) == (verdict, max(inputs, targets))
    assert advice in finding.says


@pytest.mark.parametrize(
    ("inputs", "targets", "verdict"),
    [
        (0.0, 0.0, "ok"),
        (0.01, 0.0, "ok"),
        (0.9, 0.0, "warning"),
        (0.0, 0.001, "warning"),
        (0.0, 0.2, "wrong"),
    ],
)
def test_unknown_characters_are_told(inputs, targets, verdict):
    found = check_unknown(Coverage(1000, 0, 0, inputs, targets, "rows.csv:3: 'a < b'"))
    assert (found.verdict, found.number) == (verdict, max(inputs, targets))
    assert "The first: rows.csv:3: 'a < b'" in found.says
    assert ("The model reads <unk>" in found.says) == (verdict != "ok")


def test_a_score_that_right_answers_do_not_reach_is_told():
    assert check_reach(100.0, []).verdict == "ok"
    found = check_reach(87.5, ["right answers score 87.5", "no row has 'c'"])
    assert (found.verdict, found.number) == ("warning", 87.5)
    assert found.says == "Right answers score 87.5; no row has 'c'."


def scores(predictions: list[str], score: float = 50.0, illegal: float = 0) -> Scores:
    return Scores({"accuracy": score}, score, predictions, illegal)


def test_one_answer_to_all_is_a_collapse():
    finding = check_collapse(scores(["bad"] * 4), ["bad", "good", "bad", "good"])
    assert (finding.verdict, finding.number) == ("wrong", 1)
    assert "All 4 examples get the answer 'bad'" in finding.says
    varied = check_collapse(scores(["bad"] * 3 + ["good"]), ["bad", "good"] * 2)
    assert (varied.verdict, varied.number) == ("ok", 0.75)
    # A sample of one class asks for one answer.
    assert check_collapse(scores(["bad"] * 4), ["bad"] * 4).verdict == "ok"


def test_a_score_must_be_over_the_majority():
    majority = scores(["bad"] * 4, 50.0)
    assert check_majority(scores(["bad"] * 4, 75.0), majority).verdict == "ok"
    for score in (50.0, 25.0):
        finding = check_majority(scores(["bad"] * 4, score), majority)
        assert (finding.verdict, finding.number) == ("wrong", score - 50)
        assert "no label word" not in finding.says
    illegal = check_majority(scores(["?"] * 4, 0.0, illegal=1.0), majority)
    assert "100.0% of its answers are no label word" in illegal.says
    assert "Rank the label words" in illegal.says
