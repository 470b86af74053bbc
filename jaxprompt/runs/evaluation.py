"""Scoring prompt files on their task: one of them, or the vote of several."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.config import LOSS, Run
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.prompts.prompt import stack
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.prompts.trained import join_heads
from jaxprompt.report.results.answers import (
    Answered,
    surprising_mistakes,
    worst_mistakes,
)
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.keep.predictions import write_predictions
from jaxprompt.runs.measure.coverage import report_cut_inputs, report_limits
from jaxprompt.runs.measure.measured import Measured, result_of
from jaxprompt.runs.measure.results import make_report, result_table
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.runs.ready.together import check_together, score_settings, task_settings
from jaxprompt.screen.quoting import cut
from jaxprompt.screen.terminal import say, say_lines


def evaluate(
    run: Run,
    prompt_file: Path,
    *,
    split: str | None = None,
    output: Path | None = None,
    predictions: Path | None = None,
    mistakes: int = 0,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> dict[str, Any]:
    """Scores a prompt file on its task, beside the majority class and no prompt.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        split: Split to score; None for the one that the run was scored on.
        output: Where to write the scores as JSON.
        predictions: Where to write every answer, as a run's predictions.jsonl.
        mistakes: How many of the worst mistakes to print: rows with a wrong answer,
            the least likely true answer first. They take one more pass.
        overwrite: Whether these files may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        The scores, as in result.json; of a tuned model without those of the model
        that it was trained from, which its own run has.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    split = split or run.data.scored_split
    _check_files(run, output, predictions, overwrite)
    if mistakes < 0:
        raise ValueError(f"{mistakes} mistakes: use 0, for none, or more")
    prompt, provenance = load_prompt(prompt_file)
    job = prepare(
        run, splits=(split,), trained=[provenance], another_backbone=another_backbone
    )
    report = make_report(job, split, prompt.length)
    if isinstance(report, ScoreReport):
        report_cut_inputs(job, split)
    report_limits(report)
    params = job.frozen.join(prompt, load_head(prompt_file))
    measured = report.measure(params)
    if provenance.tunes_model:
        measured = _without_untuned(measured)
    result = _show(run, measured, output, predictions)
    if mistakes and isinstance(report, ScoreReport):
        _show_mistakes(measured.answers[0], report.surprises(params), mistakes)
    return result


def evaluate_ensemble(
    runs: Mapping[Path, Run],
    *,
    split: str | None = None,
    output: Path | None = None,
    predictions: Path | None = None,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> dict[str, Any]:
    """Scores several prompts in shared batches, and the majority vote of each task's.

    Args:
        runs: Prompt files, of one length, and of each its model, task and method: what
            the file says, or a change of it. What decides a score must be the same for
            all. With several tasks, each prompt answers the one that it was trained on.
            The order of the files decides ties, as in `evaluate.vote.majority_vote`.
        split: As of `evaluate`.
        output: As of `evaluate`.
        predictions: As of `evaluate`.
        overwrite: As of `evaluate`.
        another_backbone: As of `evaluate`.

    Returns:
        The scores, as in result.json: of every member, and the votes.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    run = next(iter(runs.values()))
    _check_files(run, output, predictions, overwrite)
    if len(runs) < 2:
        raise ValueError(
            f"an ensemble of {len(runs)} prompts: name two or more, as "
            "--prompt=A --prompt=B, or the folder of a bank"
        )
    if run.evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers to vote on: use another, as "
            "--gin.METHOD=greedy"
        )
    prompts, provenances = zip(*map(load_prompt, runs), strict=True)
    bank = stack(prompts)
    check_together({file: score_settings(one, split) for file, one in runs.items()})
    split = split or run.data.scored_split
    places = _places(runs, provenances)
    seeds = [provenance.seed or 0 for provenance in provenances]
    members = list(zip(places, seeds, strict=True))
    labels = [task.label for task in run.data.tasks]
    missing = [label for place, label in enumerate(labels) if place not in places]
    if missing:
        raise ValueError(
            f"no prompt for {', '.join(missing)}: name prompts of every task, or set "
            "another TASK"
        )
    job = prepare(
        run, splits=(split,), trained=provenances, another_backbone=another_backbone
    )
    report = ScoreReport(job, split, bank.length, members)
    report_cut_inputs(job, split)
    report_limits(report)
    heads = join_heads([load_head(file) for file in runs])
    measured = report.measure(job.frozen.join(bank, heads))
    files = [{"file": str(file)} for file in runs]
    named = [m | f for m, f in zip(measured.members, files, strict=True)]
    return _show(run, measured._replace(members=named), output, predictions)


def _places(runs: Mapping[Path, Run], provenances: Sequence[Provenance]) -> list[int]:
    """Returns which of the first run's tasks each prompt answers."""
    first_file, first = next(iter(runs.items()))
    tasks = {task.label: task for task in first.data.tasks}
    places = []
    for (file, run), provenance in zip(runs.items(), provenances, strict=True):
        own = {task.label: task for task in run.data.tasks}
        label = next(iter(own)) if len(own) == 1 else provenance.task
        if label not in own or label not in tasks:
            raise ValueError(
                f"{file} was trained on {provenance.task!r}, but the run of "
                f"{first_file} has {', '.join(tasks)}: leave it out"
            )
        check_together(
            {first_file: task_settings(tasks[label]), file: task_settings(own[label])}
        )
        places.append(list(tasks).index(label))
    return places


def _check_files(
    run: Run, output: Path | None, predictions: Path | None, overwrite: bool
) -> None:
    """Raises ValueError for a file that cannot be written, or has nothing to hold."""
    check_output(output, overwrite)
    check_output(predictions, overwrite)
    if output is not None and predictions is not None and _same(output, predictions):
        raise ValueError(
            f"--output and --predictions are both {output}, and the one would replace "
            "the other: name two files"
        )
    if predictions is not None and run.evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: leave --predictions out, or use "
            "another, as --gin.METHOD=greedy"
        )


def _same(one: Path, other: Path) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)


def _without_untuned(measured: Measured) -> Measured:
    """Leaves out what would be called untuned: the only model here is the tuned one."""
    left_out = ("untuned", "untuned_illegal", "untuned_metrics")
    return measured._replace(
        members=[
            {name: value for name, value in member.items() if name not in left_out}
            for member in measured.members
        ]
    )


def _show(
    run: Run, measured: Measured, output: Path | None, predictions: Path | None
) -> dict[str, Any]:
    result = result_of(measured, run.data.task_name)
    say_lines(result_table(result))
    if output is not None:
        write_json(output, result)
        say(f"wrote {output}")
    if predictions is not None:
        say(f"wrote {write_predictions(predictions, measured.answers)}")
    return result


def _show_mistakes(answered: Answered, nats: Sequence[float], most: int) -> None:
    wrong = len(worst_mistakes(answered, len(answered.places)))
    found = surprising_mistakes(answered, nats, most)
    say(f"{len(found)} of {wrong} mistakes, the least likely true answer first:")
    for mistake, share in found:
        say(
            f"  {mistake.place}: {cut(mistake.text, 80)} -> {mistake.expected} "
            f"(probability {share:.2g}), not {mistake.predicted}"
        )
