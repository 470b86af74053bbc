"""A finished run leaves a page, and a model that was trained on text leaves a card."""

import html
import json
import re
import shlex
from pathlib import Path

import pytest
from byte_vocabulary import byte_vocabulary
from tiny import Tiny

from jaxprompt.cli import main
from jaxprompt.config import Model, Run, TextTask
from jaxprompt.runs.publish.run_pages import write_model_card
from jaxprompt.runs.ready.frozen import Frozen
from jaxprompt.runs.ready.job import Job
from jaxprompt.sharding import make_mesh

RUN = "--gin_file=gin/runs/prompt_tuning.gin"
SKILL = "--gin_file=gin/recipes/quickstart/skill.gin"
WORKDIR = Path("a run")


def validation_rows(skills: Path) -> list[str]:
    return (skills / "last" / "validation.jsonl").read_text().splitlines()


@pytest.fixture(scope="module")
def finished(skills: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of four steps that is scored on a test split of 40 rows."""
    folder = tmp_path_factory.mktemp("finished")
    data = skills / "last"
    rows = "\n".join(validation_rows(skills)[:40])
    (folder / "test.jsonl").write_text(f"{rows}\n")
    files = {
        "train": f"{data}/train.jsonl",
        "validation": f"{data}/validation.jsonl",
        "test": "test.jsonl",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        flags = [
            *("train", RUN, SKILL, "--gin.STEPS=4", "--gin.EVALUATE_EVERY=2"),
            f"--gin.MODEL='{skills / 'backbone'}'",
            *(f"--gin.OwnTask.files={files!r}", "--gin.Data.test_split='test'"),
            f"--workdir={WORKDIR}",
        ]
        assert main(flags) == 0
    return folder


@pytest.fixture
def page(finished: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(finished)
    return (WORKDIR / "report.html").read_text(encoding="utf-8")


def test_the_test_split_is_scored_and_validation_chooses(page: str):
    result = json.loads((WORKDIR / "result.json").read_text())
    assert (result["split"], result["examples"]) == ("test", 40)
    log = (WORKDIR / "metrics.jsonl").read_text().splitlines()
    scored = [json.loads(line) for line in log if "validation/score" in line]
    assert [line["step"] for line in scored] == [2, 4]
    assert "40 examples of the test split" in page
    assert "the best on the validation split" in page


def test_the_page_has_all_its_parts_and_rows_of_the_whole_split(page: str):
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "Results",
        "Learning curves",
        "Predictions",
        "Answers",
        "What the soft tokens are near",
        "Where it comes from",
        "Use it",
    ]
    rows = Path("test.jsonl").read_text().splitlines()
    texts = [json.loads(row)["text"] for row in rows]
    for text in (texts[0], texts[-1]):
        assert f'<td class="text">{text}</td>' in page


def test_the_page_says_what_made_it_and_of_how_much_data(page: str):
    facts = dict(re.findall(r'<tr><th>(.*?)</th><td class="text">(.*?)</td>', page))
    assert facts["data"].endswith("rows of validation, 40 rows of test")
    assert facts["devices"] == "1 x cpu"
    assert facts["code"].startswith("jaxprompt 0.1.0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d\S*", facts["finished"])
    command = shlex.split(html.unescape(facts["command"]))
    assert command[:2] == ["jaxprompt", "train"]
    assert command[-1] == f"--workdir={WORKDIR}"


def test_every_answer_is_kept_and_the_mistakes_are_on_the_page(page: str):
    lines = (WORKDIR / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["place"] for row in rows] == [f"test.jsonl:{n + 1}" for n in range(40)]
    right = [row["predicted"] == [row["expected"]] for row in rows]
    assert right == [row["right"] == [True] for row in rows]
    result = json.loads((WORKDIR / "result.json").read_text())
    assert 100 * sum(right) / 40 == pytest.approx(result["score"])
    wrong = next(row for row, is_right in zip(rows, right, strict=True) if not is_right)
    assert f"<td>{wrong['place']}</td>" in page
    assert f"{min(40 - sum(right), 12)} of {40 - sum(right)} rows with a wrong" in page


def test_the_commands_of_the_page_give_its_score_an_answer_and_the_words(
    page: str, capsys: pytest.CaptureFixture[str]
):
    commands = [
        shlex.split(html.unescape(line))
        for line in re.findall("<pre>(.*?)</pre>", page)
    ]
    evaluate, predict, inspect = commands
    same = ("--output=scores.json", "--predictions=./scores.json")
    assert main([*evaluate[1:], *same]) == 1
    assert "are both scores.json" in capsys.readouterr().err
    files = ("--output=scores.json", "--predictions=again.jsonl", "--mistakes=2")
    assert main([*evaluate[1:], *files]) == 0
    told = capsys.readouterr().out.splitlines()[-3:]
    assert re.match(r"2 of \d+ mistakes, the least likely true answer first:", told[0])
    shares = [re.search(r"\(probability (\S+)\), not", line) for line in told[1:]]
    first, second = (float(share[1]) for share in shares if share)
    assert first <= second < 0.5
    kept = (WORKDIR / "predictions.jsonl").read_bytes()
    assert Path("again.jsonl").read_bytes() == kept
    scores = json.loads(Path("scores.json").read_text())
    result = json.loads((WORKDIR / "result.json").read_text())
    assert (scores["split"], scores["score"]) == ("test", result["score"])

    echo, row, pipe, program, *flags = predict
    assert (echo, pipe, program) == ("echo", "|", "jaxprompt")
    Path("row.jsonl").write_text(f"{row}\n")
    assert main([*flags, "--input=row.jsonl", "--output=said.jsonl"]) == 0
    said = json.loads(Path("said.jsonl").read_text())
    shown = re.search(r"<td class=\"text\">.*?</td><td>.*?</td><td>(.*?)</td>", page)
    assert shown
    assert re.sub("<.*?>", "", shown[1]) == (said["prediction"] or "(nothing)")

    capsys.readouterr()
    assert main(inspect[1:]) == 0
    words = re.search(r"\| 0 .*\| +\d+\.\d \| (.*?) +\|", capsys.readouterr().out)
    assert words
    assert words[1] in html.unescape(page)


def test_a_test_split_without_labels_is_told_before_training(skills, tmp_path, capsys):
    folder = tmp_path / "SST-2"
    folder.mkdir()
    for name in ("train", "dev"):
        (folder / f"{name}.tsv").write_text("sentence\tlabel\na fine day\t1\n")
    (folder / "test.tsv").write_text("index\tsentence\n0\ta fine day\n")
    flags = [
        *("train", RUN, "--gin_file=gin/tasks/sst2.gin"),
        *(f"--gin.DATA_DIR='{tmp_path}'", "--gin.Data.test_split='test'"),
        *(f"--gin.MODEL='{skills / 'backbone'}'", f"--workdir={tmp_path / 'run'}"),
    ]
    assert main(flags) == 1
    assert "split 'test' of task sst2 has no labels" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_model_that_was_trained_on_text_has_a_card_and_its_curves_beside_it(
    tiny: Tiny, tmp_path: Path
):
    workdir = tmp_path / "novels"
    (workdir / "model").mkdir(parents=True)
    losses = {"validation/loss": 3.0, "validation/other_input_loss": 5.0}
    log = f"{json.dumps({'step': 1, 'loss': 4.0, **losses})}\n"
    (workdir / "metrics.jsonl").write_text(log)
    part = {"loss": 3.0, "other_input_loss": 5.0, "unigram_entropy": 6.0}
    result = {
        **{"parameters": 9000, "steps": 1, "seconds": 2.0},
        **{"objectives": {"prefix_lm": part}, "text": {"a.txt": "ab" * 32}},
    }
    run = Run(trains="model", model=Model(name="start"), seed=7)
    # A card is about the model and its text, whose task has nothing more to say.
    frozen = Frozen(make_mesh(), tiny.backbone, tiny.model, byte_vocabulary())
    job = Job(frozen, run, ())
    text = TextTask(license="cc0-1.0", languages=["fr"])
    write_model_card(workdir, job, text, result, "STEPS = 1\n")
    card = (workdir / "model" / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nlicense: "cc0-1.0"\nlanguage:\n- "fr"\n')
    assert "# novels\n" in card
    assert "starting from the weights of start:\n1 steps in 2 seconds, seed 7." in card
    assert re.search(r"\| width +\| 16 +\|", card)
    assert "```gin\nSTEPS = 1\n```" in card
    picture = re.search(r"\]\((\S+\.png)\)", card)
    assert picture
    content = (workdir / "model" / picture[1]).read_bytes()
    assert content.startswith(b"\x89PNG")
