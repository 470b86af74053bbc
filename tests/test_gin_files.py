"""Every gin file builds its run."""

from pathlib import Path

import pytest

from jaxprompt.command.configure import configure
from jaxprompt.command.sweep import plan_sweep
from jaxprompt.config import OfficialTask, Run, TaskGroup
from jaxprompt.config.tasks import TASKS
from jaxprompt.data.official.names import task_names
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.train.pace import Pace

REPOSITORY = Path(__file__).resolve().parents[1]
RUN = "gin/runs/prompt_tuning.gin"
FILES = sorted(str(p.relative_to(REPOSITORY)) for p in REPOSITORY.glob("gin/**/*.gin"))
SWEEPS = [file for file in FILES if "Sweep.arms" in (REPOSITORY / file).read_text()]
LESTER = "gin/recipes/lester2021"
MACROS = (
    "MODEL DATA_DIR PROMPT_LENGTH PROMPT_INIT BATCH_SIZE STEPS LEARNING_RATE SEED "
    "INPUT_LENGTH TARGET_LENGTH"
).split()


@pytest.mark.parametrize("file", [file for file in FILES if file not in SWEEPS])
def test_every_file_builds_a_run(file: str):
    run, config = configure([RUN] if file == RUN else [RUN, file], [])
    assert isinstance(run, Run)
    has_tasks = "Sweep.tasks" in (REPOSITORY / file).read_text()
    if "/tasks/" in file or ("/recipes/" in file and not has_tasks):
        assert isinstance(run.data.task, (*TASKS, TaskGroup))
        assert run.data.task.name
    if "/models/" in file:
        assert run.model.name
    # What is stored with a prompt builds the same run again.
    assert configure([], [], start=config) == (run, config)


@pytest.mark.parametrize("file", SWEEPS)
def test_every_sweep_builds_all_of_its_runs(file: str, tmp_path: Path):
    experiment, planned = plan_sweep([file], [], tmp_path)
    assert experiment.title
    assert {one.arm for one in planned} == set(experiment.arms)
    if experiment.tasks:
        assert {one.task for one in planned} == {Path(f).stem for f in experiment.tasks}
    assert all(one.run.data.tasks for one in planned)
    # No two runs are the same, and none writes over another.
    assert len({one.config for one in planned}) == len(planned)
    assert len({one.folder for one in planned}) == len(planned)


@pytest.mark.parametrize("recipe", ["jaqket", "nano_gpt"])
def test_a_row_of_a_small_gpts_pretraining_has_positions(recipe: str):
    run, _ = configure([f"gin/recipes/{recipe}/pretrain.gin"], [])
    assert isinstance(run.model.architecture, GPT2Config)
    tokens = run.data.input_length + run.data.target_length
    assert tokens <= run.model.architecture.positions


@pytest.mark.parametrize("name", ["figure1_superglue", "table3_ensemble"])
def test_the_nano_takes_the_place_of_model_and_tasks(name: str, tmp_path: Path):
    files = [f"{LESTER}/{name}.gin", f"{LESTER}/nano.gin"]
    _, planned = plan_sweep(files, [], tmp_path)
    assert {one.run.model.name for one in planned} == {"bundled:nano"}
    assert {one.run.pace.steps for one in planned} == {400}
    assert {one.run.batch_size for one in planned} == {32}
    assert {one.task for one in planned} == {one.run.data.task_name for one in planned}
    assert all(one.task.startswith("mini_") for one in planned)


def test_prompt_lengths_stand_where_they_are(tmp_path: Path):
    experiment, planned = plan_sweep(
        [f"{LESTER}/figure3a_prompt_length.gin"], [], tmp_path
    )
    assert {one.arm: one.run.prompt.length for one in planned} == experiment.x


@pytest.mark.parametrize(
    "file",
    [f for f in SWEEPS if "'model_tuning': {" in (REPOSITORY / f).read_text()],
)
def test_an_arm_of_model_tuning_is_the_file_of_model_tuning(file: str, tmp_path: Path):
    _, planned = plan_sweep([file], [], tmp_path)
    arms = {one.arm: one.run for one in planned}
    alone, _ = configure(["gin/runs/model_tuning.gin"], [])
    for run in (arms["model_tuning"], alone):
        assert run.trains == "model"
    assert arms["model_tuning"].optimizer == alone.optimizer
    assert arms["model_tuning"].model == alone.model
    assert arms["prompt_tuning"].optimizer != alone.optimizer


OTHERS = ("/mini_", "/encoders/", "/decoders/", "/words/")
"""Of files of tasks that are not official."""


def test_the_official_tasks_all_have_a_file():
    named = {
        file.split("/")[-1].removesuffix(".gin")
        for file in FILES
        if "/tasks/" in file and not any(kind in file for kind in OTHERS)
    }
    of_transfer = {"multi_news", "nq_open", "samsum"}
    assert named == {*task_names(), *of_transfer, "jaqket", "own", "superglue"}


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
