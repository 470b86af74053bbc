"""The page of many runs tells of each, safely, and needs nothing from elsewhere."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_results import made_member, made_result
from pages import check_page, headings, table_rows

from jaxprompt.evaluate.aggregate import SUPERGLUE
from jaxprompt.report.pages.summary import RunFacts, small_curve, write_summary
from jaxprompt.report.plots.curves import Curve
from jaxprompt.report.results.rows import rows_of

BANK = made_result(made_member(seed=0, score=60.0), made_member(seed=1, score=64.0))
ALONE = made_result(made_member(seed=7, score=70.0), trains="model", seconds=1234.5)
CURVES = {
    "loss": Curve((1, 2), (2.0, 1.0)),
    "validation/rte-0/score": Curve((2,), (60.0,)),
    "validation/rte-1/score": Curve((2,), (64.0,)),
}


def page(folder: Path, *runs: RunFacts, **more) -> str:
    path = folder / "report.html"
    rows = [row for run in runs for row in rows_of(run.method, [run.result])]
    write_summary(path, rows, runs, title="A comparison", **more)
    return path.read_text(encoding="utf-8")


def both(folder: Path, **more) -> str:
    return page(
        folder,
        RunFacts("bank", "prompts", BANK, CURVES, "bank/report.html"),
        RunFacts("alone", "model", ALONE, {"validation/score": Curve((1,), (70.0,))}),
        **more,
    )


def test_every_member_of_every_run_has_a_line(tmp_path: Path):
    text = both(tmp_path)
    rows = table_rows(text)
    lines = rows[rows.index(["run", *RUN_HEADER]) + 1 :]
    assert [line[:8] for line in lines] == [
        ["bank", "rte", "prompts", "0", "60.0", "300", "90", "2.0"],
        ["bank", "rte", "prompts", "1", "64.0", "300", "90", "2.0"],
        ["alone", "rte", "model", "7", "70.0", "300", "1234", "2.0"],
    ]
    assert [line[8:] for line in lines] == [
        ["training loss: 2 at step 1, 1 at step 2", "validation score: 60 at step 2"],
        ["training loss: 2 at step 1, 1 at step 2", "validation score: 64 at step 2"],
        ["", "validation score: 70 at step 1"],
    ]
    assert text.count('<a href="bank/report.html">bank</a>') == 2
    assert "alone</a>" not in text


RUN_HEADER = ["task", "method", "seed", "score", "step", "seconds", "illegal %"]
RUN_HEADER += ["training loss", "validation score"]


def test_the_table_the_plot_and_the_votes_are_there(tmp_path: Path):
    text = both(tmp_path, settings={"prompts": {"A.b": "1"}, "model": {"A.b": "2"}})
    assert headings(text) == [
        "Results",
        "What the methods differ in",
        "Ensembles",
        "Runs",
    ]
    rows = table_rows(text)
    assert rows[1][:6] == ["rte", "f1+accuracy", "prompts", "2", "62.0", "2.8"]
    assert ["model", "2"] in rows
    assert ["rte", "f1+accuracy", "2", "62.0", "64.0", "64.5"] in rows
    assert '<svg role="img" aria-label="A comparison"' in text
    assert ">majority class</text>" in text


def test_methods_on_several_tasks_stand_side_by_side(tmp_path: Path):
    other = made_result(made_member("cb", score=80.0, majority=40.0))
    rows = table_rows(both(tmp_path))
    beside = ["task", "metric", "majority", "prompts", "model"]
    assert beside not in rows
    text = page(
        tmp_path,
        RunFacts("bank", "prompts", BANK),
        RunFacts("alone", "model", ALONE),
        RunFacts("other", "model", other),
    )
    rows = table_rows(text)
    first = rows.index(beside)
    assert rows[first + 1 : first + 3] == [
        ["rte", "f1+accuracy", "50.0", "62.0 ± 2.8", "70.0"],
        ["cb", "f1+accuracy", "40.0", "-", "80.0"],
    ]


def test_superglue_is_spoken_of_only_where_its_mean_is_shown(tmp_path: Path):
    about = "Of SuperGLUE it is the mean of each task's best."
    assert about not in both(tmp_path)
    eight = made_result(
        *(made_member(task, seed) for task in SUPERGLUE for seed in (0, 1))
    )
    assert about in page(tmp_path, RunFacts("bank", "prompts", eight))


def test_parts_that_runs_lack_leave_no_empty_heading(tmp_path: Path):
    assert headings(page(tmp_path, RunFacts("a", "model", ALONE))) == [
        "Results",
        "Runs",
    ]


def test_a_numeric_axis_is_drawn(tmp_path: Path):
    path = tmp_path / "report.html"
    rows = [
        row
        for x in (1, 5)
        for row in rows_of(f"length {x}", [made_result(made_member())], x)
    ]
    write_summary(path, rows, [], title="Lengths", axis="tokens")
    text = path.read_text()
    assert ">tokens</text>" in text
    assert "tokens" in table_rows(text)[0]
    with pytest.raises(ValueError, match="axis '' and 2 rows with an x"):
        write_summary(path, rows, [], title="Lengths")


def test_the_page_stands_alone_and_is_the_same_every_time(tmp_path: Path):
    text = both(tmp_path)
    check_page(text)
    assert both(tmp_path) == text


def test_names_are_text_and_never_markup(tmp_path: Path):
    bad = "<script>alert('x')</script>"
    run = made_result(
        made_member(bad, 0, backbone=bad, metric=bad), made_member(bad, 1, backbone=bad)
    )
    run["members"][1]["metric"] = bad
    facts = RunFacts(bad, bad, run, {"loss": CURVES["loss"]}, bad)
    text = page(tmp_path, facts, settings={bad: {bad: bad}})
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_small_curve_fills_its_drawing_and_stays_small():
    steps = tuple(range(10_000))
    svg = small_curve("loss", Curve(steps, tuple(1.0 / (1 + step) for step in steps)))
    assert len(svg) < 2500
    root = ElementTree.fromstring(svg)
    (line,) = [node for node in root.iter() if node.tag == "polyline"]
    points = [tuple(map(float, p.split(","))) for p in line.get("points", "").split()]
    assert points[0] == (2.0, 2.0)
    assert points[-1] == (94.0, 22.0)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert "at step 9999" in svg
    assert small_curve("loss", None) == ""
    level = small_curve("score", Curve((1, 2), (5.0, 5.0)))
    assert re.findall(r'points="([^"]+)"', level) == ["2.0,2.0 94.0,2.0"]
