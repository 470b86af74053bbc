"""Times a full training step here and in PyTorch transformers, in turn.

Both train all weights of the same random T5 with AdamW, on the same batch, in float32,
each in a process of its own: forward, backward and update. Before anything is timed,
both must report the same loss for several steps in a row, so that they do the same
work. Absolute times depend on the machine and on what else it does; the ratio of
medians is the result. Needs the extra `parity`.

    python tools/bench_pretrain.py
    python tools/bench_pretrain.py --model=small --batch_size=4
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from side_by_side import OURS, Side, alternate, comparison
from small_t5 import SMALL, save_random

from jaxprompt.models.t5.config import T5Config

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

CONFIGS = {"nano": NANO, "small": SMALL}
CHECKED_STEPS = 3
PYTORCH = "PyTorch"


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
    rows = [
        rng.integers(3, config.vocab_rows - 128, shape).astype(np.int32)
        for shape in shapes
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save_random(folder, config)
        with (
            Side("our_side:model_step", folder, *rows, flags.remat) as ours,
            Side("peft_side:model_step", folder, *rows) as theirs,
        ):
            # From the second loss on they also depend on the gradients and on the
            # optimizer. These steps warm up, too.
            losses = [[x().value for _ in range(CHECKED_STEPS)] for x in (ours, theirs)]
            if not np.allclose(*losses, rtol=1e-3):
                raise SystemExit(f"the losses differ, so nothing is timed: {losses}")
            sides = {OURS: ours, PYTORCH: theirs}
            answers = alternate(sides, [{}] * flags.steps, warmups=0)
    print(f"losses of the first steps, equal on both sides: {np.round(losses[0], 3)}\n")
    milliseconds = {
        name: [1000 * answer.seconds for answer in found]
        for name, found in answers.items()
    }
    print(comparison(milliseconds, "milliseconds a step"))


if __name__ == "__main__":
    main()
