"""The neighbours of a soft token are those that NumPy finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import VOCAB_ROWS, WIDTH, draw_prompt

from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.report.reading.nearest import METRICS, describe_prompt, nearest_ids

TABLE = np.asarray(jax.random.normal(jax.random.key(5), (VOCAB_ROWS, WIDTH)))


def compare(rows: np.ndarray, metric: str) -> np.ndarray:
    """What each metric says of every pair, in float64, by its definition."""
    rows, words = rows.astype(np.float64)[:, None], TABLE.astype(np.float64)[None]
    if metric == "l2":
        return np.linalg.norm(rows - words, axis=2)
    dots = (rows * words).sum(axis=2)
    if metric == "dot":
        return dots
    return dots / np.linalg.norm(rows, axis=2) / np.linalg.norm(words, axis=2)


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_are_nearest_first(metric: str):
    prompt = draw_prompt(0)
    expected = compare(np.asarray(prompt.rows[0]), metric)
    order = np.argsort(expected if metric == "l2" else -expected, axis=1)[:, :7]
    ids, found = nearest_ids(jnp.asarray(TABLE), prompt, 7, metric=metric)
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_allclose(
        found, np.take_along_axis(expected, order, axis=1), rtol=1e-4
    )


def test_the_metrics_differ_as_they_should():
    """Long words win by dot product, like directions by cosine, close ones by l2."""
    table = np.array([[9, 9], [0.5, 0], [2, 1]], np.float32)
    prompt = make_prompt(jnp.array([[2.0, 0.0]]))
    nearest = {m: nearest_ids(table, prompt, 1, metric=m)[0].item() for m in METRICS}
    assert nearest == {"cosine": 1, "dot": 0, "l2": 2}


def test_a_words_own_embedding_is_nearest_to_it_at_any_scale():
    """Rows of zeros, padding of the table, are near to nothing."""
    table = jnp.asarray(TABLE).at[60:].set(0.0).astype(jnp.bfloat16)
    prompt = make_prompt(5 * table[jnp.array([8, 30])].astype(jnp.float32))
    ids, cosines = nearest_ids(table, prompt, 1)
    assert ids[:, 0].tolist() == [8, 30]
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_only_the_rows_asked_for_are_neighbours(metric: str):
    prompt = make_prompt(jnp.asarray(TABLE[[8, 30]]))
    among = np.ones(VOCAB_ROWS, bool)
    among[[8, 11]] = False
    ids, values = nearest_ids(TABLE, prompt, 62, metric=metric, among=among)
    assert set(ids[0].tolist()) == set(range(64)) - {8, 11}
    assert np.isfinite(values).all()
    assert ids[1, 0] == 30
    with pytest.raises(ValueError, match=r"63 neighbours .* use 1 to 62, the words"):
        nearest_ids(TABLE, prompt, 63, metric=metric, among=among)


def test_impossible_questions_are_refused():
    table = jnp.asarray(TABLE)
    for count in (0, 65):
        with pytest.raises(ValueError, match=f"{count} neighbours .* use 1 to 64"):
            nearest_ids(table, draw_prompt(0), count)
    with pytest.raises(ValueError, match="a bank of 2 prompts: take one by unstack"):
        nearest_ids(table, draw_prompt(0, members=2), 1)
    with pytest.raises(ValueError, match=r"unknown metric 'l1': use one of \['cosine'"):
        nearest_ids(table, draw_prompt(0), 1, metric="l1")


def test_a_soft_token_is_described_by_its_norm_words_and_drift():
    table = jnp.asarray(TABLE)
    start = make_prompt(table[jnp.array([8, 30])])
    prompt = make_prompt(2 * start.rows[0])
    words = {8: "eight", 30: ""}

    def decode(ids: list[int]) -> str:
        return words.get(ids[0], "?")

    tokens = describe_prompt(table, prompt, decode, 2)
    lengths = np.linalg.norm(TABLE[[8, 30]], axis=1)
    np.testing.assert_allclose([token.norm for token in tokens], 2 * lengths)
    assert str(tokens[0]).startswith("eight (1.00), ? (0.")
    assert str(tokens[1]).startswith("id 30 (1.00), "), "a row without text has its id"
    assert [token.ids[0] for token in tokens] == [8, 30]
    assert [token.drift for token in tokens] == [None, None]

    moved = describe_prompt(table, prompt, decode, 2, start=start, metric="l2")
    assert moved[0].words[0] == ("eight", pytest.approx(lengths[0]))
    drifts = [token.drift for token in moved]
    expected = [(length, 1.0) for length in lengths]
    np.testing.assert_allclose(np.array(drifts), expected, rtol=1e-6)
