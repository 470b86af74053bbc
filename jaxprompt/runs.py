"""The four things a user does: train, evaluate, predict and inspect."""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optax

from jaxprompt.atomic import write_atomically
from jaxprompt.config import LOSS, VOCABULARY, Run, TextTask
from jaxprompt.data.batches import Position, train_batches, truncated_share
from jaxprompt.data.requests import read_jsonl, request_batches
from jaxprompt.data.tokenizer import write_vocabulary
from jaxprompt.data.vocabulary import load_vocabulary
from jaxprompt.evaluate.score import Predict, Report
from jaxprompt.loss_report import LossReport, loss_table
from jaxprompt.models.backbone import find_checkpoint, open_backbone, save
from jaxprompt.models.weights.checkpoint import read_params
from jaxprompt.prepare import Ready, prepare, vocabulary_of
from jaxprompt.prompts.file import check_backbone, load_prompt, save_prompt
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.publish import write_model_card, write_run_page
from jaxprompt.report.bar import example_bar
from jaxprompt.report.nearest import describe_prompt, mean_norm
from jaxprompt.report.table import table
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.checkpoint import Checkpoints, Progress
from jaxprompt.train.loop import fit
from jaxprompt.train.metrics import MetricLog
from jaxprompt.train.optimizer import (
    MASKS,
    adafactor,
    adamw,
    clipped,
    make_schedule,
    train_only,
)
from jaxprompt.train.step import init_state, make_train_step
from jaxprompt.vocabulary_run import make_vocabulary, vocabulary_table
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
        print(f"{workdir} holds a finished run:\n{_result_table(finished)}")
        return finished
    if run.trains == VOCABULARY:
        return _train_vocabulary(run, workdir, config)

    tx = _make_optimizer(run)
    data, split = run.data, run.data.scored_split
    splits = dict.fromkeys((data.train_split, data.validation_split, split))
    ready = prepare(run, splits=tuple(splits))
    start = ready.start_prompt()
    claim_workdir(workdir, config)
    truncated = _report_truncation(ready)
    predict = None if run.evaluation.method == LOSS else ready.make_predict()
    # Cached: the two splits may be one.
    losses = functools.cache(lambda split: LossReport(ready, split, start.length))
    if predict is None:
        validate = losses(data.validation_split).scalars
    else:
        validate = _make_validate(ready, predict, start.length)
    params, step, seconds = _fit(ready, start, tx, validate, workdir)
    report = None
    if predict is None:
        measured = losses(split).result(params)
    else:
        report = ready.report(params, split, predict)
        measured = _result(ready, report, split)
    result = {
        "trains": run.trains,
        **measured,
        "steps": step,
        "seconds": round(seconds, 1),
        **truncated,
    }
    made = _save(ready, params, result, config, workdir)
    written = [made]
    if report is not None:
        page = write_run_page(workdir, ready, report, params["prompt"], result)
        written.append(page)
    write_json(workdir / RESULT, result)
    files = ", ".join(map(str, written))
    print(f"{_result_table(result)}\nwrote {files} and {workdir / RESULT}")
    return result


def _train_vocabulary(run: Run, workdir: Path, config: str) -> dict[str, Any]:
    model, result = make_vocabulary(run)
    claim_workdir(workdir, config)
    made = write_vocabulary(workdir, model, run.tokenizer.sentinels)
    write_json(workdir / RESULT, result)
    print(f"{_result_table(result)}\nwrote {made} and {workdir / RESULT}")
    return result


def _save(
    ready: Ready,
    params: Params,
    result: Mapping[str, Any],
    config: str,
    workdir: Path,
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
        write_model_card(workdir, ready, result, config)
    return made


def _make_optimizer(run: Run) -> optax.GradientTransformationExtraArgs:
    settings = run.optimizer
    schedule = make_schedule(
        settings.schedule,
        settings.learning_rate,
        steps=run.pace.steps,
        warmup=settings.warmup,
    )
    if settings.kind == "adamw":
        tx = adamw(
            schedule,
            weight_decay=settings.weight_decay,
            beta1=settings.beta1,
            beta2=settings.beta2,
            epsilon=settings.epsilon,
        )
    else:
        tx = adafactor(
            schedule,
            weight_decay=settings.weight_decay,
            decay_rate=settings.decay_rate,
            decay_offset=settings.decay_offset,
            parameter_scale=settings.parameter_scale,
        )
    return train_only(clipped(tx, settings.clip_norm), MASKS[run.trains])


def _make_validate(
    ready: Ready, predict: Predict, prompt_length: int
) -> Callable[[Params], dict[str, float]]:
    """Tokenises the validation split; returns what scores a joined tree on it."""
    validation = ready.evaluation_set(ready.run.data.validation_split, prompt_length)

    def validate(params: Params) -> dict[str, float]:
        with example_bar(validation.num_examples, "validation", leave=False) as advance:
            scores = validation.score(
                functools.partial(predict, params),
                ready.run.evaluation.batch_size,
                advance,
            )
        return {"score": scores.score, "illegal": scores.illegal, **scores.metrics}

    return validate


def _fit(
    ready: Ready,
    start: Prompt,
    tx: optax.GradientTransformationExtraArgs,
    validate: Callable[[Params], dict[str, float]],
    workdir: Path,
) -> tuple[Params, int, float]:
    """Trains in the workdir; returns the best joined tree, its step and the seconds."""
    run, data, pace = ready.run, ready.run.data, ready.run.pace

    def batches_from(position: Position) -> Iterator[tuple[Batch, Position]]:
        return train_batches(
            ready.task,
            data.train_split,
            ready.lengths,
            ready.soft_ids(start.length),
            batch_size=run.batch_size,
            seed=run.seed,
            start=position,
            pack=data.pack,
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
            evaluate=validate,
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
    """Puts a score and its baselines in words that result.json uses."""
    tuned, hand_written = report.tuned, {}
    if report.hand_written is not None:
        hand_written = {
            "hand_written": report.hand_written.score,
            "hand_written_illegal": report.hand_written.illegal,
        }
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
        **hand_written,
        "metrics": tuned.metrics,
        "backbone": ready.backbone.name,
    }


def _result_table(result: Mapping[str, Any]) -> str:
    if result.get("trains") == VOCABULARY:
        return vocabulary_table(result)
    if result["metric"] == LOSS:
        return loss_table(result)
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
    if "hand_written" in result:
        header.insert(4, "hand-written")
        row.insert(4, result["hand_written"])
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
        split: Split to score; None for the one that the run was scored on.
        output: Where to write the scores as JSON.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        The scores, as in result.json.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    split = split or run.data.scored_split
    _check_output(output, overwrite)
    prompt, provenance = load_prompt(prompt_file)
    ready = prepare(
        run, splits=(split,), trained=provenance, another_backbone=another_backbone
    )
    params = ready.join(prompt)
    if run.evaluation.method == LOSS:
        result = LossReport(ready, split, prompt.length).result(params)
    else:
        report = ready.report(params, split, ready.make_predict())
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
    if run.evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: use another, as "
            "--gin.METHOD=\"'greedy'\""
        )
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
    tokens = describe_prompt(frozen, prompt, vocabulary.decode, neighbours)
    rows = [[str(place), t.norm, str(t)] for place, t in enumerate(tokens)]
    print(table(["soft token", "norm", "nearest words (cosine)"], rows))
    mean = sum(token.norm for token in tokens) / len(tokens)
    print(f"\nmean norm {mean:.1f}; of the vocabulary's rows {mean_norm(frozen):.1f}")
