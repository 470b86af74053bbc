"""One compiled program that answers any task's rows behind any prompt of a bank.

A prompt and its head are arguments of every program of this project. Here the label
words of the task are arguments too, padded to those of the task that has the most: so
tasks whose answers are ranked, or chosen at a mask, share a program.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxprompt.data.tasks.verbalizer import Score
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.heads.head import likeliest, states_at
from jaxprompt.models.backbone import Backbone, Filler
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_states
from jaxprompt.shapes import Batch, Params


class LabelWords(NamedTuple):
    """The words that stand for a task's classes, as arrays.

    Attributes:
        words: Token ids of each word, W of them, with end-of-sequence; or at a mask the
            one id of each, [W].
        classes: The class of each word, from 0; -1 for a word that is only padding.
        minus: What is taken off the score of each class: the logarithm of its words'
            number where their mean counts, 0 where their sum does.
        labels: What is answered for each class: the token ids of its label.
    """

    words: Int[np.ndarray, "W *L"]
    classes: Int[np.ndarray, " W"]
    minus: Float[np.ndarray, " C"]
    labels: Int[np.ndarray, "C *L"]


Answer = Callable[[Params, Batch, LabelWords], jax.Array]
"""From the joined tree, a batch and a task's label words to target ids [B, L]."""


def label_words(
    words: Sequence[Any],
    counts: Sequence[int],
    score: Score,
    labels: Sequence[Any] | None = None,
) -> LabelWords:
    """Makes the arrays of a task's label words.

    Args:
        words: Token ids of each word, class by class; or one id of each.
        counts: Number of words of each class.
        score: What a class with several words has; see `Verbalizer.score`.
        labels: Token ids of each class's label; None at a mask.
    """
    found = np.asarray(words, np.int32)
    answered = np.zeros(len(counts)) if labels is None else labels
    minus = np.log(counts) if score == "mean" else np.zeros(len(counts))
    return LabelWords(
        found,
        np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        minus.astype(np.float32),
        np.asarray(answered, np.int32),
    )


def pad_labels(of_tasks: Sequence[LabelWords]) -> list[LabelWords]:
    """Pads the label words of tasks to one shape, so that they share a program."""
    if not of_tasks:
        return []
    fill = (NO_TOKEN, -1, 0, NO_TOKEN)
    columns = [
        _padded(list(arrays), filler)
        for arrays, filler in zip(zip(*of_tasks, strict=True), fill, strict=True)
    ]
    return [LabelWords(*arrays) for arrays in zip(*columns, strict=True)]


def _padded(arrays: Sequence[np.ndarray], filler: int) -> list[np.ndarray]:
    shape = np.max([array.shape for array in arrays], axis=0)
    return [
        np.pad(
            array,
            [(0, most - own) for most, own in zip(shape, array.shape, strict=True)],
            constant_values=filler,
        )
        for array in arrays
    ]


def score_classes(words: Float[Array, "*B W"], of: LabelWords) -> Float[Array, "*B C"]:
    """Does what `heads.head.class_scores` does, for classes that are an argument.

    A class that is only padding has no word, and is never the likeliest.
    """
    classes_C1 = jnp.arange(len(of.minus), dtype=of.classes.dtype)[:, None]
    is_of_CW = of.classes[None] == classes_C1
    lead = (None,) * (words.ndim - 1)
    scores_BCW = jnp.where(is_of_CW[lead], words[..., None, :], -jnp.inf)
    return jax.nn.logsumexp(scores_BCW, axis=-1) - of.minus[lead]


def make_rank(
    backbone: Backbone, place: Callable[[Batch], Batch] = jax.device_put
) -> Answer:
    """Compiles the choice of the likeliest label words; see `evaluate.rank`.

    Args:
        backbone: The frozen model's functions.
        place: Moves a batch of NumPy arrays to the devices.

    Returns:
        A function of the joined tree, a batch of one example a row and label words.
    """

    @jax.jit
    def compiled(params: Params, batch: Batch, of: LabelWords) -> jax.Array:
        scores_BW = rank_labels(backbone, params, batch, jnp.asarray(of.words))[:, 0]
        best_B = jnp.argmax(score_classes(scores_BW, of), axis=-1)
        return jnp.asarray(of.labels)[best_B]

    return lambda params, batch, of: compiled(params, place(batch), of)


def make_fill(
    backbone: Backbone, place: Callable[[Batch], Batch] = jax.device_put
) -> Answer:
    """Compiles the choice of the word that a masked-LM head likes most at a mask.

    Args:
        backbone: The frozen model's functions.
        place: Moves a batch of NumPy arrays to the devices.

    Returns:
        A function of the joined tree, a batch and label words of one token each; it
        returns the numbers of labels, from 1, as `heads.head.likeliest`.

    Raises:
        ValueError: If the model has no such head.
    """
    if not isinstance(backbone, Filler):
        raise ValueError(f"{backbone.name} has no masked-LM head")
    fill = backbone.fill

    @jax.jit
    def compiled(params: Params, batch: Batch, of: LabelWords) -> jax.Array:
        states = states_at(prompted_states(backbone, params, batch), batch)
        scores_BLW = fill(params["model"], states)[..., of.words]
        return likeliest(score_classes(scores_BLW, of), batch)

    return lambda params, batch, of: compiled(params, place(batch), of)


@functools.partial(jax.jit, static_argnames="members")
def draw_like(key: jax.Array, bank: Params, members: int = 1) -> Params:
    """Draws prompts of the mean and the spread of trained ones, leaf by leaf.

    Such a prompt has the scale of the others and was never trained: what it scores is
    what any prompt scores by its mere presence.

    Args:
        key: Typed PRNG key.
        bank: The trained prompts: a pytree whose leaves lead with the members.
        members: How many to draw.

    Returns:
        The same pytree with so many members.
    """
    leaves, tree = jax.tree.flatten(bank)
    keys = jax.random.split(key, len(leaves))

    def draw(key: jax.Array, leaf: Float[Array, "M ..."]) -> jax.Array:
        noise = jax.random.normal(key, (members, *leaf.shape[1:]), leaf.dtype)
        return leaf.mean() + leaf.std() * noise

    return jax.tree.unflatten(tree, list(map(draw, keys, leaves)))
