"""`compare` reads what two runs answered, and says whether they differ by chance."""

import json
from pathlib import Path

import pytest

from jaxprompt.cli import main
from jaxprompt.report.results.answers import Answered
from jaxprompt.runs.keep.predictions import read_predictions, write_predictions

EXPECTED = ["good"] * 10 + ["bad"] * 10


def write_run(folder: Path, *predicted: list[str], **other: object) -> Path:
    folder.mkdir()
    fields = {
        "task": "reviews",
        "places": [f"rows.csv:{n}" for n in range(20)],
        "inputs": [f"text {n}" for n in range(20)],
        "expected": EXPECTED,
        "labels": (),
    } | other
    right = [[a == b for a, b in zip(x, EXPECTED, strict=True)] for x in predicted]
    seeds = range(3, 3 + len(predicted))
    rows = Answered(predicted=predicted, right=right, seeds=seeds, **fields)  # type: ignore[arg-type]
    write_predictions(folder / "predictions.jsonl", [rows])
    return folder


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_predictions_are_read_as_they_were_written():
    write_run(Path("one"), EXPECTED, ["bad"] * 20)
    (found,) = read_predictions("one").values()
    assert found.task == "reviews"
    assert found.expected == EXPECTED
    assert [*map(list, found.predicted)] == [EXPECTED, ["bad"] * 20]
    assert [sum(right) for right in found.right] == [20, 10]
    assert found.seeds == [3, 4]
    assert read_predictions("one/predictions.jsonl") == {"reviews": found}


def test_two_runs_are_compared_row_by_row(capsys: pytest.CaptureFixture[str]):
    write_run(Path("always bad"), ["bad"] * 20)
    # Of three prompts the vote counts: the first is wrong everywhere.
    others = [["bad", "good"][x == "bad"] for x in EXPECTED]
    write_run(Path("voting"), others, EXPECTED, EXPECTED)
    assert main(["compare", "always bad", "voting", "--output=found.json"]) == 0
    said = capsys.readouterr().out
    assert "reviews, 20 rows" in said
    assert "difference +50.0" in said
    assert "voting is better: chance alone would rarely differ so much" in said
    # Of results and reports the reader knows another number, the prompts' mean.
    assert said.count("voting answers by the majority vote of its 3 prompts") == 1
    assert "always bad answers by" not in said
    assert "only voting is right on:" in said
    assert "rows.csv:0: text 0 -> good, not bad" in said
    found = json.loads(Path("found.json").read_text())["tasks"]["reviews"]
    assert (found["both"], found["first"], found["second"], found["neither"]) == (
        *(10, 0),
        *(10, 0),
    )
    assert found["p_value"] == pytest.approx(2 / 2**10)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"task": "weather"}, "one answers reviews, other weather"),
        ({"inputs": ["x"] * 20}, "one was scored on ('text 0', 'good') in row 1, but"),
    ],
)
def test_runs_of_other_rows_are_refused(other: dict, message: str, capsys):
    write_run(Path("one"), EXPECTED)
    write_run(Path("other"), EXPECTED, **other)
    assert main(["compare", "one", "other"]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "predictions.jsonl:1: not JSON"),
        ('{"task": 3}', "predictions.jsonl:1: task is 3: name the predictions.jsonl"),
        (None, "no predictions.jsonl at bad: name the folder of a finished run"),
    ],
)
def test_what_is_no_run_is_named(line: str | None, message: str, capsys):
    write_run(Path("one"), EXPECTED)
    Path("bad").mkdir()
    if line is not None:
        Path("bad/predictions.jsonl").write_text(f"{line}\n")
    assert main(["compare", "one", "bad"]) == 1
    assert message in capsys.readouterr().err
