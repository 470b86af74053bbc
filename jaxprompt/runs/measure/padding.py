"""Says before training what padding costs, and what packed rows would cost."""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import numpy as np

from jaxprompt.data.rows.position import Position
from jaxprompt.data.tasks.answers.kinds import KINDS, WORDS
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.training_batches import training_batches
from jaxprompt.screen.terminal import say

_LOOKED_AT = 4
"""Batches that stand for all of them."""


class RowWork(NamedTuple):
    """What the batches of a run hold for each example, in tokens that a model reads.

    Targets are among them where the model writes; a head's are places in the input.

    Attributes:
        computed: Tokens that the model computes, padding among them.
        own: Tokens of the example.
        a_row: Examples in a row.
    """

    computed: float
    own: float
    a_row: float


def report_padding(job: Job, length: int) -> None:
    """Says how many tokens are computed for each example, packed and not.

    Nothing is said of examples that are drawn, whose batches take long to make, of
    heads that read one example a row, and of several hosts, which see a part each.

    Args:
        job: What trains, and on what.
        length: Prompt length P, in tokens.
    """
    run, data = job.run, job.run.data
    drawn = any(task.draw is not None for task in job.tasks)
    if drawn or not KINDS[run.head.kind].packs or jax.process_count() > 1:
        return
    now = measure_work(job, length)
    said = (
        f"padding: {now.computed:.0f} tokens are computed for each example, "
        f"{now.own:.0f} of them its own"
    )
    # Rows that are packed keep no states.
    other = dataclasses.replace(data, pack=not data.pack, keep_states=False)
    swapped = dataclasses.replace(job, run=dataclasses.replace(run, data=other))
    try:
        then = measure_work(swapped, length)
    except ValueError:  # A few examples do not fill a batch of packed rows.
        say(said)
        return
    packed = now if data.pack else then
    say(
        f"{said}; with PACK={other.pack} {then.computed:.0f}. A packed row holds "
        f"{packed.a_row:.1f} examples: a step learns from that many times more of them"
    )


def measure_work(job: Job, length: int) -> RowWork:
    """Counts the tokens of the first batches.

    Raises:
        ValueError: If the rows of the training split do not fill a batch.
    """
    starts = tuple(Position() for _ in range(job.run.num_members))
    computed = own = examples = rows = 0
    stream = training_batches(job, length)(starts)
    for batch, _ in itertools.islice(stream, _LOOKED_AT):
        for part in batch if isinstance(batch, tuple) else (batch,):
            sides = [np.asarray(part.input_segments), np.asarray(part.target_segments)]
            read = sides if job.run.head.kind == WORDS else sides[:1]
            computed += sum(side.size for side in read)
            own += sum(np.count_nonzero(side) for side in read)
            # The examples of a row are numbered from 1.
            examples += int(np.maximum(*(side.max(axis=1) for side in sides)).sum())
            rows += len(part.inputs)
    return RowWork(computed / examples, own / examples, examples / rows)
