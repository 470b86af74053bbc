"""The results of many runs as files: a table, all numbers in full, and a plot."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.report.plots.drawing import png_file, svg_file
from jaxprompt.report.results.plot import draw_results
from jaxprompt.report.results.rows import (
    COMPARED,
    ResultRow,
    best_rows,
    rows_of,
    superglue_rows,
)
from jaxprompt.report.text.markdown import markdown, markdown_table
from jaxprompt.report.text.table import table
from jaxprompt.screen.quoting import quoted_path

__all__ = [
    "FILES",
    "NOTE",
    "Cells",
    "ResultRow",
    "best_rows",
    "keep_known",
    "result_cells",
    "results_in",
    "results_table",
    "rows_of",
    "side_by_side",
    "superglue_rows",
    "write_results",
]

FILES = ("results.csv", "results.md", "results.png", "results.svg")
"""What `write_results` writes."""

Cells = tuple[list[str], list[list[object]]]
"""A header, and under it the cells of each row."""

NOTE = (
    "A score is the mean of the task's metrics, in points. Mean and std are the mean "
    "and the sample standard deviation of the scores over seeds. Baselines: majority "
    "is the most frequent answer of the split that is scored, untuned the frozen model "
    "alone, and hand-written the same behind a prompt in words. Vote is the majority "
    "vote of the seeds. An illegal answer is none of the task's label words."
)
"""What the numbers of a results table are."""

_NOTHING = "no results to compare: give one run or more"


def result_cells(rows: Sequence[ResultRow], axis: str = "") -> Cells:
    """Lays out rows, in columns that some row has a value for.

    Where rows of a task are scored on several splits, or on several numbers of
    examples, each row says on which.

    Args:
        rows: The rows.
        axis: What the rows' `x` are; empty for "x".

    Returns:
        The header, and the cells of each row.
    """
    scored_on = {
        field: [getattr(row, field) for row in rows]
        for field in ("split", "examples")
        if _differ(rows, field)
    }
    several = len({row.backbone for row in rows}) > 1
    columns: dict[str, list[Any]] = {
        "task": [row.task for row in rows],
        "metric": [row.metric for row in rows],
        **scored_on,
        "method": [row.method for row in rows],
        axis or "x": [None if row.x is None else f"{row.x:.12g}" for row in rows],
        "backbone": [row.backbone if several else None for row in rows],
        "seeds": [len(row.seeds) for row in rows],
        "mean": [row.mean for row in rows],
        "std": [row.stddev for row in rows],
        "majority": [row.majority for row in rows],
        "untuned": [row.untuned for row in rows],
        "hand-written": [row.hand_written for row in rows],
        "vote": [row.vote for row in rows],
        "illegal %": [
            None if row.illegal is None else 100 * row.illegal for row in rows
        ],
    }
    return keep_known(columns)


def side_by_side(rows: Sequence[ResultRow], axis: str = "") -> Cells | None:
    """Lays out rows with a line for each task and a column for each method.

    A cell is the mean and the sample standard deviation over seeds, as "81.2 ± 0.6", or
    the score of the only seed.

    Args:
        rows: The rows.
        axis: What the rows' `x` are; empty if they have none.

    Returns:
        The header, and the cells of each line; None where lines and columns would not
        both be several, along an axis, where a method has many scores of a task, and
        where methods are scored otherwise than each other, which do not compare.
    """
    lines = list(dict.fromkeys((row.task, row.backbone) for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    if axis or len(lines) < 2 or len(methods) < 2:
        return None
    if any(_differ(rows, field) for field in COMPARED):
        return None
    found = {(row.task, row.backbone, row.method): row for row in rows}
    firsts = [
        next(row for row in rows if (row.task, row.backbone) == line) for line in lines
    ]
    several = len({row.backbone for row in rows}) > 1
    columns: dict[str, list[Any]] = {
        "task": [row.task for row in firsts],
        "metric": [row.metric for row in firsts],
        "backbone": [row.backbone if several else None for row in firsts],
        "majority": [row.majority for row in firsts],
    }
    scores = {
        method: [_score_cell(found.get((*line, method))) for line in lines]
        for method in methods
    }
    header, cells = keep_known(columns)
    of_methods = zip(*scores.values(), strict=True)
    return [*header, *scores], [
        [*line, *beside] for line, beside in zip(cells, of_methods, strict=True)
    ]


def _differ(rows: Sequence[ResultRow], field: str) -> bool:
    """Whether rows of one task have several values of a field."""
    pairs = {(row.task, getattr(row, field)) for row in rows}
    return len(pairs) > len({task for task, _ in pairs})


def _score_cell(row: ResultRow | None) -> str | None:
    if row is None:
        return None
    spread = "" if row.stddev is None else f" ± {row.stddev:.1f}"
    return f"{row.mean:.1f}{spread}"


def keep_known(columns: Mapping[str, Sequence[Any]]) -> Cells:
    """Lays out the columns in which some row has a value.

    Args:
        columns: Name -> a cell for each row; None where there is nothing to say.

    Returns:
        The header, and the cells of each row.
    """
    kept = {
        name: cells
        for name, cells in columns.items()
        if any(cell is not None for cell in cells)
    }
    return list(kept), [list(cells) for cells in zip(*kept.values(), strict=True)]


def results_table(rows: Sequence[ResultRow], axis: str = "") -> str:
    """Lays out rows for the terminal, in columns that some row has a value for.

    Several methods on several tasks stand side by side below that.

    Args:
        rows: One or more.
        axis: What the rows' `x` are; empty for "x".

    Raises:
        ValueError: If there is no row.
    """
    if not rows:
        raise ValueError(_NOTHING)
    return "\n\n".join(table(*cells) for cells in _tables(rows, axis))


def _tables(rows: Sequence[ResultRow], axis: str) -> list[Cells]:
    beside = side_by_side(rows, axis)
    return [result_cells(rows, axis), *([] if beside is None else [beside])]


def write_results(
    folder: Path, rows: Sequence[ResultRow], *, title: str, axis: str = ""
) -> list[Path]:
    """Writes results.csv, results.md, results.png and results.svg, each atomically.

    Equal rows give equal bytes.

    Args:
        folder: Where to write; existing files of these names are replaced.
        rows: One or more.
        title: Heading of the table and the plot.
        axis: What the rows' `x` are, with their unit; needed if they have any.

    Returns:
        The paths of the files.

    Raises:
        ValueError: If there is no row, if two rows are of the same task, method, model
            and `x`, or if there is an `x` without an axis or the other way round.
        FileNotFoundError: If there is no such folder.
    """
    check_rows(rows, axis)
    heading = markdown(title)
    shown = "\n\n".join(markdown_table(*cells) for cells in _tables(rows, axis))
    text = f"# {heading}\n\n{shown}\n\n{_note(rows)}\n\n"
    figure = draw_results(rows, title=title, axis=axis)
    contents = (
        _csv(rows, axis).encode(),
        f"{text}![{heading}]({FILES[2]})\n".encode(),
        png_file(figure),
        svg_file(figure, name="results"),
    )
    paths = [folder / name for name in FILES]
    for path, content in zip(paths, contents, strict=True):
        write_atomically(path, content)
    return paths


def results_in(folder: Path) -> list[tuple[str, str]]:
    """Returns the task and the method of each row that `write_results` wrote.

    Args:
        folder: Where it wrote; none where it did not.

    Raises:
        ValueError: If the table there is another one.
    """
    path = folder / FILES[0]
    if not path.exists():
        return []
    rows = list(csv.DictReader(io.StringIO(read_utf8(path))))
    for row in rows:
        if row.get("task") is None or row.get("method") is None:
            raise ValueError(
                f"{quoted_path(path)} is no table of results, which has columns task "
                "and method: move it, or use another folder"
            )
    return [(row["task"], row["method"]) for row in rows]


def _note(rows: Sequence[ResultRow]) -> str:
    names = list(dict.fromkeys(row.backbone for row in rows))
    return f"{NOTE} Backbone: {markdown(names[0])}." if len(names) == 1 else NOTE


def _csv(rows: Sequence[ResultRow], axis: str) -> str:
    metrics = sorted({name for row in rows for name in row.metrics})
    lines = [
        {
            "task": row.task,
            "method": row.method,
            "metric": row.metric,
            "split": row.split,
            "examples": row.examples,
            "backbone": row.backbone,
            **({axis: row.x} if axis else {}),
            "seeds": " ".join(map(str, row.seeds)),
            "scores": " ".join(map(repr, row.scores)),
            "mean": row.mean,
            "std": row.stddev,
            "best": row.best,
            "majority": row.majority,
            "untuned": row.untuned,
            "hand_written": row.hand_written,
            "vote": row.vote,
            "illegal": row.illegal,
            **{f"mean_{name}": row.metrics.get(name) for name in metrics},
        }
        for row in rows
    ]
    text = io.StringIO()
    # csv writes the shortest text that reads back as the same number.
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def check_rows(rows: Sequence[ResultRow], axis: str = "") -> None:
    """Refuses rows that make no table.

    Args:
        rows: The rows.
        axis: What their `x` are.

    Raises:
        ValueError: As `write_results`.
    """
    if not rows:
        raise ValueError(_NOTHING)
    if bool(axis) != any(row.x is not None for row in rows):
        raise ValueError(
            f"axis {axis!r} and {sum(row.x is not None for row in rows)} rows with an "
            "x: give both or neither"
        )
    keys = [(row.task, row.method, row.backbone, row.x) for row in rows]
    if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        task, method, backbone, _ = twice[0]
        raise ValueError(
            f"two rows of task {task}, method {method!r} and backbone {backbone}: give "
            "the methods two names"
        )
