"""The page of one run that trained several prompts at once, or one model for tasks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.pages.page import PromptFacts
from jaxprompt.report.plots.curves import Panel, to_svg
from jaxprompt.report.results.answers import Answered, answer_section
from jaxprompt.report.results.files import NOTE, Cells, keep_known, result_cells
from jaxprompt.report.results.rows import members_of, method_of, rows_of, superglue_rows
from jaxprompt.report.results.votes import ensemble_cells
from jaxprompt.report.text.html import render

_PROMPTS_ARE = "prompts that trained at once on one frozen model"
_MEMBERS_ARE = {
    "model": "tasks of one model",
    "head": "heads that trained at once on one frozen model",
}
"""What a run trains -> what its members are, where they are no prompts."""


def write_bank_page(
    path: Path,
    result: Mapping[str, Any],
    *,
    panels: Sequence[Panel] = (),
    prompts: Mapping[str, PromptFacts] | None = None,
    answers: Sequence[Answered] = (),
    facts: Mapping[str, object] | None = None,
    commands: Sequence[str] = (),
) -> None:
    """Writes the page of a run with several members, atomically.

    Equal arguments give equal bytes.

    Args:
        path: The file to write; an existing one is replaced.
        result: Content of result.json, with "members" and, if there are any, "votes".
        panels: The learning curves, from `curves.make_panels`.
        prompts: Name of each member -> its soft tokens; None after model tuning.
        answers: Of each task, all rows and their answers.
        facts: Further provenance: name -> value.
        commands: Command lines to use what was trained.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    method = method_of(result)
    rows = [*rows_of(method, [result]), *superglue_rows(method, [result])]
    html = render(
        "bank.html.j2",
        result=result,
        results=result_cells(rows),
        note=NOTE,
        ensembles=ensemble_cells([result]),
        members=_member_cells(result),
        members_are=_MEMBERS_ARE.get(result.get("trains", ""), _PROMPTS_ARE),
        plots=[to_svg(panel) for panel in panels],
        prompts=prompts or {},
        answers=[answer_section(one) for one in answers],
        facts=facts or {},
        commands=commands,
    )
    write_atomically(path, html)


def _member_cells(result: Mapping[str, Any]) -> Cells:
    members = members_of(result)
    columns = {
        "task": "task",
        "seed": "seed",
        "score": "score",
        "step": "steps",
        "illegal %": "illegal",
        "file": "file",
    }
    found: dict[str, list[Any]] = {
        name: [member.get(field) for member in members]
        for name, field in columns.items()
    }
    found["illegal %"] = [
        None if share is None else 100 * share for share in found["illegal %"]
    ]
    return keep_known(found)
