"""Rank classification: which of the task's label words is the likeliest?"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.data.tasks.task import Task
from jaxprompt.heads.head import class_scores
from jaxprompt.models.backbone import Backbone, writer_of
from jaxprompt.models.tokens import Tokens
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_embed, prompted_encode
from jaxprompt.shapes import Batch, Params

LabelScores: TypeAlias = Callable[[Params, Batch, int], Float[Array, "B E C"]]
"""From the joined tree, a batch and the number E of examples in a row to the
log-probability of each label of a task, in nats."""


def make_label_scores(backbone: Backbone, task: Task, length: int) -> LabelScores:
    """Makes the way from a batch to the scores of a task's labels.

    A label with several words has the sum of their probabilities, or the mean, as its
    task says.

    Args:
        backbone: The frozen model's functions.
        task: Whose label words are scored.
        length: Target length L, which each word has to fit into.

    Raises:
        ValueError: If the task has no labels, or one does not fit.
    """
    word_ids = jnp.asarray(task.word_ids(length))
    assert task.words is not None
    counts, score = [len(words) for words in task.words.words], task.words.score

    def scores(params: Params, batch: Batch, examples: int) -> jax.Array:
        found = rank_labels(backbone, params, batch, word_ids, examples=examples)
        return class_scores(found, counts, score)

    return scores


def rank_labels(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    label_ids: Int[Array, "C L"],
    *,
    examples: int = 1,
) -> Float[Array, "B E C"]:
    """Scores every label word for every example, encoding each row once.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows of up to E examples each; targets are not read.
        label_ids: Tokens of each label with end-of-sequence, then `NO_TOKEN`.
        examples: The number E. Examples that a row lacks get scores without meaning.

    Returns:
        Log-probability of each label in nats, the sum over its tokens.
    """
    encoded = prompted_encode(backbone, params, batch)
    rows, (classes, length) = batch.inputs.shape[0], label_ids.shape
    # What a label follows on: T5's start, or a decoder's last input token, of
    # whose rows each is one example.
    start_B1 = batch.target_inputs[:, :1]
    # Each example has its copy of the label, in a segment of its own.
    segment_of_E = jnp.arange(1, examples + 1, dtype=jnp.int32)

    def score(ids_L: jax.Array) -> jax.Array:
        real_L, ids_L = ids_L != NO_TOKEN, jnp.maximum(ids_L, 0)
        segments_EL = jnp.where(real_L[None], segment_of_E[:, None], 0)
        rest_BL = jnp.broadcast_to(ids_L[None, :-1], (rows, length - 1))
        ids_BL = jnp.concatenate([start_B1, rest_BL], axis=1)
        y_BLD = prompted_embed(backbone, params, ids_BL, batch.members)
        target = Tokens(
            jnp.tile(y_BLD, (1, examples, 1)),
            jnp.broadcast_to(segments_EL.reshape(1, -1), (rows, examples * length)),
        )
        logits_BSV = writer_of(backbone).decode(params["model"], encoded, target)
        # Not log_softmax: it would write the logits a second time.
        picked_BS = logits_BSV[
            :, jnp.arange(examples * length), jnp.tile(ids_L, examples)
        ]
        log_probs_BS = picked_BS - jax.nn.logsumexp(logits_BSV, axis=-1)
        log_probs_BEL = log_probs_BS.reshape(rows, examples, length)
        return jnp.sum(jnp.where(real_L[None, None], log_probs_BEL, 0.0), axis=-1)

    # One label after another: the logits of one label are the largest array.
    scores_CBE = jax.lax.map(score, label_ids)
    return scores_CBE.reshape(classes, rows, examples).transpose(1, 2, 0)
