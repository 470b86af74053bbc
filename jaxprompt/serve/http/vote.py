"""Several prompts that answer one question together: which answer has most votes."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

TOGETHER = "+"
"""What stands between the names of prompts that vote; no name holds it."""


class Vote(NamedTuple):
    """What voters chose.

    Attributes:
        winner: Number of the first voter whose answer has most votes.
        counts: Answer -> its votes, the most first.
    """

    winner: int
    counts: dict[str, int]


def vote(answers: Sequence[str]) -> Vote:
    """Counts votes; of answers with as many, the one of the earlier voter wins.

    Source: Lester et al. 2021, sec. 6 (arXiv:2104.08691).
    """
    counts = collections.Counter(answers)
    # The order of equal counts is that of their first votes.
    ordered = dict(counts.most_common())
    return Vote(answers.index(next(iter(ordered))), ordered)
