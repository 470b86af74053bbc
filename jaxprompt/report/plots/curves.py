"""The curves of a run, from its metrics.jsonl: SVG for a page, PNG for a model card."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxprompt.files.atomic import write_atomically
from jaxprompt.report.plots.drawing import (
    COLOURS,
    INK,
    LINES,
    new_figure,
    png_file,
    style,
    svg_element,
)
from jaxprompt.train.metrics import read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NATS = "nats per target token"

_SIZE = (4.8, 3.0)
"""Width and height of one panel, in inches."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """One scalar of a run over its steps.

    Attributes:
        steps: Steps taken.
        values: The scalar after each of them.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Panel:
    """One plot of curves that share their axes.

    Attributes:
        name: Letters and "_", unlike any other panel's of the same page.
        title: What is plotted.
        unit: Label of the vertical axis; the horizontal one counts steps.
        curves: Name -> curve.
        gap: Whether there are two, and the gap between them is what matters.
    """

    name: str
    title: str
    unit: str
    curves: Mapping[str, Curve]
    gap: bool = False


def read_curves(path: Path, *, whole: bool = True) -> dict[str, Curve]:
    """Reads the scalars that a run has logged.

    Args:
        path: Its metrics.jsonl.
        whole: Whether the last line must be whole; as of `read_log`.

    Returns:
        Name -> curve, in the order of the log. Values that were not finite are left
        out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no line of such a log.
    """
    points: dict[str, list[tuple[int, float]]] = {}
    for step, scalars in read_log(path, whole=whole):
        for name, value in scalars.items():
            if value is not None:
                points.setdefault(name, []).append((step, float(value)))
    return {
        name: Curve(*map(tuple, zip(*pairs, strict=True)))
        for name, pairs in points.items()
    }


def make_panels(
    curves: Mapping[str, Curve], metric: str | Mapping[str, str] = ""
) -> list[Panel]:
    """Chooses what to plot: the training loss, and what validation measured.

    Of several tasks, or of a bank, each task has a plot with one curve for each seed.

    Where the validation loss was measured with each row's own input and with another
    row's, both are plotted, for each objective: an encoder-decoder whose two curves are
    close ignores its encoder, so that no prompt can steer it.

    Args:
        curves: From `read_curves`.
        metric: Names of the metrics whose mean is the score, joined by "+"; of several
            tasks task -> names.

    Returns:
        The panels that the log has curves for.
    """
    panels = []
    if "loss" in curves:
        curve = {"loss": curves["loss"]}
        panels.append(Panel("training", "Training loss", _NATS, curve))
    losses = [
        _loss_panel(match[1] or "all_objectives", curves[name], curves[other])
        for name in curves
        if (match := re.fullmatch(r"validation/(?:(\w+)/)?loss", name))
        and (other := f"{name.removesuffix('loss')}other_input_loss") in curves
    ]
    return panels + (losses or _score_panels(curves, metric))


def _loss_panel(objective: str, own: Curve, other: Curve) -> Panel:
    return Panel(
        f"validation_{objective}",
        f"Validation loss: {objective.replace('_', ' ')}",
        _NATS,
        {"own input": own, "another row's input": other},
        gap=True,
    )


def _score_panels(
    curves: Mapping[str, Curve], metric: str | Mapping[str, str]
) -> list[Panel]:
    def unit(task: str) -> str:
        names = metric if isinstance(metric, str) else metric.get(task, "")
        several = f"mean of {', '.join(names.split('+'))}"
        return f"{several if '+' in names else names or 'score'} (points)"

    tasks: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        if match := re.fullmatch(r"validation/(.+)-(\d+)/score", name):
            tasks.setdefault(match[1], {})[f"seed {match[2]}"] = curve
    if tasks:
        # Numbered: names of tasks may differ in what no identifier can hold.
        return [
            Panel(
                f"validation_{number}", f"Validation score: {task}", unit(task), seeds
            )
            for number, (task, seeds) in enumerate(tasks.items())
        ]
    if "validation/score" in curves:
        curve = {"score": curves["validation/score"]}
        return [Panel("validation", "Validation score", unit(""), curve)]
    return []


def to_svg(panel: Panel) -> str:
    """Draws a panel as an <svg> element, to be put into a page.

    Its lines and letters take the page's text colour. Equal panels give equal text.
    """
    figure = new_figure(*_SIZE, INK)
    _draw(figure.add_subplot(), panel, INK)
    return svg_element(figure, name=panel.name, label=panel.title)


def write_png(path: Path, panels: Sequence[Panel]) -> None:
    """Draws panels side by side, two in a row, into a PNG file, atomically.

    Args:
        path: The file to write.
        panels: At least one.

    Raises:
        ValueError: If there is no panel.
    """
    if not panels:
        raise ValueError(f"no curves to draw in {path.name}: the run has logged none")
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    width, height = _SIZE
    figure = new_figure(columns * width, rows * height, "black")
    for place, panel in enumerate(panels, 1):
        _draw(figure.add_subplot(rows, columns, place), panel, "black")
    write_atomically(path, png_file(figure))


def _draw(axes: "Axes", panel: Panel, ink: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for number, (label, curve) in enumerate(panel.curves.items()):
        # A few points are seen as such; many are a line.
        dots = 4 if len(curve.steps) <= 30 else 0
        axes.plot(
            curve.steps,
            curve.values,
            color=COLOURS[number % len(COLOURS)],
            linestyle=LINES[number % len(LINES)],
            marker="o",
            markersize=dots,
            label=label,
        )
    style(axes, ink, title=panel.title, x="training steps", y=panel.unit)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(left=0)
    if panel.gap:
        _shade_gap(axes, *panel.curves.values())
    if len(panel.curves) > 2:
        # Beside the plot: several curves leave no room for it.
        legend = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(**legend, frameon=False, labelcolor=ink, fontsize="small")
    elif len(panel.curves) == 2:
        axes.legend(frameon=False, labelcolor=ink)


def _shade_gap(axes: "Axes", own: Curve, other: Curve) -> None:
    # A loss that was not finite leaves one curve with a step less.
    if own.steps == other.steps:
        axes.fill_between(
            own.steps, own.values, other.values, color=COLOURS[1], alpha=0.2, lw=0
        )
