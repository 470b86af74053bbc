"""A random T5 1.1 small, on which the benchmarks run."""

from pathlib import Path

import jax
import numpy as np

from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.t5.model import T5
from jaxprompt.models.weights.save import save
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, unpacked_batch

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


def save_random(folder: Path, config: T5Config = SMALL) -> None:
    """Writes a random T5 as a Hugging Face folder."""
    backbone = T5(config)
    save(folder, backbone, backbone.init(jax.random.key(0)))


def draw_prompts(members: int, length: int) -> np.ndarray:
    """Draws prompts for both sides, float32 [M, P, D]."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(members, length, SMALL.width)).astype(np.float32)


def prompted_batch(text: np.ndarray, targets: np.ndarray, length: int) -> Batch:
    """Makes our batch of rows [B, T] and [B, L] behind a prompt of this length.

    Both are padded with T5's own padding, id 0.
    """
    soft = np.tile(prefix(SMALL.vocab_rows, length), (len(text), 1))
    rows = (np.concatenate([soft, text], axis=1), targets)
    return unpacked_batch(*(np.where(ids == 0, NO_TOKEN, ids) for ids in rows))


def prompted_flops(rows: int, prompt: int, text: int, target: int) -> float:
    """Counts a forward pass of whole rows behind a prompt of this length."""
    return forward_flops(rows, prompt + text, target)


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
    # A source is projected to keys and values, or read by queries that are.
    projected = 2 * source * width * inner + 2 * target * source * inner
    read = 2 * target * width * inner + 2 * target * source * SMALL.heads * width
    decoder = target * (6 * width * inner + ffn) + 2 * target**2 * inner
    decoder += min(projected, read)
    head = target * width * SMALL.vocab_rows
    layers = SMALL.encoder_layers * encoder + SMALL.decoder_layers * decoder
    return 2.0 * rows * (layers + head)
