"""Times a full training step here and in PyTorch transformers, in turn, in one process.

Both train all weights of the same random T5 with AdamW, on the same batch, in float32:
forward, backward and update. Before anything is timed, both must report the same loss
for several steps in a row, so that they do the same work. Absolute times depend on the
machine and on what else it does; the ratio of medians is the result. On a busy machine
PyTorch's threads wait for each other, and the ratio flatters us: use an idle one. Needs
the extra `parity`.

    python tools/bench_pretrain.py
    python tools/bench_pretrain.py --model=small --batch_size=4
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import torch
from small_t5 import SMALL
from transformers import T5ForConditionalGeneration

from jaxprompt.models.backbone import load, save
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.report.table import table
from jaxprompt.shapes import unpacked_batch
from jaxprompt.train.optimizer import MODEL_TUNING, adamw, train_only
from jaxprompt.train.step import init_state, make_train_step

NANO = T5Config(
    vocab_rows=6144,
    width=128,
    heads=4,
    head_width=32,
    ffn_width=384,
    encoder_layers=3,
    decoder_layers=3,
    gated=True,
    activation="gelu_new",
    tied=True,
    scaled_logits=True,
)
"""The model of gin/recipes/nano/pretrain.gin."""

Step = Callable[[], float]
"""Takes one step and returns its loss, so that nothing is left running."""

CONFIGS = {"nano": NANO, "small": SMALL}
Remat = Literal["none", "dots", "full"]
LEARNING_RATE = 1e-3
CHECKED_STEPS = 3


def make_ours(
    folder: Path, inputs: np.ndarray, targets: np.ndarray, remat: Remat
) -> Step:
    """Makes the step of this project."""
    backbone, model = load(folder, remat=remat)
    params = {"model": model, "prompt": empty_prompt(backbone.width)}
    tx = train_only(adamw(LEARNING_RATE), MODEL_TUNING)
    state, frozen = init_state(params, tx, MODEL_TUNING)
    train_step = make_train_step(backbone, tx, freeze=MODEL_TUNING, z_loss=0.0)
    batch = unpacked_batch(inputs, targets)

    def step() -> float:
        nonlocal state
        state, metrics = train_step(state, frozen, batch)
        jax.block_until_ready(state)
        return float(metrics["loss"])

    return step


def make_pytorch(folder: Path, inputs: np.ndarray, targets: np.ndarray) -> Step:
    """Makes the step of PyTorch transformers, with PyTorch's fastest AdamW."""
    model = T5ForConditionalGeneration.from_pretrained(folder, dropout_rate=0.0)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True
    )
    ids, labels = torch.tensor(inputs).long(), torch.tensor(targets).long()

    def step() -> float:
        optimizer.zero_grad()
        loss = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels
        ).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def check_same_work(steps: Mapping[str, Step]) -> None:
    """Raises SystemExit unless all sides report the same losses over several updates.

    From the second loss on they also depend on the gradients and on the optimizer.
    These steps warm up, too.
    """
    losses = {
        name: [step() for _ in range(CHECKED_STEPS)] for name, step in steps.items()
    }
    first, *others = losses.values()
    for other in others:
        if not np.allclose(first, other, rtol=1e-3):
            raise SystemExit(f"the losses differ, so nothing is timed: {losses}")
    print(f"losses of the first steps, equal on both sides: {np.round(first, 3)}\n")


def time_in_turn(steps: Mapping[str, Step], rounds: int) -> dict[str, list[float]]:
    """Takes one step of each side, round after round; returns milliseconds."""
    milliseconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            milliseconds[name].append(1000 * (time.perf_counter() - start))
    return milliseconds


def main() -> None:
    """Runs the two in turn and prints the table."""
    parser = argparse.ArgumentParser(description="Time a full step, and PyTorch's.")
    parser.add_argument("--model", choices=CONFIGS, default="nano")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--input_length", type=int, default=112)
    parser.add_argument("--target_length", type=int, default=48)
    parser.add_argument("--steps", type=int, default=20)
    # On a CPU it takes longer to fetch what a layer did than to do it again.
    parser.add_argument("--remat", choices=("none", "dots", "full"), default="dots")
    flags = parser.parse_args()

    config, rng = CONFIGS[flags.model], np.random.default_rng(0)
    shapes = [(flags.batch_size, n) for n in (flags.input_length, flags.target_length)]
    inputs, targets = (
        rng.integers(3, config.vocab_rows - 128, shape).astype(np.int32)
        for shape in shapes
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save(folder, T5(config), T5(config).init(jax.random.key(0)))
        steps = {
            "jaxprompt": make_ours(folder, inputs, targets, flags.remat),
            "PyTorch": make_pytorch(folder, inputs, targets),
        }
    check_same_work(steps)
    milliseconds = time_in_turn(steps, flags.steps)
    medians = {name: statistics.median(times) for name, times in milliseconds.items()}
    rows = [
        [name, medians[name], min(times), max(times)]
        for name, times in milliseconds.items()
    ]
    print(table(["step", "median ms", "min ms", "max ms"], rows))
    print(f"\nPyTorch / jaxprompt: {medians['PyTorch'] / medians['jaxprompt']:.2f}")


if __name__ == "__main__":
    main()
