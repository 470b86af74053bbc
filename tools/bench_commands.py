"""Times what a user types: until the first line is there, and to the end.

    python tools/bench_commands.py
    git worktree add ../before 436c8be
    python tools/bench_commands.py --before=../before

Each command is a process of its own on a terminal of its own, offline, in a folder with
a few rows and a prompt for the bundled T5. Of what ends well a first round fills the
cache of compiled programs and does not count. --before names the checkout of another
commit, whose commands run in turn with these, by the same Python and packages.
"""

import argparse
import dataclasses
import os
import pty
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxprompt.report.text.table import table

ROOT = Path(__file__).resolve().parents[1]
RUN = "--gin_file=gin/runs/prompt_tuning.gin"
TASK = "--gin_file=gin/recipes/quickstart/mini_sentiment.gin"
PROMPT = "run/prompt.safetensors"
SHORT = ["--gin.STEPS=2", "--gin.EVALUATE_EVERY=0", "--gin.Evaluation.num_examples=8"]
ROWS = "text,label\n" + "a quiet lovely film,good\ntwo hours lost for good,bad\n" * 4
ASKED = '{"sentence": "We laughed all evening."}\n'

SCREEN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What moves a terminal's cursor."""


KEPT = ("rows.csv", "asked.jsonl", "run")
"""What a command may find; all else that lies there it has made."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A command, and when Ctrl-C is typed, if it is.

    Attributes:
        arguments: Behind `jaxprompt`.
        interrupted: Seconds after the start of Ctrl-C; None for none.
        named: What the table calls it; "" for the command.
    """

    arguments: Sequence[str]
    interrupted: float | None = None
    named: str = ""


TRAIN = ["train", RUN, TASK, *SHORT, "--workdir=new"]

CASES = (
    Case(["--version"]),
    Case(["trian"]),
    Case(["train", "--gin_file=gin/runs/prompt_tunning.gin", "--workdir=new"]),
    Case(["train", "gin/runs/prompt_tuning.gin", "--workdir=new"]),
    Case(["train", RUN, "--workdri=new"]),
    Case(["train", "--gin-file=gin/runs/prompt_tuning.gin", "--workdir=new"]),
    Case(["train", RUN, "--gin.learning_rate=0.1", "--workdir=new"]),
    Case(["train", RUN, "--gin.LEARNING_RATE=abc", "--workdir=new"]),
    Case(["train", RUN, "--gin_file=gin/tasks/sst.gin", "--workdir=new"]),
    Case(["train", RUN, TASK, "--gin.MODEL=./nowhere", "--workdir=new"]),
    Case(["train", RUN, TASK, "--gin.INPUT_LENGTH=0", "--workdir=new"]),
    Case(["train", RUN, TASK, "--gin.BATCH_SIZE=100000", "--workdir=new"]),
    Case(["train", RUN, TASK, "--workdir=new", "--dry_run"]),
    Case(["show", RUN, TASK]),
    Case(["list", "tasks"]),
    Case(["new", "rows.csv", "--output=new.gin"]),
    Case(["completion", "bash"]),
    Case(["export", PROMPT, "--output=new.npy"]),
    Case(["export", PROMPT, "--format=gguf", "--output=new.gguf"]),
    Case(["export", "absent.safetensors", "--output=new.npy"]),
    Case(["inspect", "--without_model", f"--prompt={PROMPT}"]),
    Case(["report", "run", "--output=new.html"]),
    Case(["predict", f"--prompt={PROMPT}", "--input=absent.jsonl"]),
    Case(["predict", f"--prompt={PROMPT}", "--input=asked.jsonl"]),
    Case(["predict", f"--prompt={PROMPT}", "--input=asked.jsonl", "--scores"]),
    Case(TRAIN),
    *(
        Case(TRAIN, after, f"train, Ctrl-C after {after:g} s")
        for after in (0.2, 1.0, 3.0, 6.0)
    ),
)
"""What is timed: mistakes of a new user first, and what is typed every day."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a command.

    Attributes:
        first: Seconds until something was on the screen; None if nothing ever was.
        seconds: Until its end; behind Ctrl-C, from there.
        processor: Seconds of processor time, which other programs do not change much.
        status: Its exit status; that of a signal as a shell has it.
        lines: What was on the screen.
    """

    first: float | None
    seconds: float
    processor: float
    status: int
    lines: Sequence[str]


