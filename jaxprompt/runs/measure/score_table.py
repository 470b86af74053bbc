"""The scores of a result.json as a table: of one prompt, or of a bank."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxprompt.report.text.table import Grid, grid_of

BASELINES = ("task", "metric", "majority", "untuned", "hand-written")
"""The first columns of a bank's table."""


def score_grid(result: Mapping[str, Any]) -> Grid:
    """Takes the cells of a result.json of scores; see `_one_grid` and `_bank_grid`."""
    return _bank_grid(result) if "members" in result else _one_grid(result)


def _one_grid(result: Mapping[str, Any]) -> Grid:
    """Lays out the result of one prompt, or of a model: a line for each task.

    Tasks of a domain shift follow that of the training.
    """
    columns = {
        "task": result["task"],
        "metric": result["metric"],
        "majority": result["majority"],
    }
    if "untuned" in result:
        columns["untuned"] = result["untuned"]
    if "hand_written" in result:
        columns["hand-written"] = result["hand_written"]
    columns |= {
        "tuned": result["score"],
        "illegal %": 100 * result["illegal"],
        "examples": result["examples"],
    }
    if "seconds" in result:
        columns |= {"steps": result["steps"], "seconds": result["seconds"]}
    shifted = [
        {
            "task": f"{result['task']} -> {name}",
            **{field: scores[field] for field in ("metric", "majority", "examples")},
            "tuned": scores["score"],
            "illegal %": 100 * scores["illegal"],
        }
        for name, scores in result.get("shift", {}).items()
    ]
    rows = [columns, *shifted]
    return grid_of([*columns], rows)


def _bank_grid(result: Mapping[str, Any]) -> Grid:
    """Lays out the result of several prompts: a line for each task.

    Like Table 3 of Lester et al. 2021: the members' average, the best of them, and
    their majority vote.
    """
    votes = {vote["task"]: vote["vote"] for vote in result.get("votes", ())}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for member in result["members"]:
        groups.setdefault(member["task"], []).append(member)
    rows = []
    for task, members in groups.items():
        first = members[0]
        rows.append(
            {
                "task": task,
                "metric": first["metric"],
                "majority": first["majority"],
                "untuned": first.get("untuned"),
                "hand-written": first.get("hand_written"),
                **_spread(members),
                "vote": votes.get(task),
            }
        )
        for other, scores in first.get("shift", {}).items():
            rows.append(
                {
                    "task": f"{task} -> {other}",
                    "metric": scores["metric"],
                    "majority": scores["majority"],
                    **_spread([member["shift"][other] for member in members]),
                    "vote": scores.get("vote"),
                }
            )
    if len(groups) > 1:
        means = {"majority": result["majority"], "untuned": result.get("untuned")}
        rows.append({"task": "mean", **means, "average": result["score"]})
    header = [
        name
        for name in (*BASELINES, "average", "std", "best", "vote")
        if any(row.get(name) is not None for row in rows)
    ]
    return grid_of(header, rows)


def _spread(members: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Returns mean, sample standard deviation and best of the scores."""
    scores = [member["score"] for member in members]
    several = len(scores) > 1
    return {
        "average": float(np.mean(scores)),
        "std": float(np.std(scores, ddof=1)) if several else None,
        "best": max(scores) if several else None,
    }
