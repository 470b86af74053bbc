"""Parts have a bounded time; what goes wrong in one leaves the others alone."""

import functools
import time
from collections.abc import Iterator
from pathlib import Path

from bounded import Part, run_parts
from findings import Fact, Report, Skipped


def slow(first: float) -> Iterator[Fact]:
    yield Fact("begun", "yes")
    time.sleep(first)
    yield Fact("ended", "yes")


def broken() -> Iterator[Fact]:
    yield Fact("begun", "yes")
    raise ValueError("no such device")


def test_a_part_that_runs_over_its_share_is_told_and_the_rest_goes_on(tmp_path: Path):
    parts = [
        Part("endless", 1.0, functools.partial(slow, 600.0)),
        Part("broken", 1.0, functools.partial(broken)),
        Part("brief", 1.0, functools.partial(slow, 0.0)),
    ]
    report = Report()
    for found in run_parts(parts, 9.0, tmp_path, preloaded=()):
        if found is not None:
            report.add(found)
    assert [fact.name for fact in report.facts] == ["begun", "begun", "begun", "ended"]
    endless, failed = report.skipped
    assert (endless.part, endless.reason) == (
        "endless",
        "stopped at its share of the time, 3 s",
    )
    assert failed.part == "broken"
    assert failed.reason.startswith("no such device")


def test_what_has_no_time_left_is_not_begun(tmp_path: Path):
    part = Part("late", 1.0, functools.partial(slow, 0.0))
    (found,) = run_parts([part], 1.0, tmp_path, preloaded=())
    assert found == Skipped("late", "no time is left of 1 s: not begun")
