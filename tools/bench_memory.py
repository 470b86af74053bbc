"""Peak memory and time to the first step, here and in PEFT, each in its own process.

    python tools/bench_memory.py

Every row is a fresh process that loads the same random T5 1.1 small, in float32, and
takes three prompt-tuning steps. "peak MiB" is the process's largest resident set;
"before the model" the same after the imports. Ours runs twice: with an empty
compilation cache, and with what the first run left there. Needs the extra `parity`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jaxprompt.report.table import table


def peak_mib() -> float:
    """Returns the largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(who: str, folder: Path, flags: argparse.Namespace) -> dict[str, float]:
    """Takes three steps in this very process."""
    import numpy as np

    rng = np.random.default_rng(0)
    shapes = [(flags.batch_size, n) for n in (flags.input_length, 8)]
    inputs, targets = (rng.integers(3, 32000, s).astype(np.int32) for s in shapes)
    if who == "PEFT":
        import torch
        from side_by_side import peft_model, peft_step

        imported = peak_mib()
        theirs = peft_step(peft_model(folder, flags.prompt_length))
        ids, labels = torch.tensor(inputs).long(), torch.tensor(targets).long()

        def step() -> None:
            theirs(ids, torch.ones_like(ids), labels)

    else:
        from small_t5 import our_step

        from jaxprompt.prompts.soft_ids import prefix
        from jaxprompt.shapes import unpacked_batch

        imported = peak_mib()
        ours = our_step(folder, flags.prompt_length)
        soft = np.tile(prefix(32128, flags.prompt_length), (len(inputs), 1))
        batch = unpacked_batch(np.concatenate([soft, inputs], axis=1), targets)

        def step() -> None:
            ours(batch)

    step()
    first = time.time() - float(os.environ["STARTED"])
    step()
    step()
    return {"imported": imported, "peak": peak_mib(), "first": first}


def main() -> None:
    """Starts a process for each row of the table."""
    parser = argparse.ArgumentParser(description="Peak memory here and in PEFT.")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--input_length", type=int, default=128)
    parser.add_argument("--prompt_length", type=int, default=100)
    parser.add_argument("--only", nargs=2, metavar=("WHO", "FOLDER"))
    flags = parser.parse_args()
    if flags.only:
        print(json.dumps(measure(flags.only[0], Path(flags.only[1]), flags)))
        return

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        making = "from small_t5 import save_random; from pathlib import Path; "
        making += f"save_random(Path({str(folder)!r}))"
        here = Path(__file__).resolve().parent
        subprocess.run([sys.executable, "-c", making], check=True, cwd=here)
        rows = []
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{scratch}/cache"}
        for name in ("jaxprompt", "jaxprompt again", "PEFT"):
            who = name.split()[0]
            environment = {**os.environ, **cache, "STARTED": str(time.time())}
            done = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--only", who, str(folder)],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            own = found["peak"] - found["imported"]
            rows.append([name, found["peak"], found["imported"], own, found["first"]])
    header = ["process", "peak MiB", "before the model", "of its own", "first step s"]
    print(table(header, rows))
    print(f"\njaxprompt / PEFT: {rows[1][1] / rows[2][1]:.2f} in peak memory")


if __name__ == "__main__":
    main()
