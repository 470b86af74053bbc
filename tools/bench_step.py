"""Times a prompt-tuning step here and in Hugging Face PEFT, in turn.

Both train a prompt of the same length on the same random model, in float32: forward,
backward and update, each in a process of its own. Before anything is timed, both must
report the same loss. Needs the extra `parity`.

    python tools/bench_step.py                       # T5 1.1 small, one fixed shape
    python tools/bench_step.py --model=gpt2          # GPT-2 small, rows of 40 tokens
    python tools/bench_step.py --model=smollm2 --prompt_length=20   # SmolLM2-135M
    python tools/bench_step.py --data=superglue --task=rte --vocabulary=t5

With --data, a folder of the official files, and --vocabulary, a folder with T5's own,
the rows have their real lengths. PEFT pads each batch to its longest row. Ours does
what `jaxprompt train` does by default: the same batch in parts, each cut to its longest
row; with --packed_rows also what it does by `PACK = True`: other examples, in about as
many tokens. What counts is examples a second.
"""

import argparse
import contextlib
import itertools
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import small_decoder
import small_t5
from our_side import KEEP_MEMORY
from side_by_side import OURS, THEIRS, Side, alternate, comparison

from jaxprompt.data.rows.widths import cut_in_parts, part_rows, width_step
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch

MODELS = {
    "t5": small_t5,
    "gpt2": small_decoder.GPT2,
    "smollm2": small_decoder.SMOLLM2,
}
SHAPES = {
    "t5": {"batch_size": 8, "input_length": 128, "target_length": 8},
    "decoder": {"batch_size": 16, "input_length": 30, "target_length": 10},
    "data": {"batch_size": 32, "input_length": 512, "target_length": 8},
}
"""Rows and lengths where no flag says others."""

FLOOR = "matmul"
KEEPING = "memory kept"
PACKED = "packed"
WARMUPS = 2


def fixed_shape(flags: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, Batch]:
    """Draws rows of a model's usual size, or of what flags say: text, targets, batch.

    Fills in the flags that were not given.
    """
    causal = flags.model != "t5"
    for name, default in SHAPES["decoder" if causal else "t5"].items():
        if getattr(flags, name) is None:
            setattr(flags, name, default)
    rng = np.random.default_rng(0)
    shapes = [(flags.batch_size, n) for n in (flags.input_length, flags.target_length)]
    inputs, targets = (rng.integers(3, 32000, s).astype(np.int32) for s in shapes)
    model = MODELS[flags.model]
    return inputs, targets, model.prompted_batch(inputs, targets, flags.prompt_length)


def bench_fixed(folder: Path, flags: argparse.Namespace) -> None:
    """Times one shape, and says how near the step is to the machine's matmul rate."""
    model = MODELS[flags.model]
    model.save_random(folder)
    inputs, targets, batch = fixed_shape(flags)
    prompts = model.draw_prompts(1, flags.prompt_length)
    config = small_t5.SMALL if flags.model == "t5" else model.config
    largest = (batch.inputs.size, config.width, config.ffn_width)
    builds: dict[str, tuple[str, *tuple[object, ...]]] = {
        OURS: ("our_side:prompt_step", folder, prompts, flags.remat),
        THEIRS: ("peft_side:prompt_step", folder, prompts),
        FLOOR: ("our_side:matmul_rate", *largest),
    }
    if flags.settings:
        builds["untuned"] = ("our_side:untuned_prompt_step", folder, prompts, "dots")
        builds["bfloat16"] = ("our_side:rounded_prompt_step", folder, prompts, "dots")
        builds["nothing again"] = ("our_side:prompt_step", folder, prompts, "none")
        builds[KEEPING] = builds[OURS]
    # All but PyTorch's take the same batch, and the floor takes none.
    arguments: dict[str, tuple[object, ...]] = {
        name: (batch,) for name in builds if name != FLOOR
    }
    arguments[THEIRS] = (inputs, targets)
    with contextlib.ExitStack() as stack:
        sides = {
            name: stack.enter_context(
                Side(*build, environment=KEEP_MEMORY if name == KEEPING else None)
            )
            for name, build in builds.items()
        }
        losses = {name: sides[name](*rows).value for name, rows in arguments.items()}
        if not np.allclose(list(losses.values()), losses[OURS], rtol=1e-3):
            raise SystemExit(f"the losses differ, so nothing is timed: {losses}")
        rounds = [arguments] * (WARMUPS + flags.steps)
        answers = alternate(sides, rounds, WARMUPS)
    rates = [answer.value for answer in answers.pop(FLOOR)]
    seconds = {name: [x.seconds for x in found] for name, found in answers.items()}
    print(comparison(seconds, "seconds a step"))
    # Forward, and as much again for the way back to the prompt.
    shape = (flags.prompt_length, flags.input_length, flags.target_length)
    work = 2 * model.prompted_flops(flags.batch_size, *shape)
    rate = statistics.median(rates)
    print(
        f"\n{work / 1e9:.0f} GFLOP a step at least. Floor: {work / rate:.2f} s at "
        f"{rate / 1e9:.0f} GFLOP/s (least {min(rates) / 1e9:.0f}, most "
        f"{max(rates) / 1e9:.0f}), the rate of one float32 matrix product"
    )
    for name, times in seconds.items():
        print(f"{name}: {work / rate / statistics.median(times):.0%} of that rate")


