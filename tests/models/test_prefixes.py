"""Prefixes at every site: those of a text are the text, masked ones are none."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpt2_models import TINY, draw_params, rows_of

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.models.layers.masks import segment_mask
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.t5.block import T5Block
from jaxprompt.models.t5.cache import T5Encoded
from jaxprompt.models.t5.model import T5
from jaxprompt.models.tokens import Tokens

FRONT = 3
EACH_ROWS_OWN = jnp.arange(2)


@functools.partial(jax.jit, static_argnums=0)
def logits_of(backbone, params, rows, prefix):
    return backbone.logits(params, *rows, prefix=prefix)


@functools.partial(jax.jit, static_argnums=0)
def decode(backbone, params, rows, prefix):
    return backbone.decode(params, *behind(rows, prefix))


def behind(rows, prefix):
    """Puts prefixes beside a source that was encoded without them."""
    encoded, target = rows
    return dataclasses.replace(encoded, prefix=prefix or {}), target


def rows_of_t5(example):
    return example.source, example.target


def draw_prefix(config, site, seed, length=FRONT, **options):
    layers, heads, width = config.sites[site]
    keys, values = np.random.default_rng(seed).normal(
        size=(2, layers, 2, length, heads, width)
    )
    return Prefix(jnp.float32(keys), jnp.float32(values), EACH_ROWS_OWN, **options)


@pytest.fixture(scope="module")
def encoded(example):
    encode = jax.jit(example.backbone.encode)
    return encode(example.params, example.source)


def test_keys_of_a_source_are_the_source_in_front(example, encoded):
    """Cross-attention has no bias: it matters only which states are there."""
    backbone, params = example.backbone, example.params
    front = jax.random.normal(jax.random.key(7, impl="rbg"), (2, FRONT, 32))
    front = T5Encoded(front, jnp.ones((2, FRONT), jnp.int32))
    # A cache for many tokens has the keys and values of the source.
    keys, values = backbone.start_cache(params, front, 64).source
    prefix = {"cross": Prefix(keys, values, EACH_ROWS_OWN)}
    found = decode(backbone, params, (encoded, example.target), prefix)
    both = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), front, encoded)
    expected = decode(backbone, params, (both, example.target), None)
    real = np.asarray(example.target_segments) > 0
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)
    assert np.abs(expected - example.expected)[real].max() > 0.1


def keys_of_first_targets(example, encoded, count):
    """Reads what the decoder remembers of the first target tokens."""
    backbone, params = example.backbone, example.params
    cache = backbone.start_cache(params, encoded, count)
    step = jax.jit(backbone.decode_step)
    for index in range(count):
        _, cache = step(params, cache, example.y[:, index], index)
    return Prefix(cache.keys, cache.values, EACH_ROWS_OWN)


def test_keys_of_first_targets_are_those_targets_in_front_of_each_segment(
    example, encoded
):
    """The bias is that of the distance, from where each text's segment starts."""
    backbone, params = example.backbone, example.params
    prefix = {"decoder": keys_of_first_targets(example, encoded, 2)}
    y, target_segments = example.y[:, 2:], example.target_segments[:, 2:]
    real = np.asarray(target_segments) > 0
    expected = example.expected[:, 2:][real]
    # The same text twice in each row, as two examples.
    segments = encoded.segments
    rows = (
        T5Encoded(
            jnp.tile(encoded.states, (1, 2, 1)),
            jnp.concatenate([segments, 2 * segments], axis=1),
        ),
        Tokens(
            jnp.tile(y, (1, 2, 1)),
            jnp.concatenate([target_segments, 2 * target_segments], axis=1),
        ),
    )
    for found in jnp.split(decode(backbone, params, rows, prefix), 2, axis=1):
        np.testing.assert_allclose(found[real], expected, atol=1e-5)

    encoded = dataclasses.replace(encoded, prefix=prefix)
    cache = backbone.start_cache(params, encoded, 4).take(jnp.array([1, 0]))
    step = jax.jit(backbone.decode_step)
    for index in range(2):
        found, cache = step(params, cache, y[::-1, index], index)
        np.testing.assert_allclose(found, example.expected[::-1, 2 + index], atol=1e-5)


def keys_of_first_sources(example, count):
    """Reads keys and values of the first tokens in a pass over the whole text."""
    backbone, stack = example.backbone, example.params["encoder"]
    segments, x = example.input_segments, example.x
    rows = jnp.arange(x.shape[1])
    mask = segment_mask(segments, segments)
    bias = backbone._bias(stack, rows, rows, bidirectional=True)
    block = T5Block(backbone.config, decoder=False, dropout=0.0)
    found = []
    for layer in range(backbone.config.encoder_layers):
        weights = jax.tree.map(lambda leaf, n=layer: leaf[n], stack["layers"])
        x, (keys, values) = block.apply({"params": weights}, x, mask, bias)
        found.append((keys[:, :count], values[:, :count]))
    keys, values = map(jnp.stack, zip(*found, strict=True))
    return Prefix(keys, values, EACH_ROWS_OWN)


