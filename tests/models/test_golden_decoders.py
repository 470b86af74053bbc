"""Every kind of decoder equals PyTorch transformers, from files made once."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_files import GOLDEN, Golden

from jaxprompt.evaluate.decode import beam, greedy
from jaxprompt.models.load import load
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.quantise import dequantise, quantise
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.shapes import Batch

VARIANTS = sorted(path.stem for path in (GOLDEN / "decoders").iterdir())
SOURCE = 9
"""Tokens of each row that are read as the source; what follows is the target."""


def some(*variants):
    """Runs a test for a few variants only, as each compiles anew."""
    return pytest.mark.parametrize("loaded", variants, indirect=True)


@pytest.fixture(scope="module", params=VARIANTS)
def loaded(request, tmp_path_factory):
    """A model, and what PyTorch says of it."""
    with np.load(GOLDEN / "decoders" / f"{request.param}.npz") as file:
        golden = Golden(tmp_path_factory.mktemp("golden") / "model", dict(file))
    return *load(golden.write()), golden.arrays


def rows_of(backbone, params, arrays):
    """Embeds the rows; the last begins with the prompt. Also, which are tokens."""
    table, seen = backbone.table(params), arrays["seen"]
    x = np.array(table[jnp.asarray(arrays["ids"])])
    x[-1, : len(arrays["prompt"])] = arrays["prompt"]
    return jnp.asarray(x), jnp.asarray(seen, jnp.int32)


@functools.partial(jax.jit, static_argnums=0)
def score(backbone, params, x, segments, prefix=None):
    none = Tokens(x[:, :0], segments[:, :0])
    return backbone.logits(params, none, Tokens(x, segments), prefix=prefix)


@functools.partial(jax.jit, static_argnums=0)
def score_in_two(backbone, params, x, segments, prefix):
    """Reads the source, then the target."""
    source, target = jnp.split(segments, [SOURCE], axis=1)
    encoded = backbone.encode(params, Tokens(x[:, :SOURCE], source), prefix=prefix)
    return backbone.decode(params, encoded, Tokens(x[:, SOURCE:], target))


def prefix_of(arrays):
    keys, values = arrays["prefix"]
    return {"decoder": Prefix(keys, values, jnp.arange(len(arrays["ids"])))}


def test_logits_equal_pytorch_with_padding_and_with_a_prompt(loaded):
    backbone, params, arrays = loaded
    seen = arrays["seen"] > 0
    found = np.asarray(score(backbone, params, *rows_of(*loaded)))[seen]
    expected = arrays["logits"][seen]
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=1e-4)
    assert (found[:, expected.shape[1] :] == -1e9).all()


def test_logits_behind_a_prefix_equal_pytorch(loaded):
    backbone, params, arrays = loaded
    rows = rows_of(*loaded)
    found = np.asarray(score(backbone, params, *rows, prefix_of(arrays)))
    seen = arrays["seen"] > 0
    expected = arrays["logits_behind"][seen]
    found = found[seen][:, : expected.shape[1]]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@some("llama3", "gemma2")
def test_bfloat16_is_off_by_no_more_than_in_pytorch(loaded):
    backbone, params, arrays = loaded
    half = dataclasses.replace(backbone, dtype="bfloat16")
    rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    seen = arrays["seen"] > 0
    found = np.asarray(score(half, rounded, *rows_of(*loaded)))[seen]
    expected = arrays["logits"][seen]
    error = np.sqrt(np.square(found[:, : expected.shape[1]] - expected).mean())
    assert 0 < error < 1.2 * arrays["bfloat16_error"]


@some("qwen3")
def test_int8_scores_are_those_of_the_rounded_weights(loaded):
    backbone, params, _ = loaded
    int8 = quantise(params)
    rows = rows_of(*loaded)
    found = score(backbone, int8, *rows)
    expected = score(backbone, dequantise(int8), *rows)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@some("gemma3_linear")
def test_the_source_alone_then_the_target_is_both_at_once(loaded):
    backbone, params, arrays = loaded
    rows, prefix = rows_of(*loaded), prefix_of(arrays)
    found = score_in_two(backbone, params, *rows, prefix)
    seen = arrays["seen"][:, SOURCE:] > 0
    expected = score(backbone, params, *rows, prefix)[:, SOURCE:]
    np.testing.assert_allclose(found[seen], expected[seen], atol=1e-5)


def first_row(backbone, params, arrays):
    """Returns the joined tree without a prompt, and a batch of the first row."""
    ids = arrays["ids"][:1]
    ones = np.ones_like(ids)[:, :-1]
    batch = Batch(
        inputs=ids[:, :-1],
        input_segments=ones,
        targets=ids[:, -1:],
        target_inputs=ids[:, -1:],
        target_segments=ones[:, :1],
        weights=np.float32(ones[:, :1]),
        members=np.zeros(1, np.int32),
    )
    joined = {"model": params, "prompt": empty_prompt(backbone.width)}
    return joined, jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)), batch)


@some("qwen2_sliding", "gemma3_linear")
def test_greedy_steps_equal_pytorch(loaded):
    arrays = loaded[-1]
    length = arrays["greedy"].shape[1]
    search = functools.partial(greedy, loaded[0], length=length, end=-1)
    found = jax.jit(search)(*first_row(*loaded))
    np.testing.assert_array_equal(found, arrays["greedy"])


@some("gemma2")
def test_beams_equal_pytorch(loaded):
    """Three beams, and no brevity penalty."""
    arrays = loaded[-1]
    length = arrays["beam"].shape[1]
    options = {"length": length, "beams": 3, "alpha": 0.0, "end": -1}
    search = functools.partial(beam, loaded[0], **options)
    ids, scores = jax.jit(search)(*first_row(*loaded))
    np.testing.assert_array_equal(ids, arrays["beam"])
    np.testing.assert_allclose(scores, arrays["beam_scores"], atol=1e-4)
