"""Training in a workdir: the resumed state, the best step kept."""

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxprompt.data.rows.order import examples_of
from jaxprompt.data.rows.position import Position
from jaxprompt.data.tasks.digest import data_hashes
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.trained import expanded
from jaxprompt.runs.keep.bindings import resolve_bindings
from jaxprompt.runs.keep.workdir import CHECKPOINTS, CONFIG
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.training_batches import (
    made_up_rows,
    parts_of_batch,
    training_batches,
)
from jaxprompt.screen.terminal import say
from jaxprompt.shapes import Params
from jaxprompt.sharding import fetch
from jaxprompt.train.checkpoint import Checkpoints
from jaxprompt.train.kept_states import KeptStates
from jaxprompt.train.loop import Positions, Validation, fit
from jaxprompt.train.metrics import MetricLog
from jaxprompt.train.optimizer import MASKS
from jaxprompt.train.parts_step import make_parts_step
from jaxprompt.train.progress import MemberProgress, Progress
from jaxprompt.train.step import TrainState, TrainStep, init_state, make_train_step


class Best(NamedTuple):
    """The best of a training.

    Attributes:
        params: The joined tree, its prompt expanded; what is a member's own is that of
            its own best step.
        steps: The number of this step, of each member.
        seconds: Spent on all steps and their validation.
    """

    params: Params
    steps: tuple[int, ...]
    seconds: float


def check_training(job: Job, start: Prompt) -> None:
    """Refuses what the first step would fail on; writes nothing, and computes nothing.

    Args:
        job: What is to be trained, and on what.
        start: The bank to start from; empty where the model trains.

    Raises:
        ValueError: If the training split does not fill a batch, or a row of the run's
            lengths does not fit in the model.
    """
    run = job.run
    starts = tuple(Position() for _ in range(run.num_members))
    stream = training_batches(job, start.length)(starts)
    if run.data.pack:  # Only packing tells how many rows there are.
        next(stream)
    losses = functools.partial(job.head.losses, job.frozen.backbone)
    params = job.frozen.join(start, job.start_head())
    jax.eval_shape(losses, params, made_up_rows(job, start.length))


def fit_best(
    job: Job,
    start: Prompt,
    tx: optax.GradientTransformationExtraArgs,
    validate: Callable[[Params], Validation],
    workdir: Path,
    states: Callable[[], KeptStates] | None = None,
) -> Best:
    """Trains, or goes on where a checkpoint in the workdir ends.

    Args:
        job: What is trained, and on what.
        start: The bank to start from; empty where the model trains.
        tx: From `runs.ready.optimizer.make_optimizer`.
        validate: From the joined tree to each member's score.
        workdir: Folder of the run, which gets checkpoints and logs.
        states: As of `runs.ready.training_batches.training_batches`.

    Raises:
        FloatingPointError: If the loss is not finite.
        OSError: If a checkpoint cannot be written.
        ValueError: If every checkpoint is damaged, a best one is when it is read, or
            the data or the model changed since the run started.
        train.stopped.Stopped: After SIGTERM or SIGINT, once the state is saved.
    """
    run, pace, members = job.run, job.run.pace, job.run.num_members
    train_step = _step(job, tx)
    params = job.frozen.join(job.reparametrised(start), job.start_head())
    state, frozen = init_state(params, tx, MASKS[run.trains])
    progress = Progress(tuple(MemberProgress() for _ in range(members)))
    first_host = jax.process_index() == 0
    checkpoints = Checkpoints(
        workdir / CHECKPOINTS, inputs=_inputs(job), formerly=_formerly(job)
    )
    try:
        saved = checkpoints.latest(state)
    finally:
        for note in checkpoints.notes if first_host else ():
            say(f"jaxprompt: {note}", problem=True)
    if saved is not None:
        state, progress = saved
        say(f"resuming after step {int(state.step)} of {pace.steps}")
    say(
        f"training {run.data.task_name}{_bank(job, members)} for {pace.steps} steps "
        f"into {workdir}"
    )
    log = None
    try:
        if first_host:
            log = _open_log(job, workdir, int(state.step))
        state, progress = fit(
            state,
            frozen,
            train_step,
            training_batches(job, start.length, states),
            pace,
            batch_size=run.batch_size * members,
            progress=progress,
            evaluate=lambda params: validate(expanded(params)),
            checkpoints=checkpoints,
            log=log,
            place=job.place_training_batch,
            name_batch=functools.partial(_name_batch, job),
        )
        steps = tuple(m.best_step or int(state.step) for m in progress.members)
        best = _best_of(state, frozen, steps, checkpoints)
    finally:
        if log is not None:
            log.close()
        checkpoints.close()
    return Best(best, steps, progress.seconds)


def _open_log(job: Job, workdir: Path, step: int) -> MetricLog:
    path = workdir / CONFIG
    settings = resolve_bindings(read_utf8(path)) if path.exists() else {}
    return MetricLog(workdir, step, job.run.loggers, settings)


