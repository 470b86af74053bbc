"""Training a prompt, a model or a vocabulary, and what is kept of it."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.config import VOCABULARY, Run, TextTask
from jaxprompt.data.batches import truncated_share
from jaxprompt.data.tokenizer import write_vocabulary
from jaxprompt.models.backbone import save
from jaxprompt.prompts.file import save_prompt
from jaxprompt.runs.fitting import fit_best, make_optimizer
from jaxprompt.runs.prepare import Ready, prepare
from jaxprompt.runs.publish import write_model_card, write_run_page
from jaxprompt.runs.results import make_report, result_table
from jaxprompt.runs.vocabulary import make_vocabulary
from jaxprompt.runs.workdir import (
    MODEL,
    PROMPT,
    check_workdir,
    claim_workdir,
    read_result,
    write_result,
)
from jaxprompt.shapes import Params


def train(run: Run, workdir: Path, *, config: str = "") -> dict[str, Any]:
    """Trains a prompt, a model or a vocabulary, and scores the best of it.

    The workdir then holds prompt.safetensors (or, where the model trains, the Hugging
    Face folder model/), report.html, result.json, operative_config.gin, metrics.jsonl,
    tensorboard/ and checkpoints/; a vocabulary's holds spiece.model. An interrupted
    run resumes, and a finished one is not run again.

    Args:
        run: What to train.
        workdir: Folder of the run; made if needed.
        config: The run as gin text; kept with the prompt, so that it can be evaluated
            without further arguments.

    Returns:
        The content of result.json.

    Raises:
        ValueError: If anything in `run` does not fit, before any device work.
        FileNotFoundError: If a file is missing.
        FloatingPointError: If the loss is not finite.
        train.loop.Stopped: After SIGTERM or SIGINT, once the state is saved.
    """
    check_workdir(workdir, config)
    finished = read_result(workdir)
    if finished is not None:
        print(f"{workdir} holds a finished run:\n{result_table(finished)}")
        return finished
    if run.trains == VOCABULARY:
        result, made = _train_vocabulary(run, workdir, config)
    else:
        result, made = _train_weights(run, workdir, config)
    record = write_result(workdir, result)
    files = ", ".join(map(str, made))
    print(f"{result_table(result)}\nwrote {files} and {record}")
    return result


def _train_vocabulary(
    run: Run, workdir: Path, config: str
) -> tuple[dict[str, Any], list[Path]]:
    """Returns the result and the files that it wrote."""
    model, result = make_vocabulary(run)
    claim_workdir(workdir, config)
    return result, [write_vocabulary(workdir, model, run.tokenizer.sentinels)]


def _train_weights(
    run: Run, workdir: Path, config: str
) -> tuple[dict[str, Any], list[Path]]:
    """Returns the result and the files that it wrote."""
    tx = make_optimizer(run)
    data, split = run.data, run.data.scored_split
    splits = dict.fromkeys((data.train_split, data.validation_split, split))
    ready = prepare(run, splits=tuple(splits))
    start = ready.start_prompt()
    claim_workdir(workdir, config)
    truncated = _report_truncation(ready)
    # Cached: the two splits may be one.
    reports = functools.cache(lambda split: make_report(ready, split, start.length))
    validate = reports(data.validation_split).scalars
    best = fit_best(ready, start, tx, validate, workdir)
    measured, examples = reports(split).measure(best.params)
    result = {
        "trains": run.trains,
        **measured,
        "steps": best.step,
        "seconds": round(best.seconds, 1),
        **truncated,
    }
    made = [_save(workdir, ready, best.params, result, config)]
    if examples:
        prompt = best.params["prompt"]
        made.append(write_run_page(workdir, ready, prompt, result, examples))
    return result, made


def _save(
    workdir: Path,
    ready: Ready,
    params: Params,
    result: Mapping[str, Any],
    config: str,
) -> Path:
    """Writes what was trained; returns its path."""
    run = ready.run
    if run.trains == "prompt":
        made = workdir / PROMPT
        save_prompt(
            made,
            params["prompt"],
            ready.backbone,
            task=run.data.task_name,
            metric=result["metric"],
            score=result["score"],
            step=result["steps"],
            seed=run.seed,
            init=run.prompt.init,
            config=config,
        )
        return made
    made = workdir / MODEL
    # Whole if it is there: a run killed after this has nothing to write again.
    if not made.exists():
        save(made, ready.backbone, params["model"])
    if isinstance(run.data.task, TextTask):
        write_model_card(workdir, ready, run.data.task, result, config)
    return made


def _report_truncation(ready: Ready) -> dict[str, float]:
    """Says how many training examples the lengths cut; returns it for the result."""
    split = ready.run.data.train_split
    share = truncated_share(ready.task, split, ready.lengths)
    if share.inputs or share.targets:
        print(
            f"cut to length, of {share.examples} {split} examples looked at: "
            f"{share.inputs:.1%} of the inputs ({ready.lengths.inputs} tokens), "
            f"{share.targets:.1%} of the targets ({ready.lengths.targets} tokens)"
        )
    return {"truncated_inputs": share.inputs, "truncated_targets": share.targets}
