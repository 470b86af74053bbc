"""GLUE tasks as text to text."""

from t5.evaluation import metrics
from tensorflow_datasets.text import glue

from jaxprompt.data import official

TSV = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
"""Split -> file name."""

SST2 = official.OfficialTask(
    config=glue.Glue.builder_configs["sst2"],
    tfds_family="glue",
    folder="SST-2",
    split_files=TSV,
    texts=("sentence",),
    labels={"0": 0, "1": 1},
    metric_fns=(metrics.accuracy,),
)

QQP = official.OfficialTask(
    config=glue.Glue.builder_configs["qqp"],
    tfds_family="glue",
    folder="QQP",
    split_files=TSV,
    texts=("question1", "question2"),
    labels={"0": 0, "1": 1},
    metric_fns=(metrics.f1_score_with_invalid, metrics.accuracy),
    columns={"label": "is_duplicate"},
    # Some questions of the official files hold a line break.
    skip_short=True,
)

MRPC = official.OfficialTask(
    config=glue.Glue.builder_configs["mrpc"],
    tfds_family="glue",
    folder="MRPC",
    split_files=TSV,
    texts=("sentence1", "sentence2"),
    labels={"0": 0, "1": 1},
    metric_fns=(metrics.f1_score_with_invalid, metrics.accuracy),
    columns={"sentence1": "#1 String", "sentence2": "#2 String", "label": "Quality"},
)

TASKS = {task.name: task for task in (SST2, QQP, MRPC)}
