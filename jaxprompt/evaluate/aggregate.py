"""One number for a benchmark: the mean over its tasks of each task's mean metric."""

import math
from collections.abc import Mapping

import numpy as np

SUPERGLUE = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")
"""The tasks that count; the diagnostics AX-b and AX-g do not."""


def superglue_score(metrics_by_task: Mapping[str, Mapping[str, float]]) -> float:
    """Returns the SuperGLUE score, on the scale of the metrics.

    Args:
        metrics_by_task: Task -> metric name -> value; other tasks are left out.

    Raises:
        ValueError: If one of the eight tasks is missing, has no metrics, or has one
            that is no finite number.

    Source: Wang et al. 2019, sec. 3.1 (arXiv:1905.00537): all tasks weigh the same,
    and where a task has several metrics, it counts with their mean.
    """
    missing = [task for task in SUPERGLUE if not metrics_by_task.get(task)]
    if missing:
        raise ValueError(
            f"no metrics of {', '.join(missing)}: the SuperGLUE score needs all of "
            f"{', '.join(SUPERGLUE)}"
        )
    for task in SUPERGLUE:
        for name, value in metrics_by_task[task].items():
            if not math.isfinite(value):
                raise ValueError(
                    f"{name} of {task} is {value}, no number: evaluate {task} again"
                )
    means = [np.mean(list(metrics_by_task[task].values())) for task in SUPERGLUE]
    return float(np.mean(means))
