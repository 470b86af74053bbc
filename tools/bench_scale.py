"""How time and memory grow with prompts, rows and members, on the bundled nano.

    python tools/bench_scale.py
    python tools/bench_scale.py --tiny --prompts --members --examples --rows 100 1000000

Each line is a process of its own, so that its peak of memory is its own; one before the
first, which does not count, compiles. What grows in proportion has the same time per
unit on every line of its table, beyond the start that the first line shows; rows to
answer should take the same memory whatever their number.
With --tiny the rows are answered by a random T5 of one layer a side and the nano's
vocabulary, which computes next to nothing: what is left is what reading, checking and
writing a row costs.
The rows are made up; the longest files to train on and to validate on have as many as
QQP's.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from small_t5 import SMALL, save_random

from jaxprompt.bundled import resolve
from jaxprompt.command.configure import configure
from jaxprompt.models.load import load
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.report.text.table import table

NANO = "bundled:nano"
RUN = "gin/runs/prompt_tuning.gin"
OWN = "gin/tasks/own.gin"
WORDS = "kettle stove rain baker loaf friday garden window letter morning".split()


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Runs a command of jaxprompt: seconds, and the peak of its memory in MiB."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "jaxprompt", *command],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if run.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode())
    return seconds, used.ru_maxrss / 1024


def write_tiny(folder: Path) -> None:
    """Writes a random T5 of one layer a side, with the nano's vocabulary."""
    sizes = {"width": 16, "heads": 1, "head_width": 16, "ffn_width": 16}
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    nano = Path(resolve(NANO))
    rows = json.loads((nano / "config.json").read_text())["vocab_size"]
    save_random(folder, dataclasses.replace(SMALL, vocab_rows=rows, **sizes, **layers))
    for name in ("spiece.model", "tokenizer_config.json"):
        shutil.copy(nano / name, folder)


def write_prompts(folder: Path, count: int, model: str) -> None:
    """Writes prompt files of random rows, of a task over the field "text"."""
    backbone, _ = load(model)
    bindings = [f"MODEL={model!r}", "INPUT_LENGTH=64", "BATCH_SIZE=32"]
    bindings += ["OwnTask.inputs='{text}'", "METHOD='greedy'", "TARGET_LENGTH=2"]
    _, config = configure([RUN, OWN], bindings)
    folder.mkdir()
    for number in range(count):
        draw = np.random.default_rng(number)
        rows = draw.normal(size=(1, 20, backbone.width)).astype(np.float32)
        file = folder / f"prompt{number}.safetensors"
        prompt = Prompt(jax.numpy.asarray(rows))
        save_prompt(file, prompt, backbone, task="own", config=config)


def write_rows(file: Path, count: int, prompts: int) -> None:
    """Writes rows to answer, each by one of the prompts in turn."""
    draw = np.random.default_rng(0)
    with file.open("w") as lines:
        for number in range(count):
            text = " ".join(draw.choice(WORDS, draw.integers(3, 20)))
            row = {"prompt": f"prompt{number % prompts}", "text": text}
            lines.write(json.dumps(row) + "\n")


def write_examples(file: Path, count: int) -> None:
    """Writes rows to train on, of two questions and a label."""
    draw = np.random.default_rng(0)
    with file.open("w") as lines:
        lines.write("one\tother\tlabel\n")
        for number in range(count):
            one, other = (" ".join(draw.choice(WORDS, 11)) for _ in range(2))
            lines.write(f"{one}\t{other}\t{number % 2}\n")


def warmed(sizes: Sequence[int]) -> list[int]:
    """Puts the first size once more before all, to compile what the others find."""
    return [*sizes[:1], *sizes]


