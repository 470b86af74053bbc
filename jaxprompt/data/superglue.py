"""SuperGLUE tasks as text to text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from t5.evaluation import metrics
from tensorflow_datasets.text import super_glue

from jaxprompt.data import official


def _task(
    name: str,
    folder: str,
    texts: tuple[str, ...],
    labels: Mapping[str, int] | None = None,
    metric_fns: Sequence[Callable[..., Any]] = (metrics.accuracy,),
) -> official.OfficialTask:
    config: Any = super_glue.SuperGlue.builder_configs[name]
    return official.OfficialTask(
        config=config,
        tfds_family="super_glue",
        folder=folder,
        split_files={
            "train": "train.jsonl",
            "validation": "val.jsonl",
            "test": "test.jsonl",
        },
        texts=texts,
        labels=labels or {word: i for i, word in enumerate(config.label_classes)},
        metric_fns=metric_fns,
    )


RTE = _task("rte", "RTE", ("premise", "hypothesis"))

CB = _task(
    "cb",
    "CB",
    ("premise", "hypothesis"),
    # zero_division: 0 without a warning for a class that nobody names or predicts.
    metric_fns=(
        metrics.mean_multiclass_f1(num_classes=3, zero_division=0),
        metrics.accuracy,
    ),
)

BOOLQ = _task("boolq", "BoolQ", ("question", "passage"), labels={"false": 0, "true": 1})

TASKS = {task.name: task for task in (RTE, CB, BOOLQ)}
