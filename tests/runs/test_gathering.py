"""Many runs become one page, a table and a plot; what is no run is told."""

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from made_results import made_loss, made_member, made_result, made_vocabulary

from jaxprompt.runs.gathering import gather


def write_run(folder: Path, result: dict[str, Any], **settings: object) -> Path:
    folder.mkdir(parents=True)
    lines = [f"{name.replace('__', '.')} = {x}" for name, x in settings.items()]
    (folder / "operative_config.gin").write_text("\n".join(lines))
    (folder / "result.json").write_text(json.dumps(result))
    scalars = [{"step": 1, "loss": 2.0}, {"step": 2, "validation/score": 60.0}]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, scalars)))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two lengths with two seeds each, and a tuned model."""
    root = tmp_path / "runs"
    for length in (20, 100):
        for seed in (0, 1):
            write_run(
                root / f"len{length}" / f"seed {seed}",
                made_result(made_member(seed=seed, score=50.0 + length / 10 + seed)),
                PromptStart__length=length,
                Run__seed=seed,
            )
    write_run(root / "model", made_result(made_member(score=70.0), trains="model"))
    (root / "len20" / "seed 1" / "report.html").write_text("its own page")
    return root


def read_csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_seeds_are_averaged_and_methods_stand_side_by_side(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    page = tmp_path / "page.html"
    assert gather([runs], page) == page
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["page.html"]
    assert gather([runs], page, tables=True, overwrite=True) == page
    told = [(row["method"], row["seeds"], row["mean"]) for row in read_csv(tmp_path)]
    assert told == [
        ("prompt tuning, len20", "0 1", "52.5"),
        ("prompt tuning, len100", "0 1", "60.5"),
        ("model tuning", "0", "70.0"),
    ]
    printed = capsys.readouterr().out
    assert "| prompt tuning, len20  |     2 | 52.5 | 0.7 |" in printed
    for name in ("page.html", "results.csv", "results.md", "results.png"):
        assert f"{tmp_path / name}" in printed
        assert (tmp_path / name).stat().st_size > 0


def test_the_page_shows_settings_and_curves_and_links_to_the_runs(
    runs: Path, tmp_path: Path
):
    (tmp_path / "pages").mkdir()
    page = gather([runs], tmp_path / "pages" / "page.html").read_text()
    assert "<h1>Results of runs</h1>" in page
    assert "<td>prompt tuning, len100</td><td>100</td>" in page
    assert page.count("training loss: 2 at step 1") == 5
    link = '<a href="../runs/len20/seed%201/report.html">len20/seed 1</a>'
    assert link in page
    assert "<td>model</td>" in page


def test_a_bank_votes_and_superglue_has_a_mean(tmp_path: Path):
    tasks = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")
    bank = made_result(*(made_member(task, seed) for task in tasks for seed in (0, 1)))
    write_run(tmp_path / "bank", bank)
    page = gather([tmp_path / "bank"], tmp_path / "page.html", tables=True).read_text()
    assert "<h2>Ensembles</h2>" in page
    assert "<td>bank</td>" in page
    *_, last = read_csv(tmp_path)
    assert (last["task"], last["scores"]) == ("SuperGLUE (mean of 8)", "60.0 60.0")
    assert last["vote"] == "60.5"


def test_a_metric_that_is_not_defined_leaves_all_other_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    tasks = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")
    for seed in (0, 1):
        members = [made_member(task, seed) for task in tasks]
        if seed:
            members[1]["metrics"]["f1"] = members[1]["score"] = math.nan
        write_run(tmp_path / "runs" / f"seed-{seed}", made_result(*members))
    page = gather([tmp_path / "runs"], tmp_path / "page.html", tables=True)
    assert page.exists()
    told = capsys.readouterr().out
    assert "seed-1: f1 of cb with seed 1 is nan, and so is every mean with it" in told
    rows = {row["task"]: row for row in read_csv(tmp_path)}
    assert rows["rte"]["mean"] == "60.0"
    assert rows["cb"]["scores"] == "60.0 nan"
    assert rows["SuperGLUE (mean of 8)"]["scores"] == "60.0 nan"


@pytest.mark.parametrize(
    ("cut", "told", "curves"),
    [
        ('{"step": 3, "lo', "its curves lack a step, for the last line of metrics", 5),
        ("no log\n", "has no curves: .*metrics.jsonl:3: not a JSON object", 4),
    ],
)
def test_a_damaged_log_costs_its_run_curves_and_nothing_else(
    runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    cut: str,
    told: str,
    curves: int,
):
    with (runs / "len20" / "seed 1" / "metrics.jsonl").open("a") as log:
        log.write(f"\n{cut}")
    page = gather([runs], tmp_path / "page.html", tables=True).read_text()
    assert page.count("training loss: 2 at step 1") == curves
    assert re.search(f"len20/seed 1:? {told}", capsys.readouterr().out)
    assert read_csv(tmp_path)[0]["scores"] == "52.0 53.0"


def test_folders_of_runs_and_of_other_folders_can_be_mixed(runs: Path, tmp_path: Path):
    gather(
        [runs / "model", runs / "len20", runs / "model"],
        tmp_path / "page.html",
        tables=True,
    )
    assert [row["method"] for row in read_csv(tmp_path)] == [
        "model tuning",
        "prompt tuning",
    ]
    page = (tmp_path / "page.html").read_text()
    assert "<td>model</td>" in page
    assert ">len20/seed 0<" in page


def test_pre_training_and_unfinished_runs_are_left_out_with_a_word(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_run(runs / "pretrain", {"trains": "model", **made_loss()})
    write_run(runs / "tokenizer", made_vocabulary())
    write_run(runs / "killed", {}).joinpath("result.json").unlink()
    gather([runs], tmp_path / "page.html")
    lines = capsys.readouterr().out.splitlines()[:3]
    assert [line.split(": ")[1] for line in lines] == [
        "it is not finished",
        "pre-training has no score on a task",
        "pre-training has no score on a task",
    ]
    assert [Path(line.split(": ")[0]).name for line in lines] == [
        "killed",
        "pretrain",
        "tokenizer",
    ]
    with pytest.raises(
        ValueError, match=r"no run with a score on a task below .*pretr"
    ):
        gather([runs / "pretrain"], tmp_path / "other.html", overwrite=True)


def test_equal_runs_give_equal_files(runs: Path, tmp_path: Path):
    page = gather([runs], tmp_path / "page.html", tables=True)
    names = ("page.html", "results.csv", "results.md", "results.png", "results.svg")
    first = {name: (tmp_path / name).read_bytes() for name in names}
    with pytest.raises(ValueError, match=r"page\.html exists: .* say --overwrite"):
        gather([runs], page, tables=True)
    gather([runs], page, tables=True, overwrite=True)
    assert {name: (tmp_path / name).read_bytes() for name in names} == first
    page.unlink()
    with pytest.raises(ValueError, match=r"results\.csv exists"):
        gather([runs], page, tables=True)


def test_an_unfinished_run_among_several_folders_is_left_out(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A shell makes them of `runs/*`."""
    killed = write_run(runs / "killed", {})
    killed.joinpath("result.json").unlink()
    gather(sorted(runs.iterdir()), tmp_path / "page.html")
    assert f"left out {killed}: it is not finished" in capsys.readouterr().out
    for folders in ([killed], [killed, killed]):
        with pytest.raises(ValueError, match="no run"):
            gather(folders, tmp_path / "none.html")


