"""What a head must offer: its own weights, and what its answers lose."""

import abc
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxprompt.data.tasks.verbalizer import Score
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params


class Losses(NamedTuple):
    """What a batch's answers lose, before they are summed; see `train.loss`.

    Attributes:
        nats: Cross-entropy of each token of a true answer.
        log_z: Logarithm of the normaliser of its scores, for the z-loss.
        hits: Whether the true token has the highest score.
    """

    nats: Float[Array, "B L"]
    log_z: Float[Array, "B L"]
    hits: Bool[Array, "B L"]


def losses_of(logits: Float[Array, "B L C"], targets: Int[Array, "B L"]) -> Losses:
    """Returns what the true answers lose, by their logits.

    Args:
        logits: Unnormalised log probabilities of C words or labels, float32.
        targets: Numbers of the true ones, from 0.
    """
    # Written out, so that the accuracy and the z-loss add no pass over the logits.
    log_z_BL = jax.nn.logsumexp(logits, axis=-1)
    target_BL1 = jnp.take_along_axis(logits, targets[..., None], axis=-1)
    target_BL = target_BL1[..., 0]
    hits_BL = target_BL >= jax.lax.stop_gradient(logits.max(axis=-1))
    return Losses(log_z_BL - target_BL, log_z_BL, hits_BL)


def class_scores(
    words: Float[Array, "*B W"], counts: Sequence[int], score: Score
) -> Float[Array, "*B C"]:
    """Adds up the probabilities of the words of each class, or takes their mean.

    Args:
        words: Unnormalised log probabilities of all words, class by class.
        counts: Number of words of each class.
        score: "sum" or "mean".

    Returns:
        Those of the classes; the same array if each has one word.
    """
    if max(counts) == 1:
        return words
    ends = np.cumsum([0, *counts])
    found = []
    for count, start, stop in zip(counts, ends[:-1], ends[1:], strict=True):
        total = jax.nn.logsumexp(words[..., start:stop], axis=-1)
        found.append(total - (math.log(count) if score == "mean" else 0.0))
    return jnp.stack(found, axis=-1)


class Head(Protocol):
    """A kind of answer: a frozen value, static to a compiled step.

    Its weights are `params["head"]`. Each leaf leads with the members M, so that every
    member of a bank has a head of its own.
    """

    @property
    def name(self) -> str:
        """What prompt files call it."""
        ...

    def init(self, key: jax.Array, backbone: Backbone, model: Params) -> Params:
        """Draws the weights that one member's training starts from.

        Args:
            key: Typed PRNG key; consumed.
            backbone: The frozen model's functions.
            model: Its weights.

        Returns:
            A bank of one: each leaf leads with an axis of 1. {} where there are none.
        """
        ...

    def losses(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Losses:
        """Scores the true answers of a batch.

        Args:
            backbone: The frozen model's functions.
            params: The joined tree, with a `Prompt`.
            batch: Rows to learn from.
            dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
                dropout without it.
        """
        ...


class Scorer(abc.ABC):
    """A head that scores the labels of a task; target ids are their numbers, from 1."""

    @abc.abstractmethod
    def scores(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Float[Array, "B L C"]:
        """Scores every label for each target's place; float32.

        Args:
            backbone: The frozen model's functions.
            params: The joined tree, with a `Prompt`.
            batch: Rows to answer, which say their targets' places.
            dropout_key: Typed PRNG key, or M of them; no dropout without it.
        """

    def losses(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Losses:
        """Scores the true labels; see `Head.losses`."""
        scores_BLC = self.scores(backbone, params, batch, dropout_key=dropout_key)
        return losses_of(scores_BLC, jnp.maximum(batch.targets - 1, 0))
