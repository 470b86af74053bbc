"""Checking a backbone, a prompt and a task, and saying in words what is wrong."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxprompt.config import LOSS, WORDS, Run
from jaxprompt.data.rows.batches import train_batches
from jaxprompt.data.rows.coverage import measure_coverage
from jaxprompt.doctor.answers import (
    COLLAPSE,
    MAJORITY,
    REACH,
    check_collapse,
    check_labels,
    check_majority,
    check_reach,
    check_truncation,
    check_unknown,
)
from jaxprompt.doctor.case import Case
from jaxprompt.doctor.finding import Finding, lay_out, skipped
from jaxprompt.doctor.model import (
    check_adaptation,
    check_cache,
    check_folding,
    check_padding,
)
from jaxprompt.doctor.prompt import check_effect, check_gradient, check_norms
from jaxprompt.doctor.rate import (
    RATE,
    check_rate,
    rates_to_try,
    try_rates,
    why_untried,
)
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.file import load_prompt, load_start
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.optimizer import make_optimizer
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.screen.progress_bar import progress_bar
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.shapes import Batch, resize
from jaxprompt.sharding import DATA

_ROWS = 8
"""Training rows that the model, the gradients and the rates are looked at with."""

_TARGETS = 8
"""Target tokens that decoding is compared over, at least."""

_SAMPLE = 100
"""Validation rows that are scored."""

_LOOKED_AT = 1000
"""Training rows whose lengths and characters are looked at."""


def diagnose(
    run: Run,
    prompt_file: Path | None = None,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> dict[str, Any]:
    """Checks all that a run of prompt tuning is made of, and prints what it finds.

    Args:
        run: Model, task and optimizer, of a single prompt.
        prompt_file: A trained prompt; None to look before any training, at the prompt
            that it would start from.
        output: Where to write the findings as JSON.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        What `output` holds: "backbone", "task", "prompt" (its file, or None), "healthy"
        (whether nothing is wrong; warnings do not count), and "findings": of each check
        its name, verdict, number (None if there is none, or it is not finite) and what
        it says.

    Raises:
        ValueError: If there is no single prompt to check, or if anything does not fit,
            before any device work.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite)
    _check_run(run)
    # One example a row tells as much, and neither decoding nor a sample needs more.
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, pack=False))
    data = run.data
    splits = tuple(dict.fromkeys((data.train_split, data.validation_split)))
    options = {"splits": splits, "another_backbone": another_backbone}
    if prompt_file is None:
        job = prepare(run, **options)
        prompt = start = job.start_prompt()
    else:
        prompt, provenance = load_prompt(prompt_file)
        start = load_start(prompt_file)
        job = prepare(run, trained=[provenance], **options)
    is_trained = prompt_file is not None
    findings = list(_examine(job, prompt, start, is_trained=is_trained))
    say_lines(lay_out(findings))
    content = {
        "backbone": job.frozen.backbone.name,
        "task": run.data.task_name,
        "prompt": None if prompt_file is None else str(prompt_file),
        "healthy": all(finding.verdict != "wrong" for finding in findings),
        "findings": [_to_json(finding) for finding in findings],
    }
    if output is not None:
        write_json(output, content)
        say(f"wrote {output}")
    return content


def _to_json(finding: Finding) -> dict[str, Any]:
    """Returns a finding as JSON can hold it, which has no infinite numbers."""
    number = finding.number
    if number is not None and not math.isfinite(number):
        number = None
    return {**dataclasses.asdict(finding), "number": number}


def _check_run(run: Run) -> None:
    if run.head.kind != WORDS:
        raise ValueError(
            f"a head of {run.head.kind}: the doctor looks at prompts that a model "
            "answers in words; look at this one by `jaxprompt inspect`, and at its "
            "answers by `jaxprompt evaluate --mistakes=10`"
        )
    if run.trains != "prompt":
        raise ValueError(
            f"trains {run.trains!r}: the doctor looks at prompt tuning, so set "
            "--gin.TRAINS=prompt"
        )
    if run.optimizer.learning_rate <= 0:
        raise ValueError(
            f"learning rate {run.optimizer.learning_rate}: the doctor tries it, and a "
            "tenth and ten times of it, so use one above 0, as --gin.LEARNING_RATE=0.3"
        )
    if run.num_members > 1:
        raise ValueError(
            f"{run.num_members} prompts ({run.data.task_name}, {run.seeds} seeds): the "
            "doctor looks at one, so name its file by --prompt, or set one task and "
            "--gin.SEEDS=1"
        )


