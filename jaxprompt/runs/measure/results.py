"""How a run is measured, by its answers or its loss, and how its result is shown."""

from collections.abc import Mapping
from typing import Any

from jaxprompt.config import LOSS, VOCABULARY
from jaxprompt.report.text.table import Grid, table
from jaxprompt.runs.measure.loss_report import LossReport, loss_grid
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.measure.score_table import score_grid
from jaxprompt.runs.measure.vocabulary import vocabulary_table
from jaxprompt.runs.ready.job import Job


def make_report(job: Job, split: str, prompt_length: int) -> ScoreReport | LossReport:
    """Tokenises a split, for a prompt of this length, to be measured on."""
    kind = LossReport if job.run.evaluation.method == LOSS else ScoreReport
    return kind(job, split, prompt_length)


def result_table(result: Mapping[str, Any]) -> str:
    """Lays out the content of a result.json, or of what `evaluate` returns."""
    if result.get("trains") == VOCABULARY:
        return vocabulary_table(result)
    return table(*result_grid(result))


def result_grid(result: Mapping[str, Any]) -> Grid:
    """Takes the cells of what was measured of a prompt or of a model."""
    return loss_grid(result) if result["metric"] == LOSS else score_grid(result)
