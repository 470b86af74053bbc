"""The four things a user does: train, evaluate, predict and inspect."""

import dataclasses
import functools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optax

from jaxprompt.atomic import write_atomically
from jaxprompt.config import Run
from jaxprompt.data.batches import Position, train_batches, truncated_share
from jaxprompt.data.requests import read_jsonl, request_batches
from jaxprompt.data.vocabulary import load_vocabulary
from jaxprompt.evaluate.score import Predict, Report
from jaxprompt.models.backbone import find_checkpoint, open_backbone, save
from jaxprompt.models.weights.checkpoint import read_params
from jaxprompt.prepare import Ready, prepare, vocabulary_of
from jaxprompt.prompts.file import check_backbone, load_prompt, save_prompt
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.report.bar import example_bar
from jaxprompt.report.nearest import nearest_ids
from jaxprompt.report.table import table
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.checkpoint import Checkpoints, Progress
from jaxprompt.train.loop import fit
from jaxprompt.train.metrics import MetricLog
from jaxprompt.train.optimizer import MASKS, adafactor, make_schedule, train_only
from jaxprompt.train.step import init_state, make_train_step
from jaxprompt.workdir import (
    MODEL,
    PROMPT,
    RESULT,
    check_workdir,
    claim_workdir,
    read_result,
    write_json,
)


def train(run: Run, workdir: Path, *, config: str = "") -> dict[str, Any]:
    """Trains a prompt, or resumes its training, and scores the best of it.

    The workdir then holds prompt.safetensors (or, after model tuning, the Hugging Face
    folder model/), result.json, operative_config.gin, metrics.jsonl, tensorboard/ and
    checkpoints/. A finished run is not run again.

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
    tx = _make_optimizer(run)
    check_workdir(workdir, config)
    finished = read_result(workdir)
    if finished is not None:
        print(f"{workdir} holds a finished run:\n{_result_table(finished)}")
        return finished

    split = run.data.validation_split
    ready = prepare(run, splits=(run.data.train_split, split))
    start = ready.start_prompt()
    claim_workdir(workdir, config)
    truncated = _report_truncation(ready)
    predict = ready.make_predict()
    params, step, seconds = _fit(ready, start, tx, predict, workdir)
    report = ready.report(params, split, predict)
    if run.trains == "prompt":
        made = workdir / PROMPT
        save_prompt(
            made,
            params["prompt"],
            ready.backbone,
            task=run.data.task_name,
            metric="+".join(report.tuned.metrics),
            score=report.tuned.score,
            step=step,
            seed=run.seed,
            init=run.prompt.init,
            config=config,
        )
    else:
        made = workdir / MODEL
        # Whole if it is there: a run killed after this has nothing to write again.
        if not made.exists():
            save(made, ready.backbone, params["model"])
    result = {
        "trains": run.trains,
        **_result(ready, report, split),
        "steps": step,
        "seconds": round(seconds, 1),
        **truncated,
    }
    write_json(workdir / RESULT, result)
    print(f"{_result_table(result)}\nwrote {made} and {workdir / RESULT}")
    return result


def _make_optimizer(run: Run) -> optax.GradientTransformationExtraArgs:
    settings = run.optimizer
    schedule = make_schedule(
        settings.schedule,
        settings.learning_rate,
        steps=run.pace.steps,
        warmup=settings.warmup,
    )
    return train_only(
        adafactor(
            schedule,
            weight_decay=settings.weight_decay,
            decay_rate=settings.decay_rate,
            decay_offset=settings.decay_offset,
            parameter_scale=settings.parameter_scale,
        ),
        MASKS[run.trains],
    )


def _fit(
    ready: Ready,
    start: Prompt,
    tx: optax.GradientTransformationExtraArgs,
    predict: Predict,
    workdir: Path,
) -> tuple[Params, int, float]:
    """Trains in the workdir; returns the best joined tree, its step and the seconds."""
    run, data, pace = ready.run, ready.run.data, ready.run.pace
    validation = ready.evaluation_set(data.validation_split, start.length)

    def evaluate_prompt(params: Params) -> dict[str, float]:
        with example_bar(validation.num_examples, "validation", leave=False) as advance:
            scores = validation.score(
                functools.partial(predict, params), run.evaluation.batch_size, advance
            )
        return {"score": scores.score, "illegal": scores.illegal, **scores.metrics}

    def batches_from(position: Position) -> Iterator[tuple[Batch, Position]]:
        return train_batches(
            ready.task,
            data.train_split,
            ready.lengths,
            ready.soft_ids(start.length),
            batch_size=run.batch_size,
            seed=run.seed,
            start=position,
        )

    train_step = make_train_step(
        ready.backbone,
        tx,
        freeze=MASKS[run.trains],
        seed=run.seed,
        z_loss=run.optimizer.z_loss,
        accumulate=run.optimizer.accumulate,
    )
    state, frozen = init_state(ready.join(start), tx, MASKS[run.trains])
    progress = Progress()
    checkpoints = Checkpoints(workdir / "checkpoints")
    if (saved := checkpoints.latest(state)) is not None:
        state, progress = saved
        print(f"resuming after step {int(state.step)} of {pace.steps}")
    print(f"training {data.task_name} for {pace.steps} steps into {workdir}")
    log = MetricLog(workdir, int(state.step))
    try:
        state, progress = fit(
            state,
            frozen,
            train_step,
            batches_from,
            pace,
            batch_size=run.batch_size,
            progress=progress,
            evaluate=evaluate_prompt,
            checkpoints=checkpoints,
            log=log,
            place=ready.place_batch,
        )
        best_step = progress.best_step or int(state.step)
        if best_step != int(state.step):
            state = checkpoints.load(best_step, state)
    finally:
        log.close()
        checkpoints.close()
    return {**frozen, **state.trained}, best_step, progress.seconds


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


def _result(ready: Ready, report: Report, split: str) -> dict[str, Any]:
    """Puts a score and its two baselines in words that result.json uses."""
    tuned = report.tuned
    return {
        "task": ready.run.data.task_name,
        "split": split,
        "examples": len(tuned.predictions),
        "metric": "+".join(tuned.metrics),
        "score": tuned.score,
        "majority": report.majority.score,
        "untuned": report.untuned.score,
        "illegal": tuned.illegal,
        "untuned_illegal": report.untuned.illegal,
        "metrics": tuned.metrics,
        "backbone": ready.backbone.name,
    }


def _result_table(result: Mapping[str, Any]) -> str:
    header = [
        "task",
        "metric",
        "majority",
        "untuned",
        "tuned",
        "illegal %",
        "examples",
    ]
    row = [
        result["task"],
        result["metric"],
        result["majority"],
        result["untuned"],
        result["score"],
        100 * result["illegal"],
        result["examples"],
    ]
    if "steps" in result:
        header += ["steps", "seconds"]
        row += [result["steps"], result["seconds"]]
    return table(header, [row])


def evaluate(
    run: Run,
    prompt_file: Path,
    *,
    split: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> dict[str, Any]:
    """Scores a prompt file on its task, beside the majority class and no prompt.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        split: Split to score; None for the run's validation split.
        output: Where to write the scores as JSON.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        The scores, as in result.json.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    split = split or run.data.validation_split
    _check_output(output, overwrite)
    prompt, provenance = load_prompt(prompt_file)
    ready = prepare(
        run, splits=(split,), trained=provenance, another_backbone=another_backbone
    )
    report = ready.report(ready.join(prompt), split, ready.make_predict())
    result = _result(ready, report, split)
    print(_result_table(result))
    if output is not None:
        write_json(output, result)
        print(f"wrote {output}")
    return result


