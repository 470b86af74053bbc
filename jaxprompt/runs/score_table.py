"""The scores of a result.json as a table: of one prompt, or of a bank."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxprompt.report.table import table


def score_table(result: Mapping[str, Any]) -> str:
    """Lays out the result of one prompt, or of a model: a line for each task.

    Tasks of a domain shift follow that of the training.
    """
    columns = {
        "task": result["task"],
        "metric": result["metric"],
        "majority": result["majority"],
        "untuned": result["untuned"],
    }
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
    return table(list(columns), [[row.get(name) for name in columns] for row in rows])


def bank_table(result: Mapping[str, Any]) -> str:
    """Lays out the result of several prompts: a line for each task.

    Like Table 3 of Lester et al. 2021: the members' average, the best of them, and
    their majority vote.
    """
    header = ["task", "metric", "majority", "untuned", "average", "std", "best"]
    votes = {vote["task"]: vote["vote"] for vote in result.get("votes", ())}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for member in result["members"]:
        groups.setdefault(member["task"], []).append(member)
    rows = []
    for task, members in groups.items():
        first = members[0]
        baselines = [first["majority"], first["untuned"]]
        spread = _spread([member["score"] for member in members])
        rows.append([task, first["metric"], *baselines, *spread, votes.get(task)])
        for other in first.get("shift", {}):
            shifted = [member["shift"][other] for member in members]
            spread = _spread([scores["score"] for scores in shifted])
            majority, vote = shifted[0]["majority"], shifted[0].get("vote")
            name, metric = f"{task} -> {other}", shifted[0]["metric"]
            rows.append([name, metric, majority, None, *spread, vote])
    if len(groups) > 1:
        rows.append(
            ["mean", None, result["majority"], result["untuned"], result["score"]]
            + [None] * 3
        )
    return table([*header, "vote"], rows)


def _spread(scores: Sequence[float]) -> list[float | None]:
    """Returns mean, sample standard deviation and best."""
    several = len(scores) > 1
    deviation = float(np.std(scores, ddof=1)) if several else None
    return [float(np.mean(scores)), deviation, max(scores)]
