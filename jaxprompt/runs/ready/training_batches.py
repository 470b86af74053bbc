"""The batches of a job's training: this host's rows, cut to what they need."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxprompt.data.rows.bank import Member, bank_batches
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.mixture import mixed_batches
from jaxprompt.data.rows.widths import (
    STEP,
    cut_in_parts,
    cut_targets,
    cut_to_longest,
    part_rows,
    width_step,
)
from jaxprompt.runs.ready.job import Job
from jaxprompt.shapes import Batch, unpacked_batch
from jaxprompt.sharding import DATA, host_share
from jaxprompt.train.kept_states import KeptStates
from jaxprompt.train.loop import Positions, Rows


def training_batches(
    job: Job, length: int, make_states: Callable[[], KeptStates] | None = None
) -> Callable[[Positions], Iterator[tuple[Rows, Positions]]]:
    """Makes the way from positions in the data to this host's share of the batches.

    Args:
        job: What trains, and on what.
        length: Prompt length P, in tokens.
        make_states: Makes the states that batches come with, when the first is asked
            for; None for batches of ids alone.

    Returns:
        A function that raises ValueError, before any batch, for data that does not
        fit. Batches come in parts where `parts_of_batch` says so.
    """
    rows, step = parts_of_batch(job), width_step(jax.default_backend())

    def of_ids(starts: Positions) -> Iterator[tuple[Rows, Positions]]:
        whole = _whole_batches(job, length, starts)
        if not _cuts(job):
            return whole
        if job.run.data.pack:  # Its inputs fill their rows.
            return ((cut_targets(batch), seen) for batch, seen in whole)
        if rows:
            return (
                (cut_in_parts(batch, rows, length, step), seen) for batch, seen in whole
            )
        return ((cut_to_longest(batch, length, step), seen) for batch, seen in whole)

    def of_states(starts: Positions) -> Iterator[tuple[Rows, Positions]]:
        found = of_ids(starts)
        if make_states is None:
            return found
        join = make_states().join
        return (
            (tuple(map(join, x)) if isinstance(x, tuple) else join(x), seen)
            for x, seen in found
        )

    return of_states


def made_up_rows(job: Job, length: int) -> Batch:
    """Returns the shapes of a batch as a job's are before they are cut.

    Args:
        job: What trains, and on what.
        length: Prompt length P, in tokens.

    Returns:
        A batch of `jax.ShapeDtypeStruct`s.
    """
    lengths = job.training_lengths(length)
    layout = layout_of(job.task, lengths, job.frozen.soft_ids(length))
    sides = (
        jax.ShapeDtypeStruct((job.run.batch_size, width), np.int32)
        for width in (layout.width, lengths.targets)
    )
    rows = jax.eval_shape(unpacked_batch, *sides)
    rows = dataclasses.replace(rows, lead=layout.lead)
    if job.task.answers is None:
        return rows
    return dataclasses.replace(
        rows, input_types=rows.inputs, target_places=rows.targets
    )


def parts_of_batch(job: Job) -> int:
    """Returns how many rows each part of a batch has; 0 where batches are whole.

    Raises:
        ValueError: If the parts that are asked for do not divide a batch.
    """
    run, asked = job.run, job.run.data.part_rows
    count = run.batch_size * run.num_members
    devices = job.frozen.mesh.shape[DATA]
    if asked and (count % asked or asked % devices):
        raise ValueError(
            f"Data.part_rows {asked} for {count} rows on {devices} devices: use a "
            "divisor of the rows that the devices divide, or 0 for whole batches"
        )
    if not _cuts(job) or run.data.pack or run.optimizer.accumulate > 1:
        return 0
    if asked is None:
        # Where all rows have one width, parts win nothing; pre-training fills its rows.
        drawn = any(task.draw is not None for task in job.tasks)
        if drawn or run.data.input_length <= STEP:
            return 0
        asked = part_rows(count, devices=devices, backend=jax.default_backend())
    return 0 if asked == count else asked


def _cuts(job: Job) -> bool:
    run, hosts = job.run, host_share(job.frozen.mesh)[1]
    drops = run.model.dropout or run.prompt.deep_dropout or run.head.dropout
    return run.data.cut and not drops and hosts == 1


def _whole_batches(
    job: Job, length: int, starts: Positions
) -> Iterator[tuple[Batch, Positions]]:
    run, data = job.run, job.run.data
    shard = host_share(job.frozen.mesh)
    lengths = job.training_lengths(length)
    options: dict[str, Any] = {
        "batch_size": run.batch_size // shard[1],
        "pack": data.pack,
        "shard": shard,
    }
    if run.tunes_model:
        options |= {"seed": run.seed, "start": starts[0]}
        tasks = [job.trained(place, run.seed) for place in range(len(job.tasks))]
        mixed = mixed_batches(tasks, data.train_split, lengths, **options)
        return ((batch, (position,)) for batch, position in mixed)
    bank = [Member(job.trained(place, seed), seed) for place, seed in job.members]
    soft_ids = job.frozen.soft_ids(length)
    return bank_batches(bank, data.train_split, lengths, soft_ids, starts, **options)
