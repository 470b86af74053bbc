"""The page of a matrix of transfer: heatmap, scores, and prompts in a plane."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.plots.heatmap import by_type, heatmap_svg
from jaxprompt.report.plots.plane import neighbour_plane, plane_svg, principal_plane
from jaxprompt.report.text.html import render
from jaxprompt.transfer.categories import category_of
from jaxprompt.transfer.matrix import ScoreMatrix
from jaxprompt.transfer.named import NamedPrompts

Cells = tuple[list[str], list[list[Any]]]

_FEWEST = 4
"""Prompts that make a plane worth a look, and t-SNE possible."""


@dataclasses.dataclass(frozen=True)
class MatrixFacts:
    """What the page shows.

    Attributes:
        matrix: The scores.
        above_chance: (score - chance) / (own score - chance); NaN of a task whose own
            prompt is at chance.
        metrics: Metric of each task.
        examples: Rows of each task.
        chance: What each task's majority class scores.
        prompts: The prompts.
    """

    matrix: ScoreMatrix
    above_chance: Float[np.ndarray, "targets sources"]
    metrics: Sequence[str]
    examples: Sequence[int]
    chance: Sequence[float]
    prompts: NamedPrompts


def write_transfer_page(path: Path, facts: MatrixFacts) -> None:
    """Writes the page, atomically. Equal arguments give equal bytes."""
    matrix = facts.matrix
    html = render(
        "transfer.html.j2",
        heatmaps=[
            heatmap_svg(matrix, matrix.relative()),
            heatmap_svg(
                matrix,
                facts.above_chance,
                title="(Score - chance) / (own score - chance)",
                name="above_chance",
            ),
        ],
        scores=_cells(facts, matrix.scores, known=True),
        relative=_cells(facts, 100 * matrix.relative()),
        above_chance=_cells(facts, 100 * facts.above_chance),
        means=mean_cells(facts),
        planes=_planes(facts.prompts),
        prompts=_prompt_cells(facts.prompts),
    )
    write_atomically(path, html)


def _cells(
    facts: MatrixFacts,
    values: Float[np.ndarray, "targets sources"],
    *,
    known: bool = False,
) -> Cells:
    """Lays a matrix out, tasks and prompts ordered by type.

    Args:
        facts: Of the matrix.
        values: Of each task and prompt.
        known: Whether each task's type, metric, rows and chance stand before them.
    """
    matrix = facts.matrix
    rows, columns = by_type(matrix)
    header = ["task", *["type", "metric", "rows", "chance"] * known]
    header += [matrix.sources[column] for column in columns]
    lines = []
    for row in rows:
        name = matrix.targets[row]
        told = (facts.metrics[row], facts.examples[row], float(facts.chance[row]))
        before = (category_of(name), *told) if known else ()
        lines.append([name, *before, *map(_number, values[row, columns])])
    return header, lines


def mean_cells(facts: MatrixFacts) -> Cells:
    """Lays out what other tasks' prompts keep in the mean, by their type.

    Returns:
        A header, then a line for each task and one for the mean over tasks; in percent,
        None where no such prompt has a value.
    """
    matrix = facts.matrix
    parts = {"": matrix.relative(), " above chance": facts.above_chance}
    columns = {
        group + part: 100 * means
        for part, values in parts.items()
        for group, means in matrix.group_means(values).items()
    }
    rows, _ = by_type(matrix)
    lines = [
        [
            matrix.targets[row],
            category_of(matrix.targets[row]),
            *(_number(column[row]) for column in columns.values()),
        ]
        for row in rows
    ]
    known = [column[np.isfinite(column)] for column in columns.values()]
    lines.append(["mean", None, *(float(c.mean()) if len(c) else None for c in known)])
    return ["task", "type", *columns], lines


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _planes(prompts: NamedPrompts) -> list[str]:
    if len(prompts.names) < _FEWEST or any(one.deep for one in prompts.prompts):
        return []
    rows = prompts.rows
    points, kept = principal_plane(rows)
    return [
        plane_svg(
            points,
            prompts.names,
            prompts.tasks,
            name="principal",
            title=f"Two principal components ({kept:.0%} of the variance)",
        ),
        plane_svg(
            neighbour_plane(rows),
            prompts.names,
            prompts.tasks,
            name="neighbours",
            title="t-SNE (neighbours, no distances)",
        ),
    ]


def _prompt_cells(prompts: NamedPrompts) -> Cells:
    fields = ("task", "score", "step", "seed", "init", "backbone", "fingerprint")
    lines = [
        [name, *(getattr(said, field) if said else None for field in fields)]
        for name, said in zip(prompts.names, prompts.provenances, strict=True)
    ]
    return ["prompt", *fields], lines
