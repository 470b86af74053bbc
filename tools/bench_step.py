"""Times a prompt-tuning step here and in Hugging Face PEFT, in turn, in one process.

Both train a prompt of the same length on the same random T5 1.1 small, in float32:
forward, backward and update. Needs the extra `parity`.

    python tools/bench_step.py                                  # one fixed shape
    python tools/bench_step.py --data=superglue --task=rte      # rows of real lengths

With --data, folder of the official files, PEFT pads each batch to its longest row, and
ours packs rows (`PACK = True`): what counts is examples a second. --vocabulary is a
folder with T5's own.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from side_by_side import (
    OURS,
    THEIRS,
    alternate,
    forward_flops,
    matmul_rate,
    peft_model,
    peft_step,
    print_times,
)
from small_t5 import SMALL, our_step, save_random

from jaxprompt.data.batches import train_batches
from jaxprompt.data.pipeline import Lengths
from jaxprompt.data.rows import padding_share
from jaxprompt.data.task import load_task
from jaxprompt.data.vocabulary import load_vocabulary
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.report.table import table
from jaxprompt.shapes import Batch, unpacked_batch


def bench_fixed(folder: Path, flags: argparse.Namespace) -> None:
    """Times one shape, and says how near the step is to the machine's matmul rate."""
    rng = np.random.default_rng(0)
    shapes = [(flags.batch_size, n) for n in (flags.input_length, flags.target_length)]
    inputs, targets = (rng.integers(3, 32000, s).astype(np.int32) for s in shapes)
    soft = np.tile(prefix(SMALL.vocab_rows, flags.prompt_length), (len(inputs), 1))
    batch = unpacked_batch(np.concatenate([soft, inputs], axis=1), targets)
    ours = our_step(folder, flags.prompt_length)
    theirs = peft_step(peft_model(folder, flags.prompt_length))
    ids, labels = torch.tensor(inputs).long(), torch.tensor(targets).long()
    mask = torch.ones_like(ids)
    source = flags.prompt_length + flags.input_length
    rate = matmul_rate(flags.batch_size * source)
    rates: list[float] = []
    seconds = alternate(
        {
            OURS: lambda: ours(batch),
            THEIRS: lambda: theirs(ids, mask, labels),
            "matmul": lambda: rates.append(rate()),
        },
        flags.steps,
        warmups=2,
    )
    del seconds["matmul"]
    print_times(seconds, "step")
    # Forward, and as much again for the way back to the prompt.
    work = 2 * forward_flops(SMALL, flags.batch_size, source, flags.target_length)
    achieved = work / statistics.median(seconds[OURS])
    fastest = statistics.median(rates)
    print(
        f"{work / 1e9:.0f} GFLOP a step at least: {achieved / 1e9:.0f} GFLOP/s, "
        f"{achieved / fastest:.0%} of the {fastest / 1e9:.0f} GFLOP/s of a single "
        "float32 matrix product"
    )


def bench_lengths(folder: Path, flags: argparse.Namespace) -> None:
    """Times whole batches of a real task's rows: examples a second, and padding."""
    vocabulary = load_vocabulary(flags.vocabulary)
    task = load_task(flags.task, vocabulary=vocabulary, data_dir=flags.data)
    label_ids = task.label_ids(16)
    answer = int(np.count_nonzero(label_ids, axis=1).max())
    soft = prefix(SMALL.vocab_rows, flags.prompt_length)
    width = flags.prompt_length + flags.input_length
    room = answer * (width // (flags.prompt_length + 16))

    def batches(rows: int, pack: bool) -> Iterator[Batch]:
        lengths = Lengths(flags.input_length, room if pack else answer)
        options = {"batch_size": rows, "seed": 0, "pack": pack}
        for batch, _ in train_batches(task, "train", lengths, soft, **options):
            yield batch

    # Fewer packed rows, as many examples in the mean: both steps see like batches.
    packed, padded = batches(flags.packed_rows, True), batches(flags.batch_size, False)
    ours = our_step(folder, flags.prompt_length)
    theirs = peft_step(peft_model(folder, flags.prompt_length))
    counts: dict[str, list[Any]] = {OURS: [], THEIRS: []}
    paddings: dict[str, list[float]] = {OURS: [], THEIRS: []}

    def step_ours() -> None:
        batch = next(packed)
        start = time.perf_counter()
        ours(batch)
        seconds = time.perf_counter() - start
        examples = int(np.asarray(batch.input_segments).max(axis=1).sum())
        counts[OURS].append(examples / seconds)
        paddings[OURS].append(padding_share(batch))

    def step_theirs() -> None:
        batch = next(padded)
        text = batch.inputs[:, flags.prompt_length :]
        text = text[:, : max(1, int((text > 0).sum(axis=1).max()))]
        ids = torch.tensor(text).long()
        labels = torch.tensor(np.where(batch.targets > 0, batch.targets, -100)).long()
        start = time.perf_counter()
        theirs(ids, (ids > 0).long(), labels)
        seconds = time.perf_counter() - start
        counts[THEIRS].append(len(ids) / seconds)
        tokens = (text > 0).sum() + len(text) * flags.prompt_length
        paddings[THEIRS].append(1 - tokens / (text.size + len(text) * len(soft)))

    alternate({OURS: step_ours, THEIRS: step_theirs}, flags.steps, warmups=2)
    rows = [
        [
            name,
            statistics.median(counts[name][2:]),
            min(counts[name][2:]),
            max(counts[name][2:]),
            f"{np.mean(paddings[name]):.0%}",
        ]
        for name in (OURS, THEIRS)
    ]
    header = [f"{flags.task} train", "median ex/s", "min ex/s", "max ex/s", "padding"]
    print(table(header, rows))
    medians = [statistics.median(counts[name][2:]) for name in (OURS, THEIRS)]
    print(f"\n{OURS} / {THEIRS}: {medians[0] / medians[1]:.2f} in examples a second")


def main() -> None:
    """Runs the two in turn and prints the table."""
    parser = argparse.ArgumentParser(description="Time a step here and in PEFT.")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--packed_rows", type=int, default=4)
    parser.add_argument("--input_length", type=int)
    parser.add_argument("--target_length", type=int, default=8)
    parser.add_argument("--prompt_length", type=int, default=100)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--data", type=Path, help="folder of official files")
    parser.add_argument("--task", default="rte")
    parser.add_argument("--vocabulary", type=Path)
    flags = parser.parse_args()
    if (flags.data is None) != (flags.vocabulary is None):
        parser.error("--data and --vocabulary go together")
    flags.input_length = flags.input_length or (128 if flags.data is None else 512)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save_random(folder)
        (bench_fixed if flags.data is None else bench_lengths)(folder, flags)


if __name__ == "__main__":
    main()
