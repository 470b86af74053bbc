"""A random GPT-2 small, on which the benchmarks of causal models run."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, unpacked_batch

SMALL = GPT2Config(
    vocab_size=50257, width=768, heads=12, ffn_width=3072, layers=12, positions=1024
)
"""GPT-2 small."""


def save_random(folder: Path) -> None:
    """Writes a random GPT-2 as a Hugging Face folder."""
    backbone = Decoder(SMALL)
    save(folder, backbone, backbone.init(jax.random.key(0)))


def draw_prompts(members: int, length: int) -> np.ndarray:
    """Draws prompts for both sides, float32 [M, P, D], as large as words are."""
    rng = np.random.default_rng(0)
    return rng.normal(0.0, 0.02, (members, length, SMALL.width)).astype(np.float32)


def prompted_batch(text: np.ndarray, targets: np.ndarray, length: int) -> Batch:
    """Makes our batch of rows [B, T] and [B, L] behind a prompt of this length.

    The prompt's last token stands in the row, the others are its prefix. What stands
    before the targets is their first input.
    """
    soft = np.tile(prefix(SMALL.vocab_rows, min(length, 1)), (len(text), 1))
    inputs = np.concatenate([soft, text], axis=1)
    batch = unpacked_batch(np.pad(inputs[:, :-1], ((0, 0), (0, 1))), targets)
    target_inputs = np.concatenate([inputs[:, -1:], targets[:, :-1]], axis=1)
    return dataclasses.replace(batch, target_inputs=jax.numpy.asarray(target_inputs))


def prompted_flops(rows: int, prompt: int, text: int, target: int) -> float:
    """Counts the least that a forward pass has to multiply and add, without norms.

    The prompt runs once and not for each row; the last target token runs for nothing.
    Every token attends to those before it and itself, half of a square.

    Args:
        rows: Rows B.
        prompt: Prompt length P, in tokens.
        text: Tokens of each row before its targets.
        target: Target tokens L of each row.
    """
    width, own = SMALL.width, text + target - 1
    tokens = prompt + rows * own
    pairs = prompt**2 / 2 + rows * (own * prompt + own**2 / 2)
    weights = 4 * width**2 + 2 * width * SMALL.ffn_width
    head = rows * target * width * SMALL.vocab_size
    return 2.0 * (SMALL.layers * (tokens * weights + 2 * pairs * width) + head)
