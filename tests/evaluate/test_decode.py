"""Greedy and beam search find what PyTorch finds, and what trying everything finds."""

import dataclasses
import functools
import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from tiny import CONFIG, Example, Tiny, draw_examples, draw_prompt, make_tiny, one_each

from jaxprompt.evaluate.decode import beam, beam_candidates, greedy
from jaxprompt.evaluate.likelihood import make_likelihood, with_answers
from jaxprompt.models.load import load
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import empty_prompt

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
WORDS, LENGTH = 8, 3
"""A vocabulary and a length that leave few enough sequences to try them all."""


@pytest.fixture(scope="module", params=["t5_1_0", "mt5"])
def golden(request, tmp_path_factory):
    """A model of PyTorch's, its inputs and what it answers."""
    folder = tmp_path_factory.mktemp(request.param)
    with np.load(GOLDEN / f"{request.param}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    weights = {k.removeprefix("weights/"): v for k, v in arrays.items() if "/" in k}
    safetensors.numpy.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads(str(arrays["config"]))
    (folder / "config.json").write_text(json.dumps(config))
    backbone, model = load(folder)
    inputs = [Example(row[row > 0], np.array([1])) for row in arrays["inputs"]]
    batch = one_each(inputs, inputs=arrays["inputs"].shape[1])
    params = Tiny(backbone, model).join(empty_prompt(backbone.width))
    return backbone, params, batch, arrays


def test_greedy_equals_pytorch(golden):
    backbone, params, batch, arrays = golden
    search = functools.partial(greedy, backbone, length=arrays["greedy"].shape[1])
    found = np.asarray(jax.jit(search)(params, batch))
    # PyTorch pads with T5's own padding, 0.
    np.testing.assert_array_equal(np.maximum(found, 0), arrays["greedy"])


def test_beams_and_their_scores_equal_pytorch(golden):
    """Four beams and no brevity penalty, as tools/make_golden.py asks for them.

    PyTorch lets a sequence end only among the best 4 continuations, T5X and we among
    the best 8: where that finds another sequence, it must be a likelier one.
    """
    backbone, params, batch, arrays = golden
    length = arrays["beam"].shape[1]
    search = functools.partial(beam, backbone, length=length, beams=4, alpha=0.0)
    ids, scores = map(np.asarray, jax.jit(search)(params, batch))
    same = (np.maximum(ids, 0) == arrays["beam"]).all(axis=1)
    assert same.sum() >= 2
    np.testing.assert_allclose(scores[same], arrays["beam_scores"][same], atol=1e-4)
    assert (scores[~same] > arrays["beam_scores"][~same] + 0.01).all()


@pytest.fixture(scope="module")
def small():
    """A model of eight words that knows what it wants, and sixteen inputs."""
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=WORDS))
    sure = {**tiny.model, "logits": 3 * tiny.model["logits"]}
    draw = np.random.default_rng(0)
    inputs = [draw.integers(2, WORDS + 3, draw.integers(2, 9)) for _ in range(16)]
    batch = one_each([Example(ids, np.array([1])) for ids in inputs])
    return tiny.backbone, Tiny(tiny.backbone, sure).join(draw_prompt(0)), batch


def log_probabilities(small, rows, targets):
    """Teacher-forced log-probabilities [B, L, V] of inputs that may repeat."""
    backbone, params, batch = small
    targets = jnp.maximum(jnp.asarray(targets, jnp.int32), 0)
    repeated = dataclasses.replace(
        jax.tree.map(lambda x: jnp.asarray(x)[rows], batch),
        targets=targets,
        target_inputs=jnp.pad(targets[:, :-1], ((0, 0), (1, 0))),
        target_segments=jnp.ones_like(targets),
    )
    logits = jax.jit(prompted_logits, static_argnums=0)(backbone, params, repeated)
    return np.asarray(jax.nn.log_softmax(logits))


@pytest.fixture(scope="module")
def greedy_ids(small):
    backbone, params, batch = small
    search = functools.partial(greedy, backbone, length=LENGTH)
    return np.asarray(jax.jit(search)(params, batch))


def test_greedy_takes_the_likeliest_token_at_every_place(small, greedy_ids):
    best = log_probabilities(small, np.arange(16), greedy_ids).argmax(axis=-1)
    for found, expected in zip(greedy_ids, best, strict=True):
        ended = False
        for token, likeliest in zip(found, expected, strict=True):
            assert token == (NO_TOKEN if ended else likeliest)
            ended = ended or token == 1
    ends = (greedy_ids == 1).any(axis=1)
    assert 0 < ends.sum() < 16
    assert (greedy_ids[:, 0] == 1).any()


def test_greedy_stops_at_whichever_end_comes_first(small, greedy_ids):
    backbone, params, batch = small
    search = functools.partial(greedy, backbone, length=LENGTH, end=(1, 5))
    found = np.asarray(jax.jit(search)(params, batch))
    ended = np.cumsum(greedy_ids == 5, axis=1) - (greedy_ids == 5) > 0
    np.testing.assert_array_equal(found, np.where(ended, NO_TOKEN, greedy_ids))
    assert (found != greedy_ids).any()


