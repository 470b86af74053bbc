"""Rows hold what runs have reached: over all seeds, and only what compares."""

import math

import pytest
from made_results import made_member, made_result

from jaxprompt.evaluate.aggregate import SUPERGLUE
from jaxprompt.report.results.files import results_table
from jaxprompt.report.results.rows import (
    BEST_OF_GRID,
    ResultRow,
    best_rows,
    method_of,
    rows_of,
    superglue_rows,
)


def test_seeds_of_a_task_are_one_row_whatever_run_they_are_of():
    bank = made_result(
        made_member(seed=2, score=62.0), made_member(seed=1, score=58.0), votes=[]
    )
    (row,) = rows_of("prompts", [bank, made_result(made_member(seed=0, score=63.0))])
    assert (row.task, row.method, row.metric) == ("rte", "prompts", "f1+accuracy")
    assert (row.seeds, row.scores) == ((0, 1, 2), (63.0, 58.0, 62.0))
    assert row.mean == 61.0
    # Sample standard deviation: of (2, -3, 1), over n - 1.
    assert row.stddev == pytest.approx(7**0.5)
    assert row.best == 63.0
    assert (row.majority, row.untuned, row.illegal) == (50.0, 12.5, 0.02)
    assert row.hand_written is None
    assert row.metrics == {"f1": 60.0, "accuracy": 62.0}


def test_one_seed_has_no_standard_deviation():
    (row,) = rows_of("prompts", [made_result(made_member(hand_written=55.0))], x=20)
    assert row.stddev is None
    assert (row.hand_written, row.x) == (55.0, 20)


def test_a_score_that_is_not_defined_is_no_error():
    """As of a metric of one's own: the other seeds' scores are still worth a table."""
    results = [
        made_result(made_member(seed=seed, score=score))
        for seed, score in enumerate((math.nan, 58.0, 62.0))
    ]
    (row,) = rows_of("prompts", results)
    assert row.stddev is not None
    assert math.isnan(row.stddev)
    assert math.isnan(row.mean)
    assert row.best == 62.0
    (undefined,) = rows_of("worse", results[:1])
    (best,) = best_rows([undefined, row])
    assert (best.seeds, best.scores) == ((2,), (62.0,))
    assert "nan" in results_table([row, undefined])


def test_tasks_and_models_have_rows_of_their_own():
    results = [
        made_result(made_member("rte"), made_member("cb")),
        made_result(made_member("rte", backbone="t5-base")),
    ]
    rows = rows_of("prompts", results)
    assert [(row.task, row.backbone) for row in rows] == [
        ("rte", "t5-small"),
        ("cb", "t5-small"),
        ("rte", "t5-base"),
    ]


def test_a_domain_shift_is_a_row_with_its_own_majority():
    shift = {
        "mrpc": {
            "metric": "f1+accuracy",
            "examples": 408,
            "score": 70.0,
            "majority": 74.8,
            "illegal": 0.0,
            "metrics": {"f1": 80.0, "accuracy": 60.0},
        }
    }
    _, row = rows_of("prompts", [made_result(made_member("qqp", 3, shift=shift))])
    assert row.task == "qqp -> mrpc"
    assert (row.seeds, row.scores, row.majority) == ((3,), (70.0,), 74.8)
    assert row.untuned is None
    assert row.metrics == {"f1": 80.0, "accuracy": 60.0}


def test_a_vote_counts_only_if_all_seeds_of_the_row_had_one():
    bank = made_result(made_member(seed=0, score=60.0), made_member(seed=1))
    (row,) = rows_of("prompts", [bank])
    assert row.vote == 60.5
    (row,) = rows_of("prompts", [bank, made_result(made_member(seed=2))])
    assert row.vote is None


def test_scores_that_do_not_compare_are_refused():
    one = made_result(made_member(seed=0))
    with pytest.raises(ValueError, match="two scores of seed 0 of task rte and method"):
        rows_of("prompts", [one, one])
    for field, value in (("metric", "em"), ("split", "test"), ("examples", 9)):
        other = made_result(made_member(seed=1, **{field: value}))
        with pytest.raises(ValueError, match=rf"with {field} .* and with {value}"):
            rows_of("prompts", [one, other])
    with pytest.raises(ValueError, match="2 seeds and 1 scores of task rte"):
        ResultRow("rte", "prompts", "accuracy", "t5-small", (0, 1), (60.0,))


def test_a_metric_that_some_seeds_lack_has_no_mean():
    one, other = made_member(seed=0), made_member(seed=1)
    one["metrics"] |= {"gold_loss": 0.5}
    (row,) = rows_of("prompts", [made_result(one), made_result(other)])
    assert row.metrics == {"f1": 59.0, "accuracy": 61.0}


def test_superglue_is_the_mean_of_eight_tasks_seed_by_seed():
    members = [
        made_member(task, seed, 50.0 + place + 10 * seed)
        for place, task in enumerate(SUPERGLUE)
        for seed in (0, 1)
    ]
    (row,) = superglue_rows("prompts", [made_result(*members)], x=5)
    assert row.task == "SuperGLUE (mean of 8)"
    assert (row.seeds, row.scores) == ((0, 1), (53.5, 63.5))
    assert (row.majority, row.untuned, row.vote, row.x) == (50.0, 12.5, 64.0, 5)

    # A seed that one task lacks has no mean, and without a task nobody has one.
    (row,) = superglue_rows("prompts", [made_result(*members[:-1])])
    assert row.scores == (53.5,)
    assert superglue_rows("prompts", [made_result(*members[:-2])]) == []


def test_what_else_was_measured_is_no_part_of_superglue():
    members = [made_member(task, 0, 60.0) for task in SUPERGLUE]
    for member in members:
        member["metrics"] |= {"gold_loss": 0.5, "gold_recall_100": 100.0}
    (row,) = superglue_rows("prompts", [made_result(*members)])
    assert row.scores == (60.0,)


def test_a_method_is_named_after_what_trains():
    one, other = made_member("rte"), made_member("cb")
    assert method_of(made_result(one, other)) == "prompt tuning"
    assert method_of(made_result(one, trains="model")) == "model tuning"
    both = made_result(one, other, trains="model")
    assert method_of(both) == "multi-task model tuning"


def test_the_best_of_a_grid_is_a_row_under_its_own_name():
    arms = {"a": ((0, 60.0), (1, 64.0)), "b": ((0, 63.0), (1, 63.5))}
    rows = [
        row
        for arm, scores in arms.items()
        for row in rows_of(
            arm, [made_result(made_member(seed=n, score=x)) for n, x in scores]
        )
    ]
    (best,) = best_rows(rows)
    assert (best.method, best.task) == (BEST_OF_GRID, "rte")
    assert "chosen on the split that it is scored on" in best.method
    assert (best.scores, best.seeds, best.majority) == ((64.0,), (1,), 50.0)
