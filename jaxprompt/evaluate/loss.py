"""Teacher-forced loss on a split, beside the loss with another row's input."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.data.rows.row_batches import (
    Progress,
    RowBatch,
    padding_share,
    sorted_batches,
    swap_inputs,
)
from jaxprompt.data.rows.sample import Sample
from jaxprompt.heads.words import WORDS
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params


class Sums(NamedTuple):
    """Sums over the target tokens of a batch.

    Attributes:
        nats: Cross-entropy.
        hits: Tokens that are the most likely ones.
        tokens: All of them.
    """

    nats: float
    hits: float
    tokens: float


MeasureBatch = Callable[[Params, Batch], Sums]
"""From the joined tree and a batch to its sums."""


def make_measure(
    backbone: Backbone, place: Callable[[Batch], Batch] = jax.device_put
) -> MeasureBatch:
    """Compiles the way from a batch to its sums; nothing is decoded.

    Args:
        backbone: The frozen model's functions.
        place: Moves a batch of NumPy arrays to the devices.
    """

    @jax.jit
    def sums(params: Params, batch: Batch) -> tuple[jax.Array, ...]:
        losses = WORDS.losses(backbone, params, batch)
        return (
            jnp.sum(batch.weights * losses.nats),
            jnp.sum(batch.weights, where=losses.hits),
            jnp.sum(batch.weights),
        )

    def measure(params: Params, batch: Batch) -> Sums:
        return Sums(*map(float, jax.device_get(sums(params, place(batch)))))

    return measure


class LossSet:
    """A split, tokenised once, whose targets are told to the decoder."""

    def __init__(self, sample: Sample):
        """Reads and tokenises the whole split, of which the sample is measured."""
        task, split = sample.task, sample.split
        every = range(task.num_examples(split))
        self._split = sample.layout.padded(task.pairs(split, every))
        self._rows = jax.tree.map(lambda x: x[sample.numbers], self._split)

    @property
    def num_examples(self) -> int:
        """Rows that are measured."""
        return len(self._rows.inputs)

    def batches(
        self, batch_size: int, *, other_input: bool = False
    ) -> Iterator[RowBatch]:
        """Yields the rows to measure, the longest first, as often as wanted.

        Args:
            batch_size: Rows B; the last batch is filled up with empty rows.
            other_input: Whether each row has the row before's input, and its own
                targets. The first has the last one's.
        """
        rows = self._rows
        if other_input:
            rows = swap_inputs(rows, np.arange(self.num_examples) - 1)
        return sorted_batches(rows, batch_size)

    def unigram_entropy(self) -> float:
        """Returns the entropy of the target tokens' frequencies, in nats.

        What a model reaches that knows how often each token occurs in this very split,
        and nothing else. All rows count: a few show too few of the tokens.
        """
        ids: Any = self._split.targets
        counts = np.bincount(ids[self._split.weights > 0])
        shares = counts[counts > 0] / counts.sum()
        return float(-np.sum(shares * np.log(shares)))


class Loss(NamedTuple):
    """What a model makes of the targets of a set.

    Attributes:
        loss: Mean cross-entropy, in nats a token.
        other_input_loss: The same where each row has another row's input. A model
            that does not use its input has twice the same loss.
        accuracy: Share of the tokens that are the most likely ones, 0 to 1.
    """

    loss: float
    other_input_loss: float
    accuracy: float


def measure_loss(
    measure: Callable[[Batch], Sums],
    rows: LossSet,
    batch_size: int,
    progress: Progress | None = None,
) -> Loss:
    """Measures both losses of a set.

    Args:
        measure: From a batch to its sums.
        rows: The set.
        batch_size: Rows B of a batch.
        progress: As of `predict_rows`; each row counts twice in all.
    """
    totals = {}
    for other_input in (False, True):
        total = np.zeros(3)
        for some in rows.batches(batch_size, other_input=other_input):
            total += measure(some.batch)
            if progress is not None:
                progress(some.num_examples, padding_share(some.batch))
        totals[other_input] = Sums(*total.tolist())
    own, other = totals[False], totals[True]
    return Loss(
        loss=own.nats / own.tokens,
        other_input_loss=other.nats / other.tokens,
        accuracy=own.hits / own.tokens,
    )


def mean_loss(losses: Mapping[str, Loss], rates: Mapping[str, float]) -> Loss:
    """Averages the losses of a task's parts, each at its rate; rates sum to 1."""

    def mean(field: str) -> float:
        return sum(rates[name] * getattr(x, field) for name, x in losses.items())

    return Loss(mean("loss"), mean("other_input_loss"), mean("accuracy"))
