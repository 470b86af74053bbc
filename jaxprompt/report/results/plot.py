"""The plot of many results: bars for each task, or lines along a numeric axis."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxprompt.report.plots.drawing import (
    COLOURS,
    LINES,
    MARKERS,
    add_legend_below,
    legend_height,
    new_figure,
    style,
    wrap,
)
from jaxprompt.report.results.rows import ResultRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 7.2
"""Of the plot, in inches."""

_COLUMNS = 3
"""Plots of tasks in a row."""

_LARGE, _SMALL = 4.0, 2.4
"""Height of a plot alone, and of one of several, in inches."""

_LETTER = 0.09
"""Width of a digit, in inches."""

_BAR = 0.24
"""Height of a bar and the space around it, in inches."""

_SCORE = "score (points)"

_MAJORITY = "majority class"

_HATCHES = ("", "///", "...", "xxx")
"""What tells bars apart where colours do not."""


def draw_results(
    rows: Sequence[ResultRow], *, title: str = "", axis: str = "", ink: str = "black"
) -> "Figure":
    """Draws means as bars, or as lines where the rows have an `x`, with error bars.

    An error bar is one sample standard deviation to each side. The score of the
    majority class is dotted.

    Args:
        rows: One or more, no two of the same task, method, model and `x`.
        title: Above the plot.
        axis: What the rows' `x` are; empty for bars. A row without one is then a level
            line.
        ink: Colour of lines and letters.
    """
    if axis:
        return _draw_lines(rows, title, axis, ink)
    return _draw_bars(rows, title, ink)


def _draw_bars(rows: Sequence[ResultRow], title: str, ink: str) -> "Figure":
    fields = ["method", *_varying(rows, "backbone")]
    series = list(dict.fromkeys(_label(row, fields) for row in rows))
    tasks: dict[str, list[ResultRow]] = {}
    for row in rows:
        tasks.setdefault(row.task, []).append(row)
    for of_task in tasks.values():
        of_task.sort(key=lambda row: series.index(_label(row, fields)))
    # Half a bar's height lies between the bars of two tasks.
    height = len(rows) + 0.5 * len(tasks)
    below = legend_height([*series, _MAJORITY])
    figure = new_figure(_WIDTH, _BAR * height + below + 1.0, ink)
    # The bars lie, so that names of tasks have room however many there are.
    axes = figure.add_subplot()
    handles: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    place, middles = 0.75, []
    for of_task in tasks.values():
        middles.append(place + (len(of_task) - 1) / 2)
        for row in of_task:
            name = _label(row, fields)
            bar = _draw_bar(axes, place, row, series.index(name), ink)
            handles.setdefault(name, bar)
            if row.majority is not None:
                ends = place - 0.5, place + 0.5
                mark = axes.vlines(row.majority, *ends, colors=ink, linestyles=":")
                marks.setdefault(_MAJORITY, mark)
            place += 1
        place += 0.5
    axes.set_yticks(middles, [wrap(task, 28) for task in tasks], parse_math=False)
    axes.set_ylim(height, 0.0)
    axes.set_xlim(*_score_limits(rows))
    style(axes, ink, title=wrap(title, 70), x=_SCORE, y="")
    add_legend_below(figure, handles | marks, ink)
    return figure


def _draw_bar(axes: "Axes", place: float, row: ResultRow, number: int, ink: str) -> Any:
    bar = axes.barh(
        place,
        row.mean,
        0.9,
        color=COLOURS[number % len(COLOURS)],
        hatch=_HATCHES[number // len(COLOURS) % len(_HATCHES)],
        edgecolor="white",
        linewidth=0,
    )
    if row.stddev is not None:
        spread = {"xerr": row.stddev, "fmt": "none", "ecolor": ink, "capsize": 2}
        axes.errorbar(row.mean, place, **spread)
    return bar


def _draw_lines(rows: Sequence[ResultRow], title: str, axis: str, ink: str) -> "Figure":
    tasks = list(dict.fromkeys(row.task for row in rows))
    through = _methods_are_places(rows)
    lines = list(dict.fromkeys(_line(row, rows, through) for row in rows))
    columns = min(len(tasks), _COLUMNS)
    high = -(-len(tasks) // columns)
    size = _LARGE if len(tasks) == 1 else high * _SMALL
    figure = new_figure(_WIDTH, size + legend_height([*lines, _MAJORITY]), ink)
    figure.suptitle(wrap(title, 70), color=ink, parse_math=False)
    handles: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    for place, task in enumerate(tasks, 1):
        axes = figure.add_subplot(high, columns, place)
        of_task = [row for row in rows if row.task == task]
        for number, name in enumerate(lines):
            line = [row for row in of_task if _line(row, rows, through) == name]
            if line:
                handles.setdefault(name, _draw_line(axes, line, number))
        known = {row.majority for row in of_task if row.majority is not None}
        if len(known) == 1:
            mark = axes.axhline(known.pop(), color=ink, linestyle=":")
            marks.setdefault(_MAJORITY, mark)
        # A label stands once for a row, and once for a column.
        lowest = place > columns * (high - 1)
        style(
            axes,
            ink,
            title=wrap(task, 28),
            x=wrap(axis, 72 // columns) if lowest else "",
            y=_SCORE if (place - 1) % columns == 0 else "",
        )
        _set_scale(axes, sorted({row.x for row in rows if row.x is not None}))
    add_legend_below(figure, handles | marks, ink)
    return figure


def _draw_line(axes: "Axes", line: Sequence[ResultRow], number: int) -> Any:
    looks: dict[str, Any] = {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
    }
    points = {row.x: row for row in line if row.x is not None}
    if not points:
        return axes.axhline(line[0].mean, **looks)
    return axes.errorbar(
        sorted(points),
        [points[x].mean for x in sorted(points)],
        yerr=[points[x].stddev or 0.0 for x in sorted(points)],
        marker=MARKERS[number % len(MARKERS)],
        capsize=3,
        **looks,
    )


def _methods_are_places(rows: Sequence[ResultRow]) -> bool:
    """Whether each place is a method of its own, as "length_20": a line joins them."""
    placed = [row for row in rows if row.x is not None]
    methods = {row.method for row in placed}
    each = len(methods) == len({(row.method, row.x) for row in placed}) > 1
    return each and len(placed) == len(
        {(row.task, row.backbone, row.x) for row in placed}
    )


def _line(row: ResultRow, rows: Sequence[ResultRow], through: bool) -> str:
    """Names the line that a row is on; one without a place has a line of its own."""
    placed = {(one.x, one.backbone) for one in rows if one.x is not None}
    # Where each place is a model, as steps of LM adaptation, a line joins them.
    of_place = len(placed) == len({x for x, _ in placed})
    fields = [] if of_place and row.x is not None else _varying(rows, "backbone")
    if row.x is None or not through:
        fields = ["method", *fields]
    return _label(row, fields) or "mean over seeds"


def _varying(rows: Sequence[ResultRow], *fields: str) -> list[str]:
    return [name for name in fields if len({getattr(row, name) for row in rows}) > 1]


def _label(row: ResultRow, fields: Sequence[str]) -> str:
    return ", ".join(getattr(row, field) for field in fields)


def _score_limits(rows: Sequence[ResultRow]) -> tuple[float, float]:
    """From 0, where bars begin, to 100, unless a bar or its error bar goes beyond."""
    ends = [row.mean + sign * (row.stddev or 0.0) for row in rows for sign in (-1, 1)]
    return min(0.0, *ends), max(100.0, *(1.01 * end for end in ends))


def _set_scale(axes: "Axes", places: Sequence[float]) -> None:
    """Marks the places that were measured; far ones are on a logarithmic scale."""
    from matplotlib.ticker import FixedLocator, NullLocator

    positive = [x for x in places if x > 0]
    wide = len(positive) > 1 and positive[-1] >= 10 * positive[0]
    if wide and len(positive) == len(places):
        axes.set_xscale("log")
    elif wide and places[0] == 0:
        # Linear up to the first place behind 0.
        axes.set_xscale("symlog", linthresh=positive[0])
    if len(places) > 1:
        # matplotlib's own margins are those of a linear scale.
        scale = axes.xaxis.get_transform()
        left, right = scale.transform([places[0], places[-1]])
        margin = 0.06 * (right - left)
        axes.set_xlim(*scale.inverted().transform([left - margin, right + margin]))
    locations = axes.transData.transform([(x, 0.0) for x in places])[:, 0]
    letter = _LETTER * axes.figure.dpi
    shown: list[float] = []
    end = -float("inf")
    for x, location in zip(places, locations, strict=True):
        half = letter * (1 + len(_short(x))) / 2
        # A label that would touch the one before is left out.
        if location - half >= end:
            shown.append(x)
            end = location + half
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: _short(x))


def _short(x: float) -> str:
    """Writes 11135332352 as 11.1G, and smaller numbers in full."""
    from matplotlib.ticker import EngFormatter

    return f"{x:g}" if abs(x) < 10_000 else EngFormatter(sep="")(float(f"{x:.3g}"))
