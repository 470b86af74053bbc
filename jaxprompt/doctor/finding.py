"""What a check has found: a verdict, a number, and a sentence that says what to do."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "wrong", "skipped"]
VERDICTS: tuple[Verdict, ...] = ("wrong", "warning", "ok", "skipped")
"""The worst first."""

_WIDTH = 88


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: Name of the check.
        verdict: "ok"; "warning", of what may be meant so; "wrong"; or "skipped".
        number: What was measured; None where nothing was.
        says: What that means and, unless all is well, what to do.
    """

    check: str
    verdict: Verdict
    number: float | None
    says: str


def skipped(check: str, reason: str) -> Finding:
    """Makes the finding of a check that cannot be done here."""
    return Finding(check, "skipped", None, reason)


def lay_out(findings: Sequence[Finding]) -> str:
    """Lays findings out for the terminal: a line each, with its sentence below."""
    lines = []
    for finding in findings:
        number = "" if finding.number is None else f": {finding.number:.3g}"
        lines.append(f"{finding.verdict:<9}{finding.check}{number}")
        lines += textwrap.wrap(
            finding.says, _WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9
        )
    counts = Counter(finding.verdict for finding in findings)
    total = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
    return "\n".join([*lines, "", total])
