"""A run as one HTML page that needs nothing else: no script, no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.plots.curves import Panel, to_svg
from jaxprompt.report.reading.nearest import SoftToken
from jaxprompt.report.results.answers import Answered, answer_section
from jaxprompt.report.results.rows import METHODS
from jaxprompt.report.text.html import render


class ShownExample(NamedTuple):
    """One row of the scored split.

    Attributes:
        text: What the model reads, without soft tokens.
        expected: The true target text.
        predicted: The model's answer.
    """

    text: str
    expected: str
    predicted: str


class PromptFacts(NamedTuple):
    """What a page tells about a prompt.

    Attributes:
        tokens: The soft tokens in order.
        findings: Lines that sum them up, from `reading.findings`.
    """

    tokens: Sequence[SoftToken]
    findings: Sequence[str] = ()


def write_page(
    path: Path,
    result: Mapping[str, Any],
    *,
    panels: Sequence[Panel] = (),
    prompt: PromptFacts | None = None,
    examples: Sequence[ShownExample] = (),
    answers: Sequence[Answered] = (),
    facts: Mapping[str, object] | None = None,
    commands: Sequence[str] = (),
) -> None:
    """Writes the page of a run, atomically. Equal arguments give equal bytes.

    Args:
        path: The file to write; an existing one is replaced.
        result: Content of result.json: task, backbone, split, examples, metric, the
            scores "majority", "untuned", "score" and, if there is one,
            "hand_written", and the shares "illegal" and "untuned_illegal".
        panels: The learning curves, from `curves.make_panels`.
        prompt: The soft tokens; None after model tuning.
        examples: A few rows with their predictions.
        answers: Of each task, all rows and their answers.
        facts: Further provenance: name -> value.
        commands: Command lines to use what was trained.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    html = render(
        "page.html.j2",
        result=result,
        scores=_scores(result),
        plots=[(panel.title, to_svg(panel)) for panel in panels],
        prompt=prompt,
        examples=examples,
        answers=[answer_section(one) for one in answers],
        facts=facts or {},
        commands=commands,
    )
    write_atomically(path, html)


def _scores(result: Mapping[str, Any]) -> list[tuple[str, float, float | None]]:
    """Lists (method, score, share of illegal answers if known), worst known first."""
    trained = METHODS.get(result.get("trains", ""), "prompt tuning")
    rows = [
        ("majority class", result["majority"], None),
        ("frozen model, no prompt", result["untuned"], result.get("untuned_illegal")),
    ]
    if result.get("hand_written") is not None:
        illegal = result.get("hand_written_illegal")
        rows.append(("hand-written prompt", result["hand_written"], illegal))
    return [*rows, (trained, result["score"], result["illegal"])]
