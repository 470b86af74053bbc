"""Every variant of T5 equals PyTorch transformers, from files made once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.models.load import load
from jaxprompt.models.tokens import Tokens

VARIANTS = ["t5_1_0", "t5_1_1", "t5_1_1_tied", "mt5"]


def shifted(targets):
    return np.pad(targets[:, :-1], ((0, 0), (1, 0)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_pytorch_with_padding_and_with_a_prompt(golden, variant):
    golden = golden(variant)
    backbone, params = load(golden.folder)
    inputs, targets = golden.arrays["inputs"], golden.arrays["targets"]
    table = backbone.table(params)
    x, y = table[inputs], table[shifted(targets)]
    input_segments = jnp.asarray(inputs > 0, jnp.int32)
    target = Tokens(y, jnp.asarray(targets > 0, jnp.int32))
    real = targets > 0

    logits = jax.jit(backbone.logits)(params, Tokens(x, input_segments), target)
    np.testing.assert_allclose(
        np.asarray(logits)[real], golden.arrays["logits"][real], atol=1e-4
    )

    prompt = golden.arrays["prompt"]
    prompts = jnp.broadcast_to(jnp.asarray(prompt), (len(x), *prompt.shape))
    source = Tokens(
        jnp.concatenate([prompts, x], axis=1),
        jnp.pad(input_segments, ((0, 0), (len(prompt), 0)), constant_values=1),
    )
    logits = jax.jit(backbone.logits)(params, source, target)
    np.testing.assert_allclose(
        np.asarray(logits)[real], golden.arrays["prompted_logits"][real], atol=1e-4
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy_steps_equal_pytorch(golden, variant):
    golden = golden(variant)
    backbone, params = load(golden.folder)
    inputs, greedy = golden.arrays["inputs"], golden.arrays["greedy"]
    table = backbone.table(params)
    segments = jnp.asarray(inputs > 0, jnp.int32)
    encoded = jax.jit(backbone.encode)(params, Tokens(table[inputs], segments))
    cache = backbone.start_cache(params, encoded, greedy.shape[1])
    step = jax.jit(backbone.decode_step)
    ids, done = np.zeros(len(inputs), int), np.zeros(len(inputs), bool)
    for index, expected in enumerate(greedy.T):
        logits, cache = step(params, cache, table[ids], jnp.asarray(index))
        ids = np.where(done, 0, np.argmax(logits, axis=-1))
        done |= ids == 1
        np.testing.assert_array_equal(ids, expected, f"step {index}")
