"""The majority votes of banks as a table: average, best and vote."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxprompt.evaluate.aggregate import SUPERGLUE
from jaxprompt.report.results.files import Cells, keep_known
from jaxprompt.report.results.rows import METRIC_OF_MEAN, SUPERGLUE_TITLE, method_of


def ensemble_cells(
    results: Sequence[Mapping[str, Any]], methods: Sequence[str] | None = None
) -> Cells:
    """Lays out the votes of banks, and their mean where SuperGLUE is whole.

    Args:
        results: Contents of result.json files; those without votes are left out.
        methods: Name of the method of each; None names them after what they train.

    Returns:
        The header, and the cells of each row.

    Source: Lester et al. 2021, table 3 (arXiv:2104.08691).
    """
    if methods is None:
        methods = [method_of(result) for result in results]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for method, result in zip(methods, results, strict=True):
        for vote in result.get("votes", []):
            groups.setdefault((method, result["backbone"]), []).append(vote)
    rows = []
    for group, votes in groups.items():
        rows += [(*group, vote) for vote in votes]
        eight = [vote for vote in votes if vote["task"] in SUPERGLUE]
        if sorted(vote["task"] for vote in eight) == sorted(SUPERGLUE):
            rows.append((*group, _mean(eight)))
    methods_differ = len({method for method, _ in groups}) > 1
    backbones_differ = len({backbone for _, backbone in groups}) > 1
    columns: dict[str, list[Any]] = {
        "task": [vote["task"] for _, _, vote in rows],
        "metric": [vote["metric"] for _, _, vote in rows],
        "method": [method if methods_differ else None for method, _, _ in rows],
        "backbone": [backbone if backbones_differ else None for _, backbone, _ in rows],
        **{
            field: [vote[field] for _, _, vote in rows]
            for field in ("members", "average", "best", "vote")
        },
    }
    return keep_known(columns)


def _mean(votes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    members = {vote["members"] for vote in votes}
    return {
        "task": SUPERGLUE_TITLE,
        "metric": METRIC_OF_MEAN,
        "members": members.pop() if len(members) == 1 else None,
        **{
            field: statistics.fmean(vote[field] for vote in votes)
            for field in ("average", "best", "vote")
        },
    }
