"""Times a step of keys and values in every layer here and in PEFT's prefix tuning.

Both train the same keys and values and the same linear head of two classes on the same
random model of a published size, in float32, each in a process of its own: forward,
backward and update. Ours is timed with a prompt in all layers, and in the last third of
them, below which there is no backward pass. Before anything is timed, both must report
the same loss. The floor is what the model's matrices cost at the rate of one product of
its largest size. The last table has the largest resident set of each process. Needs the
extra `parity`.

    python tools/bench_deep.py --model=minilm
    python tools/bench_deep.py --model=smollm2
"""

import argparse
import contextlib
import statistics
import tempfile
from pathlib import Path

import jax
import numpy as np
from side_by_side import OURS, THEIRS, Side, alternate, comparison

from jaxprompt.models.families import PUBLISHED, make_backbone
from jaxprompt.models.weights.save import save
from jaxprompt.report.text.table import table

MODELS = {
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "smollm2": "HuggingFaceTB/SmolLM2-135M",
}
LAST = "jaxprompt, last third"
FLOOR = "matmul"
CLASSES = 2
WARMUPS = 2


def main() -> None:
    """Writes the model, and asks each side in turn."""
    parser = argparse.ArgumentParser(description="Time a deep step here and in PEFT.")
    parser.add_argument("--model", choices=MODELS, default="minilm")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--input_length", type=int, default=64)
    parser.add_argument("--prompt_length", type=int, default=20)
    parser.add_argument("--steps", type=int, default=15)
    flags = parser.parse_args()

    config = PUBLISHED[MODELS[flags.model]]
    ((name, site),) = config.sites.items()
    draw = np.random.default_rng(0)
    shape = (2, site.layers, flags.prompt_length, site.kv_heads, site.head_width)
    drawn = draw.normal(0, 1, shape).astype(np.float32)
    weight = draw.normal(0, 0.02, (config.width, CLASSES)).astype(np.float32)
    ids = draw.integers(1000, 30000, (flags.batch_size, flags.input_length))
    labels = draw.integers(0, CLASSES, flags.batch_size)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch) / flags.model
        backbone = make_backbone(config)
        model = backbone.init(jax.random.key(0))
        save(folder, backbone, model)
        matrices = [x for x in jax.tree.leaves(model["layers"]) if x.ndim == 3]
        _, *largest = max(matrices, key=lambda matrix: matrix.size).shape
        shared = (folder, drawn, weight)
        last = f"last:{site.layers // 3}"
        builds: dict[str, tuple[str, *tuple[object, ...]]] = {
            OURS: ("our_side:deep_step", *shared, name, ""),
            THEIRS: ("peft_side:prefix_step", *shared),
            LAST: ("our_side:deep_step", *shared, name, last),
            FLOOR: ("our_side:matmul_rate", ids.size, *largest),
        }
        sides = {name: stack.enter_context(Side(*of)) for name, of in builds.items()}
        rows = (ids.astype(np.int32), labels.astype(np.int32))
        losses = {name: sides[name](*rows).value for name in (OURS, THEIRS)}
        if not np.isclose(losses[OURS], losses[THEIRS], rtol=1e-4):
            raise SystemExit(f"the losses differ, so nothing is timed: {losses}")
        asked = dict.fromkeys((OURS, THEIRS, LAST), rows)
        answers = alternate(sides, [asked] * (WARMUPS + flags.steps), WARMUPS)
        imported = {name: side.imported for name, side in sides.items()}
    rate = statistics.median(answer.value for answer in answers.pop(FLOOR))
    seconds = {name: [x.seconds for x in found] for name, found in answers.items()}
    print(comparison(seconds, "seconds a step"))
    halves = [statistics.median(seconds[name]) for name in (THEIRS, LAST)]
    print(f"{THEIRS} / {LAST}: {halves[0] / halves[1]:.2f}\n")
    # Two for each weight and token forward, and as many for the way back to the prompt.
    matrices = [
        leaf.size for leaf in jax.tree.leaves(model["layers"]) if leaf.ndim == 3
    ]
    work = 4.0 * ids.size * sum(matrices)
    print(
        f"{work / 1e9:.0f} GFLOP a step at least. Floor: {work / rate:.2f} s at "
        f"{rate / 1e9:.0f} GFLOP/s, the rate of one float32 matrix product\n"
    )
    peaks = {name: found[-1].peak for name, found in answers.items()}
    own = [[name, round(peaks[name]), round(imported[name])] for name in peaks]
    print(table(["process", "peak MiB", "imported MiB"], own))
    print(f"\n{OURS} / {THEIRS}: {peaks[OURS] / peaks[THEIRS]:.2f}")


if __name__ == "__main__":
    main()
