"""GPT-2's ways to the same scores: folded, packed, in two halves, step by step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpt2_models import POSITIONS, TINY, VOCAB, draw_params, rows_of

from jaxprompt.models.decoder.cache import DecoderEncoded
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.quantise import quantise
from jaxprompt.models.sight import places_of
from jaxprompt.models.tokens import Tokens
from jaxprompt.sharding import make_mesh, place, place_batch

LENGTH, MEMBERS = 4, 3
MEMBER_OF_ROW = np.array([0, 2, 1], np.int32)
BACKBONE = Decoder(TINY)


@pytest.fixture(scope="module")
def params():
    return draw_params()


@pytest.fixture(scope="module")
def rows(params):
    """Three rows of two packed examples each, of uneven lengths."""
    draw = np.random.default_rng(1)

    def examples(*sizes):
        return [draw.integers(0, VOCAB, size) for size in sizes]

    sources = [examples(3, 6), examples(1, 4), examples(7, 2)]
    targets = [examples(2, 4), examples(5, 1), examples(3, 3)]
    return rows_of(params, sources, targets, (9, 7))


@pytest.fixture(scope="module")
def prompt():
    return jnp.asarray(
        np.random.default_rng(2).normal(size=(MEMBERS, LENGTH, TINY.width)), jnp.float32
    )


def kept(params, prompt, backbone=BACKBONE):
    """Returns the keys and values of soft tokens that nothing stands in front of."""
    return backbone.keys_values(params, prompt)["decoder"]


@functools.partial(jax.jit, static_argnums=0)
def folded_logits(backbone, params, prompt, member_of_row, rows):
    prefix = {"decoder": Prefix(*kept(params, prompt, backbone), member_of_row)}
    return backbone.logits(params, *rows, prefix=prefix)


@jax.jit
def naive_logits(params, prompt, member_of_row, rows):
    """Puts each row's soft tokens in front of each of its two examples."""
    source, target = rows
    soft = prompt[member_of_row]
    ones = jnp.ones(soft.shape[:2], jnp.int32)
    x = jnp.concatenate([soft, soft, source.x], axis=1)
    segments = jnp.concatenate([ones, 2 * ones, source.segments], axis=1)
    return BACKBONE.logits(params, Tokens(x, segments), target)


def value_and_gradient(logits, prompt, rows):
    """Weighs the targets' scores at random; returns them, and the prompt's gradient."""
    draw = np.random.default_rng(3)

    def loss(prompt):
        scores = logits(prompt)[..., :VOCAB]
        scores = scores * (rows.target_segments > 0)[..., None].astype(scores.dtype)
        return jnp.sum(
            scores * jnp.asarray(draw.normal(size=scores.shape), "f4")
        ), scores

    (_, scores), gradient = jax.value_and_grad(loss, has_aux=True)(prompt)
    return np.asarray(scores), np.asarray(gradient)


