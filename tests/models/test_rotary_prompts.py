"""Prompts of decoders with rotary positions: folded, deep, packed, under a window."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpt2_models import draw_params

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gemma import Gemma3Config
from jaxprompt.models.families.mistral import MistralConfig
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.tokens import Tokens
from jaxprompt.sharding import make_mesh, place

SIZES = {
    "vocab_size": 60,
    "width": 16,
    "heads": 4,
    "kv_heads": 2,
    "head_width": 8,
    "ffn_width": 24,
    "positions": 64,
    "theta": 100.0,
}
WINDOW, FRONT, TEXT = 4, 5, 7
MISTRAL = MistralConfig(**SIZES, layers=1, window=WINDOW)
GEMMA = Gemma3Config(
    **SIZES, layers=3, window=WINDOW, sliding=(True, False, True), query_scalar=8.0
)


@functools.partial(jax.jit, static_argnums=0)
def score(backbone, params, x, segments, prefix=None):
    if prefix is not None:
        prefix = {"decoder": prefix}
    none = Tokens(x[:, :0], segments[:, :0])
    return backbone.logits(params, none, Tokens(x, segments), prefix=prefix)


@functools.partial(jax.jit, static_argnums=0)
def fold(backbone, params, rows, members):
    return Prefix(*backbone.keys_values(params, rows)["decoder"], members)


@pytest.fixture(scope="module")
def model():
    """Layers that slide and one that does not, whose positions turn otherwise."""
    return Decoder(GEMMA), draw_params(GEMMA)


def draw(*shape, seed=0):
    return jnp.float32(np.random.default_rng(seed).normal(size=shape))


def ones(*shape):
    return jnp.ones(shape, jnp.int32)


ROWS, WORDS = draw(2, FRONT, SIZES["width"]), draw(2, TEXT, SIZES["width"], seed=1)
MEMBERS = jnp.array([1, 0])


def test_a_folded_prompt_is_the_prompt_in_front_with_its_gradient(model):
    backbone, params = model

    def folded(rows):
        prefix = Prefix(*backbone.keys_values(params, rows)["decoder"], MEMBERS)
        found = score(backbone, params, WORDS, ones(2, TEXT), prefix)
        return jnp.square(jnp.maximum(found, -10.0)).mean(), found

    def whole(rows):
        x = jnp.concatenate([rows[MEMBERS], WORDS], axis=1)
        found = score(backbone, params, x, ones(2, FRONT + TEXT))[:, FRONT:]
        return jnp.square(jnp.maximum(found, -10.0)).mean(), found

    found, expected = (
        jax.jit(jax.value_and_grad(way, has_aux=True))(ROWS) for way in (folded, whole)
    )
    (_, logits), gradient = found
    (_, expected_logits), expected_gradient = expected
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4)
    scale = np.abs(expected_gradient).max()
    assert scale > 1e-4
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-4 * scale)


def test_packed_texts_behind_a_prompt_score_as_each_alone(model):
    backbone, params = model
    prefix = fold(backbone, params, ROWS, MEMBERS)
    expected = score(backbone, params, WORDS, ones(2, TEXT), prefix)
    # Member 0's text, twice in one row, the padding in between; another's in the other.
    x = jnp.concatenate([WORDS[1:], WORDS[:1], WORDS[1:]], axis=1)
    segments = jnp.concatenate(
        [ones(1, TEXT), 0 * ones(1, TEXT), 2 * ones(1, TEXT)], axis=1
    )
    pack = jnp.concatenate([x, jnp.roll(x, TEXT, axis=1)])
    of_both = jnp.concatenate([segments, jnp.roll(segments, TEXT, axis=1)])
    found = score(
        backbone, params, pack, of_both, dataclasses.replace(prefix, rows=MEMBERS * 0)
    )
    for start in (0, 2 * TEXT):
        np.testing.assert_allclose(
            found[0, start : start + TEXT], expected[1], atol=1e-4
        )


def test_a_prompt_of_words_scores_as_the_words(model):
    """Gemma multiplies its embedded words, and so the rows of a prompt."""
    backbone, params = model
    table = backbone.table(params)
    ids = jnp.array([[7, 21, 3, 50, 9], [11, 4, 4, 30, 2]])
    words = table[jnp.array([[5, 6, 40, 8, 30, 1, 2], [12, 9, 8, 3, 2, 2, 7]])]
    prefix = fold(backbone, params, table[ids], jnp.arange(2))
    found = score(backbone, params, words, ones(2, TEXT), prefix)
    x = jnp.concatenate([table[ids], words], axis=1)
    expected = score(backbone, params, x, ones(2, FRONT + TEXT))[:, FRONT:]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("in_front", [True, False])
def test_a_folded_prompt_leaves_a_window_and_a_deep_one_does_not(in_front):
    """Of one layer, as further ones read what the tokens in between have seen."""
    backbone, params = Decoder(MISTRAL), draw_params(MISTRAL)

    def last(keys):
        prefix = Prefix(keys, keys, jnp.arange(2), in_front=in_front)
        logits = score(backbone, params, WORDS, ones(2, TEXT), prefix)
        return jnp.square(logits[:, :, :59]).sum(axis=(0, 2))

    gradient = jax.jit(jax.jacrev(last))(draw(1, 2, FRONT, 2, 8))
    felt = np.abs(gradient).sum(axis=(1, 2, 4, 5)) > 0  # [token, prompt]
    position = FRONT + np.arange(TEXT)[:, None]
    near = position - np.arange(FRONT)[None] < WINDOW
    np.testing.assert_array_equal(felt, near if in_front else np.ones_like(near))


def test_masked_in_every_layer_it_changes_no_bit(model):
    backbone, params = model
    keys = draw(backbone.config.layers, 2, FRONT, 2, 8)
    off = (False,) * backbone.config.layers
    prefix = Prefix(keys, keys, MEMBERS, layers=off, in_front=False)
    masked = score(backbone, params, WORDS, ones(2, TEXT), prefix)
    expected = score(backbone, params, WORDS, ones(2, TEXT))
    np.testing.assert_array_equal(masked, expected)


def test_unrolled_layers_are_the_loop(model):
    params = model[1]
    found, expected = (
        score(Decoder(GEMMA, unroll=unroll), params, WORDS, ones(2, TEXT))
        for unroll in (True, False)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sharded_with_fewer_key_heads_than_devices_is_unsharded(model):
    """Eight devices, two heads of keys: each device has a part of a head."""
    params, mesh = model[1], make_mesh(1, 8)
    expected = score(*model, WORDS, ones(2, TEXT))
    placed = place(params, mesh)
    key = placed["layers"]["attention"]["key"]
    assert key.addressable_shards[0].data.shape == (3, 16, 2)
    found = score(Decoder(GEMMA, mesh=mesh), placed, WORDS, ones(2, TEXT))
    np.testing.assert_allclose(found, expected, atol=1e-5)