def _examine(
    job: Job, prompt: Prompt, start: Prompt | None, *, is_trained: bool
) -> Iterator[Finding]:
    """Yields the finding of each check: the task's, the model's, the prompt's."""
    case = _make_case(job, prompt)
    of_case = [
        *(check_padding, check_cache),
        *([] if case.folded is None else [check_folding]),
        *(check_adaptation, check_norms, check_effect, check_gradient),
    ]
    checks: list[Callable[[], list[Finding]]] = [
        lambda: [check_labels(job.task), *_coverage(job), _reach(job)],
        *(functools.partial(_only, check, case) for check in of_case),
        lambda: [_rate(case, job.run, start)],
        lambda: _scores(job, case) if is_trained else _no_scores(),
    ]
    for check in progress_bar("examining", each=checks, unit="check", leave=False):
        yield from check()


def _only(check: Callable[[Case], Finding], case: Case) -> list[Finding]:
    return [check(case)]


def _coverage(job: Job) -> list[Finding]:
    split, lengths = job.run.data.train_split, job.row_lengths(0)
    task = job.trained(0, job.run.seed)
    share = measure_coverage(task, split, lengths, limit=_LOOKED_AT)
    return [check_truncation(share, lengths), check_unknown(share)]


def _reach(job: Job) -> Finding:
    """Scores the true targets of the rows that the run is validated on."""
    run = job.run
    if run.evaluation.method == LOSS:
        return skipped(REACH, f"Method {LOSS!r} gives no answers to score.")
    rows = EvaluationSet(job.sample(job.task, run.data.validation_split, 0))
    return check_reach(rows.perfect().score, rows.limits())


def _make_case(job: Job, prompt: Prompt) -> Case:
    """Takes the first rows of the run's training, behind the prompt and without it."""
    task, split = job.trained(0, job.run.seed), job.run.data.train_split
    devices = job.frozen.mesh.shape[DATA]
    rows = max(min(_ROWS, task.num_examples(split)) // devices, 1) * devices

    def batch(job: Job, length: int) -> Batch:
        batches = train_batches(
            task,
            split,
            job.training_lengths(length),
            job.frozen.soft_ids(length),
            batch_size=rows,
            seed=job.run.seed,
        )
        return next(batches)[0]

    folded = batch(job, prompt.length)
    folded = _resize(folded, _width(folded))
    unfolded = dataclasses.replace(job, frozen=job.frozen.unfolded())
    behind = batch(unfolded, prompt.length)
    width = _width(behind)
    return Case(
        backbone=job.frozen.backbone,
        vocabulary=task.vocabulary,
        prompt=prompt,
        rows=_resize(behind, width),
        plain=_resize(batch(unfolded, 0), width),
        join=job.frozen.join,
        place=job.frozen.place_batch,
        folded=folded if folded.lead else None,
    )


def _width(batch: Batch) -> int:
    """Counts the columns of the inputs that hold anything; 1 if none does."""
    return max(int(batch.input_segments.any(axis=0).sum()), 1)


def _resize(batch: Batch, width: int) -> Batch:
    """Cuts or pads the inputs to a width, and pads targets to at least `_TARGETS`.

    Batches of one shape are compiled once.
    """
    return resize(batch, width, max(batch.targets.shape[1], _TARGETS))


def _rate(case: Case, run: Run, start: Prompt | None) -> Finding:
    reason = why_untried(start, run.prompt.reparametrise)
    if start is None or reason:
        return skipped(RATE, reason)
    rate = run.optimizer.learning_rate
    # The schedule is left out: it is the highest rate that a run may fail by.
    trial = {"learning_rate": 1.0, "schedule": "constant", "warmup": 0}
    settings = dataclasses.replace(run.optimizer, weight_decay=0.0, **trial)
    tx = make_optimizer(dataclasses.replace(run, optimizer=settings))
    options = {"z_loss": settings.z_loss, "seed": run.seed}
    tried = try_rates(case, start, tx, rates_to_try(rate), **options)
    return check_rate(tried, rate, run.pace.steps)


def _no_scores() -> list[Finding]:
    reason = "Nothing is trained yet: run this again with --prompt."
    return [skipped(COLLAPSE, reason), skipped(MAJORITY, reason)]


def _scores(job: Job, case: Case) -> list[Finding]:
    """Scores a sample of the validation split."""
    run = job.run
    if run.evaluation.method == LOSS:
        reason = f"Method {LOSS!r} gives no answers to score."
        return [skipped(COLLAPSE, reason), skipped(MAJORITY, reason)]
    rows = job.sample(job.task, run.data.validation_split, case.prompt.length)
    sample = EvaluationSet(dataclasses.replace(rows, num_examples=_SAMPLE))
    predict = functools.partial(job.predict(job.task), case.params)
    scores = sample.score(predict, run.evaluation.batch_size)
    return [
        check_collapse(scores, sample.texts),
        check_majority(scores, sample.majority()),
    ]