@pytest.mark.parametrize("members", [pytest.param(1, marks=pytest.mark.long), MEMBERS])
def test_a_folded_prompt_is_the_prompt_in_front_of_every_example(
    params, rows, prompt, members
):
    prompt = prompt[:members]
    of_row = jnp.minimum(jnp.asarray(MEMBER_OF_ROW), members - 1)
    found, gradient = value_and_gradient(
        lambda p: folded_logits(BACKBONE, params, p, of_row, rows.tokens),
        prompt,
        rows,
    )
    expected, expected_gradient = value_and_gradient(
        lambda p: naive_logits(params, p, of_row, rows.tokens), prompt, rows
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    off = np.linalg.norm(gradient - expected_gradient)
    assert off <= 1e-5 * np.linalg.norm(expected_gradient)
    assert (np.abs(gradient).sum(axis=(1, 2)) > 0).all()


def test_only_a_rows_own_member_gets_its_gradient(params, rows, prompt):
    first_two = jnp.array([0, 0, 2], jnp.int32)
    _, gradient = value_and_gradient(
        lambda p: folded_logits(BACKBONE, params, p, first_two, rows.tokens),
        prompt,
        rows,
    )
    assert (gradient[1] == 0).all()
    assert (gradient[0] != 0).any()


def test_a_prefix_of_no_tokens_is_none(params, rows, prompt):
    none = jnp.zeros(3, jnp.int32)
    found = folded_logits(BACKBONE, params, prompt[:1, :0], none, rows.tokens)
    np.testing.assert_array_equal(
        np.asarray(found)[np.asarray(rows.target_segments) > 0],
        rows.logits(BACKBONE, params),
    )


def folded(params, prompt, member_of_row):
    keys_values = kept(params, prompt)
    return {"decoder": Prefix(*keys_values, jnp.asarray(member_of_row))}


@jax.jit
def halves(params, rows, prefix):
    source, target = rows
    encoded = BACKBONE.encode(params, source, prefix=prefix)
    return BACKBONE.decode(params, encoded, target)


def test_encoding_then_decoding_is_one_pass(params, rows, prompt):
    prefix = {"decoder": Prefix(*kept(params, prompt), jnp.asarray(MEMBER_OF_ROW))}
    found = halves(params, rows.tokens, prefix)
    real = np.asarray(rows.target_segments) > 0
    expected = rows.logits(BACKBONE, params, prefix)
    np.testing.assert_allclose(np.asarray(found)[real], expected, atol=1e-5)


def test_packed_examples_score_as_alone(params, rows, prompt):
    prefix = {"decoder": Prefix(*kept(params, prompt), jnp.asarray(MEMBER_OF_ROW))}
    packed = np.asarray(folded_logits(BACKBONE, params, prompt, MEMBER_OF_ROW,
                                      rows.tokens))  # fmt: skip
    for number in (1, 2):
        alone = dataclasses.replace(
            rows,
            input_segments=(rows.input_segments == number).astype(jnp.int32),
            target_segments=(rows.target_segments == number).astype(jnp.int32),
        )
        found = alone.logits(BACKBONE, params, prefix)
        expected = packed[np.asarray(rows.target_segments) == number]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_step_by_step_is_one_pass_for_rows_taken_in_any_order(params, prompt):
    draw = np.random.default_rng(4)
    sources = [[draw.integers(0, VOCAB, size)] for size in (0, 5, 2)]
    targets = [[draw.integers(0, VOCAB, 4)] for _ in range(3)]
    rows = rows_of(params, sources, targets, (5, 4), pad="left")
    prefix = {"decoder": Prefix(*kept(params, prompt), jnp.asarray(MEMBER_OF_ROW))}
    expected = rows.logits(BACKBONE, params, prefix).reshape(3, 4, -1)

    encoded = BACKBONE.encode(params, rows.source, prefix=prefix)
    cache = BACKBONE.start_cache(params, encoded, 6)
    order, beams = np.array([2, 1, 1, 0]), np.array([0, 2, 1, 3])
    cache, y = cache.take(jnp.asarray(order)), rows.y[order]
    step = jax.jit(BACKBONE.decode_step)
    for index in range(4):
        logits, cache = step(params, cache, y[:, index], index)
        np.testing.assert_allclose(logits, expected[order, index], atol=1e-5)
        # The two rows of one example change places, as beams do.
        cache = cache.reorder(jnp.asarray(beams))


def test_beams_that_differ_keep_their_own_past(params):
    rows = rows_of(params, [[[5, 7]]] * 2, [[[3, 9]], [[4, 9]]], (2, 2))
    expected = rows.logits(BACKBONE, params).reshape(2, 2, -1)
    encoded = BACKBONE.encode(params, rows.source)
    cache = BACKBONE.start_cache(params, encoded, 2)
    _, cache = BACKBONE.decode_step(params, cache, rows.y[:, 0], jnp.int32(0))
    swapped = cache.reorder(jnp.array([1, 0]))
    found, _ = BACKBONE.decode_step(params, swapped, rows.y[:, 1], jnp.int32(1))
    np.testing.assert_allclose(found, expected[::-1, 1], atol=1e-5)
    assert np.abs(expected[0, 1] - expected[1, 1]).max() > 0.01


@pytest.mark.parametrize(
    "options", [{"remat": "full"}, {"remat": "dots", "unroll": True}]
)
def test_a_recomputed_or_unrolled_pass_has_the_same_gradient(
    params, rows, prompt, options
):
    backbone = dataclasses.replace(BACKBONE, **options)
    of_row = jnp.asarray(MEMBER_OF_ROW)
    found, expected = (
        value_and_gradient(
            lambda p, b=b: folded_logits(b, params, p, of_row, rows.tokens),
            prompt,
            rows,
        )
        for b in (backbone, BACKBONE)
    )
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)


