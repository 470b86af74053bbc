"""Whether a score tells anything: what an answer without reading would have, too."""

from collections.abc import Mapping
from typing import Any

_DEVIATIONS = 2
"""Standard errors above the majority class within which a score is at chance."""


def margin_above(majority: float, examples: int) -> float:
    """Returns how far above the most frequent answer an accuracy is above chance.

    Args:
        majority: Accuracy of the most frequent answer, 0 to 100.
        examples: How many were scored.

    Returns:
        Two standard errors of a share of this size among so many, in points.
    """
    share = majority / 100
    return 100 * _DEVIATIONS * (share * (1 - share) / examples) ** 0.5


def chance_notes(result: Mapping[str, Any]) -> list[str]:
    """Says which accuracies are not above that of the most frequent answer.

    Args:
        result: The content of a result.json.

    Returns:
        A sentence for each such member. An accuracy counts as above it by more than two
        standard errors of a share of this size among so many examples.
    """
    notes = []
    for member in result.get("members", [result]):
        if member["metric"] != "accuracy":
            continue
        count = member["examples"]
        margin = margin_above(member["majority"], count)
        if member["score"] <= member["majority"] + margin:
            notes.append(
                f"{member['task']}, seed {member['seed']}: accuracy "
                f"{member['score']:.1f} is at chance: the most frequent answer has "
                f"{member['majority']:.1f}, and two standard errors of it on {count} "
                f"examples are {margin:.1f}, so it has learnt nothing that shows"
            )
    return notes
