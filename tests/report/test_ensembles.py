"""Votes are laid out like Table 3 of the paper."""

import pytest
from made_results import made_member, made_result

from jaxprompt.evaluate.aggregate import SUPERGLUE
from jaxprompt.report.results.votes import ensemble_cells

VOTED = made_result(made_member(seed=0, score=60.0), made_member(seed=1, score=64.0))


def test_average_best_and_vote_stand_side_by_side():
    assert ensemble_cells([VOTED, made_result(made_member())]) == (
        ["task", "metric", "members", "average", "best", "vote"],
        [["rte", "f1+accuracy", 2, 62.0, 64.0, 64.5]],
    )


def test_methods_and_models_are_told_apart():
    larger = {**VOTED, "backbone": "t5-base"}
    header, cells = ensemble_cells([VOTED, larger], ["short", "long"])
    assert header[:4] == ["task", "metric", "method", "backbone"]
    assert [row[2:4] for row in cells] == [["short", "t5-small"], ["long", "t5-base"]]


def test_superglue_is_the_mean_over_its_tasks():
    tasks = [*SUPERGLUE, "qqp"]
    members = [
        made_member(task, seed, 50.0 + place + seed)
        for place, task in enumerate(tasks)
        for seed in (0, 1)
    ]
    result = made_result(*members)
    _, cells = ensemble_cells([result])
    assert len(cells) == 10
    name, _, count, *means = cells[-1]
    assert (name, count) == ("SuperGLUE (mean of 8)", 2)
    # Without QQP, the last and best task.
    assert means == pytest.approx([54.0, 54.5, 55.0])
    result["votes"] = result["votes"][1:]
    assert len(ensemble_cells([result])[1]) == 8


def test_without_votes_there_is_no_table():
    assert ensemble_cells([made_result(made_member())]) == ([], [])