def test_keys_of_first_sources_are_those_tokens_in_front(example, encoded):
    """As they are beside the text: in an encoder they depend on what is behind."""
    prefix = {"encoder": keys_of_first_sources(example, FRONT)}
    segments = example.input_segments[:, FRONT:]
    encode = jax.jit(example.backbone.encode)
    source = Tokens(example.x[:, FRONT:], segments)
    found = encode(example.params, source, prefix=prefix)
    real = np.asarray(segments) > 0
    expected = encoded.states[:, FRONT:]
    np.testing.assert_allclose(found.states[real], expected[real], atol=1e-5)
    assert found.prefix == {}


def test_what_an_encoder_keeps_of_tokens_alone_is_what_its_layers_attend_to(example):
    alone = dataclasses.replace(
        example, input_segments=jnp.ones_like(example.input_segments)
    )
    expected = keys_of_first_sources(alone, example.x.shape[1])
    keys, values = example.backbone.keys_values(example.params, example.x)["encoder"]
    np.testing.assert_allclose(keys, expected.keys, atol=1e-5)
    np.testing.assert_allclose(values, expected.values, atol=1e-5)


def test_to_see_every_token_twice_is_to_see_it_once():
    """Where its keys and values have the same place; in all layers of an encoder."""
    sizes = {"width": 32, "heads": 4, "ffn_width": 40, "layers": 3, "positions": 20}
    encoder = Encoder(BertConfig(vocab_size=30, **sizes))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.3, leaf.shape), jnp.float32),
        jax.eval_shape(encoder.init, jax.random.key(0)),
    )
    x = jnp.asarray(draw.normal(size=(2, 5, 32)), jnp.float32)
    ones = jnp.ones((2, 5), jnp.int32)
    kept = jax.jit(encoder.keys_values)(params, x)["encoder"]
    states = jax.jit(encoder.states)

    def read(which):
        prefix = {"encoder": Prefix(*kept, which, in_front=False)}
        return states(params, Tokens(x, ones), prefix=prefix)

    expected = states(params, Tokens(x, ones))
    np.testing.assert_allclose(read(EACH_ROWS_OWN), expected, atol=1e-5)
    assert np.abs(read(EACH_ROWS_OWN[::-1]) - expected).max() > 0.01


@pytest.mark.parametrize(
    "in_front", [True, pytest.param(False, marks=pytest.mark.long)]
)
def test_masked_in_every_layer_they_change_no_bit(example, in_front):
    backbone, rows = example.backbone, rows_of_t5(example)

    def prefix(*used):
        return {
            site: draw_prefix(
                backbone.config, site, seed, layers=used, in_front=in_front
            )
            for seed, site in enumerate(backbone.config.sites)
        }

    masked = logits_of(backbone, example.params, rows, prefix(False, False))
    np.testing.assert_array_equal(masked, example.expected)
    last = logits_of(backbone, example.params, rows, prefix(False, True))
    both = logits_of(backbone, example.params, rows, prefix(True, True))
    assert np.abs(last - masked).max() > 0.1
    assert np.abs(last - both).max() > 0.1


def test_masked_in_every_layer_of_a_decoder_they_change_no_bit():
    params, backbone = draw_params(), Decoder(TINY)
    rows = rows_of(params, [[[5, 7]]] * 2, [[[3, 9]], [[4, 9]]], (2, 2)).tokens
    off = (False,) * TINY.layers
    prefix = {"decoder": draw_prefix(TINY, "decoder", 0, layers=off, in_front=False)}
    masked = logits_of(backbone, params, rows, prefix)
    expected = logits_of(backbone, params, rows, None)
    np.testing.assert_array_equal(masked, expected)


def test_step_by_step_with_prefixes_is_one_pass(example, encoded):
    backbone, params = example.backbone, example.params
    prefix = {
        site: draw_prefix(backbone.config, site, seed, in_front=False)
        for seed, site in enumerate(("decoder", "cross"))
    }
    encoded, target = behind((encoded, example.target), prefix)
    expected = decode(backbone, params, (encoded, target), prefix)
    cache = backbone.start_cache(params, encoded, 3)
    step = jax.jit(backbone.decode_step)
    for index in range(3):
        found, cache = step(params, cache, target.x[:, index], index)
        np.testing.assert_allclose(found, expected[:, index], atol=1e-5)


def test_a_prefix_that_does_not_fit_is_refused_before_any_work():
    small = T5(PUBLISHED["google-t5/t5-small"])
    source = Tokens(jnp.zeros((1, 1, 512)), jnp.ones((1, 1), int))
    other = draw_prefix(TINY, "decoder", 0)
    with pytest.raises(ValueError, match=r"layers=2.*but t5 has .*layers=6.*another"):
        small.encode({}, source, prefix={"encoder": other})
    with pytest.raises(ValueError, match=r"no site 'cross' for a prefix: use decoder"):
        Decoder(TINY).encode({}, source, prefix={"cross": other})
