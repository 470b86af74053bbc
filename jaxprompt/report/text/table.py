"""Plain tables for the terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jaxprompt.screen.quoting import visible


class Grid(NamedTuple):
    """A table that is still to be laid out.

    Attributes:
        header: Names of the columns.
        rows: Cells; None where there is nothing to show.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]


def grid_of(header: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Grid:
    """Takes the cells of rows that name their columns, and may lack some."""
    return Grid(header, [[row.get(name) for name in header] for row in rows])


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lays out a table: text to the left, numbers to the right with one decimal.

    Args:
        header: Names of the columns.
        rows: Cells; None is shown as "-", and what is not printable as
            `quoting.visible` does.

    Returns:
        Aligned lines, without a newline at the end.
    """
    # A bar would end a cell where a table is pasted into a page.
    return lay_out(header, rows, lambda cell: visible(str(cell)).replace("|", "\\|"))


def lay_out(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    show: Callable[[object], str],
) -> str:
    """Lays out a table; see `table`.

    Args:
        header: Names of the columns.
        rows: Cells.
        show: From a cell to its text, on one line, without a bar of its own.
    """

    def cell(value: object) -> str:
        if value is None:
            return "-"
        return show(f"{value:.1f}" if isinstance(value, float) else value)

    names = [show(name) for name in header]
    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    right = [
        all(value is None or isinstance(value, int | float) for value in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(header)

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        ]
        return f"| {' | '.join(aligned)} |"

    rule = [
        "-" * (width - 1) + (":" if to_right else "-")
        for width, to_right in zip(widths, right, strict=True)
    ]
    return "\n".join([line(names), line(rule), *map(line, texts)])
