"""The majority vote of an ensemble of prompts."""

import collections
from collections.abc import Sequence


def majority_vote(answers: Sequence[Sequence[str]]) -> list[str]:
    """Takes for each row the answer that most members give.

    Of answers with as many votes, the one wins whose first voter comes first in the
    ensemble: the order of the members decides, never the order of the label words. Two
    members that differ are thus answered by the first.

    Args:
        answers: Of each member, one text for each row.

    Returns:
        One text for each row.

    Raises:
        ValueError: If there are no members, or they answer different numbers of rows.

    Source: Lester et al. 2021, sec. 6 (arXiv:2104.08691), which leaves ties open.
    """
    if len({len(texts) for texts in answers}) != 1:
        counts = ", ".join(str(len(texts)) for texts in answers)
        raise ValueError(
            f"members with answers to {counts or 'no'} rows: an ensemble needs one or "
            "more members, and all of them answer every row"
        )
    # A counter lists equal counts in the order of their first votes.
    return [
        collections.Counter(votes).most_common(1)[0][0]
        for votes in zip(*answers, strict=True)
    ]
