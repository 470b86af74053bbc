"""What tools/gpu/check.py finds, and the tables that tell it."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from jaxprompt.report.text.table import table

OURS, PEFT = "jaxprompt", "PEFT"


class Fact(NamedTuple):
    """Something about the machine, for the head of the report."""

    name: str
    value: str


class Timing(NamedTuple):
    """How long something takes.

    Attributes:
        side: Who did it.
        model: Name in the registry.
        run: What was done.
        prompt: Length P of the prompt.
        seconds: Median of one repetition.
        rows: Rows B of the batch.
        flops: Operations of its matrix products, none of them counted twice; None if
            they were not counted.
        traffic: Bytes that these products read and write.
        product: Rate of a large bfloat16 product in the same process, in FLOP/s.
    """

    side: str
    model: str
    run: str
    prompt: int
    seconds: float
    rows: int
    flops: float | None = None
    traffic: float | None = None
    product: float | None = None


class Check(NamedTuple):
    """Whether something holds.

    Attributes:
        name: What should hold.
        model: Name in the registry.
        passed: Whether it does.
        found: What was seen.
    """

    name: str
    model: str
    passed: bool
    found: str


class Skipped(NamedTuple):
    """What was not tried, or not to its end, and why."""

    part: str
    reason: str


Finding: TypeAlias = Fact | Timing | Check | Skipped


class Report:
    """All findings so far."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.timings: list[Timing] = []
        self.checks: list[Check] = []
        self.skipped: list[Skipped] = []

    def add(self, found: Finding) -> None:
        """Takes a finding."""
        match found:
            case Fact():
                self.facts.append(found)
            case Timing():
                self.timings.append(found)
            case Check():
                self.checks.append(found)
            case Skipped():
                self.skipped.append(found)

    def as_json(self) -> dict[str, object]:
        """Returns everything, for a JSON file."""
        return {
            "machine": dict(self.facts),
            "timings": [timing._asdict() for timing in self.timings],
            "checks": [check._asdict() for check in self.checks],
            "skipped": [skipped._asdict() for skipped in self.skipped],
        }

    def text(self) -> str:
        """Lays everything out for the terminal, as Markdown."""
        parts = [
            "\n".join(f"- {fact.name}: {fact.value}" for fact in self.facts),
            _timing_table(self.timings),
            _check_table(self.checks),
            "\n".join(f"- {part}: {reason}" for part, reason in self.skipped),
        ]
        return "\n\n".join(part for part in parts if part)


def line_of(found: Finding) -> str:
    """Says a finding in one line, as it comes."""
    match found:
        case Fact():
            return f"{found.name}: {found.value}"
        case Timing():
            return (
                f"{found.side}, {found.model}, {found.run}, P {found.prompt}: "
                f"{1000 * found.seconds:.2f} ms"
            )
        case Check():
            held = "holds" if found.passed else "DOES NOT HOLD"
            return f"{found.model}: {found.name} {held}: {found.found}"
        case Skipped():
            return f"{found.part}: {found.reason}"


def _timing_table(timings: Sequence[Timing]) -> str:
    theirs = {
        (timing.model, timing.run, timing.prompt): timing.seconds
        for timing in timings
        if timing.side == PEFT
    }
    rows = []
    for timing in timings:
        if timing.side != OURS:
            continue
        seconds = timing.seconds
        beside = theirs.pop((timing.model, timing.run, timing.prompt), None)
        rate = None if timing.flops is None else timing.flops / seconds
        share = rate and timing.product and f"{rate / timing.product:.1%}"
        rows.append(
            [
                timing.model,
                timing.run,
                timing.prompt,
                f"{1000 * seconds:.2f}",
                timing.rows / seconds,
                rate and rate / 1e12,
                share,
                timing.traffic and timing.traffic / seconds / 1e9,
                beside and f"{1000 * beside:.2f}",
                beside and f"{beside / seconds:.2f}",
            ]
        )
    # What PEFT alone has done: ours has no row to stand beside.
    for (model, run, prompt), seconds in theirs.items():
        blank = [None] * 5
        rows.append([model, run, prompt, *blank, f"{1000 * seconds:.2f}", None])
    if not rows:
        return ""
    header = [
        "model",
        "run",
        "P",
        "ms",
        "rows/s",
        "TFLOP/s",
        "of product",
        "GB/s",
        "PEFT ms",
        "PEFT / ours",
    ]
    return table(header, rows)


def _check_table(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = [
        [check.name, check.model, "yes" if check.passed else "NO", check.found]
        for check in checks
    ]
    return table(["check", "model", "holds", "found"], rows)
