"""Two runs are compared on the same rows, by McNemar's exact test."""

import math

import pytest

from jaxprompt.report.results.paired import Paired, compare_answers


def by_hand(first: int, second: int) -> float:
    """Both tails of a fair coin, from its definition."""
    tosses, fewer = first + second, min(first, second)
    tail = sum(math.comb(tosses, k) for k in range(fewer + 1)) / 2**tosses
    return min(1.0, 2 * tail)


@pytest.mark.parametrize(("first", "second"), [(5, 12), (0, 6), (3, 3), (40, 20)])
def test_the_p_value_is_that_of_a_fair_coin(first: int, second: int):
    paired = Paired(30, first, second, 4)
    assert paired.p_value == pytest.approx(by_hand(first, second))
    assert paired.difference == pytest.approx(100 * (second - first) / paired.rows)


def test_rows_are_counted_and_said_in_words():
    first = [True] * 10 + [False] * 10
    second = [True] * 9 + [False] + [True] * 9 + [False]
    paired = compare_answers(first, second)
    assert paired == (9, 1, 9, 1)
    # By hand: the share's variance is (10 - 8 ** 2 / 20) / 20 ** 2.
    assert paired.margin == pytest.approx(196 * (6.8 / 400) ** 0.5)
    assert paired.verdict("a", "b").startswith("b is better")
    assert Paired(9, 1, 2, 1).verdict("a", "b").startswith("b has more right, but")
    assert Paired(9, 2, 1, 1).verdict("a", "b").startswith("a has more right, but")
    assert Paired(9, 2, 2, 1).verdict("a", "b") == "both answer as many rows right"
    assert Paired(9, 0, 0, 1).p_value == 1.0
    with pytest.raises(ValueError, match="no rows to compare"):
        compare_answers([], [])
