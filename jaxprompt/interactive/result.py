"""What tuning found: scores beside their baselines, as a table, and the prompts."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprompt.prompts.tuned import TunedPrompt
from jaxprompt.report.text.html import render
from jaxprompt.report.text.table import table
from jaxprompt.runs.measure.chance import chance_notes
from jaxprompt.runs.measure.results import result_grid


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class TuningResult:
    """The result of `tune`: it prints, and draws itself in a notebook, as a table.

    Attributes:
        content: What a run's result.json holds: scores, baselines, steps, seconds.
        prompts: The prompts, by rising seed.
        workdir: The folder of the run; None if it was not kept.
    """

    content: Mapping[str, Any]
    prompts: tuple[TunedPrompt, ...]
    workdir: Path | None = None

    @property
    def prompt(self) -> TunedPrompt:
        """The prompt with the highest score, the first of several."""
        return max(self.prompts, key=lambda prompt: prompt.provenance.score or 0.0)

    @property
    def score(self) -> float:
        """Mean score of the prompts, on the metric's own scale."""
        return self.content["score"]

    @property
    def notes(self) -> list[str]:
        """What to know of the scores: which rows gave them, which are at chance."""
        count, split = self.content["examples"], self.content["split"]
        chose = " which also chose the best step" if split == "validation" else ""
        rows = f"scores of {count} {split} rows{',' if chose else ''}{chose}"
        return [rows, *chance_notes(self.content)]

    def __repr__(self) -> str:
        return "\n".join([table(*result_grid(self.content)), *self.notes])

    def _repr_html_(self) -> str:
        header, rows = result_grid(self.content)
        page = render("result.html.j2", header=header, rows=rows, notes=self.notes)
        return page.decode()
