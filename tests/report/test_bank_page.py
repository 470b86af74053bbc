"""The page of a bank tells of its members, their votes and their curves."""

from pathlib import Path

from made_results import made_member, made_result
from pages import check_page, headings, table_rows

from jaxprompt.report.pages.bank_page import write_bank_page
from jaxprompt.report.pages.page import PromptFacts
from jaxprompt.report.plots.curves import Curve, make_panels
from jaxprompt.report.reading.nearest import SoftToken

MEMBERS = [
    made_member(task, seed, 60.0 + seed) for task in ("rte", "cb") for seed in (0, 1)
]
BANK = made_result(*MEMBERS, task="two tasks")
CURVES = {
    "loss": Curve((1, 2), (2.0, 1.0)),
    "validation/score": Curve((2,), (60.5,)),
    **{
        f"validation/{member['task']}-{member['seed']}/score": Curve((1, 2), (1.0, 2.0))
        for member in MEMBERS
    },
}


def page(folder: Path, result: dict = BANK, **parts) -> str:
    path = folder / "report.html"
    write_bank_page(path, result, **parts)
    return path.read_text(encoding="utf-8")


def test_means_members_and_votes_are_tables(tmp_path: Path):
    text = page(tmp_path)
    assert headings(text) == ["Results", "Ensembles", "Members"]
    assert "4 prompts that trained at once" in text
    rows = table_rows(text)
    assert rows[1][:6] == ["rte", "f1+accuracy", "prompt tuning", "2", "60.5", "0.7"]
    assert ["cb", "f1+accuracy", "2", "60.5", "61.0", "61.5"] in rows
    assert rows[-5] == ["task", "seed", "score", "step", "illegal %", "file"]
    last = ["cb", "1", "61.0", "300", "2.0", "prompts/cb-1.safetensors"]
    assert rows[-1] == last


def test_heads_that_train_alone_are_no_prompts(tmp_path: Path):
    text = page(tmp_path, dict(BANK, trains="head"))
    assert "4 heads that trained at once on one frozen model" in text
    assert "prompts that trained" not in text


def test_each_task_has_a_plot_with_a_line_for_each_seed(tmp_path: Path):
    panels = make_panels(CURVES, {"rte": "accuracy", "cb": "f1+accuracy"})
    text = page(tmp_path, panels=panels)
    assert text.count("<svg") == 3
    for words in ("Validation score: rte", "Validation score: cb", "seed 0", "seed 1"):
        assert f">{words}</text>" in text
    assert "mean of f1, accuracy (points)" in text


def test_facts_and_commands_follow(tmp_path: Path):
    text = page(tmp_path, facts={"seed": "0 to 1"}, commands=["jaxprompt evaluate"])
    assert headings(text)[-2:] == ["Where it comes from", "Use it"]
    assert ["seed", "0 to 1"] in table_rows(text)
    assert "<pre>jaxprompt evaluate</pre>" in text


def test_a_model_for_several_tasks_has_no_votes_and_no_files(tmp_path: Path):
    members = [
        {name: value for name, value in made_member(task).items() if name != "file"}
        for task in ("rte", "cb")
    ]
    text = page(tmp_path, made_result(*members, trains="model"))
    assert headings(text) == ["Results", "Members"]
    assert "2 tasks of one model" in text
    assert table_rows(text)[1][2] == "multi-task model tuning"
    assert ["task", "seed", "score", "step", "illegal %"] in table_rows(text)


def test_the_page_stands_alone_and_is_the_same_every_time(tmp_path: Path):
    parts = {"panels": make_panels(CURVES), "facts": {"a": "<b>"}, "commands": ["<c>"]}
    text = page(tmp_path, **parts)
    check_page(text)
    assert page(tmp_path, **parts) == text
    assert "&lt;b&gt;" in text
    assert "&lt;c&gt;" in text


def test_the_soft_tokens_of_every_member_are_there(tmp_path: Path):
    prompts = {
        name: PromptFacts([SoftToken(1.0, [(word, 0.5)])], ["kept"])
        for name, word in (("rte, seed 0", "yes"), ("rte, seed 1", "no"))
    }
    text = page(tmp_path, prompts=prompts)
    assert text.count("<details") == 2
    for part in (*prompts, "yes (0.50)", "no (0.50)", "kept"):
        assert part in text
