"""Answering a test split whose labels a leaderboard keeps, with a prompt file."""

from pathlib import Path

from jaxprompt.config import LOSS, Run
from jaxprompt.data.official.submission import (
    row_numbers,
    split_readings,
    submission,
    submission_file,
)
from jaxprompt.data.rows.row_batches import predict_rows, sorted_batches
from jaxprompt.files.atomic import write_atomically
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.report.text.bar import example_bar
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.screen.terminal import say


def submit(
    run: Run,
    prompt_file: Path,
    *,
    split: str | None = None,
    output: Path,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> Path:
    """Predicts a split, and writes the predictions as the task's leaderboard wants it.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        split: Split to predict; None for "test".
        output: Folder that gets the file, whose name the leaderboard decides.
        overwrite: Whether this file may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        The file.

    Raises:
        ValueError: If the task has no leaderboard, or anything else does not fit,
            before any device work.
        FileNotFoundError: If a file or the folder is missing.
    """
    split = split or "test"
    task_name = _task_name(run)
    if not output.is_dir():
        raise FileNotFoundError(f"no folder {output}: make it, or name another")
    target = output / submission_file(task_name, split)
    check_output(target, overwrite)
    prompt, provenance = load_prompt(prompt_file)
    job = prepare(
        run,
        answered=(split,),
        trained=[provenance],
        another_backbone=another_backbone,
    )
    task = job.task
    rows = task.num_examples(split)
    row_numbers(task_name, task, split)  # Before any answer is computed.
    soft_ids = job.frozen.soft_ids(prompt.length)
    answer = job.predict(task)
    params = job.frozen.join(prompt, load_head(prompt_file))
    answers: list[str] = []
    with example_bar(rows, split) as advance:
        for reading in split_readings(task, split, job.lengths, soft_ids):
            batches = sorted_batches(reading.batch, run.evaluation.batch_size)
            found = predict_rows(
                lambda batch: answer(params, batch), batches, reading.count, advance
            )
            answers += reading.answers(found)
    made = submission(task_name, task, split, answers)
    write_atomically(target, made.text.encode())
    say(f"wrote {rows} answers to {target}")
    if made.illegal:
        say(
            f"{made.illegal} predictions are no answer of the task: they were replaced "
            "by its first label"
        )
    return target


def _task_name(run: Run) -> str:
    if run.evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: use another, as --gin.METHOD=greedy"
        )
    name = run.data.task and run.data.task.leaderboard
    if not name:
        raise ValueError(
            f"task {run.data.task_name!r} has no leaderboard: give one of GLUE or "
            "SuperGLUE, as --gin_file=gin/tasks/rte.gin"
        )
    return name
