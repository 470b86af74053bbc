"""What was measured of a bank, as result.json holds it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.report.pages.page import ShownExample
from jaxprompt.report.results.answers import Answered

MEANS = ("score", "majority", "untuned", "illegal", "untuned_illegal")
"""Fields of a member whose mean stands for the bank."""


class Measured(NamedTuple):
    """Scores, or losses, of what was trained.

    Attributes:
        members: Of each member of the bank in order, or of each task of a tuned model.
        votes: Of each task with two or more members, what their majority vote scores.
        examples: A few answers to show.
        answers: Of each task, all rows that were scored and their answers.
    """

    members: Sequence[dict[str, Any]]
    votes: Sequence[Mapping[str, Any]] = ()
    examples: Sequence[ShownExample] = ()
    answers: Sequence[Answered] = ()


def result_of(measured: Measured, name: str) -> dict[str, Any]:
    """Lays out one member flat; of several, their means, and each under "members".

    Args:
        measured: What was measured.
        name: What to call several tasks together.
    """
    if len(measured.members) == 1:
        return dict(measured.members[0])
    members, first = measured.members, measured.members[0]
    result: dict[str, Any] = {
        "task": first["task"] if _one(members, "task") else name,
        "split": first["split"],
        "examples": sum(
            {member["task"]: member["examples"] for member in members}.values()
        ),
        "metric": first["metric"] if _one(members, "metric") else "mean of each task's",
        **{
            field: float(np.mean([member[field] for member in members]))
            for field in MEANS
            if field in first
        },
        "backbone": first["backbone"],
        "members": list(members),
    }
    return {**result, "votes": list(measured.votes)} if measured.votes else result


def _one(members: Sequence[Mapping[str, Any]], field: str) -> bool:
    return len({member[field] for member in members}) == 1
