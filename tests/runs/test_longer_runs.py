"""A finished run goes on for more steps, where its schedule does not end with it."""

import json
from pathlib import Path

import pytest
from tiny import save_tiny

from jaxprompt.cli import main
from jaxprompt.runs.keep.workdir import check_workdir, read_result

RUN = "--gin_file=gin/runs/prompt_tuning.gin"
SKILL = "--gin_file=gin/recipes/quickstart/skill.gin"


@pytest.fixture
def at_skills(skills: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "skills").symlink_to(skills)
    monkeypatch.chdir(tmp_path)


def train(workdir: str, steps: int) -> int:
    settings = [f"STEPS={steps}", "SCHEDULE=constant", "EVALUATE_EVERY=0"]
    settings += ["Evaluation.num_examples=4", "BATCH_SIZE=4", "CHECKPOINT_EVERY=9"]
    flags = [f"--gin.{setting}" for setting in settings]
    return main(["train", RUN, SKILL, *flags, f"--workdir={workdir}"])


def test_a_finished_run_goes_on_from_its_last_step(at_skills, capsys):
    assert train("run", 2) == 0
    before = Path("run/prompt.safetensors").read_bytes()
    assert train("run", 4) == 0
    assert "resuming after step 2 of 4" in capsys.readouterr().out
    assert json.loads(Path("run/result.json").read_text())["steps"] == 4
    assert Path("run/prompt.safetensors").read_bytes() != before
    steps = [
        json.loads(line)["step"]
        for line in Path("run/metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [2, 4]
    assert train("run", 4) == 0
    assert "run holds a finished run" in capsys.readouterr().out
    assert train("run", 3) == 1
    assert "STEPS was 4 and is 3. Use another workdir" in capsys.readouterr().err


def tune_model(workdir: Path, steps: int, schedule: str = "constant") -> int:
    settings = [f"MODEL='{workdir.parent}/tiny'", f"STEPS={steps}", "BATCH_SIZE=4"]
    settings += ["EVALUATE_EVERY=2", "CHECKPOINT_EVERY=1", "INPUT_LENGTH=16"]
    settings += [f"SCHEDULE={schedule}", "Evaluation.num_examples=8", "DROPOUT=0.0"]
    return main(
        [
            "train",
            "--gin_file=gin/runs/model_tuning.gin",
            "--gin_file=gin/recipes/quickstart/mini_sentiment.gin",
            *(f"--gin.{setting}" for setting in settings),
            f"--workdir={workdir}",
        ]
    )


def test_a_finished_model_keeps_only_what_more_steps_go_on_from(tmp_path: Path, capsys):
    save_tiny(tmp_path / "tiny")
    longer, whole = tmp_path / "longer", tmp_path / "whole"
    assert tune_model(longer, 4) == 0
    best = json.loads((longer / "result.json").read_text())["steps"]
    kept = {path.name for path in (longer / "checkpoints").glob("[0-9]*")}
    assert kept == {"4", str(best)}
    assert "from which a larger STEPS goes on" in capsys.readouterr().out
    assert tune_model(longer, 6) == 0
    assert "resuming after step 4 of 6" in capsys.readouterr().out
    assert tune_model(whole, 6) == 0
    name = "model/model.safetensors"
    assert (longer / name).read_bytes() == (whole / name).read_bytes()


def test_a_finished_model_of_no_more_steps_keeps_no_checkpoint(tmp_path: Path, capsys):
    save_tiny(tmp_path / "tiny")
    workdir = tmp_path / "run"
    assert tune_model(workdir, 2, "linear") == 0
    assert not (workdir / "checkpoints").exists()
    assert f"removed {workdir}/checkpoints: the model is" in capsys.readouterr().out
    before = (workdir / "model" / "model.safetensors").read_bytes()
    assert tune_model(workdir, 2, "linear") == 0
    assert "holds a finished run" in capsys.readouterr().out
    assert tune_model(workdir, 4, "linear") == 1
    assert "ends with the run, so more steps are another" in capsys.readouterr().err
    assert (workdir / "model" / "model.safetensors").read_bytes() == before


CONFIG = (
    "STEPS = {steps}\nPace.steps = %STEPS\nOptimizer.schedule = {schedule!r}\n"
    "Run.seed = {seed}\n"
)


def finished(workdir: Path, **values: object) -> str:
    """Makes the folder of a finished run; returns its configuration."""
    config = CONFIG.format(**{"steps": 400, "schedule": "constant", "seed": 0} | values)
    (workdir / "checkpoints" / "400").mkdir(parents=True)
    (workdir / "operative_config.gin").write_text(config)
    return config


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_that_ends_with_the_run_is_said_to(tmp_path: Path, schedule: str):
    config = finished(tmp_path, schedule=schedule)
    with pytest.raises(
        ValueError,
        match=rf"STEPS was 400 and is 800: its schedule '{schedule}' ends with the run",
    ):
        check_workdir(tmp_path, config.replace("400", "800"))


def test_more_steps_and_another_setting_are_another_run(tmp_path: Path):
    config = finished(tmp_path)
    check_workdir(tmp_path, config.replace("400", "800"))
    other = config.replace("400", "800").replace("seed = 0", "seed = 1")
    with pytest.raises(ValueError, match=r"seed was 0 and is 1; STEPS was 400 and"):
        check_workdir(tmp_path, other)


def test_a_run_that_is_to_last_longer_has_no_result_yet(tmp_path: Path):
    config = finished(tmp_path)
    result = {
        **{"task": "t", "pieces": 1, "sentinels": 0, "tokens_per_word": 1.0},
        **{"unknown": 0.0, "seconds": 1.0, "trains": "vocabulary"},
    }
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert read_result(tmp_path, config) == result
    assert read_result(tmp_path, config.replace("400", "800")) is None
