"""SuperGLUE tasks as text to text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxprompt.data.official.benchmarks.classification import LabelledRows, label_task
from jaxprompt.data.official.benchmarks.multirc import MULTIRC
from jaxprompt.data.official.benchmarks.record import RECORD
from jaxprompt.data.official.benchmarks.wsc import WSC
from jaxprompt.data.official.libraries import t5_metrics as metrics
from jaxprompt.data.official.libraries import tfds_super_glue as super_glue
from jaxprompt.data.official.origin import Origin
from jaxprompt.data.official.spec import JSONL, BuiltSpec, Spec
from jaxprompt.data.read import files

YES_NO = {"false": 0, "true": 1}
"""A label in JSON -> class index."""


def _task(
    name: str,
    folder: str,
    texts: tuple[str, ...],
    *,
    labels: Mapping[str, int] | None = None,
    metric_fns: Sequence[Callable[..., Any]] = (metrics.accuracy,),
    split_files: Mapping[str, str] = JSONL,
    prefix: str | None = None,
    renamed: Mapping[str, str] | None = None,
) -> BuiltSpec:
    config: Any = super_glue.SuperGlue.builder_configs[name]
    rows = LabelledRows(
        texts=texts,
        labels=labels or {word: i for i, word in enumerate(config.label_classes)},
        columns={},
        numbered=True,
        read_rows=lambda path, split: files.read_rows(path),
    )
    origin = Origin(
        tfds_name=f"super_glue/{name}:{config.version}",
        folder=folder,
        files=split_files,
        features=(*texts, "label"),
    )
    return label_task(
        name, config, origin, rows, metric_fns, prefix=prefix, renamed=renamed
    )


BOOLQ = _task("boolq", "BoolQ", ("question", "passage"), labels=YES_NO)

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

COPA = _task(
    "copa",
    "COPA",
    ("premise", "choice1", "choice2", "question"),
    labels={"0": 0, "1": 1},
)

RTE = _task("rte", "RTE", ("premise", "hypothesis"))

WIC = _task("wic", "WiC", ("sentence1", "sentence2", "word"), labels=YES_NO)

# The diagnostics have nothing to train on: they are for a prompt of RTE, and so t5
# calls them "rte" and names their texts as RTE does.
AXB = _task(
    "axb",
    "AX-b",
    ("sentence1", "sentence2"),
    split_files={"test": "AX-b.jsonl"},
    prefix="rte",
    renamed={"premise": "sentence1", "hypothesis": "sentence2"},
)

AXG = _task(
    "axg",
    "AX-g",
    ("premise", "hypothesis"),
    split_files={"test": "AX-g.jsonl"},
    prefix="rte",
)

TASKS: dict[str, Spec] = {
    task.name: task
    for task in (BOOLQ, CB, COPA, MULTIRC, RECORD, RTE, WIC, WSC, AXB, AXG)
}
