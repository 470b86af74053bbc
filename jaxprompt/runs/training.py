"""Training a prompt, a model or a vocabulary, and what is kept of it."""

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from jaxprompt.config import LOSS, VOCABULARY, WORDS, Run
from jaxprompt.config.answering import describe
from jaxprompt.data.pretraining.tokenizer import write_vocabulary
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import Prompt, unstack
from jaxprompt.runs.fitting import Best, check_training, fit_best
from jaxprompt.runs.keep.bindings import with_values
from jaxprompt.runs.keep.predictions import write_predictions
from jaxprompt.runs.keep.workdir import (
    CHECKPOINTS,
    MODEL,
    PREDICTIONS,
    PROMPT,
    PROMPTS,
    check_room,
    check_unclaimed,
    check_workdir,
    check_writable,
    claim_workdir,
    read_result,
    release_workdir,
    size_in_words,
    write_result,
    writing,
)
from jaxprompt.runs.measure.chance import chance_notes
from jaxprompt.runs.measure.coverage import report_coverage, report_limits
from jaxprompt.runs.measure.loss_report import LossReport
from jaxprompt.runs.measure.measured import Measured, result_of
from jaxprompt.runs.measure.padding import report_padding
from jaxprompt.runs.measure.results import make_report, result_table
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.measure.vocabulary import make_vocabulary
from jaxprompt.runs.publish.run_pages import write_model_card, write_run_page
from jaxprompt.runs.ready.frozen import OpenedModel
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.lower_states import StatesToKeep, count_states
from jaxprompt.runs.ready.optimizer import make_optimizer
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.shapes import Batch, Params
from jaxprompt.sharding import fetch
from jaxprompt.train.checkpoint import keep_last, most_kept
from jaxprompt.train.kept_states import KeptStates
from jaxprompt.train.loggers import check_loggers
from jaxprompt.train.loop import Validation
from jaxprompt.train.optimizer import ENDING, MASKS
from jaxprompt.train.step import state_bytes


def train(
    run: Run,
    workdir: Path,
    *,
    config: str = "",
    command: str = "",
    model: OpenedModel | None = None,
) -> dict[str, Any]:
    """Trains a prompt, a model or a vocabulary, and scores the best of it.

    The workdir then holds prompt.safetensors (of a bank prompts/TASK-SEED.safetensors;
    where the model trains, the Hugging Face folder model/, and with a head also
    prompt.safetensors, which holds it and no prompt), report.html, predictions.jsonl,
    result.json, operative_config.gin, metrics.jsonl, tensorboard/ and checkpoints/,
    those of a model only where its schedule allows more steps; a vocabulary's holds
    spiece.model. An interrupted run resumes, and a finished one is
    not run again, unless it is to last longer.

    Args:
        run: What to train.
        workdir: Folder of the run; made if needed.
        config: The run as gin text; kept with the prompt, so that it can be evaluated
            without further arguments.
        command: The command line that asked for it, for the page; empty if none did.
        model: That of the run, where it is open already, for others that follow; None
            opens it.

    Returns:
        The content of result.json.

    Raises:
        ValueError: If anything in `run` does not fit; nothing is written then.
        FileNotFoundError: If a file is missing.
        FloatingPointError: If the loss is not finite.
        OSError: If the workdir cannot be written any more.
        train.stopped.Stopped: After SIGTERM or SIGINT, once the state is saved.
    """
    result, made = finish(run, workdir, config=config, command=command, model=model)
    if not made:
        say(f"{workdir} holds a finished run:")
        say_lines(result_table(result))
        return result
    say_lines(result_table(result))
    if run.trains_bank and result["metric"] != LOSS:
        for note in chance_notes(result):
            say(note)
    say(f"wrote {', '.join(map(str, made[:-1]))} and {made[-1]}")
    return result


def finish(
    run: Run,
    workdir: Path,
    *,
    config: str = "",
    command: str = "",
    model: OpenedModel | None = None,
) -> tuple[dict[str, Any], list[Path]]:
    """Does what `train` does, and leaves it to others to tell the result.

    Args:
        run: What to train.
        workdir: Folder of the run.
        config: The run as gin text.
        command: As of `train`.
        model: That of the run, where it is open already; None opens it.

    Returns:
        The content of result.json; and the files and folders that this call wrote,
        none if the run was finished before.

    Raises:
        ValueError: As all others, as `train`.
    """
    check_workdir(workdir, config)
    finished = read_result(workdir, config)
    if finished is not None:
        return finished, []
    check_unclaimed(workdir, run)
    check_writable(workdir)
    try:
        with writing(workdir):
            if run.trains == VOCABULARY:
                result, made = _train_vocabulary(run, workdir, config)
            else:
                checked = _check_weights(run, model)
                _check_room(checked, workdir)
                result, made = _train_weights(checked, workdir, config, command)
            made = [*made, write_result(workdir, result)]
            # Only now: until the result is there, the run resumes from them.
            if run.tunes_model and jax.process_index() == 0:
                _free_room(run, workdir / CHECKPOINTS)
            return result, made
    finally:
        release_workdir(workdir)


