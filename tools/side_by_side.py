"""The sides of a benchmark: a process for each, that loads its own library only.

In one process the thread pools, the allocators and the memory of two libraries meet,
and what is measured is their sum. Here each side is built once, in a process that
sleeps on a pipe while another one works; `alternate` asks them in turn. Each takes the
time itself, so the way through the pipe does not count. Absolute times depend on the
machine and on what else it does: the ratio of medians is the result.
"""

import importlib
import os
import pickle
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.report.text.table import table

OURS, THEIRS = "jaxprompt", "PEFT"

_REST = 0.3
"""Seconds before each call: OpenMP's threads spin for some tenths after one."""


class Answer(NamedTuple):
    """What one call gave.

    Attributes:
        seconds: That it took, without the way through the pipe.
        value: That it returned.
        peak: Largest resident set of its process so far, in MiB.
    """

    seconds: float
    value: Any
    peak: float


class Side:
    """A process that has built one function, and calls it when asked.

    Args:
        build: Function that makes the function, "module:name", of a module in this
            folder. Nothing else is imported there.
        *arguments: Its arguments.
        environment: Variables to set in the process.

    Attributes:
        imported: Largest resident set before anything was built, in MiB.
        built: Seconds from the start of the process until all was built.
    """

    def __init__(
        self,
        build: str,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
    ):
        self._build = build
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, __file__, build],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        _, self.imported, _ = self._ask(arguments)
        self.built = time.perf_counter() - start

    def __call__(self, *arguments: object) -> Answer:
        """Calls the function in its process and waits for it."""
        return Answer(*self._ask(arguments))

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # The end of its input is the end of its work.

    def _ask(self, message: tuple[object, ...]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            raise SystemExit(f"{self._build} failed: its error is above") from None


def alternate(
    sides: Mapping[str, Side],
    rounds: Sequence[Mapping[str, tuple[object, ...]]],
    warmups: int = 1,
) -> dict[str, list[Answer]]:
    """Asks each side in turn, round after round.

    Args:
        sides: Name -> side.
        rounds: For each round, name -> arguments; no arguments where it has no name.
        warmups: First rounds that are left out of what is returned.

    Returns:
        Name -> its answers, one for each round.
    """
    answers: dict[str, list[Answer]] = {name: [] for name in sides}
    for number, arguments in enumerate(rounds):
        for name, side in sides.items():
            time.sleep(_REST)
            answer = side(*arguments.get(name, ()))
            if number >= warmups:
                answers[name].append(answer)
    return answers


def comparison(
    measured: Mapping[str, Sequence[float]], unit: str, *, less_is_better: bool = True
) -> str:
    """Lays out medians and spreads, and how many times better the first side is.

    Args:
        measured: Name -> a number of each round; the first two sides are compared.
        unit: What the numbers are.
        less_is_better: As with seconds; not as with examples a second.

    Returns:
        A table, and a line with the median of the rounds' ratios and their quartiles:
        both sides of a round are of the same minutes.
    """
    rows = [
        [name, *(f"{of(x):.2f}" for of in (statistics.median, min, max)), len(x)]
        for name, x in measured.items()
    ]
    (ours, first), (theirs, second) = list(measured.items())[:2]
    if less_is_better:
        (ours, first), (theirs, second) = (theirs, second), (ours, first)
    each = [a / b for a, b in zip(first, second, strict=True)]
    # A single round has no quartiles but itself.
    low, ratio, high = statistics.quantiles(each if each[1:] else each * 2, n=4)
    header = [unit, "median", "least", "most", "rounds"]
    return (
        f"{table(header, rows)}\n\n{ours} / {theirs}: {ratio:.2f} "
        f"(half of the rounds between {low:.2f} and {high:.2f})"
    )


def _peak() -> float:
    """Returns the largest resident set of this process so far, in MiB.

    Read from Linux itself: `getrusage` of a new process starts with its parent's.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def _serve(build: str) -> None:
    """Answers what comes on standard input, until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints is no answer.

    def answer(*message: object) -> None:
        pickle.dump(message, answers)
        answers.flush()

    module, name = build.split(":")
    make = getattr(importlib.import_module(module), name)
    imported = _peak()
    call = make(*pickle.load(sys.stdin.buffer))
    answer(None, imported, None)
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        start = time.perf_counter()
        value = call(*arguments)
        answer(time.perf_counter() - start, value, _peak())


if __name__ == "__main__":
    _serve(sys.argv[1])
