"""Does a frozen model know a task? A linear probe on the states of its encoder.

    python tools/probe.py bundled:nano superglue gin/tasks/rte.gin gin/tasks/cb.gin

Where prompt tuning stays at the majority class, this tells whose fault it is: if a
linear map of the mean encoder state does no better, the model has nothing to call up.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxprompt.command.configure import configure
from jaxprompt.data.rows.row_batches import predict_rows
from jaxprompt.data.rows.sample import Sample
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.join import prompted_embed, prompted_encode
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.report.text.bar import example_bar
from jaxprompt.report.text.table import table
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.shapes import Batch

RUN = "gin/runs/prompt_tuning.gin"
ROWS = 5000
"""Most rows of a split."""


def features(job: Job, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean embeddings and mean encoder states, [rows, D] each, and classes."""
    rows = EvaluationSet(
        Sample(job.task, split, job.lengths, job.frozen.soft_ids(0), num_examples=ROWS)
    )
    params = job.frozen.join(empty_prompt(job.frozen.backbone.width))

    @jax.jit
    def means(batch: Batch) -> tuple[jax.Array, ...]:
        words = prompted_embed(job.frozen.backbone, params, batch.inputs, batch.members)
        states = prompted_encode(job.frozen.backbone, params, batch).states
        real_BT1 = (batch.input_segments > 0)[..., None]
        count = jnp.maximum(real_BT1.sum(axis=1), 1)
        return tuple((x * real_BT1).sum(axis=1) / count for x in (words, states))

    def both(batch: Batch) -> np.ndarray:
        return np.concatenate(means(job.frozen.place_batch(batch)), axis=-1)

    with example_bar(rows.num_examples, split, leave=False) as advance:
        found = predict_rows(both, rows.batches(64), rows.num_examples, advance)
    words, states = np.split(found, 2, axis=-1)
    return words, states, np.array(rows.targets)


def probe(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, answers: np.ndarray
) -> float:
    """Fits a logistic regression and returns its accuracy on the test rows, in %."""
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)
    )
    return 100 * float(classifier.fit(train, labels).score(test, answers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Probe a frozen encoder.")
    parser.add_argument("model", help="Hub name, folder or bundled:nano")
    parser.add_argument("data_dir", help="folder of the official files")
    parser.add_argument("tasks", nargs="+", help="gin files of tasks with labels")
    parser.add_argument("--input_length", type=int, default=128)
    flags = parser.parse_args()
    lines = []
    for file in flags.tasks:
        settings = [
            f"MODEL={flags.model!r}",
            f"DATA_DIR={flags.data_dir!r}",
            f"INPUT_LENGTH={flags.input_length}",
        ]
        run, _ = configure([RUN, file], settings)
        data = run.data
        job = prepare(run, splits=(data.train_split, data.scored_split))
        train, test = (features(job, s) for s in (data.train_split, data.scored_split))
        counts = np.bincount(test[2])
        scores = [
            probe(a, train[2], b, test[2])
            for a, b in zip(train[:2], test[:2], strict=True)
        ]
        lines.append([data.task_name, 100 * counts.max() / counts.sum(), *scores])
    header = ["task", "majority", "probe of embeddings", "probe of encoder"]
    print(table(header, lines))
