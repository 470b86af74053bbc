"""A random T5 1.1 small, and our train step on it; without PyTorch, for fair memory."""

from collections.abc import Callable
from pathlib import Path

import jax

from jaxprompt.models.backbone import load, save
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config
from jaxprompt.prompts.init import init_prompt
from jaxprompt.shapes import Batch
from jaxprompt.train.optimizer import adafactor, train_only
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


def save_random(folder: Path) -> None:
    """Writes a random T5 1.1 small as a Hugging Face folder."""
    backbone = T5(SMALL)
    save(folder, backbone, backbone.init(jax.random.key(0)))


def our_step(folder: Path, length: int) -> Callable[[Batch], float]:
    """Makes the step of this project: batch -> loss."""
    backbone, model = load(folder)
    prompt = init_prompt(jax.random.key(0), backbone.table(model), length=length)
    tx = train_only(adafactor(0.3))
    state, frozen = init_state({"model": model, "prompt": prompt}, tx)
    train_step = make_train_step(backbone, tx, z_loss=0.0)

    def step(batch: Batch) -> float:
        nonlocal state
        state, metrics = train_step(state, frozen, batch)
        return float(metrics["loss"])

    return step
