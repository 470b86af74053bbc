"""Showing what a model will read before anything trains: a few encoded rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxprompt.config import Run
from jaxprompt.data.rows.layout import Layout, kept_tokens, layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.few_shot import few_shot_task
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.data.tasks.windows import in_windows
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.runs.ready.prepare import check_has_task, check_head, check_slots
from jaxprompt.screen.quoting import cut
from jaxprompt.screen.terminal import say_lines

_MOST_CUT = 1000
"""Characters of a text that did not fit which are shown: it may be a book."""


def show(run: Run, *, rows: int = 3) -> str:
    """Prints rows of each task's training split as the model will read them.

    Args:
        run: Model, task, prompt length and text lengths; no weights are read.
        rows: How many of each task, from the first on.

    Returns:
        What was printed: of each row its place, its text with the soft tokens in their
        places, what is cut of it, its token ids, and its answer.

    Raises:
        ValueError: If something of the run does not fit; if a row has more tags than
            the target length has room for, though it is not one of those shown.
        FileNotFoundError: If a file is missing.
    """
    check_has_task(run)
    model = open_model(run.model)
    check_head(run, model)
    length = run.prompt.length if "prompt" in run.trains else 0
    soft_ids = prefix(model.checkpoint.config.vocab_rows, length)
    lines: list[str] = []
    for settings in run.data.tasks:
        task = run.load(settings, model.vocabulary)
        check_slots(task, [length] if length else [])
        split, few = run.data.train_split, run.data.few_rows
        task.check_split(split)
        if few is not None:
            task = few_shot_task(task, split, few, run.seed)
        task.check_targets(split, run.data.target_length)
        task = in_windows(task, split, run.data.input_length)
        lines += [f"{settings.label}: {note}" for note in task.source.notes(split)]
        lengths = Lengths(run.data.input_length, run.data.target_length)
        layout = layout_of(task, lengths, soft_ids)
        numbers = range(min(rows, task.num_examples(split)))
        pairs = zip(
            numbers,
            task.pairs(split, numbers),
            task.examples(split, numbers),
            strict=True,
        )
        for number, pair, example in pairs:
            lines.append(f"{settings.label}, {task.source.place(split, number)}")
            for text in (pair, *pair.beside):
                lines += [f"  {line}" for line in _tell(task, layout, text)]
            lines.append(f"  answers {_answer(task, layout, pair, example)}")
    text = "\n".join(lines)
    say_lines(text)
    return text


def _tell(task: Task, layout: Layout, pair: Pair) -> Iterator[str]:
    """Yields the lines of a row."""
    read = layout.prompted(pair).inputs
    kept = kept_tokens(pair, layout.lengths.inputs)
    gone = np.delete(pair.inputs, kept)
    yield f"reads {_marked(task, layout, read)}"
    text = int((pair.inputs >= 0).sum())
    room = layout.lengths.inputs
    if gone.size:
        yield (
            f"cut {gone.size} of {text} tokens, for which there is room for {room}: "
            f"{cut(repr(_text(task, gone)), _MOST_CUT)}"
        )
    else:
        yield f"whole: {text} tokens, with room for {room}"
    yield f"ids {_listed(read)}"


def _answer(task: Task, layout: Layout, pair: Pair, example: Example) -> str:
    """Returns a row's answer: that of a head, or what is left of one in words."""
    if task.answers is not None:
        places = layout.prompted(pair).places
        return f"{example.targets!r}, at tokens {_listed(places)}"
    targets = pair.targets[: layout.lengths.targets]
    said = task.vocabulary.decode(targets.tolist())
    return f"{said!r}, ids {_listed(targets)}"


def _listed(numbers: Any) -> str:
    return " ".join(map(str, numbers.tolist()))


def _marked(task: Task, layout: Layout, ids: Int[np.ndarray, " T"]) -> str:
    """Writes ids as text, and in the place of soft tokens which of them stand there."""
    soft = dict(zip(layout.soft_ids.tolist(), range(len(layout.soft_ids)), strict=True))
    parts, start = [], 0
    is_soft = [number in soft for number in ids.tolist()]
    for stop in range(1, len(ids) + 1):
        if stop < len(ids) and is_soft[stop] == is_soft[start]:
            continue
        run = ids[start:stop]
        if is_soft[start]:
            first, last = run[[0, -1]].tolist()
            parts.append(f"[soft tokens {soft[first]} to {soft[last]}]")
        else:
            parts.append(repr(_text(task, run)))
        start = stop
    return " ".join(parts)


def _text(task: Task, ids: Int[np.ndarray, " T"]) -> str:
    """Writes ids as text, without the end of it.

    Ends within it are written: of two texts [SEP] ends each, and of a conversation
    every turn has an end.
    """
    held = ids.tolist()
    if held and held[-1] in task.vocabulary.end_ids:
        held.pop()
    return task.vocabulary.pieces.decode(held)
