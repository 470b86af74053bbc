"""What do int8 weights change? Logits first, then the scores of prompts; two tables.

    python tools/compare_int8.py OUT --tasks mini_sentiment mini_entailment

compares the logits of every storage of one model on the test splits, without a prompt.
Then it trains a bank of three seeds on each in OUT/TASK/STORAGE, by ordinary runs, so
what is finished is not run again, and scores every bank on every storage.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.command.configure import configure
from jaxprompt.data.rows.sample import Sample
from jaxprompt.evaluate.loss import LossSet
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.report.text.table import table
from jaxprompt.runs import evaluate_ensemble, find_prompts, train
from jaxprompt.runs.ready.prepare import prepare

RUN = "gin/runs/prompt_tuning.gin"
TASKS = ("mini_sentiment", "mini_entailment", "mini_news", "mini_questions")

STORAGES: Mapping[str, Sequence[str]] = {
    "float32": (),
    "bfloat16": ("DTYPE='bfloat16'",),
    "int8": ("QUANTISE='int8'",),
    "int8, in bfloat16": ("QUANTISE='int8'", "DTYPE='bfloat16'"),
}
"""Name in the tables -> its settings. "int8" alone computes in float32."""

RECIPE = (
    "MODEL='bundled:nano'",
    "METHOD='rank'",
    "PROMPT_LENGTH=20",
    "SCHEDULE='linear'",
    "EVALUATE_EVERY=100",
)
"""The same for every task, and nothing tuned for any."""


def collect_logits(files: Sequence[str], settings: Sequence[str]) -> np.ndarray:
    """Scores the targets of the test split by the frozen model alone.

    Returns:
        Logits of every real target token, float32 [tokens, V], in a fixed order.
    """
    run, _ = configure(files, settings)
    split = run.data.scored_split
    job = prepare(run, splits=(split,))
    rows = LossSet(Sample(job.task, split, job.lengths, job.frozen.soft_ids(0)))
    params = job.frozen.join(empty_prompt(job.frozen.backbone.width))
    logits = jax.jit(prompted_logits, static_argnums=0)
    found = []
    for some in rows.batches(run.evaluation.batch_size):
        batch = job.frozen.place_batch(some.batch)
        logits_BLV = np.asarray(logits(job.frozen.backbone, params, batch))
        found.append(logits_BLV[np.asarray(some.batch.weights) > 0])
    return np.concatenate(found)


def change(found: np.ndarray, expected: np.ndarray) -> list[str]:
    """Describes how far logits are from others; a constant added to all is no change.

    Returns:
        Root mean square of the change over that of the logits, in percent; divergence
        KL(expected, found), mean over tokens, in nats; share of the tokens whose
        likeliest word changes, in percent.
    """
    centred, off = (x - x.mean(-1, keepdims=True) for x in (expected, found - expected))
    relative = 100 * np.linalg.norm(off) / np.linalg.norm(centred)
    old, new = (
        np.asarray(jax.nn.log_softmax(jnp.asarray(x))) for x in (expected, found)
    )
    divergence = np.sum(np.exp(old) * (old - new), axis=-1).mean()
    flips = 100 * np.mean(found.argmax(-1) != expected.argmax(-1))
    return [f"{relative:.2f}", f"{divergence:.1e}", f"{flips:.2f}"]


def compare_logits(tasks: Sequence[str], settings: Sequence[str]) -> str:
    """Returns the table of changes in logits, over the tokens of all tasks."""
    first, *others = (
        np.concatenate(
            [
                collect_logits([RUN, f"gin/tasks/{task}.gin"], [*settings, *own])
                for task in tasks
            ]
        )
        for own in STORAGES.values()
    )
    names = list(STORAGES)
    header = ["against " + names[0], "change, %", "KL, nats", "other first word, %"]
    rows = [
        [name, *change(x, first)] for name, x in zip(names[1:], others, strict=True)
    ]
    return table(header, rows)


def compare_scores(
    out: Path, tasks: Sequence[str], settings: Sequence[str], names: Sequence[str]
) -> str:
    """Trains on each storage, scores on all, and returns the table of mean scores."""
    header = ["task", "trained on", *(f"on {name}" for name in names), "seeds"]
    rows = []
    for task in tasks:
        files = [RUN, f"gin/tasks/{task}.gin"]
        runs = {name: configure(files, [*settings, *STORAGES[name]]) for name in names}
        for name, (run, config) in runs.items():
            workdir = out / task / name.replace(", ", "_").replace(" ", "_")
            result = train(run, workdir, config=config)
            prompts = find_prompts([str(workdir / "prompts")])
            scores = {
                other: evaluate_ensemble(dict.fromkeys(prompts, changed))["members"]
                for other, (changed, _) in runs.items()
            }
            means = [np.mean([m["score"] for m in scores[other]]) for other in names]
            own = ", ".join(f"{member['score']:.1f}" for member in result["members"])
            rows.append([task, name, *(f"{mean:.1f}" for mean in means), own])
    return table(header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Compare frozen weights in float32, bfloat16 and int8."
    )
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="files of gin/tasks")
    parser.add_argument(
        "--storages",
        nargs="+",
        choices=STORAGES,
        default=["float32", "bfloat16", "int8"],
    )
    parser.add_argument("--gin", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=3, help="two or more")
    parser.add_argument("--logits_only", action="store_true", help="train nothing")
    flags = parser.parse_args()
    chosen = [*RECIPE, f"SEEDS={flags.seeds}", *flags.gin]
    told = [compare_logits(flags.tasks, chosen)]
    if not flags.logits_only:
        told.append(compare_scores(flags.out, flags.tasks, chosen, flags.storages))
    print("\n" + "\n\n".join(told))
