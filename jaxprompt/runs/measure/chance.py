"""Whether a score tells anything: what an answer without reading would have, too."""

from collections.abc import Mapping
from typing import Any

_DEVIATIONS = 2
"""Standard errors above the majority class within which a score is at chance."""


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
        share, count = member["majority"] / 100, member["examples"]
        margin = 100 * _DEVIATIONS * (share * (1 - share) / count) ** 0.5
        if member["score"] <= member["majority"] + margin:
            notes.append(
                f"{member['task']}, seed {member['seed']}: accuracy "
                f"{member['score']:.1f} is at chance: the most frequent answer has "
                f"{member['majority']:.1f}, and two standard errors of it on {count} "
                f"examples are {margin:.1f}, so it has learnt nothing that shows"
            )
    return notes
