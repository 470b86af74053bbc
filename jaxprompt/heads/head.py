"""What a head must offer: its own weights, and what its answers lose."""

import abc
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

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
    """A head that scores what a task's answers choose from; it writes no words.

    Attributes:
        name: What prompt files call it.
    """

    name: str

    @abc.abstractmethod
    def init(self, key: jax.Array, backbone: Backbone, model: Params) -> Params:
        """Draws the weights of one member; see `Head.init`."""

    @abc.abstractmethod
    def scores(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Float[Array, "B L C"]:
        """Scores C choices for each target; float32.

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
        """Scores the true choices, which are `true_of`; see `Head.losses`."""
        scores_BLC = self.scores(backbone, params, batch, dropout_key=dropout_key)
        return losses_of(scores_BLC, self.true_of(batch))

    def true_of(self, batch: Batch) -> Int[Array, "B L"]:
        """Returns the number of each target's true choice: it is the target, from 1."""
        return jnp.maximum(batch.targets - 1, 0)

    def find(
        self, backbone: Backbone, params: Params, batch: Batch
    ) -> Shaped[Array, "B ..."]:
        """Returns what the answer to each row is read from, by `Answers.decode`.

        That is the `likeliest` choice for each target.
        """
        return likeliest(self.scores(backbone, params, batch), batch)

    def likely(
        self, backbone: Backbone, params: Params, batch: Batch
    ) -> Float[Array, "B ..."]:
        """Returns how likely each choice is, for `Answers.likelihoods`; float32."""
        return jax.nn.softmax(self.scores(backbone, params, batch), axis=-1)


def likeliest(scores: Float[Array, "B L C"], batch: Batch) -> Int[Array, "B L"]:
    """Returns the number of the likeliest choice for each target, from 1.

    Where no token stands for a word, that is the first choice; behind the last target,
    it is 0.
    """
    best_BL = 1 + jnp.argmax(scores, axis=-1)
    best_BL = jnp.where(places_of(batch) < 0, 1, best_BL)
    return jnp.where(batch.target_segments > 0, best_BL, 0).astype(jnp.int32)


def states_at(states: Float[Array, "B T D"], batch: Batch) -> Float[Array, "B L D"]:
    """Returns the states at the targets' places; any state where there is none."""
    index_BL1 = jnp.maximum(places_of(batch), 0)[..., None]
    return jnp.take_along_axis(states, index_BL1, axis=1)


def places_of(batch: Batch) -> Int[Array, "B L"]:
    """Returns the targets' places.

    Raises:
        ValueError: If the batch has none.
    """
    if batch.target_places is None:
        raise ValueError(
            "a head for a batch without target_places: lay its rows out for a task "
            "that is put to the head, by Task.put_to"
        )
    return jnp.asarray(batch.target_places)
