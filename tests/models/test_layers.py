"""The layers against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.models.attention_form import LONG
from jaxprompt.models.layers.attention import Part, attend
from jaxprompt.models.layers.dropout import drop
from jaxprompt.models.layers.feed_forward import ACTIVATIONS
from jaxprompt.models.layers.masks import hide_far, rows_since_start, segment_mask
from jaxprompt.models.layers.norms import rms_norm
from jaxprompt.models.layers.relative_bias import relative_bias


def test_rms_norm_computes_in_float32():
    x = jnp.array([[[3.0, -4.0]]], jnp.bfloat16)
    found = rms_norm(x, jnp.array([1.0, 2.0], jnp.bfloat16), 0.0)
    assert found.dtype == jnp.bfloat16
    expected = np.array([3.0, -8.0]) / np.sqrt(12.5)
    np.testing.assert_allclose(found[0, 0].astype(jnp.float32), expected, rtol=4e-3)


def test_segments_see_themselves_only():
    segments = jnp.array([[1, 1, 2, 0]])
    visible = segment_mask(segments, segments)
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(visible[0], np.array(expected, bool))
    causal = segment_mask(segments, segments, causal=True)
    np.testing.assert_array_equal(causal[0], np.tril(np.array(expected, bool)))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_near_positions_have_buckets_of_their_own(bidirectional):
    table = jnp.arange(32.0)[:, None]
    rows = jnp.arange(300)
    bias = relative_bias(
        table, rows, rows, bidirectional=bidirectional, max_distance=128
    )[0]
    exact = 8 if bidirectional else 16
    np.testing.assert_array_equal(bias[20, 20 - jnp.arange(exact)], np.arange(exact))
    last = 15 if bidirectional else 31
    assert bias[299, 0] == bias[140, 12] == last
    later = bias[0, jnp.array([1, 7, 128, 299])]
    np.testing.assert_array_equal(later, [17, 23, 31, 31] if bidirectional else [0] * 4)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 128), (64, 500)])
def test_every_bucket_is_pytorchs(bidirectional, buckets, max_distance):
    torch = pytest.importorskip("torch")
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    rows = np.arange(700)
    bias = relative_bias(
        jnp.arange(float(buckets))[:, None],
        jnp.array([0, 699]),
        jnp.asarray(rows),
        bidirectional=bidirectional,
        max_distance=max_distance,
    )[0]
    relative = torch.tensor(rows[None] - np.array([[0], [699]]))
    expected = t5.T5Attention._relative_position_bucket(
        relative, bidirectional, buckets, max_distance
    )
    np.testing.assert_array_equal(bias, expected.numpy())


def test_dropout_keeps_the_mean_and_shares_its_mask_over_positions():
    x = jnp.ones((64, 5, 128))
    dropped = drop(x, 0.25, jax.random.key(0))
    np.testing.assert_allclose(dropped.mean(), 1.0, atol=0.02)
    np.testing.assert_allclose(jnp.unique(dropped), [0.0, 1 / 0.75], rtol=1e-6)
    assert jnp.all(dropped == dropped[:, :1])
    np.testing.assert_array_equal(drop(x, 0.25, None), x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    activations = pytest.importorskip("transformers.activations")
    x = np.linspace(-5, 5, 101, dtype=np.float32)
    expected = activations.ACT2FN[name](torch.tensor(x)).numpy()
    found = ACTIVATIONS[name](jnp.asarray(x))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def draw(shape, seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_each_key_head_serves_the_query_heads_behind_one_another():
    queries = draw((2, 3, 6, 4), 0)
    own = draw((2, 3, 2, 4), 1), draw((2, 3, 2, 4), 2)
    shared = draw((5, 2, 4), 3), draw((5, 2, 4), 4)
    mask = segment_mask(*[jnp.array([[1, 1, 2], [1, 0, 0]])] * 2, causal=True)
    few = [Part(*shared), Part(*own, mask)]
    many = [
        part._replace(
            keys=jnp.repeat(part.keys, 3, axis=-2),
            values=jnp.repeat(part.values, 3, axis=-2),
        )
        for part in few
    ]
    found, expected = attend(queries, few), attend(queries, many)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_long_text_attends_in_chunks_and_keeps_no_scores():
    """As halves of it do at once; gradients too, in a part of the memory."""
    length, heads, prefix = LONG + 50, 4, 5
    half = length // 2
    queries = draw((1, length, heads, 2), 0)
    own = draw((1, length, 2, 2), 1), draw((1, length, 2, 2), 2)
    shared = draw((prefix, 2, 2), 3), draw((prefix, 2, 2), 4)
    positions = jnp.arange(length)[None]
    ones = jnp.ones((1, length), jnp.int32)
    mask = segment_mask(ones, ones, causal=True)
    mask = hide_far(mask, positions, positions, 100)
    bias = draw((heads, length, prefix), 5)

    def objective(keys, start, stop):
        rows = slice(start, stop)
        parts = [
            Part(*shared, bias=bias[:, rows]),
            Part(keys, own[1], mask[:, rows]),
        ]
        found = attend(queries[:, rows], parts, scale=0.5, cap=5.0)
        return jnp.square(found).sum(), found

    scored = jax.value_and_grad(objective, has_aux=True)
    scored = jax.jit(scored, static_argnums=(1, 2))
    compiled = scored.lower(own[0], 0, length).compile()
    (_, found), gradient = compiled(own[0])
    some = [scored(own[0], *rows) for rows in ((0, half), (half, length))]
    expected = jnp.concatenate([values[1] for values, _ in some], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(gradient, some[0][1] + some[1][1], atol=1e-4)
    scores = 4 * heads * length * (length + prefix)
    assert compiled.memory_analysis().temp_size_in_bytes < scores


def test_attention_to_nothing_but_an_empty_part_is_zero():
    empty = jnp.zeros((2, 0, 6, 4))
    found = attend(draw((2, 3, 6, 4), 0), [Part(empty, empty)])
    np.testing.assert_array_equal(found, 0)


def test_rows_are_counted_from_the_start_of_each_segment():
    segments = jnp.array([[1, 1, 2, 2, 2], [3, 3, 3, 0, 0]])
    found = rows_since_start(segments)
    np.testing.assert_array_equal(found, [[0, 1, 0, 1, 2], [0, 1, 2, 0, 1]])
