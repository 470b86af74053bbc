"""Comparing two finished runs row by row, with a paired test."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.evaluate.vote import majority_vote
from jaxprompt.report.results.answers import Answered
from jaxprompt.report.results.paired import Paired, compare_answers
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.keep.predictions import read_predictions
from jaxprompt.screen.quoting import cut, listed, quoted, quoted_path
from jaxprompt.screen.terminal import say, say_lines

_SHOWN = 5
"""Rows of each kind that are printed."""


def compare(
    first: str | Path,
    second: str | Path,
    *,
    output: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Says on which rows two runs differ, and whether more than by chance.

    A run of several prompts for a task answers by their majority vote. An answer is
    right if it is the true one, or one of several true ones.

    Args:
        first: Folder of a run, or its predictions.jsonl.
        second: Another one, scored on the same rows.
        output: Where to write the comparison as JSON.
        overwrite: Whether `output` may exist.

    Returns:
        Task -> its counts, its difference and its p-value, as in the JSON.

    Raises:
        FileNotFoundError: If a run has no predictions.
        ValueError: If they share no task, or were scored on other rows.
    """
    check_output(output, overwrite)
    one, other = read_predictions(first), read_predictions(second)
    shared = [task for task in one if task in other]
    if not shared:
        raise ValueError(
            f"{quoted_path(first)} answers {listed(one)}, {quoted_path(second)} "
            f"{listed(other)}: name runs of one task"
        )
    names = str(first), str(second)
    found: dict[str, Any] = {}
    for task in shared:
        _check_same_rows(task, one[task], other[task], names)
        answers = [majority_vote(run[task].predicted) for run in (one, other)]
        rights = [
            _right(run[task], given)
            for run, given in zip((one, other), answers, strict=True)
        ]
        paired = compare_answers(*rights)
        found[task] = _content(paired)
        say_lines(_told(task, names, paired))
        for name, run in zip(names, (one, other), strict=True):
            if (prompts := len(run[task].predicted)) > 1:
                say(f"{name} answers by the majority vote of its {prompts} prompts")
        _show_unlike(one[task], answers, rights, names)
    if output is not None:
        write_json(output, {"first": names[0], "second": names[1], "tasks": found})
        say(f"wrote {output}")
    return found


def _check_same_rows(
    task: str, one: Answered, other: Answered, names: tuple[str, str]
) -> None:
    rows = [list(zip(x.inputs, x.expected, strict=True)) for x in (one, other)]
    if rows[0] == rows[1]:
        return
    if len(rows[0]) != len(rows[1]):
        what = f"{len(rows[0])} rows, but {names[1]} on {len(rows[1])}"
    else:
        place = next(n for n, (a, b) in enumerate(zip(*rows, strict=True)) if a != b)
        what = (
            f"{quoted(rows[0][place])} in row {place + 1}, but {names[1]} on "
            f"{quoted(rows[1][place])}"
        )
    raise ValueError(
        f"task {task}: {names[0]} was scored on {what}: score both on the same split, "
        "with the same template"
    )


def _right(answered: Answered, given: Sequence[str]) -> list[bool]:
    """Says whether the answers are right that a majority gives."""
    return [
        any(
            rights[number] and answers[number] == answer
            for answers, rights in zip(answered.predicted, answered.right, strict=True)
        )
        for number, answer in enumerate(given)
    ]


def _content(paired: Paired) -> Mapping[str, Any]:
    return {
        **paired._asdict(),
        "difference": paired.difference,
        "margin": paired.margin,
        "p_value": paired.p_value,
    }


def _told(task: str, names: tuple[str, str], paired: Paired) -> str:
    rights = paired.both + paired.first, paired.both + paired.second
    rows = [
        [name, f"{100 * right / paired.rows:.1f}", right, alone]
        for name, right, alone in zip(names, rights, paired[1:3], strict=True)
    ]
    return "\n".join(
        [
            f"{task}, {paired.rows} rows",
            table(["run", "right %", "right", "only here"], rows),
            f"both right {paired.both}, neither {paired.neither}; difference "
            f"{paired.difference:+.1f} ± {paired.margin:.1f} points (95 %), McNemar's "
            f"exact test p = {paired.p_value:.3g}",
            paired.verdict(*names),
        ]
    )


def _show_unlike(
    rows: Answered,
    answers: Sequence[Sequence[str]],
    rights: Sequence[Sequence[bool]],
    names: tuple[str, str],
) -> None:
    """Prints a few rows that only one of the runs answers right."""
    for number, name in enumerate(names):
        others = answers[1 - number]
        pairs = zip(rights[number], rights[1 - number], strict=True)
        only = [place for place, pair in enumerate(pairs) if pair == (True, False)]
        if only:
            say(f"only {name} is right on:")
        for place in only[:_SHOWN]:
            say(
                f"  {rows.places[place]}: {cut(rows.inputs[place], 80)} -> "
                f"{rows.expected[place]}, not {others[place]}"
            )
