"""How every plot looks, and how it becomes SVG for a page or PNG for a file."""

import html
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxprompt.screen.quoting import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib is imported where it draws: a run needs it at its end only.

COLOURS = ("#2f7ed8", "#d4700a", "#775566", "#7700ff", "#99aa77", "#dd88bb")
"""Told apart by every eye, colour-blind or not, and legible on white and on black."""

LINES = ("-", "--", "-.", ":")
"""Styles that tell lines apart where colours do not."""

MARKERS = ("o", "s", "^", "D", "v", "P")
"""Likewise, of points."""

INK = "#010203"
"""Stands for the text colour of the page that an SVG is put into."""

DOTS = 80
"""Resolution of a PNG, per inch."""

_CHARACTERS = 90
"""What fits into a line of a legend."""


def new_figure(width: float, height: float, ink: str) -> "Figure":
    """Makes an empty figure whose parts make room for each other.

    Args:
        width: In inches.
        height: In inches.
        ink: Colour of lines and letters; `INK` for a figure without a background.
    """
    from matplotlib.figure import Figure

    background = "none" if ink == INK else "white"
    return Figure((width, height), layout="constrained", facecolor=background)


def style(axes: "Axes", ink: str, *, title: str = "", x: str = "", y: str = "") -> None:
    """Gives axes their labels, and the look that all plots share.

    Args:
        axes: What is drawn on.
        ink: Colour of lines and letters.
        title: Above it.
        x: Label of the horizontal axis, with its unit.
        y: Label of the vertical one.
    """
    axes.set_facecolor("none")
    # A "$" in the name of a task is no formula.
    axes.set_title(_visible_lines(title), color=ink, parse_math=False)
    axes.set_xlabel(_visible_lines(x), color=ink, parse_math=False)
    axes.set_ylabel(_visible_lines(y), color=ink, parse_math=False)
    axes.tick_params(colors=ink)
    axes.spines[:].set_edgecolor(ink)
    axes.spines[["top", "right"]].set_visible(False)


def _visible_lines(text: str) -> str:
    """Shows what is not printable in text whose lines are wrapped already."""
    return "\n".join(map(visible, text.split("\n")))


def wrap(text: str, width: int) -> str:
    """Breaks a long label into lines of so many characters, all of them seen."""
    return "\n".join(textwrap.wrap(visible(text), width)) or visible(text)


def add_legend_below(figure: "Figure", handles: Mapping[str, Any], ink: str) -> None:
    """Puts a legend below a figure.

    Args:
        figure: The figure.
        handles: Label -> what was drawn.
        ink: Colour of the letters.
    """
    legend = figure.legend(
        list(handles.values()),
        [wrap(name, _CHARACTERS) for name in handles],
        loc="outside lower center",
        ncols=_columns(list(handles)),
        frameon=False,
        labelcolor=ink,
        fontsize="small",
        handlelength=3,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def legend_height(names: Sequence[str]) -> float:
    """Returns the height that `add_legend_below` needs, in inches."""
    lines = max(1, *(len(name) // _CHARACTERS + 1 for name in names))
    return 0.2 * lines * -(-len(names) // _columns(names))


def _columns(names: Sequence[str]) -> int:
    longest = max(len(name) for name in names)
    # Eight characters are the width of a sample of the line.
    return max(1, min(len(names), _CHARACTERS // (longest + 8)))


def svg_element(figure: "Figure", *, name: str, label: str) -> str:
    """Draws a figure in `INK` as an <svg> element, to be put into a page.

    Its lines and letters take the page's text colour. Equal figures give equal text.

    Args:
        figure: The figure.
        name: Letters and "_", unlike any other figure's of the same page.
        label: What it shows, for those who cannot see it.
    """
    svg = _svg(figure, name)
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    # Several figures share one page, so each has identifiers of its own.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return svg.replace(
        "<svg", f'<svg role="img" aria-label="{html.escape(visible(label))}"', 1
    )


def svg_file(figure: "Figure", *, name: str) -> bytes:
    """Draws a figure as the content of an SVG file, the same every time."""
    return _svg(figure, name).encode()


def png_file(figure: "Figure") -> bytes:
    """Draws a figure as the content of a PNG file, the same every time."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS, metadata={"Software": None})
    return content.getvalue()


def _svg(figure: "Figure", name: str) -> str:
    import matplotlib

    text = io.StringIO()
    # Text stays text, and identifiers do not depend on the time or on chance.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing)
    return text.getvalue()
