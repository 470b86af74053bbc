"""Telling where a prompt file comes from, and what its soft tokens are near."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxprompt.config import Run
from jaxprompt.config.tasks import AnyTask
from jaxprompt.data.tasks.answers.kinds import KINDS
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.checkpoint import Checkpoint, read_table
from jaxprompt.prompts.file import load_prompt_and_head, load_start
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.report.reading.nearest import METRICS
from jaxprompt.report.reading.prompt import (
    PromptReading,
    findings,
    read_prompt,
    read_rows,
    to_json,
)
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.screen.quoting import quoted, quoted_path
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.shapes import Params


def inspect(
    run: Run,
    prompt_file: Path,
    *,
    neighbours: int = 5,
    metric: str = "cosine",
    label_words: Sequence[str] = (),
    without_model: bool = False,
    output: Path | None = None,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> dict[str, Any]:
    """Prints where a prompt comes from, its soft tokens, and a summary of them.

    Where a head answers, it tells what the head does. Of each soft token it tells the
    norm; how far it is from its start, if the file has that; and the words that it is
    near. The summary compares the norms with the vocabulary's, looks for the label
    words, and tells whether neighbours belong together and which soft tokens share
    them.

    Args:
        run: The model and the task; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        neighbours: Words for each soft token.
        metric: One of `report.reading.nearest.METRICS`.
        label_words: Words to look for; none takes the task's.
        without_model: Tells only what the file alone does: provenance, norms and
            drift. Its backbone need not be there.
        output: Where to write all of it as JSON.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        What `output` holds: "provenance", and the reading as
        `report.reading.prompt.to_json` gives it.

    Raises:
        ValueError: If the model or an option does not fit, or the file is damaged.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite)
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}: use one of {list(METRICS)}")
    prompt, provenance, head = load_prompt_and_head(prompt_file)
    start = load_start(prompt_file)
    facts = dataclasses.asdict(provenance)
    told = _tell_head(prompt_file, run, provenance, head) if head else {}
    _print_provenance(facts, told)
    if prompt.is_empty:
        say("no soft tokens to read: the file holds a head alone")
        return _written({"provenance": facts}, output)
    if not prompt.length:
        say(f"no soft tokens to read: the prompt is {prompt.told}")
        return _written({"provenance": facts}, output)
    if without_model:
        reading = read_rows(prompt, start)
    else:
        # Only the model's words need what reads data.
        from jaxprompt.runs.ready.frozen import vocabulary_of

        checkpoint = _find_model(run, provenance, another_backbone)
        words, started = _words_of(run, provenance)
        reading = read_prompt(
            _read_table(checkpoint),
            prompt,
            vocabulary_of(checkpoint),
            neighbours,
            metric=metric,
            start=start,
            label_words=label_words or words,
            started=started,
        )
    say_lines(f"{_token_table(reading)}\n")
    for finding in findings(reading):
        say(finding)
    return _written({"provenance": facts, **to_json(reading)}, output)


def _written(content: dict[str, Any], output: Path | None) -> dict[str, Any]:
    if output is not None:
        write_json(output, content)
        say(f"wrote {output}")
    return content


def _print_provenance(facts: dict[str, Any], more: dict[str, str]) -> None:
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    shown = {**facts, "versions": versions}
    for name in ("config", "answering", "head", *([] if shown["sites"] else ["sites"])):
        del shown[name]
    shown |= more
    rows = [
        [name, f"{value:.4g}" if isinstance(value, float) else str(value)]
        for name, value in shown.items()
    ]
    say_lines(table(["field", "value"], rows) + "\n")


def _tell_head(
    file: Path, run: Run, provenance: Provenance, weights: Params
) -> dict[str, str]:
    """Says what a head does and how large its layer is, and of which data it is.

    Raises:
        ValueError: If the weights are not those of the head that the file names.
    """
    kind, layer = KINDS.get(provenance.head), weights.get("weight")
    shape = getattr(layer, "shape", ())
    if kind is None or not kind.has_weights or len(shape) != 3:
        raise ValueError(
            f"{quoted_path(file)}: its weights are not those of a head of "
            f"{quoted(provenance.head)}, which its header says: the file is damaged"
        )
    said = f"{provenance.head}: {kind.told}; {list(shape[1:])}"
    if "pooler" in weights:
        said += ", behind a pooler that was trained"
    data = [task.told for task in _tasks_of(run, provenance) if task.told]
    return {"head": said} | ({"data": data[0]} if data else {})


def _find_model(run: Run, provenance: Provenance, another: bool) -> Checkpoint:
    """Finds the model, and checks that the prompt is for it."""
    try:
        checkpoint = find_checkpoint(
            run.model.name or provenance.backbone,
            revision=run.model.revision,
            vocabulary=run.model.vocabulary,
        )
    except FileNotFoundError as error:
        # What the Hub's client says has several lines.
        reason = " ".join(str(error).split())
        raise FileNotFoundError(
            f"{reason}; --without_model tells what the prompt's file alone does"
        ) from error
    check_prompts([provenance], open_backbone(checkpoint), another_backbone=another)
    return checkpoint


def _read_table(checkpoint: Checkpoint) -> Float[np.ndarray, "V D"]:
    """Reads the embedding table alone: of a large model, a small part."""
    return np.concatenate([*read_table(checkpoint)])


def _words_of(
    run: Run, provenance: Provenance
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the words to look for, and those that the first soft tokens started from.

    The task's files need not be there. The latter are for class-label initialisation,
    where the file has no start.
    """
    labels: list[str] = []
    for task in _tasks_of(run, provenance):
        labels = [*task.label_words_in_order]
    initial = tuple(run.prompt.words) or tuple(dict.fromkeys(labels))
    started = initial if provenance.init == "class_labels" else ()
    return tuple(dict.fromkeys((*initial, *labels))), started


def _tasks_of(run: Run, provenance: Provenance) -> Sequence[AnyTask]:
    """Returns the tasks that a prompt is of; the run's first where none is called so.

    A bank has several tasks; a prompt saved by plain Python may name none of them.
    """
    own = [task for task in run.data.tasks if task.label == provenance.task]
    return own or run.data.tasks[:1]


def _token_table(reading: PromptReading) -> str:
    """Lays the soft tokens out, a line each, with the columns that are known."""
    moved = any(token.drift for token in reading.tokens)
    header = ["soft token", "norm"]
    header += ["cosine with start", "distance from start"] if moved else []
    header += [f"nearest words ({reading.metric})"] if reading.neighbours else []
    rows = []
    for place, token in enumerate(reading.tokens):
        row: list[object] = [str(place), token.norm]
        if token.drift is not None:
            row += [f"{token.drift.cosine:.2f}", token.drift.distance]
        rows.append([*row, str(token)] if reading.neighbours else row)
    return table(header, rows)
