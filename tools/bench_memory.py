"""Peak memory of prompt tuning here and in Hugging Face PEFT.

    python tools/bench_memory.py
    python tools/bench_memory.py --batch_size=32
    python tools/bench_memory.py --model=smollm2 --prompt_length=20

Every row is a fresh process that loads the same random T5 1.1 small, or a decoder of
`bench_step`, in float32, and takes three prompt-tuning steps. "peak MiB" is the
process's largest resident set, "imported" the same before the model was loaded. Ours
runs as a run does by itself, with `REMAT = 'dots'`, and so with an allocator that keeps
what is freed. Linux only. Needs the extra `parity`.
"""

import argparse
import tempfile
from pathlib import Path

from bench_step import MODELS, fixed_shape
from our_side import KEEP_MEMORY
from side_by_side import OURS, THEIRS, Side

from jaxprompt.report.text.table import table

STEPS = 3
NOTHING = "jaxprompt, nothing again"
KEEPING = "jaxprompt, memory kept"


def main() -> None:
    """Starts a process for each row of the table."""
    parser = argparse.ArgumentParser(description="Peak memory here and in PEFT.")
    parser.add_argument("--model", choices=MODELS, default="t5")
    for name in ("batch_size", "input_length", "target_length"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--prompt_length", type=int, default=100)
    flags = parser.parse_args()

    model = MODELS[flags.model]
    inputs, targets, batch = fixed_shape(flags)
    prompts = model.draw_prompts(1, flags.prompt_length)
    rows, peaks = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / flags.model
        model.save_random(folder)
        shared = (folder, prompts)
        cases = {
            OURS: ("our_side:prompt_step", (*shared, "dots"), (batch,)),
            THEIRS: ("peft_side:prompt_step", shared, (inputs, targets)),
            NOTHING: ("our_side:prompt_step", (*shared, "none"), (batch,)),
        }
        cases[KEEPING] = cases[OURS]
        for name, (build, arguments, of_step) in cases.items():
            kept = KEEP_MEMORY if name == KEEPING else None
            with Side(build, *arguments, environment=kept) as side:
                peak = [side(*of_step).peak for _ in range(STEPS)][-1]
                peaks.append(peak)
                rows.append([name, peak, side.imported])
    print(table(["process", "peak MiB", "imported MiB"], rows))
    print(f"\n{OURS} / {THEIRS}: {peaks[0] / peaks[1]:.2f}")


if __name__ == "__main__":
    main()