def show(unit: str, sizes: Sequence[int], found: Sequence[tuple[float, float]]) -> None:
    """Prints seconds and memory, and what one more unit costs; nothing of no sizes."""
    if not sizes:
        return
    rows = []
    for place, (size, (seconds, peak)) in enumerate(zip(sizes, found, strict=True)):
        more: list[object] = [None, None]
        if place:
            units = size - sizes[place - 1]
            more = [
                f"{1000 * (seconds - found[place - 1][0]) / units:.3g}",
                f"{1024 * (peak - found[place - 1][1]) / units:.3g}",
            ]
        rows.append([size, f"{seconds:.1f}", f"{peak:.0f}", *more])
    header = [unit, "seconds", "peak MiB", "ms for one more", "KiB for one more"]
    print(table(header, rows) + "\n", flush=True)


def main() -> None:
    """Measures every curve and prints its table."""
    parser = argparse.ArgumentParser(description="Time and memory by size.")
    parser.add_argument("--prompts", type=int, nargs="*", default=[1, 10, 100, 1000])
    parser.add_argument("--rows", type=int, nargs="*", default=[1000, 10000, 100000])
    parser.add_argument("--members", type=int, nargs="*", default=[1, 8, 64])
    examples = [1000, 100_000, 363_846]
    parser.add_argument("--examples", type=int, nargs="*", default=examples)
    parser.add_argument("--tiny", action="store_true", help="answer by a tiny model")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, model = Path(scratch), NANO
        if flags.tiny:
            model = str(folder / "tiny")
            write_tiny(Path(model))
        write_prompts(folder / "prompts", max(flags.prompts, default=1), model)
        found = []
        for count in warmed(flags.prompts):
            write_rows(folder / "asked.jsonl", 2000, count)
            files = [
                folder / "prompts" / f"prompt{n}.safetensors" for n in range(count)
            ]
            asked = [f"--input={folder}/asked.jsonl", "--prompt_field=prompt"]
            answered = f"--output={folder}/prompts{len(found)}.jsonl"
            named = [f"--prompt={file}" for file in files]
            found.append(measure(["predict", *named, *asked, answered]))
        show("prompts that answer 2,000 rows", flags.prompts, found[1:])
        found = []
        for count in warmed(flags.rows):
            write_rows(folder / "asked.jsonl", count, 1)
            named = f"--prompt={folder}/prompts/prompt0.safetensors"
            asked = [f"--input={folder}/asked.jsonl", "--prompt_field=prompt"]
            answered = f"--output={folder}/rows{len(found)}.jsonl"
            found.append(measure(["predict", named, *asked, answered]))
        show("rows that one prompt answers", flags.rows, found[1:])
        found = []
        for count in warmed(flags.members):
            settings = [f"--gin.SEEDS={count}", "--gin.STEPS=10", "--gin.BATCH_SIZE=8"]
            files = [RUN, "gin/recipes/quickstart/mini_sentiment.gin"]
            chosen = [f"--gin_file={file}" for file in files]
            workdir = f"--workdir={folder}/bank{len(found)}"
            settings.append("--gin.Evaluation.num_examples=8")
            found.append(measure(["train", *chosen, *settings, workdir]))
        show("prompts trained together, 10 steps", flags.members, found[1:])
        found = []
        for count in warmed(flags.examples):
            files = {name: f"{folder}/{name}.tsv" for name in ("train", "validation")}
            write_examples(Path(files["train"]), count)
            write_examples(Path(files["validation"]), min(count, 40_430))
            settings = {
                "MODEL": NANO,
                "OwnTask.files": files,
                "OwnTask.inputs": "{one} {other}",
                "OwnTask.labels": {"0": "no", "1": "yes"},
                "STEPS": 1,
                "Evaluation.num_examples": 8,
            }
            bindings = [f"--gin.{name}={value!r}" for name, value in settings.items()]
            chosen = [f"--gin_file={file}" for file in (RUN, OWN)]
            workdir = f"--workdir={folder}/examples{len(found)}"
            found.append(measure(["train", *chosen, *bindings, workdir]))
        show("examples to train on, one step", flags.examples, found[1:])


if __name__ == "__main__":
    main()
