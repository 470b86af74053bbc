"""The majority vote, and how it breaks ties."""

import pytest

from jaxprompt.evaluate.vote import majority_vote


def test_most_votes_win():
    answers = [["a", "b", "c"], ["a", "b", "x"], ["b", "a", "c"]]
    assert majority_vote(answers) == ["a", "b", "c"]


def test_a_tie_goes_to_the_answer_that_was_given_first():
    """By the order of the members, whatever the words are."""
    assert majority_vote([["no"], ["yes"]]) == ["no"]
    assert majority_vote([["yes"], ["no"]]) == ["yes"]
    tied = [["z"], ["b"], ["a"], ["b"], ["a"]]
    assert majority_vote(tied) == ["b"]


def test_one_member_votes_alone():
    assert majority_vote([["a", "b"]]) == ["a", "b"]


@pytest.mark.parametrize("answers", [[], [["a"], ["a", "b"]]])
def test_every_member_answers_every_row(answers):
    with pytest.raises(ValueError, match=r"members with answers to (no|1, 2) rows"):
        majority_vote(answers)
