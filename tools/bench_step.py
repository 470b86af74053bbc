"""Times a prompt-tuning step here and in Hugging Face PEFT, in turn, in one process.

Both train a prompt of the same length on the same random T5, with the same batch, in
float32: forward, backward and update. Absolute times depend on the machine and on what
else it does; the ratio of medians is the result. Needs the extra `parity`.

    python tools/bench_step.py
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from transformers import T5ForConditionalGeneration

from jaxprompt.models.backbone import load, save
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config
from jaxprompt.prompts.init import init_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.report.table import table
from jaxprompt.shapes import unpacked_batch
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

Step = Callable[[], float]
"""Takes one step and returns its loss, so that nothing is left running."""


def make_ours(
    folder: Path, inputs: np.ndarray, targets: np.ndarray, length: int
) -> Step:
    """Makes the step of this project."""
    backbone, model = load(folder)
    prompt = init_prompt(jax.random.key(0), backbone.table(model), length=length)
    tx = train_only(adafactor(0.3))
    state, frozen = init_state({"model": model, "prompt": prompt}, tx)
    train_step = make_train_step(backbone, tx, z_loss=0.0)
    soft = np.tile(prefix(backbone.vocab_rows, length), (len(inputs), 1))
    batch = unpacked_batch(np.concatenate([soft, inputs], axis=1), targets)

    def step() -> float:
        nonlocal state
        state, metrics = train_step(state, frozen, batch)
        return float(metrics["loss"])

    return step


def make_peft(
    folder: Path, inputs: np.ndarray, targets: np.ndarray, length: int
) -> Step:
    """Makes the step of Hugging Face PEFT, with its own prompt-tuning adapter."""
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=length,
        num_transformer_submodules=1,
    )
    model = get_peft_model(T5ForConditionalGeneration.from_pretrained(folder), config)
    model.train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    ids, labels = torch.tensor(inputs).long(), torch.tensor(targets).long()

    def step() -> float:
        optimizer.zero_grad()
        loss = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels
        ).loss
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def main() -> None:
    """Runs the two in turn and prints the table."""
    parser = argparse.ArgumentParser(description="Time a step here and in PEFT.")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--input_length", type=int, default=128)
    parser.add_argument("--target_length", type=int, default=8)
    parser.add_argument("--prompt_length", type=int, default=100)
    parser.add_argument("--steps", type=int, default=15)
    flags = parser.parse_args()

    rng = np.random.default_rng(0)
    shapes = [(flags.batch_size, n) for n in (flags.input_length, flags.target_length)]
    inputs, targets = (rng.integers(3, 32000, s).astype(np.int32) for s in shapes)
    seconds: dict[str, list[float]] = {"jaxprompt": [], "PEFT": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save(folder, T5(SMALL), T5(SMALL).init(jax.random.key(0)))
        makers = {"jaxprompt": make_ours, "PEFT": make_peft}
        steps = {
            name: make(folder, inputs, targets, flags.prompt_length)
            for name, make in makers.items()
        }
        for step in steps.values():
            step()
            step()
        for _ in range(flags.steps):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - start)
    rows = [
        [name, 1000 * statistics.median(s), 1000 * min(s), 1000 * max(s)]
        for name, s in seconds.items()
    ]
    print(table(["step", "median ms", "min ms", "max ms"], rows))
    ratio = statistics.median(seconds["PEFT"]) / statistics.median(seconds["jaxprompt"])
    print(f"\nPEFT / jaxprompt: {ratio:.2f}")


if __name__ == "__main__":
    main()
