"""Predictions and scores of a prompt on a split, beside majority and untuned."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxprompt.data.rows.row_batches import Progress
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.decode import beam, beam_candidates, greedy, nucleus
from jaxprompt.evaluate.evaluation_set import EvaluationSet, Scores
from jaxprompt.evaluate.methods import check_method
from jaxprompt.evaluate.rank import make_label_scores
from jaxprompt.evaluate.vote import majority_vote
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params

Predict = Callable[..., jax.Array]
"""From the joined tree and a batch to target ids, [B, L], which may still be computed.

Given a number E as well, from a batch whose rows hold up to E examples to the ids of
each, [B, E, L]; "rank" only.
"""


def make_predict(
    backbone: Backbone,
    task: Task,
    *,
    method: str = "greedy",
    length: int,
    beams: int = 4,
    alpha: float = 0.6,
    top_p: float = 0.9,
    temperature: float = 1.0,
    seeds: Sequence[int] = (0,),
    place: Callable[[Batch], Batch] = jax.device_put,
) -> Predict:
    """Compiles the way from a batch to predicted target ids.

    Args:
        backbone: The frozen model's functions.
        task: Whose label words "rank" chooses from.
        method: "greedy" or "beam" decoding, "nucleus" sampling, or "rank"
            classification.
        length: Most target tokens L, end-of-sequence included.
        beams: Sequences that "beam" keeps.
        alpha: Its brevity penalty.
        top_p: Probability of the tokens that "nucleus" draws from.
        temperature: What it divides logits by.
        seeds: Of its draws, one for each member of the bank. A row's draws follow from
            its member's seed and its number in the split or file, and from nothing
            else.
        place: Moves a batch of NumPy arrays to the devices.

    Returns:
        A function of the joined tree and a batch; prompts are arguments, so another
        prompt of the same shape does not recompile.

    Raises:
        ValueError: If the method is unknown, a number is out of range, or "rank" is
            for a task without labels.
    """
    check_method(
        method,
        length=length,
        beams=beams,
        alpha=alpha,
        top_p=top_p,
        temperature=temperature,
    )
    if method == "rank":
        label_ids = jnp.asarray(task.label_ids(length))
        scores = make_label_scores(backbone, task, length)

        def ids(params: Params, batch: Batch, examples: int) -> jax.Array:
            best_BE = jnp.argmax(scores(params, batch, examples), axis=-1)
            return label_ids[best_BE]

    else:
        limits: dict[str, Any] = {"length": length, "end": task.vocabulary.end_ids}

        def ids(params: Params, batch: Batch, examples: int) -> jax.Array:
            if examples > 1:
                raise ValueError(
                    f"method {method!r} for {examples} examples in a row: decoding "
                    "needs a row for each, so use 'rank', or do not pack"
                )
            if method == "beam":
                options = {"beams": beams, "alpha": alpha, **limits}
                return beam(backbone, params, batch, **options)[0][:, None]
            if method == "nucleus":
                options = {"top_p": top_p, "temperature": temperature, **limits}
                keys = _row_keys(seeds, params, batch)
                return nucleus(backbone, params, batch, keys, **options)[:, None]
            return greedy(backbone, params, batch, **limits)[:, None]

    @functools.partial(jax.jit, static_argnames="examples")
    def compiled(params: Params, batch: Batch, examples: int | None) -> jax.Array:
        found = ids(params, batch, examples or 1)
        return found[:, 0] if examples is None else found

    def predict(params: Params, batch: Batch, examples: int | None = None) -> jax.Array:
        return compiled(params, place(batch), examples)

    return predict


def make_candidates(
    backbone: Backbone,
    task: Task,
    *,
    count: int,
    length: int,
    beams: int = 4,
    alpha: float = 0.6,
    place: Callable[[Batch], Batch] = jax.device_put,
) -> Predict:
    """Compiles the way from a batch to several answers to each row, by beam search.

    Args:
        backbone: The frozen model's functions.
        task: Whose vocabulary ends an answer.
        count: Answers K to each row, at most `beams`.
        length: Most target tokens L, end-of-sequence included.
        beams: Sequences kept.
        alpha: Brevity penalty.
        place: Moves a batch of NumPy arrays to the devices.

    Returns:
        A function of the joined tree and a batch to target ids, [B, K, L], the best
        answer first.
    """
    limits: dict[str, Any] = {"length": length, "end": task.vocabulary.end_ids}

    @jax.jit
    def compiled(params: Params, batch: Batch) -> jax.Array:
        options = {"count": count, "beams": beams, "alpha": alpha, **limits}
        return beam_candidates(backbone, params, batch, **options)[0]

    return lambda params, batch: compiled(params, place(batch))


def _row_keys(seeds: Sequence[int], params: Params, batch: Batch) -> Key[Array, " B"]:
    """Makes the key of each row from its member's seed and its number."""
    members = params["prompt"].members
    if members > len(seeds):
        raise ValueError(
            f"method 'nucleus' for a bank of {members} prompts with {len(seeds)} seeds:"
            " give each prompt a seed, by `seeds`"
        )
    if batch.row_numbers is None:
        raise ValueError(
            "method 'nucleus' for a batch without row_numbers, from which each row's "
            "draws follow: set Batch.row_numbers"
        )

    def key(seed: jax.Array, number: jax.Array) -> jax.Array:
        return jax.random.fold_in(jax.random.key(seed), number)

    seeds_M = jnp.asarray(seeds, jnp.uint32)
    return jax.vmap(key)(seeds_M[batch.members], batch.row_numbers)


