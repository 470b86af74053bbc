"""Times `jaxprompt train` from the command to its first step, and to its first error.

    python tools/bench_start.py --data=superglue/RTE --vocabulary=t5/spiece.model

The run is prompt tuning of a random T5 1.1 small on RTE, batch 8, 128 tokens: read as
an official task, and as one's own files by a template. Each with an empty compilation
cache, and with what the run before left there. Beside them, a process that only imports
what a run on own files needs; a misspelt setting, until its line is there; and a
process of Hugging Face PEFT that imports, loads the same model and takes a step on
made-up rows, without reading data. Processor seconds, of all cores, change less than
seconds do where other work goes on beside it. --data is the folder of RTE's official
files. Needs the extra `parity`.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from side_by_side import Side
from small_t5 import draw_prompts, save_random

from jaxprompt.report.text.table import table

RUN = "gin/runs/prompt_tuning.gin"
OFFICIAL, OWN = "gin/tasks/rte.gin", "gin/tasks/own.gin"
ROWS, TEXT, TARGETS, PROMPT = 8, 128, 8, 100


def time_command(
    command: list[str], workdir: Path, environment: dict[str, str]
) -> float:
    """Returns the seconds until the run has logged its first step, and ends it."""
    log = workdir / "metrics.jsonl"
    output = workdir.with_suffix(".txt")
    start = time.perf_counter()
    with output.open("w") as file:
        run = subprocess.Popen(
            [*command, f"--workdir={workdir}"],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        while not (log.exists() and log.stat().st_size):
            if run.poll() is not None:
                raise SystemExit(f"the run failed:\n{output.read_text()}")
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        run.kill()
        run.wait()
    shutil.rmtree(workdir)
    return seconds


_IMPORTS = """
import jaxprompt.command.configure, jaxprompt.runs.training, jaxprompt.data.tasks.own
"""


def time_imports() -> float:
    """Returns the seconds of a process that imports what a run on own files needs."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return time.perf_counter() - start


def time_error() -> float:
    """Returns the seconds until a misspelt setting is told."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "jaxprompt", "train", "--workdir=run"]
    command += [f"--gin_file={RUN}", f"--gin_file={OFFICIAL}", "--gin.STEP=1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 1:
        raise SystemExit(f"no error: {done.stderr}")
    return time.perf_counter() - start


def time_peft(folder: Path) -> float:
    """Returns the seconds of PEFT's process until its first step is done."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(3, 32000, (ROWS, n)).astype(np.int32) for n in (TEXT, TARGETS)]
    with Side("peft_side:prompt_step", folder, draw_prompts(1, PROMPT)) as side:
        return side.built + side(*rows).seconds


def processor_seconds() -> float:
    """Returns those of all processes that were started and have ended, so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Times every case a few times, in turn, and prints a table."""
    parser = argparse.ArgumentParser(description="Time the start of a run.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save_random(folder)
        settings = {
            "MODEL": str(folder),
            "VOCABULARY": str(flags.vocabulary.resolve()),
            "BATCH_SIZE": ROWS,
            "INPUT_LENGTH": TEXT,
            "PROMPT_LENGTH": PROMPT,
            "STEPS": 1,
            "EVALUATE_EVERY": 0,
        }
        files = {"train": "train.jsonl", "validation": "val.jsonl"}
        of_task = {
            OFFICIAL: {"DATA_DIR": str(flags.data.resolve().parent)},
            OWN: {
                "OwnTask.files": {
                    split: str(flags.data.resolve() / name)
                    for split, name in files.items()
                },
                "OwnTask.inputs": "hypothesis: {hypothesis} premise: {premise}",
                "OwnTask.labels": {x: x for x in ("entailment", "not_entailment")},
            },
        }
        # A cache of its own; JAX's own variable would name another.
        environment = {**os.environ, "XDG_CACHE_HOME": f"{scratch}/cache"}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)

        def run(task: str, *, empty: bool = False) -> float:
            if empty:
                shutil.rmtree(f"{scratch}/cache", ignore_errors=True)
            command = [sys.executable, "-m", "jaxprompt", "train"]
            command += [f"--gin_file={file}" for file in (RUN, task)]
            values = {**settings, **of_task[task]}
            command += [f"--gin.{name}={value!r}" for name, value in values.items()]
            return time_command(command, Path(scratch) / "run", environment)

        cases: dict[str, Callable[[], float]] = {
            "own files, empty cache": lambda: run(OWN, empty=True),
            "own files, filled cache": lambda: run(OWN),
            "official task, empty cache": lambda: run(OFFICIAL, empty=True),
            "official task, filled cache": lambda: run(OFFICIAL),
            "imports for own files": time_imports,
            "a misspelt setting": time_error,
            "PEFT, no data": lambda: time_peft(folder),
        }
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        used: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(flags.rounds):
            for name, measure in cases.items():
                before = processor_seconds()
                seconds[name].append(measure())
                used[name].append(processor_seconds() - before)
    rows = [
        [
            name,
            *(of(found) for of in (statistics.median, min, max)),
            statistics.median(used[name]),
        ]
        for name, found in seconds.items()
    ]
    header = ["seconds to the first step", "median", "least", "most", "processor"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
