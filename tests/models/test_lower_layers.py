"""A pass through the layers below a prefix, then through the others, is one pass."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpt2_models import TINY, draw_params, rows_of

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.models.families.modernbert import ModernBertConfig
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.tokens import Tokens


def prefix_of(config, site, *used, in_front):
    layers, heads, width = config.sites[site]
    shape = (2, layers, 2, 3, heads, width)
    keys, values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    members = jnp.arange(2)
    return Prefix(keys, values, members, layers=used, in_front=in_front)


def blank(prefix):
    """Returns prefixes whose numbers are 0, as those below have no part in them."""
    return jax.tree.map(jnp.zeros_like, prefix)


@functools.partial(jax.jit, static_argnums=0)
def at_once(backbone, params, rows, prefix):
    if len(rows) == 1:
        return backbone.states(params, *rows, prefix=prefix)
    return backbone.logits(params, *rows, prefix=prefix)


@functools.partial(jax.jit, static_argnums=0)
def lower(backbone, params, rows, prefix):
    return backbone.lower(params, *rows, prefix=blank(prefix))


def check(backbone, params, rows, prefix, layers):
    found = lower(backbone, params, rows, prefix)
    assert [x and x.layers for x in found] == layers
    found = tuple(x for x in found if x is not None)
    found = at_once(backbone, params, found, prefix)
    expected = at_once(backbone, params, rows, prefix)
    real = np.asarray(rows[-1].segments) > 0
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)
    return expected


@pytest.mark.parametrize(
    ("sites", "layers"),
    [
        ({"encoder": (False, True)}, [1, 0]),
        ({"decoder": (False, True), "cross": (False, False)}, [2, 1]),
        pytest.param(
            {"decoder": (False, True), "cross": (True, False)},
            [2, 0],
            marks=pytest.mark.long,
        ),
        pytest.param({}, [2, 2], marks=pytest.mark.long),
    ],
)
def test_of_t5(example, sites, layers):
    prefix = {
        site: prefix_of(example.backbone.config, site, *used, in_front=True)
        for site, used in sites.items()
    }
    rows = example.source, example.target
    found = check(example.backbone, example.params, rows, prefix, layers)
    if prefix:
        assert np.abs(found - example.expected).max() > 0.1


def test_of_a_decoder_with_several_examples_in_a_row():
    params = draw_params()
    rows = rows_of(
        params, [[[5, 7], [8]], [[4]]], [[[3, 9], [2]], [[6, 9]]], (5, 4), pad="left"
    ).tokens
    prefix = {"decoder": prefix_of(TINY, "decoder", False, True, in_front=True)}
    check(Decoder(TINY), params, rows, prefix, [1, 1])
    # A head reads the source alone, by all layers where there is no prefix.
    check(Decoder(TINY), params, rows[:1], prefix, [1, None])
    check(Decoder(TINY), params, rows[:1], {}, [2, None])


@pytest.mark.parametrize(
    "in_front", [True, pytest.param(False, marks=pytest.mark.long)]
)
@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (BertConfig, {}),  # Two token types.
        # A first layer without a norm, windows, and a norm behind the last layer.
        (ModernBertConfig, {"sliding": (False, True, False), "window": 2}),
    ],
)
def test_of_an_encoder(kind, own, in_front):
    sizes = {"width": 16, "heads": 2, "ffn_width": 20, "layers": 3, "positions": 20}
    encoder = Encoder(kind(vocab_size=30, **sizes, **own))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.3, leaf.shape), jnp.float32),
        jax.eval_shape(encoder.init, jax.random.key(0)),
    )
    segments = jnp.array([[1, 1, 1, 2, 2], [1, 1, 1, 0, 0]], jnp.int32)
    types = jnp.array([[0, 0, 1, 0, 1], [0, 1, 1, 0, 0]], jnp.int32)
    x = jnp.asarray(draw.normal(size=(2, 5, 16)), jnp.float32)
    rows = (Tokens(x, segments, types),)

    def prefix(*used):
        return {
            "encoder": prefix_of(encoder.config, "encoder", *used, in_front=in_front)
        }

    check(encoder, params, rows, prefix(False, False, True), [2, None])
    check(encoder, params, rows, prefix(False, False, False), [3, None])
    # The first layer reads it: there is nothing below, and positions stand for later.
    check(encoder, params, rows, prefix(True, False, True), [0, None])
