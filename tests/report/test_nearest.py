"""The neighbours of a soft token are those that NumPy finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import VOCAB_ROWS, WIDTH, draw_prompt

from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.report.nearest import describe_prompt, mean_norm, nearest_ids

TABLE = np.asarray(jax.random.normal(jax.random.key(5), (VOCAB_ROWS, WIDTH)))


def test_neighbours_are_by_cosine_nearest_first():
    prompt = draw_prompt(0)
    rows = np.asarray(prompt.rows[0], np.float64)
    lengths = np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(TABLE, axis=1))
    cosines = rows @ TABLE.T / lengths
    expected = np.argsort(-cosines, axis=1)[:, :7]
    ids, found = nearest_ids(jnp.asarray(TABLE), prompt, 7)
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_allclose(
        found, np.take_along_axis(cosines, expected, axis=1), atol=1e-5
    )


def test_a_words_own_embedding_is_nearest_to_it_at_any_scale():
    """Rows of zeros, padding of the table, are near to nothing."""
    table = jnp.asarray(TABLE).at[60:].set(0.0).astype(jnp.bfloat16)
    prompt = make_prompt(5 * table[jnp.array([8, 30])].astype(jnp.float32))
    ids, cosines = nearest_ids(table, prompt, 1)
    assert ids[:, 0].tolist() == [8, 30]
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_impossible_questions_are_refused():
    table = jnp.asarray(TABLE)
    for count in (0, 65):
        with pytest.raises(ValueError, match=f"{count} neighbours .* use 1 to 64"):
            nearest_ids(table, draw_prompt(0), count)
    with pytest.raises(ValueError, match="a bank of 2 prompts: take one by unstack"):
        nearest_ids(table, draw_prompt(0, members=2), 1)


def test_a_soft_token_is_described_by_its_norm_and_words():
    table = jnp.asarray(TABLE)
    prompt = make_prompt(2 * table[jnp.array([8, 30])])
    words = {8: "eight", 30: ""}
    tokens = describe_prompt(table, prompt, lambda ids: words.get(ids[0], "?"), 2)
    np.testing.assert_allclose(
        [token.norm for token in tokens], 2 * np.linalg.norm(TABLE[[8, 30]], axis=1)
    )
    assert str(tokens[0]).startswith("eight (1.00), ? (0.")
    assert str(tokens[1]).startswith("id 30 (1.00), "), "a row without text has its id"
    usual = np.linalg.norm(TABLE, axis=1).mean()
    np.testing.assert_allclose(mean_norm(table), usual, rtol=1e-6)
