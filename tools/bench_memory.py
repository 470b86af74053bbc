"""Peak memory of prompt tuning here and in Hugging Face PEFT.

    python tools/bench_memory.py
    python tools/bench_memory.py --batch_size=32

Every row is a fresh process that loads the same random T5 1.1 small, in float32, and
takes three prompt-tuning steps. "peak MiB" is the process's largest resident set,
"imported" the same before the model was loaded. Ours runs as a run does by itself, with
`REMAT = 'dots'`, and so with an allocator that keeps what is freed. Linux only. Needs
the extra `parity`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from our_side import KEEP_MEMORY
from side_by_side import OURS, THEIRS, Side
from small_t5 import draw_prompts, prompted_batch, save_random

from jaxprompt.report.text.table import table

STEPS = 3
KEEPING = "jaxprompt, dots, memory kept"


def main() -> None:
    """Starts a process for each row of the table."""
    parser = argparse.ArgumentParser(description="Peak memory here and in PEFT.")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--input_length", type=int, default=128)
    parser.add_argument("--target_length", type=int, default=8)
    parser.add_argument("--prompt_length", type=int, default=100)
    flags = parser.parse_args()

    rng = np.random.default_rng(0)
    shapes = [(flags.batch_size, n) for n in (flags.input_length, flags.target_length)]
    inputs, targets = (rng.integers(3, 32000, s).astype(np.int32) for s in shapes)
    batch = prompted_batch(inputs, targets, flags.prompt_length)
    prompts = draw_prompts(1, flags.prompt_length)
    rows, peaks = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save_random(folder)
        shared = (folder, prompts)
        cases = {
            OURS: ("our_side:prompt_step", (*shared, "none"), (batch,)),
            f"{OURS}, dots": ("our_side:prompt_step", (*shared, "dots"), (batch,)),
            THEIRS: ("peft_side:prompt_step", shared, (inputs, targets)),
        }
        cases[KEEPING] = cases[f"{OURS}, dots"]
        for name, (build, arguments, of_step) in cases.items():
            kept = KEEP_MEMORY if name == KEEPING else None
            with Side(build, *arguments, environment=kept) as side:
                peak = [side(*of_step).peak for _ in range(STEPS)][-1]
                peaks.append(peak)
                rows.append([name, peak, side.imported])
    print(table(["process", "peak MiB", "imported MiB"], rows))
    print(
        f"\n{OURS} / {THEIRS}: {peaks[0] / peaks[2]:.2f}, "
        f"with dots {peaks[1] / peaks[2]:.2f}"
    )


if __name__ == "__main__":
    main()
