"""Runs parts one after another, each in a process of its own and for a bounded time."""

import functools
import multiprocessing
import os
import time
import traceback
from collections.abc import Generator, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from findings import Finding, Skipped

PRELOADED = (
    "jax",
    "optax",
    "jaxprompt.data.rows.layout",
    "jaxprompt.evaluate.decode",
    "jaxprompt.models.families",
    "jaxprompt.plan.work",
    "jaxprompt.train.loop",
)
"""Imported once, in the process that all others are forked from. None of them starts a
device, so each part has the device's memory to itself."""

_TICK = 1.0

_TO_CLEAN_UP = 5.0

_LEAST = 2.0
"""Seconds without which a part is not begun."""


class Part(NamedTuple):
    """Something to find out.

    Attributes:
        name: What messages call it.
        weight: Its share of the time that is left, against the parts that are left.
        find: Finds it out; called in the process of the part.
    """

    name: str
    weight: float
    find: "functools.partial[Iterator[Finding]]"


def run_parts(
    parts: Sequence[Part],
    seconds: float,
    logs: Path,
    preloaded: Sequence[str] = PRELOADED,
) -> Iterator[Finding | None]:
    """Runs all parts, each for its share of the time that is left when it begins.

    A part that needs less leaves more to those behind it. One that runs over its share
    is stopped; what it has found until then counts.

    Args:
        parts: In order.
        seconds: For all of them.
        logs: Folder that gets a file for each part, with what it printed.
        preloaded: Modules that are imported before.

    Yields:
        What is found, as it is found, and None about once a second.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preloaded))
    end = time.monotonic() + seconds
    for number, part in enumerate(parts):
        left = end - time.monotonic()
        share = left * part.weight / sum(other.weight for other in parts[number:])
        if share < _LEAST:
            yield Skipped(part.name, f"no time is left of {seconds:.0f} s: not begun")
            continue
        log = logs / f"{number:02}-{part.name.replace(' ', '_').replace(':', '')}.log"
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(part, theirs, log))
        process.start()
        theirs.close()
        ended = False
        try:
            ended = yield from _listen(part, ours, share, log)
        finally:
            if ended:  # It cleans up, which takes no time.
                process.join(_TO_CLEAN_UP)
            process.kill()
            process.join()
            ours.close()


def _listen(
    part: Part, findings: Connection, share: float, log: Path
) -> Generator[Finding | None, None, bool]:
    """Yields what comes; returns whether the part has come to its end in time."""
    deadline = time.monotonic() + share
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            reason = f"stopped at its share of the time, {share:.0f} s"
            yield Skipped(part.name, reason)
            return False
        if not findings.poll(min(left, _TICK)):
            yield None
            continue
        try:
            found = findings.recv()
        except EOFError:
            yield Skipped(part.name, f"its process ended: see {log}")
            return True
        if found is None:
            return True
        yield found


def _serve(part: Part, findings: Connection, log: Path) -> None:
    """Sends what is found, then None."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        for found in part.find():
            findings.send(found)
    # Whatever went wrong, the parts behind this one are to be tried.
    except Exception as err:
        traceback.print_exc()
        first = (str(err) or type(err).__name__).splitlines()[0]
        findings.send(Skipped(part.name, f"{first[:300]} (see {log})"))
    findings.send(None)