def test_too_many_tokens_are_refused_before_any_work(params, rows, prompt):
    source, target = rows.tokens
    own = Prefix(*kept(params, prompt), jnp.zeros(3, jnp.int32))
    wide = Tokens(jnp.tile(source.x, (1, 5, 1)), jnp.tile(source.segments, (1, 5)))
    keys = jnp.zeros((2, 3, 45, 2, 8))
    encoded = DecoderEncoded(
        keys, keys, places_of(wide.segments, own.first_position), own
    )
    prefix = {"decoder": own}
    message = (
        rf"4 in front \+ 45 source \+ 7 target = 56 tokens, but decoder has {POSITIONS}"
    )
    with pytest.raises(ValueError, match=message):
        BACKBONE.logits(params, wide, target, prefix=prefix)
    with pytest.raises(ValueError, match=message):
        BACKBONE.decode(params, encoded, target)
    with pytest.raises(ValueError, match=message):
        BACKBONE.start_cache(params, encoded, 7)
    with pytest.raises(ValueError, match=r"4 in front .* 0 target = 49 tokens"):
        BACKBONE.encode(params, wide, prefix=prefix)
    with pytest.raises(
        ValueError, match=r"49 source .* = 49 tokens, but decoder has 48"
    ):
        kept(params, jnp.zeros((1, 49, TINY.width)))


def test_members_drop_what_they_would_drop_alone(params, rows):
    backbone = dataclasses.replace(BACKBONE, dropout=0.5)
    keys = jax.random.split(jax.random.key(5), 3)
    logits = jax.jit(backbone.logits)
    together = np.asarray(logits(params, *rows.tokens, dropout_key=keys))
    for b in range(3):
        one = jax.tree.map(lambda array, b=b: array[b : b + 1], rows.tokens)
        alone = logits(params, *one, dropout_key=keys[b : b + 1])
        np.testing.assert_allclose(together[b : b + 1], alone, atol=1e-4)
    kept = np.asarray(jax.jit(BACKBONE.logits)(params, *rows.tokens))
    assert np.abs(together - kept).max() > 0.1


def test_int8_weights_score_nearly_the_same(params, rows):
    found = rows.logits(BACKBONE, quantise(params))
    expected = rows.logits(BACKBONE, params)
    words = slice(VOCAB)
    off = np.abs(found[:, words] - expected[:, words]).max()
    assert 0 < off < 0.03 * np.ptp(expected[:, words])
    np.testing.assert_array_equal(found[:, VOCAB:], expected[:, VOCAB:])
    assert quantise(params)["positions"] is params["positions"]
    assert quantise(params)["layers"]["ffn"]["up_bias"].ndim == 2


@pytest.mark.parametrize(("data", "model"), [(2, 4), (8, 1)])
def test_a_model_on_a_mesh_scores_as_on_one_device(params, rows, prompt, data, model):
    mesh = make_mesh(data, model)
    # One member: a prefix that no axis of the mesh divides.
    of_row = np.zeros(8, np.int32)
    batch = jax.tree.map(
        lambda array: np.tile(array, (3, *[1] * (array.ndim - 1)))[:8], rows.tokens
    )
    placed = place(params, mesh)
    assert placed["layers"]["ffn"]["up"].addressable_shards[0].data.shape == (
        2, 16, 32 // model,
    )  # fmt: skip
    found = folded_logits(
        dataclasses.replace(BACKBONE, mesh=mesh),
        placed,
        place(prompt[:1], mesh, [("", jax.P())]),
        place_batch(of_row, mesh),
        place_batch(batch, mesh),
    )
    assert found.sharding.spec[0] == "data"
    expected = folded_logits(BACKBONE, params, prompt[:1], of_row, batch)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_new_weights_score_every_word_about_alike(rows):
    params = jax.jit(BACKBONE.init)(jax.random.key(0, impl="rbg"))
    logits = rows.logits(BACKBONE, params)[:, :VOCAB]
    assert np.isfinite(logits).all()
    assert np.ptp(logits) < 1.0
    assert (params["embedding"][jnp.array([VOCAB, 127])] == 0).all()
    spread = {name: float(params["layers"][part][name].std())
              for part, name in [("ffn", "up"), ("ffn", "down")]}  # fmt: skip
    assert spread["up"] == pytest.approx(0.02, rel=0.1)
    assert spread["down"] == pytest.approx(0.01, rel=0.1)