def rehearse(run: Run, workdir: Path, *, config: str = "") -> None:
    """Makes all the checks of `train`, and neither trains nor writes anything.

    Args:
        run: What would be trained.
        workdir: Where.
        config: The run as gin text.

    Raises:
        ValueError: As `train`; or if a vocabulary is to be made, which takes no longer.
        FileNotFoundError: If a file is missing.
    """
    if run.trains == VOCABULARY:
        raise ValueError(
            "a vocabulary is made in one go, and there is nothing to check before: "
            "leave --dry_run out"
        )
    check_workdir(workdir, config)
    check_unclaimed(workdir, run)
    check_writable(workdir)
    checked = _check_weights(run)
    _check_room(checked, workdir)
    say(
        f"all is well: without --dry_run {run.data.task_name} trains for "
        f"{run.pace.steps} steps into {workdir}"
    )


def _train_vocabulary(
    run: Run, workdir: Path, config: str
) -> tuple[dict[str, Any], list[Path]]:
    """Returns the result and the files that it wrote."""
    model, result = make_vocabulary(run)
    claim_workdir(workdir, config)
    settings = run.tokenizer
    made = write_vocabulary(workdir, model, settings.sentinels, settings.layout)
    return result, [made]


class _Checked(NamedTuple):
    """A run that nothing is wrong with, as far as can be told before its first step.

    Attributes:
        job: What it is made of.
        start: The bank that it starts from.
        tx: Its optimizer.
        coverage: What of its rows is cut, or not known.
        reports: Split -> the way to its scores.
        to_keep: Rows whose states it keeps; None for none.
    """

    job: Job
    start: Prompt
    tx: optax.GradientTransformationExtraArgs
    coverage: dict[str, float]
    reports: dict[str, ScoreReport | LossReport]
    to_keep: StatesToKeep | None


def _check_weights(run: Run, model: OpenedModel | None = None) -> _Checked:
    """Makes all checks of a run that trains weights; writes nothing."""
    check_loggers(run.loggers)
    tx = make_optimizer(run)
    job = prepare(run, splits=run.data.splits, model=model)
    start = job.start_prompt()
    coverage = report_coverage(job)
    reports = {
        name: make_report(job, name, start.length)
        for name in dict.fromkeys((run.data.choosing_split, run.data.scored_split))
    }
    check_training(job, start)
    report_padding(job, start.length)
    validated = _read_by_heads(run, reports[run.data.choosing_split])
    to_keep = count_states(job, start, validated)
    for report in reports.values():
        report_limits(report)
    return _Checked(job, start, tx, coverage, reports, to_keep)


def _check_room(checked: _Checked, workdir: Path) -> None:
    """Refuses a disk that cannot take the checkpoints of a model that trains.

    Those of prompts are a few megabytes.
    """
    job, run = checked.job, checked.job.run
    if not run.tunes_model:
        return
    params = job.frozen.join(checked.start, job.start_head())
    model, state = state_bytes(params, checked.tx, MASKS[run.trains])
    kept = most_kept(run.pace.num_saves, has_best=bool(run.chosen_on))
    check_room(workdir, kept=kept, state=state, model=model)