def test_what_is_no_run_is_named(runs: Path, tmp_path: Path):
    page = tmp_path / "page.html"
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"no run below .*empty: no folder there has a"
    ):
        gather([runs, tmp_path / "empty"], page)
    with pytest.raises(FileNotFoundError, match=r"no folder .*none: name a run's"):
        gather([tmp_path / "none"], page)
    with pytest.raises(ValueError, match=r"page\.txt is a page: name a file that ends"):
        gather([runs], tmp_path / "page.txt")
    with pytest.raises(ValueError, match=r"no folder .*nowhere for page\.html"):
        gather([runs], tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"model/result\.json is not JSON: .* train again"),
        ("[]", r"model/result\.json holds no JSON object but a list"),
        ("{}", r"model/result\.json: task of member 0 is None, not a text"),
        ('{"members": []}', r"result\.json: members is \[\]: it must list one or more"),
        ('{"members": [3]}', r"result\.json: task of member 0 is None"),
        (
            json.dumps({**made_member(), "score": "high"}),
            r"result\.json: score of member 0 is 'high', not a number",
        ),
        (
            json.dumps(made_result(made_member(), votes=[{"task": "rte"}])),
            r"result\.json: metric of vote 0 is None",
        ),
    ],
)
def test_a_broken_result_is_named(
    runs: Path, tmp_path: Path, content: str, message: str
):
    (runs / "model" / "result.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        gather([runs], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_run_without_a_log_has_its_results(runs: Path, tmp_path: Path):
    (runs / "model" / "metrics.jsonl").unlink()
    assert gather([runs], tmp_path / "page.html").exists()
