"""A program of jax.export answers as the model here does, for rows of any number."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import LENGTH, VOCAB_ROWS, Tiny, draw_prompt

from jaxprompt.evaluate.decode import beam, greedy
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.interop.stablehlo.program import (
    PLATFORMS,
    ExportedAnswering,
    export_program,
    flatten,
    vocabulary_file,
)
from jaxprompt.models.t5.model import T5
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, Params, unpacked_batch

STEPS = 5
REAL = 2
"""Tokens of the last text; padding is behind them."""
LABELS = np.array([[7, 9, 1], [8, 1, 0]], np.int32)


def draw_texts(rows: int, tokens: int) -> np.ndarray:
    texts = np.random.default_rng(rows).integers(2, VOCAB_ROWS, (rows, tokens))
    texts[-1, REAL:] = 0
    return texts.astype(np.int32)


def prompted(texts: np.ndarray) -> Batch:
    soft = np.tile(prefix(VOCAB_ROWS, LENGTH), (len(texts), 1))
    targets = np.full((len(texts), STEPS), NO_TOKEN)
    texts = np.where(texts == 0, NO_TOKEN, texts)
    return unpacked_batch(np.concatenate([soft, texts], axis=1), targets)


@functools.partial(jax.jit, static_argnums=(0, 1))
def answer_here(backbone: T5, method: str, params: Params, batch: Batch) -> jax.Array:
    if method == "rank":
        scores = rank_labels(backbone, params, batch, jnp.asarray(LABELS))
        return scores.reshape(len(batch.inputs), -1)
    if method == "beam":
        return beam(backbone, params, batch, length=STEPS, beams=3)[0]
    return greedy(backbone, params, batch, length=STEPS)


@pytest.mark.parametrize("method", ["greedy", "beam", "rank"])
def test_one_program_answers_batches_of_every_size(tiny: Tiny, method: str):
    answering = ExportedAnswering(
        method=method,
        inputs=9,
        length=STEPS,
        beams=3,
        labels=("yes", "no"),
        label_ids=LABELS,
    )
    params = tiny.join(draw_prompt(0))
    # As in a process of JAX's own defaults.
    with jax.default_matmul_precision(None):
        program = export_program(tiny.backbone, params, answering)
    exported = jax.export.deserialize(bytearray(program))
    assert exported.platforms == PLATFORMS
    text = exported.mlir_module()  # A GPU multiplies in float32 too.
    products = text.count("stablehlo.dot_general")
    assert text.count("precision = [HIGHEST, HIGHEST]") == products > 9
    assert set(PLATFORMS) == {"cpu", "cuda", "tpu"}
    run, texts = jax.jit(exported.call), draw_texts(3, 7)
    ours = answer_here(tiny.backbone, method, params, prompted(texts))
    theirs = run(flatten(params), texts)
    assert theirs.shape == (3, 2 if method == "rank" else STEPS)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    # The last row alone and without its padding: another B and another T.
    alone = run(flatten(params), texts[-1:, :REAL])
    np.testing.assert_allclose(alone[0], ours[-1], atol=1e-5)
    # The prompt is an argument as the weights are: another one answers otherwise.
    others = flatten(tiny.join(draw_prompt(1)))
    assert np.any(run(others, texts) != theirs)


def test_bfloat16_weights_stay_bfloat16(tiny: Tiny):
    halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), tiny.model)
    params = {"model": halves, "prompt": draw_prompt(0)}
    answering = ExportedAnswering(method="greedy", inputs=9, length=STEPS)
    program = export_program(tiny.backbone, params, answering)
    exported = jax.export.deserialize(bytearray(program))
    dtypes: Any = {aval.dtype.name for aval in exported.in_avals}
    assert dtypes == {"bfloat16", "float32", "int32"}


def test_a_model_without_a_vocabulary_is_refused(tiny: Tiny):
    with pytest.raises(FileNotFoundError, match=r"no spiece\.model or tokenizer\.json"):
        vocabulary_file(tiny.backbone)
