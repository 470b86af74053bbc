"""What the benchmarks share: PEFT on the random T5 1.1 small, and calls in turn.

Absolute times depend on the machine and on what else it does: the ratio of medians, of
calls that alternate in one process, is the result.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from small_t5 import SMALL
from transformers import T5ForConditionalGeneration

from jaxprompt.models.t5_config import T5Config
from jaxprompt.report.table import table

OURS, THEIRS = "jaxprompt", "PEFT"

_REST = 0.5
"""Seconds; OpenMP's threads spin for some tenths."""


def peft_model(folder: Path, prompt_length: int, adapters: Sequence[str] = ()) -> Any:
    """Loads the same model into PEFT, with its own prompt-tuning adapters.

    Args:
        folder: From `small_t5.save_random`.
        prompt_length: Prompt length P, in tokens.
        adapters: Names of further adapters, beside "default".
    """

    def config() -> PromptTuningConfig:
        return PromptTuningConfig(
            task_type=TaskType.SEQ_2_SEQ_LM,
            num_virtual_tokens=prompt_length,
            num_transformer_submodules=1,
        )

    model = get_peft_model(T5ForConditionalGeneration.from_pretrained(folder), config())
    for name in adapters:
        model.add_adapter(name, config())
    return model


def peft_step(model: Any) -> Callable[[Any, Any, Any], float]:
    """Makes PEFT's train step: (ids, mask, labels) -> loss, with Adam on the prompt."""
    model.train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)

    def step(ids: Any, mask: Any, labels: Any) -> float:
        optimizer.zero_grad()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def alternate(
    calls: Mapping[str, Callable[[], object]], rounds: int, warmups: int = 1
) -> dict[str, list[float]]:
    """Calls each in turn, again and again; returns the seconds of every call.

    A rest before each: threads of the call before may still spin, waiting for work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(warmups + rounds):
        for name, call in calls.items():
            time.sleep(_REST)
            start = time.perf_counter()
            call()
            if turn >= warmups:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def print_times(seconds: Mapping[str, Sequence[float]], unit: str = "call") -> None:
    """Prints medians and extremes, and PEFT's median over ours."""
    rows = [
        [name, *(1000 * of(times) for of in (statistics.median, min, max))]
        for name, times in seconds.items()
    ]
    print(table([unit, "median ms", "min ms", "max ms"], rows))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    if OURS in medians and THEIRS in medians:
        print(f"\n{THEIRS} / {OURS}: {medians[THEIRS] / medians[OURS]:.2f}")


def forward_flops(config: T5Config, rows: int, source: int, target: int) -> float:
    """Counts the multiplications and additions of one forward pass, without norms.

    Args:
        config: Sizes of the model.
        rows: Rows B.
        source: Source tokens T of each, soft ones included.
        target: Target tokens L of each.
    """
    width, inner = config.width, config.heads * config.head_width
    ffn = (3 if config.gated else 2) * width * config.ffn_width
    encoder = source * (4 * width * inner + ffn) + 2 * source**2 * inner
    decoder = (
        target * (6 * width * inner + ffn)
        + 2 * source * width * inner
        + 2 * target * (target + source) * inner
    )
    head = target * width * config.vocab_rows
    layers = config.encoder_layers * encoder + config.decoder_layers * decoder
    return 2.0 * rows * (layers + head)


def matmul_rate(tokens: int, config: T5Config = SMALL) -> Callable[[], float]:
    """Makes a call that measures float32 FLOP/s of the model's largest matrix product.

    Args:
        tokens: Rows of the left matrix, as many as a batch has tokens.
        config: Whose feed-forward matrix is the right one.
    """
    left = jnp.ones((tokens, config.width))
    right = jnp.ones((config.width, config.ffn_width))
    product = jax.jit(lambda a, b: a @ b)
    product(left, right).block_until_ready()

    def measure() -> float:
        repeats = 20
        start = time.perf_counter()
        jax.block_until_ready([product(left, right) for _ in range(repeats)])
        seconds = time.perf_counter() - start
        return 2.0 * repeats * left.size * right.shape[1] / seconds

    return measure