def bench_lengths(folder: Path, flags: argparse.Namespace) -> None:
    """Times whole batches of a real task's rows: examples a second, and padding."""
    from jaxprompt.data.official.tasks import load_task
    from jaxprompt.data.rows.batches import train_batches
    from jaxprompt.data.rows.layout import Lengths
    from jaxprompt.data.rows.row_batches import padding_share
    from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

    for name, default in SHAPES["data"].items():
        if getattr(flags, name) is None:
            setattr(flags, name, default)
    small_t5.save_random(folder)
    vocabulary = load_vocabulary(flags.vocabulary)
    task = load_task(flags.task, vocabulary=vocabulary, data_dir=flags.data)
    answer = task.label_ids(16).shape[1]
    soft = prefix(small_t5.SMALL.vocab_rows, flags.prompt_length)
    # A packed row holds no more examples than these lengths leave room for.
    room = answer * ((flags.prompt_length + flags.input_length) // len(soft))

    def batches(rows: int, *, pack: bool) -> Iterator[Batch]:
        lengths = Lengths(flags.input_length, room if pack else answer)
        options = {"batch_size": rows, "seed": 0, "pack": pack}
        found = train_batches(task, "train", lengths, soft, **options)
        return (batch for batch, _ in itertools.islice(found, WARMUPS + flags.steps))

    names = [OURS, THEIRS, *([PACKED] if flags.packed_rows else [])]
    rounds: list[dict[str, tuple[object, ...]]] = []
    examples: dict[str, list[int]] = {name: [] for name in names}
    paddings: dict[str, list[float]] = {name: [] for name in names}
    work: list[float] = []
    of_width: dict[int, Batch] = {}
    for padded in batches(flags.batch_size, pack=False):
        text = padded.inputs[:, len(soft) :]
        text = text[:, : int((text > 0).sum(axis=1).max())]
        parts = as_by_default(padded, len(soft))
        of_width |= {part.inputs.shape[1]: part for part in parts}
        rounds.append({OURS: (parts,), THEIRS: (text, padded.targets)})
        lengths = len(soft) + np.count_nonzero(text, axis=1)
        work += [2 * small_t5.forward_flops(1, length, answer) for length in lengths]
        used = lengths.sum()
        for name, tokens in (
            (OURS, sum(part.inputs.size for part in parts)),
            (THEIRS, text.size + len(soft) * len(text)),
        ):
            examples[name].append(len(text))
            paddings[name].append(1 - used / tokens)
    if flags.packed_rows:
        for sides, packed in zip(
            rounds, batches(flags.packed_rows, pack=True), strict=True
        ):
            sides[PACKED] = (packed,)
            examples[PACKED].append(int(packed.input_segments.max(axis=1).sum()))
            paddings[PACKED].append(padding_share(packed))
    prompts = small_t5.draw_prompts(1, flags.prompt_length)
    sizes = (small_t5.SMALL.width, small_t5.SMALL.ffn_width)
    ours = ("our_side:prompt_step", folder, prompts, flags.remat)
    builds = {
        **{name: ours for name in names if name != THEIRS},
        THEIRS: ("peft_side:prompt_step", folder, prompts),
        FLOOR: ("our_side:matmul_rate", flags.batch_size * 256, *sizes),
    }
    with contextlib.ExitStack() as stack:
        sides = {n: stack.enter_context(Side(*build)) for n, build in builds.items()}
        # Each width is compiled once, and its program kept: not in what is timed.
        for part in of_width.values():
            sides[OURS]((part,))
        answers = alternate(sides, rounds, WARMUPS)
    rate = statistics.median(answer.value for answer in answers.pop(FLOOR))
    speeds = {
        name: [
            count / answer.seconds
            for count, answer in zip(examples[name][WARMUPS:], found, strict=True)
        ]
        for name, found in answers.items()
    }
    unit = f"{flags.task}, examples a second"
    print(comparison(speeds, unit, less_is_better=False))
    print(
        f"\nFloor: {rate / np.mean(work):.2f} examples a second without padding, at "
        f"{rate / 1e9:.0f} GFLOP/s, the rate of one float32 matrix product"
    )
    for name in speeds:
        print(
            f"{name}: {np.mean(examples[name]):.1f} examples a batch, "
            f"{np.mean(paddings[name]):.0%} padding"
        )


def as_by_default(batch: Batch, soft: int) -> tuple[Batch, ...]:
    """Cuts a batch as a run does whose settings say nothing about it."""
    rows = part_rows(len(batch.inputs), devices=1, backend="cpu")
    return cut_in_parts(batch, rows, soft, width_step("cpu"))


def main() -> None:
    """Writes the model, and times one of the two cases."""
    parser = argparse.ArgumentParser(description="Time a step here and in PEFT.")
    parser.add_argument("--model", choices=MODELS, default="t5")
    parser.add_argument(
        "--batch_size", type=int, help="default: 8; of decoders, 16; of data, 32"
    )
    parser.add_argument("--packed_rows", type=int, default=0)
    parser.add_argument(
        "--input_length", type=int, help="default: 128; of decoders, 30; of data, 512"
    )
    parser.add_argument("--target_length", type=int, help="default: 8; of decoders, 10")
    parser.add_argument("--prompt_length", type=int, default=100)
    parser.add_argument("--remat", choices=("none", "dots", "full"), default="dots")
    parser.add_argument(
        "--settings",
        action="store_true",
        help="of the fixed shape, also time ours untuned, and with other settings",
    )
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--data", type=Path, help="folder of official files")
    parser.add_argument("--task", default="rte")
    parser.add_argument("--vocabulary", type=Path)
    flags = parser.parse_args()
    if (flags.data is None) != (flags.vocabulary is None):
        parser.error("--data and --vocabulary go together")
    if flags.data is not None and flags.model != "t5":
        parser.error("--data is for --model=t5")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / flags.model
        (bench_fixed if flags.data is None else bench_lengths)(folder, flags)


if __name__ == "__main__":
    main()
