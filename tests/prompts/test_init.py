"""Every way to start a prompt, and what each refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import VOCAB_ROWS, WIDTH, draw_prompt

from jaxprompt.models.quantise import quantise
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.init import init_prompt

KEY = jax.random.key(3)
TABLE = jax.random.normal(jax.random.key(5), (VOCAB_ROWS, WIDTH))
ENCODED = {"yes": [4, 7, 1, 2, 8], "perhaps not": [9, 30, 2], "later": [5]}
IDS = {"yes": [4], "perhaps not": [9, 30, 2], "": [], "later": [64]}


def start(method, **options):
    prompt = init_prompt(KEY, TABLE, method=method, encode=IDS.__getitem__, **options)
    assert prompt.members == 1
    return np.asarray(prompt.rows[0])


def rows_of_the_table(rows):
    """The id of each row; fails where one is no row of the table."""
    matches = (rows[:, None] == np.asarray(TABLE)[None]).all(axis=2)
    assert (matches.sum(axis=1) == 1).all()
    return matches.argmax(axis=1)


def test_uniform_fills_its_range():
    rows = start("uniform", length=200, low=-0.5, high=0.25)
    assert rows.shape == (200, WIDTH)
    assert -0.5 <= rows.min() < -0.49
    assert 0.24 < rows.max() < 0.25


def test_normal_has_its_standard_deviation():
    rows = start("normal", length=200, stddev=0.5)
    np.testing.assert_allclose([rows.mean(), rows.std()], [0, 0.5], atol=0.02)


def test_normal_is_as_large_as_the_frequent_embeddings():
    rows = start("normal", length=4000, top=25)
    expected = np.sqrt(np.square(np.asarray(TABLE[:25], np.float64)).mean())
    np.testing.assert_allclose(np.sqrt(np.square(rows).mean()), expected, rtol=0.01)


def test_vocabulary_samples_distinct_rows_of_the_first():
    ids = rows_of_the_table(start("vocabulary", length=20, top=25))
    assert len(set(ids)) == 20
    assert ids.max() < 25
    assert list(ids) != sorted(ids)
    assert len(set(rows_of_the_table(start("vocabulary", length=VOCAB_ROWS)))) == 64


def test_class_labels_are_means_in_order_and_the_rest_is_sampled():
    rows = start("class_labels", length=6, words=["perhaps not", "yes"], top=10)
    table = np.asarray(TABLE)
    np.testing.assert_allclose(rows[0], table[[9, 30, 2]].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(rows[1], table[4])
    rest = rows_of_the_table(rows[2:])
    assert len(set(rest)) == 4
    assert rest.max() < 10


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8"])
def test_class_labels_have_the_bits_of_single_operations(kind):
    table = TABLE.astype("bfloat16") if kind == "bfloat16" else TABLE
    if kind == "int8":
        table = quantise({"embedding": TABLE})["embedding"]

    def make():
        options = {"length": 9, "encode": ENCODED.__getitem__, "words": list(ENCODED)}
        return init_prompt(KEY, table, method="class_labels", **options).rows

    with jax.disable_jit():
        expected = make()
    np.testing.assert_array_equal(make(), expected)


def test_text_gives_its_tokens_in_order_and_the_rest_is_sampled():
    ids = rows_of_the_table(start("text", length=5, text="perhaps not"))
    assert list(ids[:3]) == [9, 30, 2]
    exact = start("text", length=3, text="perhaps not")
    assert list(rows_of_the_table(exact)) == [9, 30, 2]


def test_file_takes_a_trained_prompt(tiny, tmp_path):
    path, prompt = tmp_path / "p.safetensors", draw_prompt(2)
    save_prompt(path, prompt, tiny.backbone)
    np.testing.assert_array_equal(start("file", length=3, file=path), prompt.rows[0])
    with pytest.raises(ValueError, match="has 3 rows, but the prompt length is 4"):
        start("file", length=4, file=path)
    with pytest.raises(ValueError, match="prompt width 16 != model width 8"):
        init_prompt(KEY, TABLE[:, :8], length=3, method="file", file=path)


def test_the_key_decides_and_a_bfloat16_table_gives_float32():
    def rows(key, table=TABLE):
        return init_prompt(jax.random.key(key), table, length=4).rows

    np.testing.assert_array_equal(rows(0), rows(0))
    assert np.abs(rows(0) - rows(1)).max() > 0.1
    assert rows(0, TABLE.astype(jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "unknown prompt initialisation 'magic': .*uniform"),
        ({"method": "uniform", "length": 0}, "prompt length 0: .* 1 or more"),
        ({"method": "uniform", "low": 0.5, "high": -0.5}, "from 0.5 to -0.5"),
        ({"method": "normal", "stddev": 0.0}, "stddev 0.0 is not over 0"),
        ({"method": "vocabulary", "top": 3}, "4 prompt rows .* the 3 most frequent"),
        ({"method": "vocabulary", "length": 65}, "65 prompt rows .* the 64 most"),
        ({"method": "class_labels"}, "needs words, which is empty"),
        ({"method": "class_labels", "words": ["yes"] * 5}, "needs 5 rows, .* is 4"),
        ({"method": "class_labels", "words": ["yes", ""]}, "'' has no tokens"),
        ({"method": "text"}, "needs text, which is empty"),
        ({"method": "text", "text": "later"}, "'later' has token 64, .* has 64"),
        ({"method": "text", "text": "yes", "encode": None}, "needs encode"),
        ({"method": "text", "text": "perhaps not", "length": 2}, "3 rows, .* is 2"),
        ({"method": "file"}, "needs file, which is empty"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    options = {"length": 4, "encode": IDS.__getitem__, **options}
    with pytest.raises(ValueError, match=message):
        init_prompt(KEY, TABLE, **options)
