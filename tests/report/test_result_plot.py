"""The plot of results shows every number, and its letters do not touch."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxprompt.report.plots.drawing import svg_file
from jaxprompt.report.results.plot import draw_results
from jaxprompt.report.results.rows import ResultRow

LENGTHS = (1, 5, 20, 100, 150)
STEPS = (0, 10_000, 50_000, 100_000)
SIZES = (76_961_152, 247_577_856, 783_150_080, 2_849_757_184, 11_135_332_352)
TASKS = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")
LONG = "a_task_whose_name_is_a_whole_sentence that goes on and on without an end"


def row(
    task: str = "rte",
    method: str = "prompt tuning",
    scores: tuple[float, ...] = (60.0, 64.0),
    backbone: str = "t5",
    majority: float | None = 52.7,
    x: float | None = None,
) -> ResultRow:
    seeds = tuple(range(len(scores)))
    return ResultRow(task, method, "accuracy", backbone, seeds, scores, majority, x=x)


def letters(figure: Figure) -> list[str]:
    """The texts that are drawn, line by line."""
    svg = ElementTree.fromstring(svg_file(figure, name="plot"))
    return [node.text for node in svg.iter() if node.tag.endswith("}text") if node.text]


def boxes(figure: Figure) -> dict[str, np.ndarray]:
    """Where each text stands: (left, bottom, right, top) in pixels."""
    FigureCanvasAgg(figure).draw()
    texts = [*figure.texts, *figure.legends[0].get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(
                axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True
            )
            texts += [label for place, label in ticks if low <= place <= high]
    return {
        f"{number} {text.get_text()}": text.get_window_extent().extents
        for number, text in enumerate(texts)
        if text.get_text()
    }


PLOTS = {
    "one bar": ([row()], ""),
    "eight tasks, three methods": (
        [row(task, method) for task in (*TASKS, LONG) for method in ("a", "b", "c")],
        "",
    ),
    "long names": ([row(LONG, f"{number}, {LONG}") for number in range(9)], ""),
    "lengths": ([row(x=x) for x in LENGTHS], "prompt length (tokens)"),
    "sizes": ([row(x=x) for x in SIZES], "weights"),
    "near and far": ([row(x=x) for x in (1, 1.01, 1.02, 500, 501)], "rate"),
    "five tasks along an axis": (
        [row(t, m, x=x) for t in TASKS[:5] for m in ("a", "b") for x in STEPS],
        "steps of LM adaptation",
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_no_letter_touches_another_or_the_edge(name: str):
    rows, axis = PLOTS[name]
    figure = draw_results(rows, title=f"An experiment with {name}", axis=axis)
    found = boxes(figure)
    width, height = figure.canvas.get_width_height()
    for text, (left, bottom, right, top) in found.items():
        assert left >= 0, text
        assert bottom >= 0, text
        assert right <= width, text
        assert top <= height, text
    for (one, first), (other, second) in itertools.combinations(found.items(), 2):
        apart = (first[:2] >= second[2:]) | (second[:2] >= first[2:])
        assert apart.any(), f"{one!r} touches {other!r}"


def test_bars_are_the_means_with_their_spread_beside_the_majority():
    rows = [row(), row(method="model tuning", scores=(70.0,)), row("cb", majority=None)]
    figure = draw_results(rows, title="Two tasks")
    (axes,) = figure.axes
    bars = [bar.get_width() for bar in axes.patches]
    assert bars == [62.0, 70.0, 62.0]
    ends = [
        sorted(path.vertices[:, 0])
        for collection in axes.collections
        for path in collection.get_paths()
    ]
    spread = 62.0 - 8**0.5, 62.0 + 8**0.5
    assert [*map(tuple, ends)] == [
        pytest.approx(spread),
        (52.7, 52.7),
        (52.7, 52.7),
        pytest.approx(spread),
    ]
    assert {"rte", "cb", "prompt tuning", "model tuning", "majority class"} <= {
        *letters(figure)
    }
    assert axes.get_xlim() == (0.0, 100.0)


def test_a_score_beyond_the_scale_is_not_cut():
    figure = draw_results([row(scores=(-20.0,)), row("cb", scores=(99.0, 100.0))])
    left, right = figure.axes[0].get_xlim()
    assert left == -20.0
    assert right > 99.5 + 0.5**0.5


def test_models_are_told_apart_where_there_are_several():
    rows = [row(backbone="small"), row(backbone="large")]
    assert {"prompt tuning, small", "prompt tuning, large"} <= {
        *letters(draw_results(rows))
    }


def points(figure: Figure) -> list[tuple[list[float], list[float]]]:
    """The lines that are drawn through points."""
    return [
        (line.get_xdata().tolist(), line.get_ydata().tolist())
        for axes in figure.axes
        for line in axes.lines
        if line.get_linestyle() not in ("None", ":") and len(line.get_xdata()) > 2
    ]


def test_a_method_is_a_line_along_the_axis():
    scores = {1: 50.0, 20: 60.0, 5: 55.0}
    rows = [
        row(method=method, x=x, scores=(score,))
        for method in ("a", "b")
        for x, score in scores.items()
    ]
    line = ([1, 5, 20], [50.0, 55.0, 60.0])
    figure = draw_results(rows, axis="tokens")
    assert points(figure) == [line, line]
    assert {"a", "b", "rte", "tokens", "1", "5", "20"} <= {*letters(figure)}


def test_methods_that_are_places_on_the_axis_are_joined():
    rows = [row(method=f"length {x}", x=x, scores=(50.0 + x,)) for x in (1, 5, 20)]
    level = row(method="model tuning", scores=(80.0,))
    figure = draw_results([*rows, level], axis="tokens")
    assert points(figure) == [([1, 5, 20], [51.0, 55.0, 70.0])]
    drawn = letters(figure)
    assert {"mean over seeds", "model tuning"} <= {*drawn}
    assert "length 5" not in drawn
    assert [80.0, 80.0] in [list(line.get_ydata()) for line in figure.axes[0].lines]


def test_far_places_are_on_a_logarithmic_scale_which_may_begin_at_zero():
    def scale(*places: float) -> str:
        figure = draw_results([row(x=x) for x in places], axis="tokens")
        return figure.axes[0].get_xscale()

    assert scale(1, 2, 5) == "linear"
    assert scale(*LENGTHS) == "log"
    assert scale(*STEPS) == "symlog"
    assert scale(-10, 1, 10) == "linear"
    assert {"0", "10k", "50k", "100k"} <= {
        *letters(draw_results([row(x=x) for x in STEPS], axis="steps"))
    }


def test_a_dollar_sign_is_a_letter():
    rows = [row(task, "$method_{$") for task in ("$a_{$", "$b_{$")]
    drawn = letters(draw_results(rows, title="$title_{$"))
    assert {"$a_{$", "$b_{$", "$method_{$", "$title_{$"} <= {*drawn}
    placed = [
        row(task, "$method_{$", x=x) for task in ("$a_{$", "$b_{$") for x in (1, 2)
    ]
    drawn = letters(draw_results(placed, title="$title_{$", axis="$axis_{$"))
    assert {"$a_{$", "$b_{$", "$method_{$", "$title_{$", "$axis_{$"} <= {*drawn}
