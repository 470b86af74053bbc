"""Greedy and beam search with GPT-2's cache choose what a whole pass scores best."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpt2_models import TINY, VOCAB, draw_params
from tiny import take_lead

from jaxprompt.evaluate.decode import beam, greedy
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch

BACKBONE, LENGTH, MEMBERS, END = Decoder(TINY), 5, 2, 7
SOURCES = ([3, 9, 4], [11], [8, 8, 2, 5], [60])
"""Words behind the soft tokens of member 0, 1, 0 and 1."""


def batch_of(backbone, targets, lead=2):
    """Lays the rows out as the data pipeline does: the last word starts the target."""
    soft = prefix(backbone.vocab_rows, 3)
    rows = [[*soft, *source] for source in SOURCES]
    inputs = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for b, row in enumerate(rows):
        inputs[b, : len(row) - 1] = row[:-1]
    last = np.array([row[-1:] for row in rows], np.int32)
    ones = jnp.ones(targets.shape, jnp.int32)
    batch = Batch(
        inputs=jnp.asarray(inputs),
        input_segments=jnp.asarray(inputs > 0, jnp.int32),
        targets=jnp.asarray(targets, jnp.int32),
        target_inputs=jnp.asarray(np.append(last, targets[:, :-1], axis=1), jnp.int32),
        target_segments=ones,
        weights=ones.astype(jnp.float32),
        members=jnp.arange(len(rows), dtype=jnp.int32) % MEMBERS,
    )
    return take_lead(batch, lead)


@pytest.fixture(scope="module")
def params():
    rows = np.random.default_rng(5).normal(size=(MEMBERS, 3, TINY.width))
    return {"model": draw_params(), "prompt": Prompt(jnp.asarray(rows, jnp.float32))}


@functools.partial(jax.jit, static_argnums=0)
def log_probs(backbone, params, batch):
    return jax.nn.log_softmax(prompted_logits(backbone, params, batch))


def search(how, backbone, params, lead=2, **options):
    batch = batch_of(backbone, np.zeros((len(SOURCES), 1), np.int32), lead)
    run = functools.partial(how, backbone, length=LENGTH, end=END, **options)
    return jax.tree.map(np.asarray, jax.jit(run)(params, batch))


@pytest.fixture(scope="module")
def greedy_ids(params):
    return search(greedy, BACKBONE, params)


def real(ids):
    """Tells which ids stand up to the first end."""
    ended = np.cumsum(ids == END, axis=1) - (ids == END)
    return ended == 0


def test_greedy_search_takes_the_best_word_at_each_step(params, greedy_ids):
    best = log_probs(BACKBONE, params, batch_of(BACKBONE, greedy_ids)).argmax(-1)
    np.testing.assert_array_equal(greedy_ids, np.where(real(greedy_ids), best, 0))
    assert greedy_ids.min() >= 0
    assert greedy_ids.max() <= VOCAB
    assert len({tuple(row) for row in greedy_ids}) > 1


def test_a_prompt_that_is_not_folded_answers_alike(params, greedy_ids):
    found = search(greedy, BACKBONE, params, lead=0)
    np.testing.assert_array_equal(found, greedy_ids)


def test_beam_search_scores_what_it_found_as_a_whole_pass_does(params, greedy_ids):
    ids, scores = search(beam, BACKBONE, params, beams=4, alpha=0.0)
    found, of_greedy = (
        np.where(
            real(row),
            np.take_along_axis(
                np.asarray(log_probs(BACKBONE, params, batch_of(BACKBONE, row))),
                row[..., None],
                axis=-1,
            )[..., 0],
            0,
        ).sum(axis=1)
        for row in (ids, greedy_ids)
    )
    np.testing.assert_allclose(scores, found, atol=1e-4)
    assert (scores >= of_greedy - 1e-4).all()
