"""GLUE tasks as text to text."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.official.benchmarks.classification import LabelledRows, label_task
from jaxprompt.data.official.benchmarks.stsb import STSB
from jaxprompt.data.official.libraries import t5_metrics as metrics
from jaxprompt.data.official.libraries import tfds_glue as glue
from jaxprompt.data.official.origin import Origin
from jaxprompt.data.official.spec import BuiltSpec, Spec
from jaxprompt.data.read import files

TSV = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
"""Split -> file name."""

ZERO_ONE = {"0": 0, "1": 1}
"""A label that is written as its class index."""

F1_ACCURACY = (metrics.f1_score_with_invalid, metrics.accuracy)


def _read_rows(path: Path, split: str, skip_short: bool = False) -> list[files.Row]:
    return files.read_rows(path, skip_short=skip_short)


def _task(
    name: str,
    folder: str,
    texts: tuple[str, ...],
    *,
    config: str | None = None,
    labels: Mapping[str, int] | None = None,
    metric_fns: Sequence[Callable[..., Any]] = (metrics.accuracy,),
    columns: Mapping[str, str] | None = None,
    split_files: Mapping[str, str] = TSV,
    tfds_splits: Mapping[str, str] | None = None,
    read_rows: Callable[[Path, str], list[files.Row]] = _read_rows,
) -> BuiltSpec:
    of_tfds: Any = glue.Glue.builder_configs[config or name]
    rows = LabelledRows(
        texts=texts,
        labels=labels or {word: i for i, word in enumerate(of_tfds.label_classes)},
        columns=columns or {},
        numbered=False,
        read_rows=read_rows,
    )
    origin = Origin(
        tfds_name=f"glue/{of_tfds.name}:{of_tfds.version}",
        folder=folder,
        files=split_files,
        features=(*texts, "label"),
        tfds_splits=tfds_splits or {},
    )
    return label_task(name, of_tfds, origin, rows, metric_fns)


COLA_COLUMNS: tuple[str, ...] = ("source", "label", "marks", "sentence")
"""What the columns of CoLA's labelled files hold: they have no header."""


def _read_cola(path: Path, split: str) -> list[files.Row]:
    if split == "test":
        return files.read_rows(path)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(f"{path}: not UTF-8: {err}") from err
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.split("\t")
        if line and len(cells) != len(COLA_COLUMNS):
            raise ValueError(
                f"{path}:{number}: {len(cells)} columns, but CoLA has "
                f"{len(COLA_COLUMNS)}: {', '.join(COLA_COLUMNS)}"
            )
        if line:
            fields: dict[str, Any] = dict(zip(COLA_COLUMNS, cells, strict=True))
            rows.append(files.Row(f"{path}:{number}", fields))
    if not rows:
        raise ValueError(f"{path}: no rows: the file is empty")
    return rows


COLA = _task(
    "cola",
    "CoLA",
    ("sentence",),
    labels=ZERO_ONE,
    metric_fns=(
        metrics.sklearn_metrics_wrapper(
            "matthews_corrcoef", metric_post_process_fn=lambda x: 100 * x
        ),
    ),
    read_rows=_read_cola,
)

SST2 = _task("sst2", "SST-2", ("sentence",), labels=ZERO_ONE)

MRPC = _task(
    "mrpc",
    "MRPC",
    ("sentence1", "sentence2"),
    labels=ZERO_ONE,
    metric_fns=F1_ACCURACY,
    columns={"sentence1": "#1 String", "sentence2": "#2 String", "label": "Quality"},
)

QQP = _task(
    "qqp",
    "QQP",
    ("question1", "question2"),
    labels=ZERO_ONE,
    metric_fns=F1_ACCURACY,
    columns={"label": "is_duplicate"},
    # Some questions of the official files hold a line break.
    read_rows=functools.partial(_read_rows, skip_short=True),
)

# The splits of its name are the matched ones: texts of the training genres.
MNLI = _task(
    "mnli",
    "MNLI",
    ("hypothesis", "premise"),
    columns={
        "premise": "sentence1",
        "hypothesis": "sentence2",
        "label": "gold_label",
    },
    split_files={
        "train": "train.tsv",
        "validation": "dev_matched.tsv",
        "test": "test_matched.tsv",
        "validation_mismatched": "dev_mismatched.tsv",
        "test_mismatched": "test_mismatched.tsv",
    },
    tfds_splits={"validation": "validation_matched", "test": "test_matched"},
)

QNLI = _task("qnli", "QNLI", ("question", "sentence"))

# "rte" is SuperGLUE's: the same examples, but other names of the texts.
GLUE_RTE = _task("glue_rte", "RTE", ("sentence1", "sentence2"), config="rte")

# Left out of GLUE's averages in most papers: its validation split is adversarial.
WNLI = _task("wnli", "WNLI", ("sentence1", "sentence2"), labels=ZERO_ONE)

TASKS: dict[str, Spec] = {
    task.name: task
    for task in (COLA, SST2, MRPC, STSB, QQP, MNLI, QNLI, GLUE_RTE, WNLI)
}
