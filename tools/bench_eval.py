"""Times scoring here and in Hugging Face PEFT, in turn.

Both decode the same rows greedily with the same random T5 1.1 small and the same
prompts, in float32, each in a process of its own, and take the same number of steps a
row; or both score two labels. Needs the extra `parity`.

    python tools/bench_eval.py --data=superglue --vocabulary=t5
    python tools/bench_eval.py --data=superglue --vocabulary=t5 --method=rank

Three cases: a validation set with one prompt; with five prompts, as for an ensemble;
and rows of eight tasks, each with its own prompt. PEFT has one prompt at a time: it
switches adapters between the groups of rows that want the same, and pads each batch to
its longest row. Ours takes all rows in the order of their lengths. --data is a folder
of SuperGLUE's official files, --vocabulary one with T5's own.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import jax
import numpy as np
from side_by_side import OURS, THEIRS, Side, alternate, comparison
from small_t5 import SMALL, draw_prompts, forward_flops, save_random

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.layout import Lengths, layout_of, sample_rows
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.shapes import Batch

TASKS = ("boolq", "cb", "copa", "multirc", "rte", "wic", "axb", "axg")
ENSEMBLE = 5
FLOOR = "matmul"
LENGTH = 2
"""Target tokens, decoded by both: a label word and the end."""
LABELS = np.array([[1176, 1], [6136, 1]])
"""Tokens of two labels of that length."""


def read_rows(flags: argparse.Namespace, name: str, count: int) -> Batch:
    """Tokenises rows of a validation split, without soft tokens."""
    vocabulary = load_vocabulary(flags.vocabulary)
    task = load_task(name, vocabulary=vocabulary, data_dir=flags.data)
    split = "test" if name in ("axb", "axg") else "validation"
    rows = sample_rows(task.num_examples(split), count)
    layout = layout_of(task, Lengths(flags.input_length, LENGTH), np.zeros(0, np.int32))
    return layout.padded(task.pairs(split, rows.tolist()))


def make_cases(
    flags: argparse.Namespace,
) -> dict[str, tuple[Batch, np.ndarray]]:
    """Returns the cases: name -> rows and the member of each."""
    one = read_rows(flags, flags.task, flags.examples)
    few = read_rows(flags, flags.task, flags.examples // ENSEMBLE)
    five = jax.tree.map(lambda x: np.concatenate([x] * ENSEMBLE), few)
    parts = [read_rows(flags, name, flags.examples // len(TASKS)) for name in TASKS]
    owners = np.repeat(np.arange(len(TASKS)), [len(part.inputs) for part in parts])
    shuffled = np.random.default_rng(0).permutation(len(owners))
    mixed = jax.tree.map(lambda *x: np.concatenate(x)[shuffled], *parts)
    return {
        f"{flags.task}, one prompt": (one, np.zeros(len(one.inputs), int)),
        f"{flags.task}, {ENSEMBLE} prompts": (
            five,
            np.repeat(np.arange(ENSEMBLE), len(few.inputs)),
        ),
        f"{len(TASKS)} tasks mixed": (mixed, owners[shuffled]),
    }


def agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Says how far what both found is the same: ids, or log probabilities."""
    if ours.dtype.kind == "f":
        return f"log probabilities differ by {np.abs(ours - theirs).max():.1e} at most"
    return f"the same ids in {np.mean(ours == theirs):.1%} of places"


def main() -> None:
    """Runs the three cases and prints a table for each."""
    parser = argparse.ArgumentParser(description="Time scoring here and in PEFT.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--method", choices=("decode", "rank"), default="decode")
    parser.add_argument("--task", default="rte")
    parser.add_argument("--examples", type=int, default=128, help="of a case")
    parser.add_argument("--input_length", type=int, default=512)
    parser.add_argument("--prompt_length", type=int, default=100)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()

    cases = make_cases(flags)
    prompts = draw_prompts(len(TASKS), flags.prompt_length)
    largest = (flags.batch_size * 256, SMALL.width, SMALL.ffn_width)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save_random(folder)
        how = ("ranking", LABELS) if flags.method == "rank" else ("scoring", LENGTH)
        with (
            Side(f"our_side:{how[0]}", folder, prompts, how[1]) as ours,
            Side(f"peft_side:{how[0]}", folder, prompts, how[1]) as theirs,
            Side("our_side:matmul_rate", *largest) as floor,
        ):
            for name, (rows, members) in cases.items():
                rest = (members, flags.batch_size)
                arguments = {OURS: (rows, *rest), THEIRS: (rows.inputs, *rest)}
                rounds = [arguments] * (1 + flags.rounds)
                sides = {OURS: ours, THEIRS: theirs, FLOOR: floor}
                answers = alternate(sides, rounds)
                rate = statistics.median(x.value for x in answers.pop(FLOOR))
                sizes = (
                    np.count_nonzero(rows.input_segments, axis=1) + flags.prompt_length
                )
                targets = LABELS.size if flags.method == "rank" else LENGTH
                work = np.mean([forward_flops(1, size, targets) for size in sizes])
                same = agreement(*(answers[who][0].value for who in (OURS, THEIRS)))
                speeds = {
                    who: [len(members) / answer.seconds for answer in found]
                    for who, found in answers.items()
                }
                unit = f"{name}, examples a second"
                print(comparison(speeds, unit, less_is_better=False))
                print(
                    f"{same}. Floor: {rate / work:.1f} examples a second without "
                    f"padding, at {rate / 1e9:.0f} GFLOP/s\n"
                )


if __name__ == "__main__":
    main()