class Version:
    """A checkout whose commands are run, and the folder that they are run in."""

    def __init__(self, root: Path, scratch: Path):
        self.folder = scratch / "work"
        self.folder.mkdir(parents=True)
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "XDG_CACHE_HOME": str(scratch / "cache"),
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "100",
            "LINES": "40",
        }
        self._environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        (self.folder / "rows.csv").write_text(ROWS)
        (self.folder / "asked.jsonl").write_text(ASKED)
        made = self.run(Case(["train", RUN, TASK, *SHORT, "--workdir=run"]))
        if made.status:
            raise SystemExit("no prompt to begin with:\n" + "\n".join(made.lines))

    def run(self, case: Case) -> Outcome:
        """Runs a command on a terminal, and removes what it made."""
        ours, theirs = pty.openpty()
        start = begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "jaxprompt", *case.arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=_hear_interrupts,
        )
        os.close(theirs)
        first, screen, waits = None, b"", case.interrupted
        while True:
            left = None
            if waits is not None:
                left = max(0.0, waits - (time.perf_counter() - begun))
            if not select.select([ours], [], [], left)[0]:
                process.send_signal(signal.SIGINT)
                start, waits = time.perf_counter(), None
                continue
            try:
                said = os.read(ours, 65536)
            except OSError:  # The terminal's other end is closed.
                said = b""
            if not said:
                break
            first = first or time.perf_counter() - begun
            screen += said
        _, ended, used = os.wait4(process.pid, 0)
        status = process.returncode = os.waitstatus_to_exitcode(ended)
        seconds = time.perf_counter() - start
        os.close(ours)
        for made in self.folder.iterdir():
            if made.name not in KEPT:
                shutil.rmtree(made) if made.is_dir() else made.unlink()
        text = SCREEN.sub("", screen.decode(errors="replace")).replace("\r", "\n")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        status = 128 - status if status < 0 else status
        return Outcome(first, seconds, used.ru_utime + used.ru_stime, status, lines)


def _hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def name_of(case: Case) -> str:
    """Returns what the table calls a case."""
    if case.named:
        return case.named
    files = {RUN: "RUN", TASK: "TASK"}
    return " ".join(
        files.get(part, part) for part in case.arguments if part not in SHORT
    )


def middle(found: Sequence[float | None]) -> str:
    """Returns the median of seconds; "" where any is missing."""
    numbers = [x for x in found if x is not None]
    return f"{statistics.median(numbers):.2f}" if len(numbers) == len(found) else ""


def lay_out(found: Mapping[str, Sequence[Sequence[Outcome]]]) -> str:
    """Makes the table of all cases, of each version."""
    header, rows = ["jaxprompt ..."], [[name_of(case)] for case in CASES]
    for name, of_cases in found.items():
        header += [f"{name}: first line, s", "end, s", "processor, s", "exit", "lines"]
        for row, outcomes in zip(rows, of_cases, strict=True):
            last = outcomes[-1]
            row += [
                middle([one.first for one in outcomes]),
                middle([one.seconds for one in outcomes]),
                middle([one.processor for one in outcomes]),
                str(last.status),
                str(len(last.lines)),
            ]
    return table(header, rows)


def main() -> None:
    """Times every case of every version, in turn, and prints what came of it."""
    parser = argparse.ArgumentParser(description="Time what a user types.")
    parser.add_argument("--before", type=Path, help="checkout of another commit")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    roots = {"after": ROOT}
    if flags.before is not None:
        roots = {"before": flags.before.resolve(), **roots}
    with tempfile.TemporaryDirectory() as scratch:
        versions = {
            name: Version(root, Path(scratch) / name) for name, root in roots.items()
        }
        found = {name: [[] for _ in CASES] for name in versions}
        for number, case in enumerate(CASES):
            for lap in range(1 + flags.rounds):
                for name, version in versions.items():
                    counted = found[name][number]
                    if len(counted) < flags.rounds:
                        outcome = version.run(case)
                        if lap or outcome.status:
                            counted.append(outcome)
    print(f"RUN is {RUN}, TASK is {TASK}; medians of {flags.rounds} rounds.\n")
    print(lay_out(found), "\n\nThe last line of each:\n")
    for name, of_cases in found.items():
        for case, outcomes in zip(CASES, of_cases, strict=True):
            lines = outcomes[-1].lines
            print(f"{name}: {name_of(case)}\n    {lines[-1] if lines else ''}")


if __name__ == "__main__":
    main()
