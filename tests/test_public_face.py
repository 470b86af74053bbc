"""What `import jaxprompt` gives and leaves alone; what README and guide show runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from page_blocks import blocks, page

import jaxprompt
from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config import OwnTask

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_names_are_there_and_no_more_than_a_page():
    assert len(jaxprompt.__all__) <= 30
    for name in jaxprompt.__all__:
        assert getattr(jaxprompt, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'prompt_tuning'"):
        _ = jaxprompt.prompt_tuning


@pytest.mark.parametrize("module", ["jaxprompt", "jaxprompt.cli"])
def test_importing_it_imports_neither_tensorflow_nor_jax(module: str):
    loaded = "'jax' in sys.modules, 'tensorflow' in sys.modules"
    code = f"import sys, {module}; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_using_models_and_prompts_does_not_import_tensorflow():
    code = (
        "import sys, jaxprompt as jp; jp.load, jp.init_prompt, jp.embed;"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False"], done.stderr


def test_the_first_lines_of_the_readme_tune_a_prompt(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    readme = page("README.md")
    (first,) = blocks(readme, "python")
    assert len(first.splitlines()) == 5
    assert readme.index(first) < readme.index("```sh")
    assert first.count("steps=200") == first.count("train.tsv") == 1
    shorter = first.replace("steps=200", "steps=2").replace("train.tsv", "dev.tsv")
    exec(compile(shorter, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "| majority |" in said
    assert said.splitlines()[-1] in ("['bad']", "['good']")


@pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["short", "whole"]
)
def test_the_python_of_the_guide_trains_a_prompt(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    whole: bool,
):
    monkeypatch.chdir(tmp_path)
    (python,) = blocks(page("docs/guide.md"), "python")
    assert len([line for line in python.splitlines() if line.strip()]) <= 22
    assert python.count("400") == 2, "the steps"
    steps = "400" if whole else "4"
    exec(compile(python.replace("400", steps), "guide.md", "exec"), {})
    accuracy = float(re.search(r"'accuracy': ([0-9.]+)", capsys.readouterr().out)[1])
    # The majority class is half of the sentences; their opinion words are all new.
    assert accuracy > 65 if whole else 0 < accuracy < 100

    # The file is one that the commands take, once they are told the task.
    prompt = "--prompt=mini.safetensors"
    assert main(["inspect", prompt]) == 0
    assert "nearest words" in capsys.readouterr().out
    task = "--gin_file=gin/tasks/mini_sentiment.gin"
    defaults = "--gin_file=gin/runs/prompt_tuning.gin"
    scored = ["evaluate", prompt, defaults, task, "--gin.MODEL='bundled:nano'"]
    assert main([*scored, "--output=scores.json"]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["score"] == accuracy


def test_the_commands_of_the_guide_are_commands():
    shell = "\n".join(blocks(page("docs/guide.md"), "sh")).replace("\\\n", " ")
    commands = [line for line in shell.splitlines() if "jaxprompt train" in line]
    assert commands
    for command in commands:
        files = re.findall(r"--gin_file=(\S+)", command)
        settings = re.findall(r'--gin\.(\S+?="[^"]*")', command)
        configure(files, [setting.replace('"', "") for setting in settings])


def test_make_knows_what_the_readme_makes():
    targets = set(re.findall(r"^`?make ([\w-]+)", page("README.md"), re.M))
    makefile = (REPOSITORY / "Makefile").read_text()
    assert targets >= {"quickstart", "quickstart-real", "test"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_gin_of_the_guide_is_a_task(tmp_path: Path):
    (text,) = blocks(page("docs/guide.md"), "gin")
    file = tmp_path / "reviews.gin"
    file.write_text(text)
    run, _ = configure(["gin/runs/prompt_tuning.gin", str(file)], [])
    assert isinstance(run.data.task, OwnTask)
    assert run.data.task.labels == {"0": "negative", "1": "positive"}


def test_every_python_file_says_its_job_in_its_first_line():
    for path in REPOSITORY.glob("jaxprompt/**/*.py"):
        first = path.read_text().splitlines()[0]
        assert first.startswith('"""'), path
        assert len(first) > 10, path
