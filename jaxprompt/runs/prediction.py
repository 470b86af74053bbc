"""Answering rows that have no labels, with a prompt file."""

import json
import sys
from pathlib import Path
from typing import Any

from jaxprompt.atomic import write_atomically
from jaxprompt.config import LOSS, Run
from jaxprompt.data.requests import read_jsonl, request_batches
from jaxprompt.data.rows import predict_rows
from jaxprompt.prompts.file import load_prompt
from jaxprompt.report.bar import example_bar
from jaxprompt.runs.output import check_output
from jaxprompt.runs.prepare import prepare


def predict(
    run: Run,
    prompt_file: Path,
    *,
    source: str = "-",
    output: str = "-",
    overwrite: bool = False,
    another_backbone: bool = False,
) -> None:
    """Answers JSONL rows: each comes back, in order, with a "prediction" added.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        source: JSONL file of rows with the task's fields, labels not needed, or with
            "inputs" alone; "-" for standard input.
        output: JSONL file to write; "-" for standard output.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Raises:
        ValueError: If a row or anything else does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    target = None if output == "-" else Path(output)
    check_output(target, overwrite)
    if run.evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: use another, as "
            "--gin.METHOD=\"'greedy'\""
        )
    prompt, provenance = load_prompt(prompt_file)
    rows = _read_rows(source)
    ready = prepare(
        run, splits=(), trained=[provenance], another_backbone=another_backbone
    )
    batches = request_batches(
        ready.task,
        rows,
        ready.lengths,
        ready.soft_ids(prompt.length),
        run.evaluation.batch_size,
        where="standard input" if source == "-" else source,
    )
    answer, params = ready.predict(ready.task), ready.join(prompt)
    with example_bar(len(rows), "predict") as advance:
        ids = predict_rows(
            lambda batch: answer(params, batch), batches, len(rows), advance
        )
    texts = ready.task.decode(ids)
    lines = [
        json.dumps({**row, "prediction": text}, ensure_ascii=False) + "\n"
        for row, text in zip(rows, texts, strict=True)
    ]
    if target is None:
        sys.stdout.writelines(lines)
    else:
        write_atomically(target, "".join(lines).encode())
        print(f"wrote {len(lines)} answers to {target}")


def _read_rows(source: str) -> list[dict[str, Any]]:
    if source == "-":
        return list(read_jsonl(sys.stdin, "standard input"))
    if not Path(source).is_file():
        raise FileNotFoundError(f"no input file {source}: check the path")
    with Path(source).open(encoding="utf-8") as file:
        return list(read_jsonl(file, source))
