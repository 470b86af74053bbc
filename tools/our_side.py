"""This project's side of the benchmarks: what a process of `side_by_side` calls."""

import dataclasses
import functools
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.heads.labels import LabelsHead
from jaxprompt.models.config import SiteName
from jaxprompt.models.load import load
from jaxprompt.models.product import ROUNDED
from jaxprompt.prompts.deep_start import layers_of
from jaxprompt.prompts.prompt import Prompt, empty_prompt, make_deep, make_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, unpacked_batch
from jaxprompt.startup import give_back_after_compiling
from jaxprompt.train.optimizer import (
    MASKS,
    MODEL_TUNING,
    adafactor,
    adamw,
    train_only,
)
from jaxprompt.train.parts_step import make_parts_step
from jaxprompt.train.step import init_state, make_train_step

Remat = Literal["none", "dots", "full"]

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "9000000000"}
"""Has glibc's allocator keep what is freed, rather than zero new pages every step."""


_FUSIONS = "--xla_cpu_experimental_ynn_fusion_type"


def _without_ynnpack() -> None:
    """Gives matrix products back to Eigen, which XLA of JAX 0.10 hands to YNNPACK.

    For this process, before JAX is first used. Another version of XLA may not know the
    flag, and would refuse to start.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if version("jaxlib").startswith("0.10.") and _FUSIONS not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_FUSIONS}=".lstrip()


def prompt_step(
    folder: Path, prompts: np.ndarray, remat: Remat, *, tuned: bool = True
) -> Callable[[Batch | tuple[Batch, ...]], float]:
    """Makes a prompt-tuning step: a batch, or its parts -> loss."""
    if tuned:
        _without_ynnpack()
    give_back_after_compiling()  # As a run's process does.
    backbone, model = load(folder, remat=remat)
    tx = train_only(adafactor(0.3))
    params = {"model": model, "prompt": Prompt(jnp.asarray(prompts))}
    state, frozen = init_state(params, tx)
    of_whole = make_train_step(backbone, tx, z_loss=0.0)
    of_parts = make_parts_step(backbone, tx, z_loss=0.0)

    def step(batch: Batch | tuple[Batch, ...]) -> float:
        nonlocal state
        train_step = of_parts if isinstance(batch, tuple) else of_whole
        state, metrics = train_step(state, frozen, batch)
        jax.block_until_ready(state)
        return float(metrics["loss"])

    return step


def untuned_prompt_step(
    folder: Path, prompts: np.ndarray, remat: Remat
) -> Callable[[Batch | tuple[Batch, ...]], float]:
    """Does the same with XLA's defaults."""
    return prompt_step(folder, prompts, remat, tuned=False)


def rounded_prompt_step(
    folder: Path, prompts: np.ndarray, remat: Remat
) -> Callable[[Batch | tuple[Batch, ...]], float]:
    """Does what `PRECISION = 'bfloat16'` does on a CPU, by YNNPACK's products."""
    jax.config.update("jax_default_matmul_precision", ROUNDED)
    return prompt_step(folder, prompts, remat, tuned=False)


