"""Each kind of task in docs/own_tasks.md passes all checks of a run, and is shown."""

import re
from pathlib import Path

import pytest
from gguf_files import write_chat_model

from jaxprompt.cli import main

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own_tasks.md"
FILE = re.compile(r"^`([\w.]+)`[^`]*^```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
SETTINGS = re.compile(r"^```gin\n(.*?)^```", re.DOTALL | re.MULTILINE)
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
KINDS = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))


def test_the_page_has_every_kind():
    assert [*KINDS] == [
        "Classification",
        "Free text",
        "Conversations",
        "Numbers",
        "Tags of words",
        "Answers in a text",
        "Multiple choice",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_whole(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ((name, rows),) = FILE.findall(KINDS[kind])
    Path(name).write_text(rows)
    (settings,) = SETTINGS.findall(KINDS[kind])
    Path("task.gin").write_text(settings)
    gin = ["--gin_file=gin/runs/prompt_tuning.gin", "--gin_file=task.gin"]
    model = "bundled:nano"
    if kind == "Conversations":  # They are written by a chat template.
        model = "chat.gguf"
        write_chat_model(Path(model))
    gin += [f"--gin.MODEL={model}", "--gin.BATCH_SIZE=2"]
    assert main(["show", *gin]) == 0
    assert main(["train", "--dry_run", "--workdir=run", *gin]) == 0
    assert "all is well" in capsys.readouterr().out
    assert not Path("run").exists()
