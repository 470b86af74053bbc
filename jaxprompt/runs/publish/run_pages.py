"""What a finished run leaves for people to read: its page, a new model's card."""

import dataclasses
import datetime
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.config import TextTask
from jaxprompt.data.tasks.task import Task
from jaxprompt.files.atomic import write_atomically
from jaxprompt.models.families import family_of
from jaxprompt.models.quantise import dequantise
from jaxprompt.prompts.prompt import Prompt, unstack
from jaxprompt.prompts.provenance import installed_versions
from jaxprompt.report.pages.bank_page import write_bank_page
from jaxprompt.report.pages.model_card import PICTURE, model_card
from jaxprompt.report.pages.page import PromptFacts, write_page
from jaxprompt.report.plots.curves import make_panels, read_curves, write_png
from jaxprompt.report.reading.prompt import findings, read_prompt
from jaxprompt.runs.keep.workdir import METRICS, MODEL, PAGE, PROMPT, PROMPTS
from jaxprompt.runs.measure.chance import chance_notes
from jaxprompt.runs.measure.measured import Measured
from jaxprompt.runs.publish.origin import code_version
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.opening import rows_of_splits, tell_devices

NEIGHBOURS = 5
"""Words shown for each soft token."""


def write_run_page(
    workdir: Path,
    job: Job,
    prompt: Prompt,
    result: Mapping[str, Any],
    measured: Measured,
    *,
    start: Prompt | None = None,
    command: str = "",
) -> Path:
    """Writes the page of a finished run.

    Args:
        workdir: Its folder, which holds the curves.
        job: What was run.
        prompt: The prompt, or the bank; empty after model tuning.
        result: Content of result.json.
        measured: Rows of the scored split to show, one or more, and all answers.
        start: What the prompt's training started from.
        command: The command line that made the run; empty if it was none.

    Returns:
        The path of the page.
    """
    page, examples = workdir / PAGE, measured.examples
    facts = {**_facts(job, prompt, result), **_origin(job, command)}
    if "members" in result:
        metrics = {member["task"]: member["metric"] for member in result["members"]}
        write_bank_page(
            page,
            result,
            panels=make_panels(read_curves(workdir / METRICS), metrics),
            prompts=_describe_bank(job, prompt, start, result),
            answers=measured.answers,
            facts=facts,
            commands=_commands(workdir, prompt, examples[0].text),
        )
        return page
    write_page(
        page,
        result,
        panels=make_panels(read_curves(workdir / METRICS), result["metric"]),
        prompt=_describe(job, job.task, prompt, start) if prompt.length else None,
        examples=examples,
        answers=measured.answers,
        facts=facts,
        commands=_commands(workdir, prompt, examples[0].text),
    )
    return page


def write_model_card(
    workdir: Path,
    job: Job,
    text: TextTask,
    result: Mapping[str, Any],
    config: str,
) -> None:
    """Writes README.md and a plot of the losses into the folder of a new model.

    Args:
        workdir: Folder of its run, which holds the curves and the model.
        job: What was run.
        text: Its task.
        result: Content of result.json.
        config: The run as gin text.
    """
    sizes = job.frozen.backbone.config
    family = family_of(sizes)
    written = family.hugging_face.write_config(sizes, job.frozen.backbone.dtype)
    card = model_card(
        result,
        name=workdir.absolute().name,
        architecture=dataclasses.asdict(sizes),
        config=config,
        seed=job.run.seed,
        family=family.name,
        model_type=written["model_type"],
        model_class=written["architectures"][0],
        causal=sizes.causal,
        start=job.run.model.name,
        license=text.license,
        languages=text.languages,
    )
    folder = workdir / MODEL
    write_png(folder / PICTURE, make_panels(read_curves(workdir / METRICS)))
    write_atomically(folder / "README.md", card.encode())


def _describe_bank(
    job: Job, bank: Prompt, start: Prompt | None, result: Mapping[str, Any]
) -> dict[str, PromptFacts]:
    if not bank.length:
        return {}
    prompts = unstack(bank)
    starts = [None] * bank.members if start is None else unstack(start)
    return {
        f"{member['task']}, seed {member['seed']}": _describe(
            job, job.tasks[place], prompt, begun
        )
        for member, (place, _), prompt, begun in zip(
            result["members"], job.members, prompts, starts, strict=True
        )
    }


def _describe(
    job: Job, task: Task, prompt: Prompt, start: Prompt | None
) -> PromptFacts:
    reading = read_prompt(
        dequantise(job.frozen.backbone.table(job.frozen.model)),
        prompt,
        task.vocabulary,
        NEIGHBOURS,
        start=start,
        label_words=task.labels or (),
    )
    return PromptFacts(reading.tokens, findings=findings(reading))


def _facts(job: Job, prompt: Prompt, result: Mapping[str, Any]) -> dict[str, object]:
    run, backbone = job.run, job.frozen.backbone
    # A model that started from random weights has no fingerprint.
    known = f", fingerprint {backbone.fingerprint[:12]}" * bool(backbone.fingerprint)
    facts: dict[str, object] = {"backbone": f"{backbone.name}{known}"}
    if not prompt.is_empty:
        bank = f"{prompt.members} prompts, each of " if prompt.members > 1 else ""
        start = f"initialised by {run.prompt.init_of_what_there_is}"
        told = prompt.told if prompt.deep else f"{prompt.length} tokens"
        facts["prompt"] = f"{bank}{told}, {start}"
    steps = f"{result['steps']} of {run.pace.steps}"
    if run.chosen_on:
        steps += f", the best on the {run.chosen_on} split"
        steps += ", each member's own" * (prompt.members > 1)
    else:
        steps += ", the last: no step was validated"
    chance = chance_notes(result) if run.trains_bank else []
    if chance:
        facts["chance"] = "; ".join(chance)
    versions = installed_versions().items()
    return {
        **facts,
        "optimizer": (
            f"learning rate {run.optimizer.learning_rate}, schedule "
            f"{run.optimizer.schedule}, batches of {run.batch_size}"
            + (" for each member" if prompt.members > 1 else "")
        ),
        "step": steps,
        "time": f"{result['seconds']} seconds of {run.timed}",
        "seed": run.seed,
        "versions": ", ".join(f"{name} {version}" for name, version in versions),
    }


def _origin(job: Job, command: str) -> dict[str, object]:
    """Tells when, where and by what a run was made, and of how much data."""
    splits = rows_of_splits(job.tasks, job.run.data.splits)
    facts: dict[str, object] = {
        "data": ", ".join(f"{count:,} rows of {x}" for x, count in splits.items()),
        "devices": tell_devices(job.frozen.mesh),
        "finished": datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
        "code": f"jaxprompt {code_version()}",
    }
    return {**facts, "command": command} if command else facts


def _commands(workdir: Path, prompt: Prompt, text: str) -> list[str]:
    if prompt.is_empty:
        setting = f"--gin.MODEL='{workdir / MODEL}'"
        files = "--gin_file=gin/runs/prompt_tuning.gin --gin_file=gin/tasks/own.gin"
        return [f"jaxprompt train {files} {shlex.quote(setting)} --workdir=next"]
    if prompt.members > 1:
        flag = f"--prompt={shlex.quote(str(workdir / PROMPTS))}"
        return [f"jaxprompt evaluate --ensemble {flag}"]
    flag = f"--prompt={shlex.quote(str(workdir / PROMPT))}"
    row = shlex.quote(json.dumps({"inputs": text}, ensure_ascii=False))
    return [
        f"jaxprompt evaluate {flag}",
        f"echo {row} | jaxprompt predict {flag}",
        f"jaxprompt inspect {flag}",
    ]
