"""A heatmap of prompts and tasks: ordered by type, with lines between the types."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.plots.drawing import (
    INK,
    new_figure,
    png_file,
    style,
    svg_element,
)
from jaxprompt.screen.quoting import cut
from jaxprompt.transfer.categories import CATEGORIES, category_of
from jaxprompt.transfer.matrix import ScoreMatrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OTHER = "other"
"""Name of the group of tasks whose type is not known."""

_NUMBERS_UP_TO = 24
"""Rows or columns of a heatmap that has its numbers in it."""

_LONGEST = 24
"""Characters of a label."""


Values = Float[np.ndarray, "targets sources"]

RELATIVE = "Score / score of the task's own prompt"


def write_heatmap(path: Path, matrix: ScoreMatrix) -> None:
    """Draws relative scores into a PNG file, atomically."""
    figure = new_figure(*_size(matrix), "black")
    _draw(figure.add_subplot(), matrix, matrix.relative(), RELATIVE, "black")
    write_atomically(path, png_file(figure))


def heatmap_svg(
    matrix: ScoreMatrix,
    values: Values,
    *,
    title: str = RELATIVE,
    name: str = "heatmap",
) -> str:
    """Draws scores as an <svg> element, to be put into a page.

    Args:
        matrix: The tasks and prompts.
        values: Of each pair, from 0 to 1 in colours; blank where NaN.
        title: What these are.
        name: Of the element, each of its own in a page.
    """
    figure = new_figure(*_size(matrix), INK)
    _draw(figure.add_subplot(), matrix, values, title, INK)
    return svg_element(figure, name=name, label=title)


def by_type(matrix: ScoreMatrix) -> tuple[list[int], list[int]]:
    """Orders tasks and prompts by type; a prompt is of its task's.

    Returns:
        Numbers of the tasks, and of the prompts: types in the order of `CATEGORIES`,
        those of no known type at the end.
    """
    tasks = matrix.trained_on or matrix.sources
    return (
        sorted(range(len(matrix.targets)), key=lambda i: _type(matrix.targets[i])),
        sorted(range(len(tasks)), key=lambda i: _type(tasks[i])),
    )


def _type(task: str) -> int:
    category = category_of(task)
    return len(CATEGORIES) if category is None else list(CATEGORIES).index(category)


def _size(matrix: ScoreMatrix) -> tuple[float, float]:
    rows, columns = matrix.scores.shape
    return 2.5 + 0.5 * columns, 2.5 + 0.35 * rows


def _draw(
    axes: "Axes", matrix: ScoreMatrix, values: Values, title: str, ink: str
) -> None:
    rows, columns = by_type(matrix)
    values = values[np.ix_(rows, columns)]
    image = axes.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    style(axes, ink, title=title)
    sources = [cut(matrix.sources[place], _LONGEST) for place in columns]
    targets = [cut(matrix.targets[place], _LONGEST) for place in rows]
    axes.set_xticks(range(len(columns)), sources, rotation=60, ha="right")
    axes.set_yticks(range(len(rows)), targets)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.set_xlabel("prompt", color=ink)
    axes.set_ylabel("task", color=ink)
    tasks = matrix.trained_on or matrix.sources
    for line in _borders([_type(tasks[place]) for place in columns]):
        axes.axvline(line, color="white", lw=2)
    for line in _borders([_type(matrix.targets[place]) for place in rows]):
        axes.axhline(line, color="white", lw=2)
    if max(values.shape) <= _NUMBERS_UP_TO:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "black" if value > 0.6 else "white"
                number = f"{100 * value:.0f}"
                axes.text(
                    column, row, number, ha="center", va="center", color=colour, size=7
                )
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(colors=ink)


def _borders(types: list[int]) -> list[float]:
    """Returns where one type ends and the next begins."""
    pairs = itertools.pairwise(types)
    return [place + 0.5 for place, (a, b) in enumerate(pairs) if a != b]
