"""Many runs as one HTML page that needs nothing else: no script, no network."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.plots.curves import Curve
from jaxprompt.report.plots.drawing import INK, svg_element
from jaxprompt.report.results.files import (
    NOTE,
    Cells,
    check_rows,
    result_cells,
    side_by_side,
)
from jaxprompt.report.results.plot import draw_results
from jaxprompt.report.results.rows import SUPERGLUE_TITLE, ResultRow, members_of
from jaxprompt.report.results.votes import ensemble_cells
from jaxprompt.report.text.html import render

_WIDTH, _HEIGHT = 96, 24
"""Size of a small curve, in units of its drawing."""

_POINTS = 96
"""Most points of a small curve: more would not be seen."""


class RunFacts(NamedTuple):
    """What the page tells about a run.

    Attributes:
        folder: What to call it.
        method: Name of its method.
        result: Content of result.json.
        curves: Its log, from `curves.read_curves`.
        page: Address of its own page, relative to the new one; None if it has none.
    """

    folder: str
    method: str
    result: Mapping[str, Any]
    curves: Mapping[str, Curve] = {}
    page: str | None = None


def write_summary(
    path: Path,
    rows: Sequence[ResultRow],
    runs: Sequence[RunFacts],
    *,
    title: str,
    axis: str = "",
    settings: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Writes the page of many runs, atomically. Equal arguments give equal bytes.

    Args:
        path: The file to write; an existing one is replaced.
        rows: The results table.
        runs: The runs that it was made of.
        title: Heading.
        axis: What the rows' `x` are, with their unit; needed if they have any.
        settings: Method -> the values that tell it from the others: name -> value.

    Raises:
        ValueError: If there is no row, if two rows are of the same task, method, model
            and `x`, or if there is an `x` without an axis or the other way round.
        FileNotFoundError: If the folder does not exist.
    """
    check_rows(rows, axis)
    results = [run.result for run in runs]
    methods = [run.method for run in runs]
    votes = ensemble_cells(results, methods)
    page = render(
        "summary.html.j2",
        title=title,
        backbones=list(dict.fromkeys(row.backbone for row in rows)),
        results=result_cells(rows, axis),
        side_by_side=side_by_side(rows, axis),
        note=NOTE,
        plot=svg_element(
            draw_results(rows, axis=axis, ink=INK), name="results", label=title
        ),
        settings=_setting_cells(settings or {}),
        ensembles=votes,
        of_superglue=any(SUPERGLUE_TITLE in cells for cells in votes[1]),
        runs=[line for run in runs for line in _lines(run)],
    )
    write_atomically(path, page)


def _setting_cells(settings: Mapping[str, Mapping[str, str]]) -> Cells:
    names = sorted({name for values in settings.values() for name in values})
    return ["method", *names], [
        [method, *(values.get(name) for name in names)]
        for method, values in settings.items()
    ]


def _lines(run: RunFacts) -> list[dict[str, Any]]:
    """Tells of each member of a run, or of the run itself if it has one."""
    result, curves = run.result, run.curves
    lines = []
    for member in members_of(result):
        name = f"validation/{member['task']}-{member['seed']}/score"
        curve = curves.get(name, curves.get("validation/score"))
        lines.append(
            {
                "folder": run.folder,
                "page": run.page,
                "task": member["task"],
                "method": run.method,
                "backbone": member["backbone"],
                "seed": member["seed"],
                "score": member["score"],
                "steps": member.get("steps", result.get("steps")),
                "seconds": result.get("seconds"),
                "illegal": member.get("illegal"),
                "loss": small_curve("training loss", curves.get("loss")),
                "curve": small_curve("validation score", curve),
            }
        )
    return lines


def small_curve(name: str, curve: Curve | None) -> str:
    """Draws a curve in the height of a line, as an <svg> element.

    Args:
        name: What it shows.
        curve: The curve, scaled to fill the drawing; None draws nothing.
    """
    if curve is None:
        return ""
    every = -(-len(curve.steps) // _POINTS)
    steps = [*curve.steps[:-1:every], curve.steps[-1]]
    values = [*curve.values[:-1:every], curve.values[-1]]
    low, high = min(values), max(values)
    points = [
        (
            2 + (_WIDTH - 4) * (step - steps[0]) / (steps[-1] - steps[0] or 1),
            2 + (_HEIGHT - 4) * (high - value) / (high - low or 1),
        )
        for step, value in zip(steps, values, strict=True)
    ]
    label = f"{name}: {values[0]:.4g} at step {steps[0]}"
    if len(points) > 1:
        label += f", {values[-1]:.4g} at step {steps[-1]}"
    x, y = points[-1]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"<title>{html.escape(label)}</title>"
        f'<polyline points="{line}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="1.5"/></svg>'
    )
