"""GLUE tasks as text to text."""

from t5.evaluation import metrics
from tensorflow_datasets.text import glue

from jaxprompt.data import official

SST2 = official.OfficialTask(
    config=glue.Glue.builder_configs["sst2"],
    tfds_family="glue",
    folder="SST-2",
    split_files={"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"},
    texts=("sentence",),
    labels={"0": 0, "1": 1},
    metric_fns=(metrics.accuracy,),
)

TASKS = {task.name: task for task in (SST2,)}
