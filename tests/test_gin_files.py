"""Every gin file builds its run."""

from pathlib import Path

import pytest

from jaxprompt.config import OfficialTask, OwnTask, Run, TextTask
from jaxprompt.configure import configure
from jaxprompt.data.task import task_names
from jaxprompt.train.loop import Pace

REPOSITORY = Path(__file__).resolve().parents[1]
RUN = "gin/runs/prompt_tuning.gin"
FILES = sorted(str(p.relative_to(REPOSITORY)) for p in REPOSITORY.glob("gin/**/*.gin"))
MACROS = (
    "MODEL DATA_DIR PROMPT_LENGTH PROMPT_INIT BATCH_SIZE STEPS LEARNING_RATE SEED "
    "INPUT_LENGTH TARGET_LENGTH"
).split()


@pytest.mark.parametrize("file", FILES)
def test_every_file_builds_a_run(file: str):
    run, config = configure([RUN] if file == RUN else [RUN, file], [])
    assert isinstance(run, Run)
    if "/tasks/" in file or "/recipes/" in file:
        assert isinstance(run.data.task, OfficialTask | OwnTask | TextTask)
        assert run.data.task.name
    if "/models/" in file:
        assert run.model.name
    # What is stored with a prompt builds the same run again.
    assert configure([], [], start=config) == (run, config)


def test_the_official_tasks_all_have_a_file():
    named = {
        file.split("/")[-1].removesuffix(".gin")
        for file in FILES
        if "/tasks/" in file and "/mini_" not in file
    }
    assert named == {*task_names(), "own"}


def test_the_defaults_are_the_papers():
    run, _ = configure([RUN], [])
    assert run.pace.steps == 30_000
    assert run.batch_size == 32
    assert run.prompt.length == 100
    assert run.prompt.init == "class_labels"
    assert run.prompt.top == 5000
    assert run.optimizer.learning_rate == 0.3
    assert run.optimizer.schedule == "constant"
    assert run.optimizer.weight_decay == 1e-5
    assert run.optimizer.decay_rate == 0.8


def test_every_documented_name_reaches_the_run():
    values = {
        "MODEL": "'m'",
        "DATA_DIR": "'d'",
        "PROMPT_LENGTH": "7",
        "PROMPT_INIT": "'uniform'",
        "BATCH_SIZE": "64",
        "STEPS": "11",
        "LEARNING_RATE": "0.5",
        "SEED": "3",
        "INPUT_LENGTH": "99",
        "TARGET_LENGTH": "5",
    }
    assert set(values) == set(MACROS)
    settings = [f"{name}={value}" for name, value in values.items()]
    run, config = configure([RUN, "gin/tasks/rte.gin"], settings)
    assert run.model.name == "m"
    assert run.data.task == OfficialTask(name="rte", data_dir="d")
    assert (run.prompt.length, run.prompt.init) == (7, "uniform")
    assert (run.batch_size, run.seed) == (64, 3)
    assert run.pace == Pace(steps=11, evaluate_every=1000, checkpoint_every=1000)
    assert run.optimizer.learning_rate == 0.5
    assert (run.data.input_length, run.data.target_length) == (99, 5)
    for name, value in values.items():
        assert f"{name} = {value}\n" in config


def test_an_included_file_may_not_load_code_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner.gin").write_text("from os import path\n")
    (tmp_path / "outer.gin").write_text("include 'inner.gin'\n")
    with pytest.raises(ValueError, match=r"inner\.gin: it imports os"):
        configure(["outer.gin"], [])
    with pytest.raises(ValueError, match="may not load code"):
        configure([RUN], ["STEPS=1\nimport os"])
    with pytest.raises(ValueError, match="may not load code"):
        configure([], [], start="import os\nSTEPS = 1")
