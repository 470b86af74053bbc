"""The curves of a run, from its metrics.jsonl: SVG for a page, PNG for a model card."""

import dataclasses
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxprompt.atomic import write_atomically

_COLOURS = ("#2f7ed8", "#d4700a")
"""Blue and orange: told apart by every eye, and legible on white and on black."""

_INK = "#010203"
"""Stands for the text colour of the page that an SVG is put into."""

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
        curves: Name -> curve, one or two; the gap between two is shaded.
    """

    name: str
    title: str
    unit: str
    curves: Mapping[str, Curve]


def read_curves(path: Path) -> dict[str, Curve]:
    """Reads the scalars that a run has logged.

    Args:
        path: Its metrics.jsonl.

    Returns:
        Name -> curve, in the order of the log. Values that were not finite are left
        out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no line of such a log.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no log {path}: name the metrics.jsonl of a run")
    points: dict[str, list[tuple[int, float]]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            scalars = json.loads(line)
            step = int(scalars.pop("step"))
        except (AttributeError, KeyError, TypeError, ValueError) as err:
            raise ValueError(
                f"{path}:{number}: not a JSON object with a step: name the "
                "metrics.jsonl of a run"
            ) from err
        for name, value in scalars.items():
            if value is not None:
                points.setdefault(name, []).append((step, float(value)))
    return {
        name: Curve(*map(tuple, zip(*pairs, strict=True)))
        for name, pairs in points.items()
    }


def make_panels(curves: Mapping[str, Curve], metric: str = "") -> list[Panel]:
    """Chooses what to plot: the training loss, and what validation measured.

    Where the validation loss was measured with each row's own encoder input and with
    another row's, both are plotted, for each objective: a model whose two curves are
    close ignores its encoder, so that no prompt can steer it.

    Args:
        curves: From `read_curves`.
        metric: Names of the metrics whose mean is the score, joined by "+".

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
    if not losses and "validation/score" in curves:
        names = metric.split("+")
        score = f"mean of {', '.join(names)}" if len(names) > 1 else metric or "score"
        curve = {"score": curves["validation/score"]}
        unit = f"{score} (points)"
        panels.append(Panel("validation", "Validation score", unit, curve))
    return panels + losses


def _loss_panel(objective: str, own: Curve, other: Curve) -> Panel:
    return Panel(
        f"validation_{objective}",
        f"Validation loss: {objective.replace('_', ' ')}",
        _NATS,
        {"own encoder input": own, "another row's encoder input": other},
    )


def to_svg(panel: Panel) -> str:
    """Draws a panel as an <svg> element, to be put into a page.

    Its lines and letters take the page's text colour. Equal panels give equal text.
    """
    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="none")
    _draw(figure.add_subplot(), panel, _INK)
    text = io.StringIO()
    # Text stays text, and identifiers do not depend on the time or on chance.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": panel.name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    # Several panels share one page, so each has identifiers of its own.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{panel.name}-", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{panel.title}"', 1)


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
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    for place, panel in enumerate(panels, 1):
        _draw(figure.add_subplot(rows, columns, place), panel, "black")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=80, metadata={"Software": None})
    write_atomically(path, content.getvalue())


def _draw(axes: Axes, panel: Panel, ink: str) -> None:
    looks = zip(_COLOURS, ("-", "--"), strict=True)
    for (label, curve), (colour, style) in zip(
        panel.curves.items(), looks, strict=False
    ):
        # A few points are seen as such; many are a line.
        dots = 4 if len(curve.steps) <= 30 else 0
        axes.plot(
            curve.steps,
            curve.values,
            color=colour,
            linestyle=style,
            marker="o",
            markersize=dots,
            label=label,
        )
    axes.set_facecolor("none")
    axes.set_title(panel.title, color=ink)
    axes.set_xlabel("training steps", color=ink)
    axes.set_ylabel(panel.unit, color=ink)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(left=0)
    axes.tick_params(colors=ink)
    axes.spines[:].set_edgecolor(ink)
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.curves) > 1:
        _shade_gap(axes, *panel.curves.values())
        axes.legend(frameon=False, labelcolor=ink)


def _shade_gap(axes: Axes, own: Curve, other: Curve) -> None:
    # A loss that was not finite leaves one curve with a step less.
    if own.steps == other.steps:
        axes.fill_between(
            own.steps, own.values, other.values, color=_COLOURS[1], alpha=0.2, lw=0
        )
