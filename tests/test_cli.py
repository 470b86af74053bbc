"""The command line as a user meets it: files in, one command, files out."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jaxprompt.cli import main
from jaxprompt.models.load import load
from jaxprompt.prompts.file import load_prompt

RECIPE = (
    "--gin_file=gin/runs/prompt_tuning.gin",
    "--gin_file=gin/recipes/quickstart/skill.gin",
)

SHORT = (*RECIPE, "--gin.STEPS=2", "--gin.EVALUATE_EVERY=2", "--workdir=run")


def in_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own, as a shell would."""
    return subprocess.run(
        _command(*arguments), env=_environment(), capture_output=True, text=True
    )


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "jaxprompt", *arguments]


def _environment() -> dict[str, str]:
    # Its own defaults: one CPU device, no settings of this test process.
    return {**os.environ, "JAX_PLATFORMS": "cpu"}


@pytest.fixture
def at_skills(skills: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where build/skills is, as after `make quickstart`."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "skills").symlink_to(skills)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(skills: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with build/skills and a finished two-step run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "build").mkdir()
    (folder / "build" / "skills").symlink_to(skills)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *SHORT]) == 0
    return folder


@pytest.fixture
def at_finished(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of it, to work in."""
    folder = shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_help_answers_in_under_a_second():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = in_process("train", "--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0
        assert "--workdir" in done.stdout
    assert min(seconds) < 1.0


def test_train_and_predict_in_fresh_processes_then_evaluate_and_inspect(
    at_skills: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = (*RECIPE, "--gin.STEPS=150", "--gin.EVALUATE_EVERY=50", "--workdir=run")
    trained = in_process("train", *recipe)
    assert trained.returncode == 0, trained.stderr
    assert "| last | accuracy |" in trained.stdout

    names = {path.name for path in (at_skills / "run").iterdir()}
    assert names == {
        "checkpoints",
        "metrics.jsonl",
        "operative_config.gin",
        "predictions.jsonl",
        "prompt.safetensors",
        "report.html",
        "result.json",
        "tensorboard",
    }
    result = read_json(at_skills / "run" / "result.json")
    assert result["task"] == "last"
    assert result["metric"] == "accuracy"
    assert result["score"] > 95
    assert result["majority"] < 20
    assert result["untuned"] < 60
    assert result["illegal"] == 0
    assert result["steps"] > 0
    assert result["seconds"] > 0
    size = sum(f.stat().st_size for f in (at_skills / "run").rglob("checkpoints/**/*"))
    assert size < 500_000, "a checkpoint holds nothing of the backbone"

    prompt = "--prompt=run/prompt.safetensors"
    assert main(["evaluate", prompt, "--output=scores.json"]) == 0
    scores = read_json(at_skills / "scores.json")
    same = ("score", "majority", "untuned", "illegal", "metrics")
    assert {k: scores[k] for k in same} == {k: result[k] for k in same}

    rows = (at_skills / "build/skills/last/validation.jsonl").read_text().splitlines()
    asked = [{"text": json.loads(row)["text"], "id": i} for i, row in enumerate(rows)]
    Path("asked.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in asked))
    predicted = in_process(
        "predict", prompt, "--input=asked.jsonl", "--output=said.jsonl"
    )
    assert predicted.returncode == 0, predicted.stderr
    said = [json.loads(line) for line in Path("said.jsonl").read_text().splitlines()]
    assert [{"text": row["text"], "id": row["id"]} for row in said] == asked
    answers = [json.loads(row)["answer"] for row in rows]
    right = [
        row["prediction"] == answer for row, answer in zip(said, answers, strict=True)
    ]
    assert 100 * sum(right) / len(right) == result["score"]

    capsys.readouterr()
    assert main(["inspect", prompt, "--neighbours=2"]) == 0
    inspected = capsys.readouterr().out
    assert "fingerprint" in inspected
    assert inspected.count("\n| ") >= 8 + 12

    assert main(["train", *recipe]) == 0
    assert "holds a finished run" in capsys.readouterr().out


def test_a_dry_run_makes_all_checks_and_writes_nothing(at_skills, capsys):
    assert main(["train", *SHORT, "--dry_run"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"jaxprompt 0\.1\.0, JAX [\d.]+, on 1 x cpu: model build/skills/backbone, "
        r"chunked attention, task last, rows: [\d,]+ of train, [\d,]+ of validation",
        first,
    )
    assert last == "all is well: without --dry_run last trains for 2 steps into run"
    for mistake in ("--gin.INPUT_LENGTH=0", "--gin.BATCH_SIZE=100000"):
        assert main(["train", *SHORT, "--dry_run", mistake]) == 1
    assert main(["train", *SHORT, "--gin.BATCH_SIZE=8192"]) == 1
    assert "do not fill a batch" in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in at_skills.iterdir()) == ["build"]


def test_another_configuration_is_refused_and_says_what_changed(at_finished, capsys):
    run = Path("run")
    kept = (run / "prompt.safetensors").read_bytes()
    assert main(["train", *SHORT, "--gin.LEARNING_RATE=0.1"]) == 1
    assert "LEARNING_RATE was 0.3 and is 0.1" in capsys.readouterr().err
    assert (run / "prompt.safetensors").read_bytes() == kept


@pytest.mark.long
def test_the_real_sst2_files_train_and_evaluate_to_the_same_score(
    shared: Path, tmp_path: Path
):
    backbone = shared / "backbones" / "t5-nano-lm-adapt"
    arguments = [
        "--gin_file=gin/runs/prompt_tuning.gin",
        "--gin_file=gin/tasks/sst2.gin",
        f"--gin.MODEL='{backbone}'",
        f"--gin.DATA_DIR='{shared / 'data'}'",
        "--gin.PROMPT_LENGTH=10",
        "--gin.STEPS=6",
        "--gin.EVALUATE_EVERY=6",
        "--gin.METHOD='rank'",
        "--gin.Evaluation.num_examples=200",
        f"--workdir={tmp_path / 'run'}",
    ]
    assert main(["train", *arguments]) == 0
    result = read_json(tmp_path / "run" / "result.json")
    assert result["examples"] == 200
    assert result["illegal"] == 0
    # This backbone is barely trained: its score is that of one class, and says nothing.
    assert abs(result["score"] - 50) < 15

    prompt = tmp_path / "run" / "prompt.safetensors"
    scores = tmp_path / "scores.json"
    assert main(["evaluate", f"--prompt={prompt}", f"--output={scores}"]) == 0
    assert read_json(scores)["score"] == result["score"]
    assert read_json(scores)["untuned"] == result["untuned"]

    _, provenance = load_prompt(prompt)
    assert provenance.backbone == "t5-nano-lm-adapt"
    assert provenance.task == "sst2"
    assert provenance.score == result["score"]


def own(**values: str) -> list[str]:
    """Flags that change names of the quickstart recipe."""
    return [
        "train",
        *RECIPE,
        "--workdir=new",
        *(f"--gin.{k}={v}" for k, v in values.items()),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--workdir=new"], "no configuration: give at least --gin_file"),
        (
            ["train", RECIPE[0], "--workdir=new"],
            "no model: give a Hub name or a folder",
        ),
        (own(TASK="None"), "no task: give one"),
        (own(MODEL="'./nowhere'"), "no model folder at ./nowhere"),
        (own(MODEL="'build'"), "build"),
        (own(MODEL="./nowhere"), "no model folder at ./nowhere"),
        (own(STEPS="many"), "STEPS must be a whole number, as 400"),
        (own(PROMT_LENGTH="5"), "did you mean PROMPT_LENGTH?"),
        (own(**{"Run.steps": "5"}), "doesn't have a parameter named 'steps'"),
        (own(**{"Runs.seed": "5"}), "No configurable matching 'Runs'"),
        (own(MESH_MODEL="3"), "there are 1"),
        (
            own(PROMPT_LENGTH="0"),
            "prompt length 0: a trained prompt has 1 or more rows",
        ),
        (own(PROMPT_INIT="'zeros'"), "unknown prompt initialisation 'zeros'"),
        (own(PROMPT_INIT="'class_labels'"), "class_labels initialisation needs words"),
        (
            own(PROMPT_INIT="'file'", PROMPT_FILE="'no.file'"),
            "no prompt file at no.file",
        ),
        (own(LEARNING_RATE="-1"), "learning rate -1"),
        (own(**{"PromptStart.words": "'yes'"}), "use a list of words, as ['yes']"),
        (own(STEPS="'many'"), "Pace.steps is 'many', of type str: it must be int"),
        (own(STEPS="2.5"), "Pace.steps is 2.5, of type float: it must be int"),
        (own(MODEL="5"), "Model.name is 5, of type int: it must be str"),
        (
            own(TRAINS="'all'"),
            "trains 'all': use one of ['prompt', 'prompt+head', 'head', 'model', 'mod",
        ),
        (own(TRAINS="'model'", DTYPE="'bfloat16'"), "use float32"),
        (own(TRAINS="'model'", QUANTISE="'int8'"), "model tuning with int8 weights"),
        (own(SCHEDULE="'step'"), "unknown schedule 'step'"),
        (own(METHOD="'guess'"), "unknown method 'guess'"),
        (own(METHOD="'rank'"), "free text: it has no label words"),
        (own(DTYPE="'float16'"), "float16"),
        (own(**{"Data.validation_split": "'dev'"}), "dev"),
        (own(**{"OwnTask.inputs": "'{sentence}'"}), "sentence"),
        (own(**{"OwnTask.labels": "{'yes': 'yes'}"}), "train.jsonl:1"),
        (["train", "--gin_file=gin/no.gin", "--workdir=new"], "no gin file gin/no.gin"),
        (["evaluate", "--prompt=no.safetensors"], "no prompt file at no.safetensors"),
    ],
)
def test_a_mistake_is_one_clear_line_and_leaves_nothing_behind(
    at_skills, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("jaxprompt: ")
    assert message in error
    assert "Traceback" not in error
    assert not Path("new").exists()


def test_a_configuration_may_not_load_code(at_skills, capsys):
    Path("bad.gin").write_text("import os\nSTEPS = 1\n")
    assert main(["train", "--gin_file=bad.gin", "--workdir=new"]) == 1
    assert "a configuration may not load code" in capsys.readouterr().err


def test_a_prompt_for_another_model_is_refused_and_may_be_forced(at_finished, capsys):
    import make_skills

    make_skills.make_skills(Path("other"), seed=1, steps=2)
    other = [
        "evaluate",
        "--prompt=run/prompt.safetensors",
        "--gin.MODEL='other/backbone'",
    ]
    assert main(other) == 1
    error = capsys.readouterr().err
    assert "this prompt was trained on backbone (fingerprint" in error
    assert "--another_backbone" in error
    assert main([*other, "--another_backbone"]) == 0


def test_existing_output_is_not_overwritten_unasked(at_finished, capsys):
    Path("scores.json").write_text("mine")
    evaluate = ["evaluate", "--prompt=run/prompt.safetensors", "--output=scores.json"]
    assert main(evaluate) == 1
    assert "scores.json exists" in capsys.readouterr().err
    assert Path("scores.json").read_text() == "mine"
    assert main([*evaluate, "--overwrite"]) == 0
    assert read_json(Path("scores.json"))["task"] == "last"


def test_a_malformed_request_names_its_line(at_finished, capsys):
    Path("asked.jsonl").write_text('{"text": "a or b : a b ."}\n{"sentence": "x"}\n')
    asked = ["predict", "--prompt=run/prompt.safetensors", "--input=asked.jsonl"]
    assert main(asked) == 1
    assert "asked.jsonl:2" in capsys.readouterr().err


@pytest.mark.long
def test_model_tuning_is_the_same_run_with_the_mask_flipped(at_skills: Path):
    flags = (
        "--gin_file=gin/runs/model_tuning.gin",
        "--gin_file=gin/recipes/quickstart/skill.gin",
        "--gin.STEPS=60",
        "--gin.EVALUATE_EVERY=30",
        "--gin.LEARNING_RATE=0.02",
        "--workdir=tuned",
    )
    assert main(["train", *flags]) == 0
    result = read_json(at_skills / "tuned" / "result.json")
    assert result["trains"] == "model"
    assert result["score"] > result["untuned"] + 30
    assert not (at_skills / "tuned" / "prompt.safetensors").exists()

    # What it leaves is a backbone like any other, and not the one it started from.
    tuned, weights = load(at_skills / "tuned" / "model")
    start, _ = load(at_skills / "build" / "skills" / "backbone")
    assert tuned.config == start.config
    assert tuned.fingerprint != start.fingerprint
    assert weights["embedding"].shape == (64, 64)