def _step(job: Job, tx: optax.GradientTransformationExtraArgs) -> TrainStep:
    """Compiles the step of the job's batches, which may come in parts."""
    run, backbone, freeze = job.run, job.frozen.backbone, MASKS[job.run.trains]
    z_loss = run.optimizer.z_loss
    if parts_of_batch(job):
        return make_parts_step(
            backbone, tx, freeze=freeze, head=job.head, z_loss=z_loss
        )
    return make_train_step(
        backbone,
        tx,
        freeze=freeze,
        head=job.head,
        seeds=[seed for _, seed in job.members][: run.num_members],
        z_loss=z_loss,
        accumulate=run.optimizer.accumulate,
    )


def _bank(job: Job, members: int) -> str:
    what = "heads" if job.run.trains == "head" else "prompts"
    return f" ({members} {what} at once)" if members > 1 else ""


def _inputs(job: Job) -> dict[str, str]:
    """Returns the hash of everything that the run reads, by a name for messages."""
    data = job.run.data
    read = [
        *(
            (task, of, data.splits)
            for task, of in zip(data.tasks, job.tasks, strict=True)
        ),
        *(
            (task, of, (data.shift_split,))
            for task, of in zip(data.shift_to, job.shift_to, strict=True)
        ),
    ]
    found = {}
    for settings, task, wanted in read:
        for name, digest in data_hashes(task, wanted).items():
            found[f"{name} of task {settings.label} ({settings.place})"] = digest
    # A new model is a function of the configuration.
    if job.frozen.backbone.fingerprint:
        found[_name_of_model(job)] = job.frozen.backbone.fingerprint
    return found


def _formerly(job: Job) -> dict[str, str]:
    """Returns the hash of what earlier versions saw of the model, by the same name."""
    return {_name_of_model(job): job.frozen.backbone.first_fingerprint}


def _name_of_model(job: Job) -> str:
    return f"the model {job.run.model.name}"


def _name_batch(job: Job, state: TrainState, positions: Positions) -> str:
    """Says which examples of which tasks a batch held.

    Of a bank only the members that have broken are named, where it shows: theirs are no
    numbers any more.
    """
    run, data = job.run, job.run.data
    if run.tunes_model:
        everything = (range(len(job.tasks)), run.seed, positions[0])
        return f"{_name_rows(job, *everything)} of {data.train_split!r}"
    leaves = jax.tree.leaves(jax.tree.map(fetch, state.trained))
    broken = [
        not all(np.isfinite(leaf[member]).all() for leaf in leaves)
        for member in range(len(positions))
    ]
    named = [
        _name_rows(job, [place], seed, position)
        for (place, seed), position, is_broken in zip(
            job.members, positions, broken, strict=True
        )
        if is_broken or not any(broken)
    ]
    return f"{'; '.join(named)} of {data.train_split!r}"


def _name_rows(job: Job, places: Sequence[int], seed: int, position: Position) -> str:
    """Names the batch, and its examples unless they are packed: then many are near."""
    run, split = job.run, job.run.data.train_split
    labels = [job.run.data.tasks[place].label for place in places]
    name = (
        f"batch {position.batch} of epoch {position.epoch + 1} of {', '.join(labels)}"
        f" with seed {seed}"
    )
    if run.data.pack:
        return name
    sizes = [job.trained(place, seed).num_examples(split) for place in places]
    numbers: dict[int, list[int]] = defaultdict(list)
    for example in examples_of(sizes, position, batch_size=run.batch_size, seed=seed):
        numbers[example.task].append(example.number)
    rows = (
        f"{labels[task]}: {', '.join(_places(job, places[task], seed, found))}"
        for task, found in sorted(numbers.items())
    )
    return f"{name} ({'; '.join(rows)})"


def _places(job: Job, place: int, seed: int, numbers: Sequence[int]) -> Iterable[str]:
    """Returns where rows of a task stand: of few, or in windows, too.

    Those of a file stand together, as "rows.jsonl:3,17".
    """
    source = job.trained(place, seed).source
    lines: dict[str, list[str]] = defaultdict(list)
    for where in source.places(job.run.data.train_split, sorted(numbers)):
        file, _, line = where.rpartition(":")
        in_file = bool(file) and line.isdigit()
        lines[file if in_file else where] += [line] * in_file
    return [
        f"{file}:{','.join(dict.fromkeys(found))}" if found else file
        for file, found in lines.items()
    ]


def _best_of(
    last: TrainState, frozen: Params, steps: tuple[int, ...], checkpoints: Checkpoints
) -> Params:
    """Joins every member as it was after its own best step, the prompt expanded.

    What trains is expanded before a member is taken of it: members may share a part.
    """

    def expanded_at(step: int) -> Params:
        state = last if step == int(last.step) else checkpoints.load(step, last)
        return expanded({**frozen, **state.trained})

    found = {step: expanded_at(step) for step in set(steps)}
    if len(found) == 1:
        return found[steps[0]]
    members = [
        {
            part: jax.tree.map(
                lambda leaf, m=member: leaf[m : m + 1], found[step][part]
            )
            for part in last.trained
        }
        for member, step in enumerate(steps)
    ]
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *members)
    return {**frozen, **joined}