@dataclasses.dataclass(frozen=True)
class Report:
    """The scores of a bank and what they must be held against.

    Attributes:
        tuned: Of each member, the model with its prompt; or the tuned model.
        majority: The most frequent class of the same split, always.
        untuned: The frozen model alone, on the same text without soft tokens.
        inputs: The input text of every example.
        targets: Its true target text.
        hand_written: The frozen model with a prompt in words; None without one.
        vote: The members' majority vote; None of a single one.
    """

    tuned: list[Scores]
    majority: Scores
    untuned: Scores
    inputs: list[str]
    targets: list[str]
    hand_written: Scores | None = None
    vote: Scores | None = None


def evaluate(
    predict: Predict,
    tuned: tuple[EvaluationSet, Params],
    untuned: tuple[EvaluationSet, Params] | Scores,
    hand_written: tuple[EvaluationSet, Params] | Scores | None = None,
    *,
    members: Sequence[int] = (0,),
    batch_size: int,
    progress: Progress | None = None,
    pack: bool = False,
) -> Report:
    """Scores what was trained on a split, and beside it the baselines.

    Args:
        predict: From `make_predict`.
        tuned: The split, its inputs beginning with the soft tokens of the bank's first
            member if there are prompts, and the joined tree {"model": ..., "prompt":
            ...}.
        untuned: The same split without soft tokens, and the frozen model with the
            empty prompt; or the scores, where they are known.
        hand_written: The same split behind a hand-written prompt, and the frozen model
            as it is for `untuned`; or the scores.
        members: Which of the bank are scored, in shared batches; two or more also vote.
        batch_size: Rows B of a batch.
        progress: As of `data.rows.row_batches.predict_rows`.
        pack: Whether a row of a batch holds as many examples as fit.

    Returns:
        The scores, by the task's own metrics.
    """

    def score(rows: EvaluationSet, params: Params, places: Sequence[int]) -> Any:
        answer = functools.partial(predict, params)
        return rows.score_members(answer, batch_size, places, progress, pack=pack)

    def of_frozen(asked: tuple[EvaluationSet, Params] | Scores) -> Scores:
        return asked if isinstance(asked, Scores) else score(*asked, (0,))[0]

    rows = tuned[0]
    scores = score(*tuned, members)
    return Report(
        tuned=scores,
        majority=rows.majority(),
        untuned=of_frozen(untuned),
        inputs=rows.inputs,
        targets=rows.texts,
        hand_written=None if hand_written is None else of_frozen(hand_written),
        vote=vote_of(rows, scores),
    )


def vote_of(rows: EvaluationSet, scores: Sequence[Scores]) -> Scores | None:
    """Scores the majority vote of members on the rows; None of a single one."""
    if len(scores) < 2:
        return None
    return rows.score_texts(majority_vote([score.predictions for score in scores]))
