"""The SuperGLUE score is the one that papers print."""

import pytest

from jaxprompt.evaluate.aggregate import SUPERGLUE, superglue_score

# Lester et al. 2021 (arXiv:2104.08691), table 3: five prompts for T5 XXL.
AVERAGE = {
    "boolq": {"accuracy": 91.1},
    "cb": {"accuracy": 99.3, "f1": 99.0},
    "copa": {"accuracy": 98.8},
    "multirc": {"exact_match": 65.7, "f1": 88.7},
    "record": {"em": 92.7, "f1": 93.4},
    "rte": {"accuracy": 92.6},
    "wic": {"accuracy": 76.2},
    "wsc": {"accuracy": 95.8},
}
BEST = {
    "boolq": {"accuracy": 91.3},
    "cb": {"accuracy": 100.0, "f1": 100.0},
    "copa": {"accuracy": 100.0},
    "multirc": {"exact_match": 66.3, "f1": 89.0},
    "record": {"em": 92.9, "f1": 93.5},
    "rte": {"accuracy": 93.5},
    "wic": {"accuracy": 76.6},
    "wsc": {"accuracy": 96.2},
}
ENSEMBLE = {
    "boolq": {"accuracy": 91.7},
    "cb": {"accuracy": 100.0, "f1": 100.0},
    "copa": {"accuracy": 100.0},
    "multirc": {"exact_match": 67.1, "f1": 89.4},
    "record": {"em": 93.2, "f1": 93.9},
    "rte": {"accuracy": 93.5},
    "wic": {"accuracy": 77.4},
    "wsc": {"accuracy": 96.2},
}


@pytest.mark.parametrize(
    ("metrics", "score"), [(AVERAGE, 90.49), (BEST, 91.06), (ENSEMBLE, 91.33)]
)
def test_the_papers_table_gives_the_papers_score(metrics, score: float):
    assert superglue_score(metrics) == pytest.approx(score, abs=0.006)


def test_the_diagnostics_and_other_tasks_do_not_count():
    more = {**AVERAGE, "axb": {"accuracy": 0.0}, "sst2": {"accuracy": 0.0}}
    assert superglue_score(more) == superglue_score(AVERAGE)


def test_a_task_that_is_missing_is_named():
    some = {task: AVERAGE[task] for task in SUPERGLUE if task not in ("cb", "wsc")}
    with pytest.raises(ValueError, match="no metrics of cb, wsc: the SuperGLUE score"):
        superglue_score(some)
    with pytest.raises(ValueError, match="no metrics of cb: "):
        superglue_score({**AVERAGE, "cb": {}})


def test_a_score_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="f1 of cb is nan, no number: evaluate cb"):
        superglue_score({**AVERAGE, "cb": {"accuracy": 99.3, "f1": float("nan")}})
