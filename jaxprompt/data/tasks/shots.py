"""A task behind words: an instruction, and training examples that are shown."""

import dataclasses

import numpy as np

from jaxprompt.data.read.files import Row
from jaxprompt.data.tasks.task import Example, Task

_BLANK = "\n\n"
"""What stands between an instruction, examples and the question."""


def asked_by_hand(
    task: Task, instruction: str, *, split: str, shots: int, seed: int
) -> Task | None:
    """Puts a hand-written prompt in front of the inputs of a task.

    Args:
        task: The task; see `data.tasks.task.Task.in_words`.
        instruction: What comes first; may be empty.
        split: Split of the examples.
        shots: Examples behind the instruction.
        seed: Of their draw.

    Returns:
        The task as it is put in words, behind the text; None without instruction and
        examples.

    Raises:
        ValueError: As `training_examples`.
    """
    parts = [instruction] if instruction else []
    if shots:
        parts += training_examples(task, split, shots, seed)
    if not parts:
        return None
    before = _BLANK.join(parts)
    if task.in_words is not None:
        before = "".join(part + task.in_words.joint for part in parts)
    elif task.causal and not before[-1].isspace():
        # T5's vocabulary begins each text with a space; others would run on.
        before += _BLANK
    return dataclasses.replace(task.asked_in_words, before=before)


def training_examples(task: Task, split: str, count: int, seed: int) -> list[str]:
    """Draws rows at random and writes each as its input and its target.

    Args:
        task: The task.
        split: A labelled split.
        count: Rows, without repeats.
        seed: Of the draw, 0 or more.

    Returns:
        A text for each row: "input target", whole; or as the task is put in words.

    Raises:
        ValueError: If the split is unlabelled or has fewer rows.

    Source: Brown et al. 2020, sec. 2 (arXiv:2005.14165), draw them from the training
    set likewise.
    """
    task.check_labelled(split)
    rows = task.num_examples(split)
    if count > rows:
        raise ValueError(
            f"{count} shots, but split {split!r} of task {task.name} has {rows} rows: "
            "use fewer"
        )
    numbers = np.random.default_rng(seed).choice(rows, count, replace=False)
    examples = task.asked_in_words.examples(split, numbers)
    if task.in_words is None:
        return [*map(_shown, examples)]
    shot = task.in_words.shot
    return [
        shot.fill(Row(f"shot {number}", {"inputs": x.inputs, "targets": x.targets}))
        for number, x in enumerate(examples, start=1)
    ]


def _shown(example: Example) -> str:
    """Writes an answer behind its input, with one space between them, or a line."""
    parted = example.inputs[-1:].isspace() or example.targets[:1].isspace()
    return f"{example.inputs}{'' if parted else ' '}{example.targets}"