def _check_output(output: Path | None, overwrite: bool) -> None:
    if output is None:
        return
    if output.exists() and not overwrite:
        raise ValueError(f"{output} exists: name another file, or say --overwrite")
    if not output.absolute().parent.is_dir():
        raise ValueError(f"no folder {output.absolute().parent} for {output.name}")


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
    _check_output(target, overwrite)
    prompt, provenance = load_prompt(prompt_file)
    rows = _read_rows(source)
    ready = prepare(
        run, splits=(), trained=provenance, another_backbone=another_backbone
    )
    batches = request_batches(
        ready.task,
        rows,
        ready.lengths,
        ready.soft_ids(prompt.length),
        run.evaluation.batch_size,
        where="standard input" if source == "-" else source,
    )
    answer, params = ready.make_predict(), ready.join(prompt)
    texts: list[str] = []
    with example_bar(len(rows), "predict") as advance:
        for batch, count in batches:
            texts += ready.task.decode(answer(params, batch)[:count])
            advance(count)
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


def inspect(
    run: Run,
    prompt_file: Path,
    *,
    neighbours: int = 5,
    another_backbone: bool = False,
) -> None:
    """Prints where a prompt comes from, and the words that each soft token is near.

    Args:
        run: The model; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        neighbours: Words for each soft token, by cosine.
        another_backbone: Allows a model that the prompt was not trained on.

    Raises:
        ValueError: If the model does not fit.
        FileNotFoundError: If a file is missing.
    """
    prompt, provenance = load_prompt(prompt_file)
    facts = dataclasses.asdict(provenance)
    del facts["config"]
    facts["versions"] = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    print(table(["field", "value"], [[k, str(v)] for k, v in facts.items()]) + "\n")

    checkpoint = find_checkpoint(
        run.model.name or provenance.backbone,
        revision=run.model.revision,
        vocabulary=run.model.vocabulary,
    )
    vocabulary = load_vocabulary(vocabulary_of(checkpoint))
    backbone = open_backbone(checkpoint)
    check_backbone(provenance, backbone, override=another_backbone)
    model = read_params(checkpoint, backbone.dtype, None)
    frozen = backbone.table(model)
    ids, cosines = nearest_ids(frozen, prompt, neighbours)
    norms = np.linalg.norm(prompt.rows[0], axis=1)
    rows = [
        [str(place), float(norm), _words(vocabulary, near, cosine)]
        for place, (norm, near, cosine) in enumerate(
            zip(norms, np.asarray(ids), np.asarray(cosines), strict=True)
        )
    ]
    print(table(["soft token", "norm", "nearest words (cosine)"], rows))
    usual = float(np.mean(np.linalg.norm(np.asarray(frozen), axis=1)))
    print(f"\nmean norm {norms.mean():.1f}; of the vocabulary's rows {usual:.1f}")


def _words(vocabulary: Any, ids: np.ndarray, cosines: np.ndarray) -> str:
    return ", ".join(
        f"{vocabulary.decode([int(number)]) or f'id {number}'} ({cosine:.2f})"
        for number, cosine in zip(ids, cosines, strict=True)
    )
