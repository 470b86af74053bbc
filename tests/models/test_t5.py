"""What T5 promises for any weights: masks, packing, loops, caches, dtypes, sizes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.models.load import with_fingerprint
from jaxprompt.models.quantise import quantise
from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.t5.model import T5
from jaxprompt.models.tokens import Tokens

TOLERANCE = 2e-5

# Heads, layers of each stack, D, F. K is 64 and V is 32128.
# Source: sizes/*.gin of google-research/prompt-tuning; totals: Lester et al. 2021,
# table 4 (arXiv:2104.08691).
T5_1_1 = {
    "small": (6, 8, 512, 1024, 76_961_152),
    "base": (12, 12, 768, 2048, 247_577_856),
    "large": (16, 24, 1024, 2816, 783_150_080),
    "xl": (32, 24, 2048, 5120, 2_849_757_184),
    "xxl": (64, 24, 4096, 10240, 11_135_332_352),
}


@pytest.mark.parametrize("size", T5_1_1)
def test_every_size_of_t5_1_1_has_the_papers_number_of_weights(size):
    heads, layers, width, ffn_width, total = T5_1_1[size]
    config = T5Config(
        vocab_rows=32128,
        width=width,
        heads=heads,
        head_width=64,
        ffn_width=ffn_width,
        encoder_layers=layers,
        decoder_layers=layers,
        gated=True,
        activation="gelu_new",
        tied=False,
        scaled_logits=False,
    )
    params = jax.eval_shape(T5(config).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == total


def test_padding_changes_nothing(example):
    """The second row is 7 + 4 tokens long in a row of 12 + 6."""
    alone = jax.jit(example.backbone.logits)(
        example.params,
        Tokens(example.x[1:, :7], example.input_segments[1:, :7]),
        Tokens(example.y[1:, :4], example.target_segments[1:, :4]),
    )
    np.testing.assert_allclose(example.expected[1, :4], alone[0], atol=TOLERANCE)


@pytest.mark.parametrize("weights", ["float", "int8"])
def test_few_targets_read_the_source_as_many_do(example, weights):
    """Few are those up to half the head width: for them the source has no keys."""
    backbone = example.backbone
    params = quantise(example.params) if weights == "int8" else example.params
    few = backbone.config.head_width // 2
    assert 0 < few < example.y.shape[1]
    encoded, decode = jax.jit(backbone.encode)(params, example.source), backbone.decode
    many = example.target
    expected = jax.jit(decode)(params, encoded, many)
    first = Tokens(many.x[:, :few], many.segments[:, :few])
    found = jax.jit(decode)(params, encoded, first)
    np.testing.assert_allclose(found, expected[:, :few], atol=TOLERANCE)

    # A cache for few holds the encoder's output, which all layers share.
    cache = backbone.start_cache(params, encoded, few)
    assert cache.source.shape == encoded.states.shape
    keys, _ = backbone.start_cache(params, encoded, few + 1).source
    assert keys.ndim == 5


def test_what_stands_on_padding_changes_nothing(example):
    noisy = dataclasses.replace(
        example,
        x=jnp.where(example.input_segments[..., None] == 0, 9.0, example.x),
        y=jnp.where(example.target_segments[..., None] == 0, 9.0, example.y),
    )
    expected, found = example.expected, noisy.logits()
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1, :4], expected[1, :4])


def test_packed_examples_score_as_if_alone(example):
    """Both rows in one, the shorter one first, with padding behind."""

    def pack(rows, segments):
        (long, short), lengths = rows, [int(row.sum()) for row in segments]
        packed = [short[: lengths[1]], long[: lengths[0]]]
        numbers = [np.full(len(part), n) for n, part in enumerate(packed, start=1)]
        tail = jnp.zeros((3, rows.shape[-1]))
        return Tokens(
            jnp.concatenate([*packed, tail])[None],
            jnp.asarray(np.concatenate([*numbers, np.zeros(3)]), jnp.int32)[None],
        )

    logits = jax.jit(example.backbone.logits)(
        example.params,
        pack(example.x, example.input_segments),
        pack(example.y, example.target_segments),
    )[0]
    expected = example.expected
    np.testing.assert_allclose(logits[:4], expected[1, :4], atol=TOLERANCE)
    np.testing.assert_allclose(logits[4:10], expected[0], atol=TOLERANCE)


def test_later_targets_are_hidden(example):
    changed = dataclasses.replace(example, y=example.y.at[:, 3:].add(1.0))
    expected, found = example.expected, changed.logits()
    np.testing.assert_array_equal(found[:, :3], expected[:, :3])
    assert np.abs(found[0, 3:] - expected[0, 3:]).min(axis=-1).max() > 1e-3


def test_loops_and_rematerialisation_change_no_logit_and_no_gradient(example):
    def loss_and_gradient(**options):
        backbone = dataclasses.replace(example.backbone, **options)

        def loss(x):
            return jnp.sum(jnp.sin(dataclasses.replace(example, x=x).logits(backbone)))

        return jax.jit(jax.value_and_grad(loss))(example.x)

    expected, expected_gradient = loss_and_gradient()
    for options in (
        {"remat": "dots"},
        {"remat": "full"},
        {"remat": "full", "unroll": True},
    ):
        found, gradient = loss_and_gradient(**options)
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=str(options))
        np.testing.assert_allclose(
            gradient, expected_gradient, atol=1e-4, err_msg=str(options)
        )


def test_full_rematerialisation_keeps_less(example):
    def saved_bytes(remat):
        backbone = dataclasses.replace(example.backbone, remat=remat)

        def loss(x):
            return dataclasses.replace(example, x=x).logits(backbone).sum()

        shapes = jax.eval_shape(lambda x: jax.vjp(loss, x)[1], example.x)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))

    assert saved_bytes("full") < saved_bytes("dots") < saved_bytes("none")


@pytest.mark.parametrize("unroll", [False, True])
def test_decoding_by_steps_equals_scoring_at_once(example, unroll):
    backbone = dataclasses.replace(example.backbone, unroll=unroll)
    params = example.params
    encoded = jax.jit(backbone.encode)(params, example.source)
    cache = backbone.start_cache(params, encoded, length=9)
    step = jax.jit(backbone.decode_step)
    expected = example.expected
    for index in range(6):
        logits, cache = step(params, cache, example.y[:, index], jnp.asarray(index))
        real = np.asarray(example.target_segments[:, index] > 0)
        np.testing.assert_allclose(logits[real], expected[real, index], atol=TOLERANCE)


def test_a_cache_gathers_rows_and_reorders_beams(example):
    backbone, params = example.backbone, example.params
    encoded = jax.jit(backbone.encode)(params, example.source)
    cache = backbone.start_cache(params, encoded, length=2)
    step = jax.jit(backbone.decode_step)
    zero, one = jnp.asarray(0), jnp.asarray(1)
    y = example.y

    rows = jnp.array([1, 1, 0])
    expected, first = step(params, cache, y[:, 0], zero)
    logits, beams = step(params, cache.take(rows), y[rows, 0], zero)
    np.testing.assert_allclose(logits, expected[rows], atol=TOLERANCE)

    # Beams 0 and 1 share row 1, with histories of their own.
    _, beams = step(params, cache.take(rows), y[jnp.array([1, 0, 0]), 0], zero)
    swapped = beams.reorder(jnp.array([1, 0, 2]))
    logits, _ = step(params, swapped, y[rows, 1], one)
    straight, _ = step(params, beams, y[rows, 1], one)
    np.testing.assert_allclose(logits, straight[jnp.array([1, 0, 2])], atol=TOLERANCE)
    row_one, _ = step(params, first, y[:, 1], one)
    np.testing.assert_allclose(logits[1], row_one[1], atol=TOLERANCE)


def test_bfloat16_is_close_to_float32(example):
    """Within 3% of the largest logit: bfloat16 rounds to 1 part in 256."""
    backbone = dataclasses.replace(example.backbone, dtype="bfloat16")
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), example.params)
    expected, found = example.expected, example.logits(backbone, params)
    assert found.dtype == jnp.float32
    drawn = jax.eval_shape(backbone.init, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(drawn)} == {jnp.dtype("bfloat16")}
    difference = np.abs(found - expected).max()
    assert 0 < difference < 0.03 * np.abs(expected).max()


def test_dropout_needs_a_key_and_a_rate(example):
    dropping = dataclasses.replace(example.backbone, dropout=0.1)
    arrays = (example.source, example.target)
    logits = jax.jit(dropping.logits)
    np.testing.assert_array_equal(logits(example.params, *arrays), example.expected)
    without_rate = jax.jit(example.backbone.logits)(
        example.params, *arrays, dropout_key=jax.random.key(0)
    )
    np.testing.assert_array_equal(without_rate, example.expected)
    # rbg keys compile in a third of the time.
    one, again, other = (
        logits(example.params, *arrays, dropout_key=jax.random.key(n, impl="rbg"))
        for n in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1
    assert np.abs(one - example.expected).max() > 0.1


def test_initial_weights_have_t5s_scales(example):
    config = dataclasses.replace(example.backbone.config, width=256, ffn_width=512)
    params = jax.jit(T5(config).init)(jax.random.key(3, impl="rbg"))
    layers = params["encoder"]["layers"]
    scales = {
        "embedding": (params["embedding"], 1.0),
        "query": (layers["attention"]["query"], (256 * 8) ** -0.5),
        "key": (layers["attention"]["key"], 256**-0.5),
        "out": (layers["attention"]["out"], 64**-0.5),
        "up": (layers["ffn"]["up"], 256**-0.5),
        "down": (layers["ffn"]["down"], 512**-0.5),
    }
    for name, (leaf, scale) in scales.items():
        np.testing.assert_allclose(jnp.std(leaf), scale, rtol=0.05, err_msg=name)
    first, second = layers["ffn"]["up"]
    assert jnp.abs(first - second).max() > 0
    assert jnp.all(params["decoder"]["layers"]["cross_norm"] == 1)


def test_a_fingerprint_is_of_the_weights(example):
    backbone = with_fingerprint(example.backbone, example.params)
    assert len(backbone.fingerprint) == 2 + 64
    norm = example.params["decoder"]["final_norm"]
    other = {
        **example.params,
        "decoder": {**example.params["decoder"], "final_norm": norm.at[3].add(1e-6)},
    }
    assert with_fingerprint(backbone, other).fingerprint != backbone.fingerprint


def test_wrong_options_are_refused(example):
    config = example.backbone.config
    with pytest.raises(ValueError, match="dtype 'float16' is none of float32"):
        T5(config, dtype="float16")
    with pytest.raises(ValueError, match=r"dropout 1\.0 is not in"):
        T5(config, dropout=1.0)
    with pytest.raises(ValueError, match="heads 0 is no positive integer"):
        dataclasses.replace(config, heads=0)
    with pytest.raises(ValueError, match="activation 'tanh' is none of relu"):
        dataclasses.replace(config, activation="tanh")
    with pytest.raises(ValueError, match="buckets 2, max_distance 128"):
        dataclasses.replace(config, buckets=2)