def _free_room(run: Run, folder: Path) -> None:
    """Removes the checkpoints of a finished model that no run can go on from.

    Each holds the model and its optimizer, which is several times what the run made.
    """
    schedule = run.optimizer.schedule
    if schedule in ENDING:
        shutil.rmtree(folder)
        say(
            f"removed {folder}: the model is written, and schedule {schedule!r} ends "
            "with the run, so that no more steps can follow"
        )
        return
    steps = keep_last(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(
        f"{folder} keeps step {' and '.join(map(str, steps))} ({size_in_words(size)}), "
        "from which a larger STEPS goes on: remove it if none is to come"
    )


def _read_by_heads(run: Run, report: ScoreReport | LossReport) -> list[Batch]:
    """Returns the rows that a run validates on by a head; none where it keeps none."""
    by_head = run.data.keep_states and run.head.kind != WORDS
    if not (by_head and run.chosen_on and isinstance(report, ScoreReport)):
        return []
    return report.batches


def _train_weights(
    checked: _Checked, workdir: Path, config: str, command: str
) -> tuple[dict[str, Any], list[Path]]:
    """Returns the result and the files that it wrote."""
    job, start, reports = checked.job, checked.start, checked.reports
    run, data, split = job.run, job.run.data, job.run.data.scored_split
    # Only now: a mistake that any of these has found leaves nothing behind.
    claim_workdir(workdir, config)
    validate, states = reports[data.choosing_split].validate, None
    to_keep = checked.to_keep
    if to_keep is not None:
        states = functools.cache(functools.partial(to_keep.make, workdir))
        validate = _validating(checked, states)
    best = fit_best(job, start, checked.tx, validate, workdir, states)
    start = job.reparametrised(start).expand()
    measured = reports[split].measure(best.params)
    if run.trains_bank:
        members = zip(measured.members, _prompt_files(job), best.steps, strict=True)
        for member, file, step in members:
            member |= {"steps": step, "file": file}
        made = _save_prompts(workdir, job, best.params, start, measured, config)
    else:
        made = [_save_model(workdir, job, best.params)]
        if run.head.has_weights:
            made.append(_save_head(workdir, job, best, measured, config))
    result = {
        "trains": run.trains,
        **result_of(measured, run.data.task_name),
        "steps": max(best.steps),
        "seconds": round(best.seconds, 1),
        **checked.coverage,
    }
    if jax.process_index() > 0:  # The pages are the first host's to write.
        return result, made
    text = data.task and data.task.raw_text
    if text is not None and run.tunes_model:
        write_model_card(workdir, job, text, result, config)
    if measured.examples:
        bank = best.params["prompt"]
        page = write_run_page(
            workdir, job, bank, result, measured, start=start, command=command
        )
        answers = write_predictions(workdir / PREDICTIONS, measured.answers)
        made += [page, answers]
    return result, made


def _validating(
    checked: _Checked, states: Callable[[], KeptStates]
) -> Callable[[Params], Validation]:
    """Returns the way to scores, which reads kept states where a head reads rows."""
    report = checked.reports[checked.job.run.data.choosing_split]
    if not _read_by_heads(checked.job.run, report):
        return report.validate
    assert isinstance(report, ScoreReport)
    return functools.partial(report.validate, join=lambda rows: states().join(rows))


def _prompt_files(job: Job) -> list[str]:
    """Names the members' files: one prompt lies in the workdir, several in a folder."""
    members = job.members
    if len(members) == 1:
        return [PROMPT]
    labels = [task.label for task in job.run.data.tasks]
    return [f"{PROMPTS}/{labels[place]}-{seed}.safetensors" for place, seed in members]


def _save_prompts(
    workdir: Path,
    job: Job,
    params: Params,
    start: Prompt,
    measured: Measured,
    config: str,
) -> list[Path]:
    """Writes each member to a file of its own; returns the file, or their folder."""
    starts, prompts = unstack(start), unstack(params["prompt"])
    if len(prompts) > 1:
        (workdir / PROMPTS).mkdir(exist_ok=True)
    heads = job.own_heads(params["head"])
    parts = zip(measured.members, prompts, heads, starts, strict=True)
    for member, prompt, weights, begun in parts:
        save_prompt(
            workdir / member["file"],
            prompt,
            job.frozen.backbone,
            start=None if begun.is_empty else begun,
            head=job.head.name,
            weights=weights,
            task=member["task"],
            metric=member["metric"],
            score=member["score"],
            step=member["steps"],
            seed=member["seed"],
            init="" if begun.is_empty else job.run.prompt.init_of_what_there_is,
            config=config,
            answering=describe(job.run.of_member(member["task"], member["seed"])),
        )
    return [workdir / (PROMPTS if len(prompts) > 1 else PROMPT)]


def _save_model(workdir: Path, job: Job, params: Params) -> Path:
    """Writes the model that was trained; returns its folder."""
    made = workdir / MODEL
    model = jax.tree.map(fetch, params["model"])
    if jax.process_index() == 0:
        if (
            made.exists()
        ):  # Of a run that was killed after this: its checkpoint is there.
            shutil.rmtree(made)
        save(made, job.frozen.backbone, model)
    return made


def _save_head(
    workdir: Path, job: Job, best: Best, measured: Measured, config: str
) -> Path:
    """Writes the head of a tuned model, as a file of this model without a prompt."""
    file, folder = workdir / PROMPT, str(workdir / MODEL)
    if jax.process_index() > 0:  # Only the first host has the model's folder.
        return file
    values = {"name": folder, "revision": None, "vocabulary": None}
    run = dataclasses.replace(
        job.run, model=dataclasses.replace(job.run.model, **values)
    )
    named = {f"Model.{name}": value for name, value in values.items()}
    (member,) = measured.members
    save_prompt(
        file,
        best.params["prompt"],
        open_backbone(find_checkpoint(folder)),
        head=job.head.name,
        weights=best.params["head"],
        task=member["task"],
        metric=member["metric"],
        score=member["score"],
        step=max(best.steps),
        seed=run.seed,
        config=with_values(config, {"Run.trains": "head", **named}),
        answering=describe(run),
        tunes_model=True,
    )
    return file
