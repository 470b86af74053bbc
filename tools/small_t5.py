"""A random T5 1.1 small, and this project's side of the benchmarks on it."""

import functools
import os
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.models.backbone import load, save
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config
from jaxprompt.prompts.prompt import Prompt, empty_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, unpacked_batch
from jaxprompt.train.optimizer import MODEL_TUNING, adafactor, adamw, train_only
from jaxprompt.train.step import init_state, make_train_step

SMALL = T5Config(
    vocab_rows=32128,
    width=512,
    heads=6,
    head_width=64,
    ffn_width=1024,
    encoder_layers=8,
    decoder_layers=8,
    gated=True,
    activation="gelu_new",
    tied=False,
    scaled_logits=False,
)
"""T5 1.1 small."""

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


def save_random(folder: Path, config: T5Config = SMALL) -> None:
    """Writes a random T5 as a Hugging Face folder."""
    backbone = T5(config)
    save(folder, backbone, backbone.init(jax.random.key(0)))


def draw_prompts(members: int, length: int) -> np.ndarray:
    """Draws prompts for both sides, float32 [M, P, D]."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(members, length, SMALL.width)).astype(np.float32)


def prompt_step(
    folder: Path, prompts: np.ndarray, remat: Remat, *, tuned: bool = True
) -> Callable[[Batch], float]:
    """Makes a prompt-tuning step: batch -> loss."""
    if tuned:
        _without_ynnpack()
    backbone, model = load(folder, remat=remat)
    tx = train_only(adafactor(0.3))
    params = {"model": model, "prompt": Prompt(jnp.asarray(prompts))}
    state, frozen = init_state(params, tx)
    train_step = make_train_step(backbone, tx, z_loss=0.0)

    def step(batch: Batch) -> float:
        nonlocal state
        state, metrics = train_step(state, frozen, batch)
        jax.block_until_ready(state)
        return float(metrics["loss"])

    return step


def untuned_prompt_step(
    folder: Path, prompts: np.ndarray, remat: Remat
) -> Callable[[Batch], float]:
    """Does the same with XLA's defaults."""
    return prompt_step(folder, prompts, remat, tuned=False)


def model_step(
    folder: Path,
    inputs: np.ndarray,
    targets: np.ndarray,
    remat: Remat,
) -> Callable[[], float]:
    """Makes a step of all weights with AdamW, always on the same rows: -> loss."""
    _without_ynnpack()
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
) -> Callable[[Mapping[str, np.ndarray], np.ndarray, int], np.ndarray]:
    """Makes a pass over rows: (rows, member of each, batch size) -> ids [rows, L].

    Args:
        folder: From `save_random`.
        prompts: Prompts of all members, [M, P, D].
        length: Target tokens L to decode.
    """
    _without_ynnpack()
    # TensorFlow comes with them, as in any run; a train step needs neither.
    from jaxprompt.data.rows import INPUTS, predict_rows, sorted_batches
    from jaxprompt.evaluate.decode import greedy

    backbone, model = load(folder)
    params = {"model": model, "prompt": Prompt(jnp.asarray(prompts))}
    decode = jax.jit(functools.partial(greedy, backbone, length=length))

    def predict(batch: Batch) -> np.ndarray:
        return np.asarray(decode(params, batch))

    def score(
        rows: Mapping[str, np.ndarray], members: np.ndarray, batch_size: int
    ) -> np.ndarray:
        of_members = [
            prefix(backbone.vocab_rows, prompts.shape[1], member)
            for member in range(len(prompts))
        ]
        soft = np.stack(of_members)[members]
        rows = {**rows, INPUTS: np.concatenate([soft, rows[INPUTS]], axis=1)}
        return predict_rows(predict, sorted_batches(rows, batch_size), len(members))

    return score


def matmul_rate(tokens: int) -> Callable[[], float]:
    """Makes a measurement of the floor: FLOP/s of the model's largest matrix product.

    Args:
        tokens: Rows of the left matrix, as many as a batch has tokens.
    """
    _without_ynnpack()
    left = jnp.ones((tokens, SMALL.width))
    right = jnp.ones((SMALL.width, SMALL.ffn_width))
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


def forward_flops(rows: int, source: int, target: int) -> float:
    """Counts the multiplications and additions of a forward pass, without norms.

    Args:
        rows: Rows B.
        source: Source tokens T of each, soft ones included.
        target: Target tokens L of each.
    """
    width, inner = SMALL.width, SMALL.heads * SMALL.head_width
    ffn = (3 if SMALL.gated else 2) * width * SMALL.ffn_width
    encoder = source * (4 * width * inner + ffn) + 2 * source**2 * inner
    decoder = (
        target * (6 * width * inner + ffn)
        + 2 * source * width * inner
        + 2 * target * (target + source) * inner
    )
    head = target * width * SMALL.vocab_rows
    layers = SMALL.encoder_layers * encoder + SMALL.decoder_layers * decoder
    return 2.0 * rows * (layers + head)
