"""Training in a workdir: the optimizer, the resumed state, the best step kept."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import optax

from jaxprompt.config import Run
from jaxprompt.data.batches import Position, train_batches
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.runs.prepare import Ready
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.checkpoint import Checkpoints, Progress
from jaxprompt.train.loop import fit
from jaxprompt.train.metrics import MetricLog
from jaxprompt.train.optimizer import (
    MASKS,
    adafactor,
    adamw,
    clipped,
    embeddings_at,
    make_schedule,
    train_only,
)
from jaxprompt.train.step import init_state, make_train_step


class Best(NamedTuple):
    """The best step of a training.

    Attributes:
        params: The joined tree {"model": ..., "prompt": ...} after it.
        step: Its number.
        seconds: Spent on all steps and their validation.
    """

    params: Params
    step: int
    seconds: float


def make_optimizer(run: Run) -> optax.GradientTransformationExtraArgs:
    """Makes the run's optimizer, which changes nothing but what trains.

    Args:
        run: The configuration.

    Raises:
        ValueError: If a number is out of range.
    """
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
    tx = embeddings_at(tx, settings.embedding_share)
    return train_only(clipped(tx, settings.clip_norm), MASKS[run.trains])


def fit_best(
    ready: Ready,
    start: Prompt,
    tx: optax.GradientTransformationExtraArgs,
    validate: Callable[[Params], dict[str, float]],
    workdir: Path,
) -> Best:
    """Trains, or goes on where a checkpoint in the workdir ends.

    Args:
        ready: What is trained, and on what.
        start: The prompt to start from; empty where the model trains.
        tx: From `make_optimizer`.
        validate: From the joined tree to scalars; "score" is what to maximise.
        workdir: Folder of the run, which gets checkpoints and logs.

    Raises:
        FloatingPointError: If the loss is not finite.
        train.loop.Stopped: After SIGTERM or SIGINT, once the state is saved.
    """
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
    return Best({**frozen, **state.trained}, best_step, progress.seconds)