@functools.cache
def sequences(ends=(1,)):
    """All that a search may find: ended, with no token behind, or never ended."""
    found = []
    for ids in itertools.product(range(WORDS), repeat=LENGTH):
        last = next((n for n, token in enumerate(ids) if token in ends), LENGTH)
        tokens = min(last + 1, LENGTH)
        if not any(ids[tokens:]):
            kept = [*ids[:tokens], *[NO_TOKEN] * (LENGTH - tokens)]
            found.append((kept, tokens))
    ids, tokens = zip(*found, strict=True)
    return np.array(ids), np.array(tokens)


@pytest.fixture(scope="module")
def totals(small):
    """Log-probability [B, number of sequences] of every sequence that 1 ends."""
    return totals_of(small)


def totals_of(small, ends=(1,)):
    ids, tokens = sequences(ends)
    rows = np.repeat(np.arange(16), len(ids))
    log_probs = log_probabilities(small, rows, np.tile(ids, (16, 1)))
    picked = np.take_along_axis(log_probs, np.tile(ids, (16, 1))[..., None], axis=2)
    counts = np.arange(LENGTH)[None] < tokens[:, None]
    return (picked.reshape(16, -1, LENGTH) * counts[None]).sum(axis=-1)


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_enough_beams_find_the_best_of_all_sequences(small, totals, alpha):
    backbone, params, batch = small
    ids, tokens = sequences()
    np.testing.assert_allclose(np.exp(totals).sum(axis=1), 1, atol=1e-5)
    scores = totals / ((5 + tokens) / 6) ** alpha
    search = functools.partial(beam, backbone, length=LENGTH, beams=64, alpha=alpha)
    found, found_scores = jax.jit(search)(params, batch)
    np.testing.assert_array_equal(found, ids[scores.argmax(axis=1)])
    np.testing.assert_allclose(found_scores, scores.max(axis=1), atol=1e-5)
    # Short ones and long ones win, so that the penalty and the filling matter.
    assert len(set(tokens[scores.argmax(axis=1)])) > 1


def test_enough_beams_find_the_best_of_what_either_end_ends(small):
    backbone, params, batch = small
    ids, tokens = sequences((1, 5))
    scores = totals_of(small, (1, 5)) / ((5 + tokens) / 6) ** 1.5
    options = {"length": LENGTH, "beams": 64, "alpha": 1.5, "end": (1, 5)}
    search = functools.partial(beam, backbone, **options)
    found, found_scores = jax.jit(search)(params, batch)
    np.testing.assert_array_equal(found, ids[scores.argmax(axis=1)])
    np.testing.assert_allclose(found_scores, scores.max(axis=1), atol=1e-5)


def test_enough_beams_find_the_best_few_of_all_sequences(small, totals):
    backbone, params, batch = small
    ids, tokens = sequences()
    scores = totals / ((5 + tokens) / 6) ** 0.6
    order = np.argsort(-scores, axis=1)[:, :4]
    options = {"length": LENGTH, "beams": 64, "alpha": 0.6, "count": 4}
    search = functools.partial(beam_candidates, backbone, **options)
    found, found_scores = jax.jit(search)(params, batch)
    np.testing.assert_array_equal(found, ids[order])
    best = np.take_along_axis(scores, order, axis=1)
    np.testing.assert_allclose(found_scores, best, atol=1e-5)
    with pytest.raises(ValueError, match="3 candidates of 2 beams: use 1 or more"):
        beam_candidates(backbone, params, batch, count=3, length=2, beams=2)


def test_an_answer_is_as_likely_as_among_all_sequences(small, totals):
    backbone, params, batch = small
    ids, tokens = sequences()
    # An id 0 within a sequence would be padding.
    whole = np.count_nonzero(ids, axis=1) == tokens
    best = np.where(whole, totals, -np.inf).argmax(axis=1)
    rows = with_answers(jax.tree.map(np.asarray, batch), ids[best].astype(np.int32))
    found = make_likelihood(backbone)(params, rows)
    np.testing.assert_allclose(found, totals[np.arange(16), best], atol=1e-5)


def test_the_penalty_changes_the_winner(totals):
    _, tokens = sequences()
    penalised = totals / ((5 + tokens) / 6) ** 1.5
    assert (penalised.argmax(axis=1) != totals.argmax(axis=1)).any()


def test_one_beam_is_greedy_where_nothing_ends_early(small, greedy_ids):
    backbone, params, batch = small
    # So mild on long sequences that no early end can win.
    search = functools.partial(beam, backbone, length=LENGTH, beams=1, alpha=50.0)
    ids, _ = jax.jit(search)(params, batch)
    growing = (greedy_ids[:, :-1] != 1).all(axis=1)
    found, expected = np.asarray(ids)[growing], greedy_ids[growing]
    np.testing.assert_array_equal(found, expected)
    assert growing.sum() > 3


def test_a_row_decodes_as_if_alone(tiny):
    """Rows that end later, and padding, change nothing."""
    examples = draw_examples(0, 5)
    params = tiny.join(draw_prompt(0))
    options = {"length": 4, "beams": 2, "count": 2}
    search = jax.jit(functools.partial(beam_candidates, tiny.backbone, **options))
    ids, scores = search(params, one_each(examples, inputs=14))
    for row, example in enumerate(examples):
        alone = [example, *draw_examples(row + 1, 4)]
        found, found_scores = search(params, one_each(alone, inputs=14))
        np.testing.assert_array_equal(found[0], ids[row])
        np.testing.assert_allclose(found_scores[0], scores[row], atol=1e-5)
