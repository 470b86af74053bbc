"""Giving the whole prompted model to any program: a folder that needs no jaxprompt."""

from pathlib import Path

import numpy as np

from jaxprompt.config import LOSS, OfficialTask, OwnTask, Run
from jaxprompt.interop.folder import check_replaceable
from jaxprompt.interop.stablehlo import Answering, file_names, write_program
from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs.output import check_output
from jaxprompt.runs.prepare import prepare


def export_model(
    run: Run,
    prompt_file: Path,
    output: Path,
    *,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> None:
    """Writes the prompted model as a program, its weights and its vocabulary.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        output: The folder to write.
        overwrite: Whether `output` may exist; it never is replaced if it holds other
            files.
        another_backbone: Allows a model that the prompt was not trained on.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite)
    evaluation, data = run.evaluation, run.data
    if evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: use another, as "
            "--gin.METHOD=\"'greedy'\""
        )
    prompt, provenance = load_prompt(prompt_file)
    ready = prepare(
        run, splits=(), trained=[provenance], another_backbone=another_backbone
    )
    check_replaceable(output, file_names(ready.backbone))
    label_ids = None
    if evaluation.method == "rank":
        label_ids = ready.task.label_ids(data.target_length)
        # Behind the longest label there is nothing to score.
        label_ids = label_ids[:, : np.count_nonzero(label_ids, axis=1).max()]
    answering = Answering(
        method=evaluation.method,
        inputs=data.input_length,
        length=data.target_length,
        beams=evaluation.beams,
        alpha=evaluation.alpha,
        labels=(ready.task.labels or ()) if evaluation.method == "rank" else (),
        label_ids=label_ids,
    )
    params = ready.join(prompt)
    write_program(
        output, ready.backbone, params, answering, provenance, _text_format(run)
    )
    print(
        f"wrote {output}: {provenance.backbone} with the prompt of {prompt_file}; "
        "its README.md says how to run it"
    )


def _text_format(run: Run) -> str:
    """Says how the task writes its inputs, where the configuration does."""
    task = run.data.task
    if isinstance(task, OwnTask):
        return f"They were formatted by `{task.inputs}`."
    if isinstance(task, OfficialTask):
        name = "" if task.keep_task_name else ", without the task's name in front"
        return f"They were formatted as T5's task {task.name}{name}."
    return ""