def deep_step(
    folder: Path, drawn: np.ndarray, weight: np.ndarray, site: SiteName, layers: str
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Makes a step of keys and values and a linear head: (text, labels) -> loss.

    Args:
        folder: Of the model.
        drawn: Keys and values that all layers start from, [2, N, P, G, K].
        weight: Of the head, [D, C]. Where the model has a pooler, it stands between.
        site: Where they are read.
        layers: Which layers read them, as `prompts.deep_start.layers_of` has it.
    """
    _without_ynnpack()
    give_back_after_compiling()
    backbone, model = load(folder, remat="dots")
    count, classes = drawn.shape[1], weight.shape[1]
    keys, values = map(jnp.asarray, drawn)
    deep = make_deep(keys, values, layers_of(layers, count), in_front=True)
    head = LabelsHead(
        "classes", classes, pooler="frozen" if "pooler" in model else "none"
    )
    params = {
        "model": model,
        "prompt": make_prompt(jnp.zeros((0, backbone.width)), {site: deep}),
        "head": {"weight": jnp.asarray(weight)[None], "bias": jnp.zeros((1, classes))},
    }
    mask = MASKS["prompt+head"]
    tx = train_only(adamw(1e-3), mask)
    state, frozen = init_state(params, tx, mask)
    train_step = make_train_step(backbone, tx, freeze=mask, head=head, z_loss=0.0)

    def step(text: np.ndarray, labels: np.ndarray) -> float:
        nonlocal state
        # Of an encoder [CLS] stands for a text, of a decoder the last token.
        place = 0 if backbone.config.encoder_only else text.shape[1] - 1
        batch = unpacked_batch(text, labels[:, None] + 1)
        batch = dataclasses.replace(
            batch, target_places=np.full((len(text), 1), place, np.int32)
        )
        state, metrics = train_step(state, frozen, batch)
        jax.block_until_ready(state)
        return float(metrics["loss"])

    return step


def model_step(
    folder: Path,
    inputs: np.ndarray,
    targets: np.ndarray,
    remat: Remat,
) -> Callable[[], float]:
    """Makes a step of all weights with AdamW, always on the same rows: -> loss."""
    _without_ynnpack()
    give_back_after_compiling()
    backbone, model = load(folder, remat=remat)
    params = {"model": model, "prompt": empty_prompt(backbone.width)}
    tx = train_only(adamw(1e-3), MODEL_TUNING)
    state, frozen = init_state(params, tx, MODEL_TUNING)
    train_step = make_train_step(backbone, tx, freeze=MODEL_TUNING, z_loss=0.0)
    batch = unpacked_batch(inputs, targets)

    def step() -> float:
        nonlocal state
        state, metrics = train_step(state, frozen, batch)
        jax.block_until_ready(state)
        return float(metrics["loss"])

    return step


def scoring(
    folder: Path, prompts: np.ndarray, length: int
) -> Callable[[Batch, np.ndarray, int], np.ndarray]:
    """Makes a pass over rows: (rows, member of each, batch size) -> ids [rows, L].

    Args:
        folder: Of the model.
        prompts: Prompts of all members, [M, P, D].
        length: Target tokens L to decode.
    """
    _without_ynnpack()
    from jaxprompt.evaluate.decode import greedy

    return _pass_over_rows(folder, prompts, functools.partial(greedy, length=length))


def ranking(
    folder: Path, prompts: np.ndarray, label_ids: np.ndarray
) -> Callable[[Batch, np.ndarray, int], np.ndarray]:
    """Makes a pass over rows: (rows, member, batch size) -> log probs [rows, C].

    Args:
        folder: Of the model.
        prompts: Prompts of all members, [M, P, D].
        label_ids: Tokens of each label, [C, L].
    """
    _without_ynnpack()
    from jaxprompt.evaluate.rank import rank_labels

    def rank(backbone: Any, params: Any, batch: Batch) -> jax.Array:
        return rank_labels(backbone, params, batch, jnp.asarray(label_ids))[:, 0]

    return _pass_over_rows(folder, prompts, rank)


def _pass_over_rows(
    folder: Path, prompts: np.ndarray, answer: Callable[..., jax.Array]
) -> Callable[[Batch, np.ndarray, int], np.ndarray]:
    """Makes it of what answers (backbone, params, batch), which it compiles."""
    from jaxprompt.data.rows.row_batches import predict_rows, sorted_batches
    from jaxprompt.data.rows.widths import scored_rows

    backbone, model = load(folder)
    params = {"model": model, "prompt": Prompt(jnp.asarray(prompts))}
    compiled = jax.jit(functools.partial(answer, backbone))

    def predict(batch: Batch) -> np.ndarray:
        return np.asarray(compiled(params, batch))

    def score(rows: Batch, members: np.ndarray, batch_size: int) -> np.ndarray:
        soft = np.tile(prefix(backbone.vocab_rows, prompts.shape[1]), (len(members), 1))
        rows = dataclasses.replace(
            rows,
            inputs=np.concatenate([soft, rows.inputs], axis=1),
            input_segments=np.concatenate(
                [np.ones_like(soft), rows.input_segments], axis=1
            ),
            members=members.astype(np.int32),
        )
        # As many as a run of so many rows takes at once.
        size = scored_rows(batch_size, len(members), devices=1, backend="cpu")
        return predict_rows(predict, sorted_batches(rows, size), len(members))

    return score


def matmul_rate(tokens: int, width: int, ffn_width: int) -> Callable[[], float]:
    """Makes a measurement of the floor: FLOP/s of a model's largest matrix product.

    Args:
        tokens: Rows of the left matrix, as many as a batch has tokens.
        width: Its columns.
        ffn_width: Columns of the right matrix.
    """
    _without_ynnpack()
    left = jnp.ones((tokens, width))
    right = jnp.ones((width, ffn_width))
    product = jax.jit(lambda a, b: a @ b)
    product(left, right).block_until_ready()
    repeats = 100

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            product(left, right).block_until_ready()
        seconds = time.perf_counter() - start
        return 2.0 * repeats * left.size * right.shape[1] / seconds

    return measure
