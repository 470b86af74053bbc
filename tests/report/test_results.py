"""Results are files: a table to read, all numbers in full, and a plot."""

import csv
import dataclasses
from pathlib import Path

import pytest

from jaxprompt.report.results.files import (
    ResultRow,
    results_table,
    side_by_side,
    write_results,
)

THIRD = 1 / 3
TUNED = ResultRow(
    *("rte", "prompt tuning", "accuracy", "t5-small"),
    seeds=(0, 1),
    scores=(60.0 + THIRD, 62.0),
    majority=52.7,
    untuned=0.0,
    vote=63.0,
    illegal=0.125,
    metrics={"accuracy": 61.0 + THIRD / 2},
)
MODEL = ResultRow("rte", "model tuning", "accuracy", "t5-small", (0,), (70.0,))


def test_the_table_has_the_columns_that_some_row_has():
    assert results_table([TUNED, MODEL]).splitlines() == [
        "| task | metric   | method        | seeds | mean | std | majority | untuned |"
        " vote | illegal % |",
        "| ---- | -------- | ------------- | ----: | ---: | --: | -------: | ------: |"
        " ---: | --------: |",
        "| rte  | accuracy | prompt tuning |     2 | 61.2 | 1.2 |     52.7 |     0.0 |"
        " 63.0 |      12.5 |",
        "| rte  | accuracy | model tuning  |     1 | 70.0 |   - |        - |       - |"
        "    - |         - |",
    ]
    header = results_table([MODEL]).splitlines()[0]
    assert header == "| task | metric   | method       | seeds | mean |"


def test_methods_on_several_tasks_stand_side_by_side(tmp_path: Path):
    other = dataclasses.replace(TUNED, task="cb", metric="f1+accuracy", majority=None)
    rows = [TUNED, MODEL, other]
    long, beside = results_table(rows).split("\n\n")
    assert long.count("\n") == 4
    assert beside.splitlines() == [
        "| task | metric      | majority | prompt tuning | model tuning |",
        "| ---- | ----------- | -------: | ------------- | ------------ |",
        "| rte  | accuracy    |     52.7 | 61.2 ± 1.2    | 70.0         |",
        "| cb   | f1+accuracy |        - | 61.2 ± 1.2    | -            |",
    ]
    write_results(tmp_path, rows, title="Two methods")
    assert f"\n\n{beside}\n\n" in (tmp_path / "results.md").read_text()
    # One of a kind needs no second table, and an axis has many scores of a method.
    assert side_by_side([TUNED, MODEL]) is None
    assert side_by_side([TUNED, other]) is None
    assert side_by_side(rows, "tokens") is None


def test_places_and_models_are_told_where_they_differ():
    rows = [
        dataclasses.replace(MODEL, x=0.001),
        dataclasses.replace(MODEL, x=100000.0, backbone="t5-base"),
    ]
    table = results_table(rows, "learning rate")
    header, _, first, second = [
        [cell.strip() for cell in line.split("|")] for line in table.splitlines()
    ]
    assert header[4:6] == ["learning rate", "backbone"]
    assert first[4:6] == ["0.001", "t5-small"]
    assert second[4:6] == ["100000", "t5-base"]
    assert "| x " in results_table(rows)


def test_all_numbers_are_in_the_csv_file_in_full(tmp_path: Path):
    write_results(tmp_path, [TUNED, MODEL], title="Two methods")
    with (tmp_path / "results.csv").open(newline="") as file:
        tuned, model = csv.DictReader(file)
    assert [float(score) for score in tuned["scores"].split()] == [*TUNED.scores]
    assert tuned["seeds"] == "0 1"
    numbers = {
        "mean": TUNED.mean,
        "std": TUNED.stddev,
        "best": 62.0,
        "majority": 52.7,
        "untuned": 0.0,
        "vote": 63.0,
        "illegal": 0.125,
        "mean_accuracy": 61.0 + THIRD / 2,
    }
    assert {name: float(tuned[name]) for name in numbers} == numbers
    assert tuned["hand_written"] == model["std"] == model["mean_accuracy"] == ""


def test_the_table_says_what_its_numbers_are(tmp_path: Path):
    write_results(tmp_path, [TUNED], title="One method")
    text = (tmp_path / "results.md").read_text()
    assert text.startswith("# One method\n\n| task |")
    assert "sample standard deviation of the scores over seeds" in text
    assert "Backbone: t5-small." in text
    assert "![One method](results.png)" in text
    other = dataclasses.replace(MODEL, backbone="t5-base")
    write_results(tmp_path, [TUNED, other], title="Two models")
    assert "Backbone: " not in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize("axis", ["", "tokens"])
def test_equal_rows_give_equal_files(tmp_path: Path, axis: str):
    rows = [dataclasses.replace(TUNED, x=20.0 if axis else None), MODEL]
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        made = write_results(folder, rows, title="Same", axis=axis)
    names = ["results.csv", "results.md", "results.png", "results.svg"]
    assert [path.name for path in made] == names
    for name in names:
        content = (first / name).read_bytes()
        assert content == (second / name).read_bytes()
        assert content
    assert (first / "results.png").read_bytes().startswith(b"\x89PNG")
    assert ("tokens" in (first / "results.csv").read_text()) == bool(axis)


def test_rows_that_make_no_table_are_refused_and_nothing_is_written(tmp_path: Path):
    with pytest.raises(ValueError, match="no results to compare"):
        write_results(tmp_path, [], title="None")
    with pytest.raises(ValueError, match="no results to compare"):
        results_table([])
    with pytest.raises(ValueError, match="two rows of task rte, method 'model tuning'"):
        write_results(tmp_path, [MODEL, MODEL], title="Twice")
    placed = dataclasses.replace(MODEL, x=1.0)
    with pytest.raises(ValueError, match="axis '' and 1 rows with an x: give both or"):
        write_results(tmp_path, [placed], title="No axis")
    with pytest.raises(ValueError, match="axis 'tokens' and 0 rows with an x"):
        write_results(tmp_path, [MODEL], title="No place", axis="tokens")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"no folder .* for results\.csv"):
        write_results(tmp_path / "none", [MODEL], title="Nowhere")


def test_rows_of_a_task_that_do_not_compare_say_what_they_are_scored_on(tmp_path: Path):
    """As of a method on a part of the split beside one on all of it."""
    whole = dataclasses.replace(TUNED, split="test", examples=400)
    part = dataclasses.replace(MODEL, split="test", examples=60)
    other = dataclasses.replace(whole, task="cb", examples=56)
    header, *rows = results_table([whole, part]).splitlines()
    assert header.startswith("| task | metric   | examples | method ")
    assert [row.split("|")[3].strip() for row in rows[1:]] == ["400", "60"]
    elsewhere = dataclasses.replace(part, split="validation")
    assert "| metric   | split      | examples |" in results_table([whole, elsewhere])
    # Tasks have examples of their own, and these are no news.
    assert "examples" not in results_table([whole, other])
    assert side_by_side([whole, dataclasses.replace(whole, method="b"), other])
    assert side_by_side([whole, part, other]) is None
    assert side_by_side([TUNED, dataclasses.replace(MODEL, metric="f1"), other]) is None
    write_results(tmp_path, [whole, part], title="Two methods")
    with (tmp_path / "results.csv").open(newline="") as file:
        found = [(row["split"], row["examples"]) for row in csv.DictReader(file)]
    assert found == [("test", "400"), ("test", "60")]
