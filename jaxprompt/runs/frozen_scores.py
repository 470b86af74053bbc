"""Scoring the frozen model alone: as it is, and in words with examples in its input."""

import dataclasses
import functools
import statistics
from pathlib import Path
from typing import Any

from jaxprompt.config import LOSS, WORDS, Run
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.evaluation_set import EvaluationSet, Scores
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.report.results.rows import sample_stddev
from jaxprompt.report.text.bar import example_bar
from jaxprompt.report.text.table import grid_of, table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.measure.coverage import report_cut_inputs
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.screen.terminal import say, say_lines


def evaluate_frozen(
    run: Run,
    *,
    split: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Scores a model before anything trains: what prompts have to be held against.

    Beside the majority class stand the model on the task's own text, and in words:
    behind the run's hand-written prompt and its examples, if it has any. Which examples
    are shown is drawn once for each of the run's seeds, from the rows that a prompt of
    that seed would learn from.

    Args:
        run: Model, task and method. What trains does not count.
        split: Split to score; None for the one that the run is scored on.
        output: Where to write the scores as JSON.
        overwrite: Whether it may exist.

    Returns:
        {"split", "tasks"}: of each task its scores, those in words as a list.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite)
    if run.head.kind != WORDS:
        raise ValueError(
            f"a model whose head of {run.head.kind!r} has not learned answers by "
            "chance: use HEAD = 'words', or train the head alone, as "
            "--gin.TRAINS=head"
        )
    if run.evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: use another, as --gin.METHOD=greedy"
        )
    split = split or run.data.scored_split
    job = prepare(run, splits=(split,))
    report_cut_inputs(job, split, shifted=False)
    found = [_score(job, place, split) for place in range(len(job.tasks))]
    say_lines(_table(found))
    result = {"split": split, "tasks": found}
    if output is not None:
        write_json(output, result)
        say(f"wrote {output}")
    return result


def _score(job: Job, place: int, split: str) -> dict[str, Any]:
    """Returns the scores of one task."""
    task, label = job.tasks[place], job.run.data.tasks[place].label
    asked = _in_words(job, task)
    rows = [EvaluationSet(job.sample(one, split, 0)) for one in (task, *asked)]
    params = job.frozen.join(empty_prompt(job.frozen.backbone.width))
    answer = functools.partial(job.predict(task), params)
    size = job.run.evaluation.batch_size
    with example_bar(len(rows) * rows[0].num_examples, f"{label} {split}") as advance:
        untuned, *written = [one.score(answer, size, advance) for one in rows]
    return {
        "task": label,
        "metric": untuned.metric,
        "examples": rows[0].num_examples,
        "majority": rows[0].majority().score,
        "untuned": _told(untuned),
        "in_words": [_told(scores) for scores in written],
        "examples_in_input": job.run.evaluation.examples_in_input,
        "backbone": job.frozen.backbone.name,
    }


def _in_words(job: Job, task: Task) -> list[Task]:
    """Returns the task as it is put in words: once, or for each draw of examples."""
    first, shots = job.run.seed, job.run.evaluation.examples_in_input
    seeds = range(first, first + (job.run.seeds if shots else 1))
    drawn = [
        dataclasses.replace(job, run=dataclasses.replace(job.run, seed=seed))
        for seed in seeds
    ]
    return [asked for asked in (one.asked_by_hand(task) for one in drawn) if asked]


def _told(scores: Scores) -> dict[str, Any]:
    return {
        "score": scores.score,
        "illegal": scores.illegal,
        "metrics": scores.metrics,
    }


def _table(found: list[dict[str, Any]]) -> str:
    """Lays out the scores, those in words as mean and sample standard deviation."""
    lines = []
    for task in found:
        scores = [one["score"] for one in task["in_words"]]
        several = len(scores) > 1
        lines.append(
            {
                **{name: task[name] for name in ("task", "metric", "majority")},
                "untuned": task["untuned"]["score"],
                "in words": statistics.fmean(scores) if scores else None,
                "std": sample_stddev(scores),
                "best": max(scores) if several else None,
                "draws": len(scores) if several else None,
                "examples": task["examples"],
            }
        )
    header = [name for name in lines[0] if any(x[name] is not None for x in lines)]
    return table(*grid_of(header, lines))
