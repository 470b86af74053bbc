"""The states below a job's prompt: whether they can be kept, how many, and how."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from jaxprompt.data.rows.layout import layout_of
from jaxprompt.prompts.join import prompted_lower
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.report.text.bar import example_bar
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.training_batches import made_up_rows
from jaxprompt.screen.terminal import say
from jaxprompt.shapes import Batch, LowerStates
from jaxprompt.sharding import host_share
from jaxprompt.train.kept_states import KeptStates, RowPlaces, keep_states, place_rows

_GIB = 2**30

_ROWS = 4096
"""Rows that are laid out at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class StatesToKeep:
    """Rows whose states a run keeps; see `count_states`.

    Attributes:
        job: What is to be trained, and on what.
        start: The bank to start from.
        validated: Rows to validate on whose states are kept too.
        places: Where the states are to stand.
    """

    job: Job
    start: Prompt
    validated: Sequence[Batch]
    places: RowPlaces

    def make(self, workdir: Path) -> KeptStates:
        """Reads every row once, by the layers below the prompt.

        Args:
            workdir: Folder of the run; what is too large for the memory lies in it.

        Raises:
            OSError: If there is no room in the workdir.
        """
        job, places = self.job, self.places
        params = job.frozen.join(self.start)
        lower = jax.jit(functools.partial(prompted_lower, job.frozen.backbone))
        with example_bar(len(places.starts), "states", leave=False) as advance:
            return keep_states(
                lambda batch: lower(params, job.frozen.place_batch(batch)),
                itertools.chain(_rows(job, self.start.length), self.validated),
                places,
                batch_size=job.run.evaluation.batch_size,
                folder=None if _in_memory(job, places) else workdir,
                progress=advance,
            )


def count_states(
    job: Job, start: Prompt, validated: Sequence[Batch] = ()
) -> StatesToKeep | None:
    """Counts the rows whose states a run keeps, and says what these take.

    Args:
        job: What is to be trained, and on what.
        start: The bank to start from.
        validated: Rows to validate on, which a head reads.

    Returns:
        These and all training rows; None for a run that keeps none.

    Raises:
        ValueError: If there are no such states, or they take more than is allowed.
    """
    data = job.run.data
    if not data.keep_states:
        return None
    _check_rows(job)
    lower = functools.partial(prompted_lower, job.frozen.backbone)
    made_up = made_up_rows(job, start.length)
    like = jax.eval_shape(lower, job.frozen.join(start), made_up)
    if not any(like.layers):
        raise ValueError(
            f"keep_states, but the first layer of {job.frozen.backbone.name} reads "
            f"{start.told}, so that no state stays the same: let the last layers alone "
            "read them, as by --gin.DEEP_LAYERS=last:4, or leave --gin.KEEP_STATES out"
        )
    rows = itertools.chain(_rows(job, start.length), validated)
    places = place_rows(rows, like)
    size = places.nbytes / _GIB
    told = f"the states of {len(places.starts)} rows ({places.tokens} tokens)"
    if size > data.most_states:
        raise ValueError(
            f"{told} take {size:.2f} GiB, but Data.most_states is {data.most_states}: "
            "raise it, use shorter texts or fewer rows, or leave --gin.KEEP_STATES out"
        )
    where = "in memory" if _in_memory(job, places) else "in a file of the workdir"
    say(f"{told} below {_told_layers(like)} are kept: {size:.2f} GiB {where}")
    return StatesToKeep(job, start, validated, places)


def _in_memory(job: Job, places: RowPlaces) -> bool:
    return places.nbytes <= job.run.data.states_in_memory * _GIB


def _told_layers(like: LowerStates) -> str:
    """Names the layers that read the states, from 0."""
    source, target = like.layers
    if target in (0, source):
        return f"layer {source}"
    return f"layer {source} (of the decoder, layer {target})"


def _check_rows(job: Job) -> None:
    """Raises ValueError unless every epoch has the same rows, all on this host."""
    if host_share(job.frozen.mesh)[1] > 1:
        raise ValueError(
            "keep_states on several hosts, each of which sees its own rows alone: "
            "leave --gin.KEEP_STATES out"
        )
    for place, seed in job.members:
        task = job.trained(place, seed)
        if task.draw is not None:
            raise ValueError(
                f"keep_states for task {task.name}, which draws other rows in every "
                "epoch: leave --gin.KEEP_STATES out"
            )


def _rows(job: Job, length: int) -> Iterator[Batch]:
    """Yields all rows that the members train on."""
    lengths, soft_ids = job.training_lengths(length), job.frozen.soft_ids(length)
    tasks = {id(task): task for task in (job.trained(*one) for one in job.members)}
    for task in tasks.values():
        layout = layout_of(task, lengths, soft_ids)
        count = task.num_examples(job.run.data.train_split)
        for first in range(0, count, _ROWS):
            numbers = range(first, min(first + _ROWS, count))
            yield layout.padded(task.pairs(job.run.data.train_split, numbers))
