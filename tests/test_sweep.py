"""A sweep as a user meets it: one recipe in, every arm trained, one table out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import save_tiny

from jaxprompt.command.configure import configure, configure_seeds
from jaxprompt.command.sweep import plan_sweep, sweep
from jaxprompt.evaluate.evaluation_set import Scores
from jaxprompt.evaluate.score import evaluate
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.checkpoint import read_params
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.runs import train
from jaxprompt.runs.measure import score_report
from jaxprompt.runs.ready import frozen

RECIPE = """
include 'gin/runs/prompt_tuning.gin'
MODEL = 'tiny'
TASK = @OwnTask()
OwnTask.name = 'own'
OwnTask.files = {'train': 'own.jsonl', 'validation': 'own.jsonl'}
OwnTask.inputs = '{text}'
OwnTask.target = 'label'
OwnTask.labels = {'0': 'no', '1': 'yes'}
INPUT_LENGTH = 8
TARGET_LENGTH = 2
METHOD = 'rank'
BATCH_SIZE = 8
STEPS = 2
EVALUATE_EVERY = 2
SEEDS = 2
RATE = 0.001
Sweep.title = 'Prompt length'
Sweep.axis = 'tokens'
Sweep.arms = {
    'two_tokens': {'PROMPT_LENGTH': 2},
    'model': {'TRAINS': 'model', 'LEARNING_RATE': %RATE},
}
Sweep.x = {'two_tokens': 2}
"""
FILES = ["recipe.gin"]
WORKDIR = Path("swept")


@pytest.fixture(scope="module", autouse=True)
def quick_compilation() -> Iterator[None]:
    """Compiles in half the time: these runs are of two steps."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random T5 and a task of eight rows."""
    folder = tmp_path_factory.mktemp("made")
    save_tiny(folder / "tiny")
    rows = [{"text": f"row {n * n}", "label": n % 2} for n in range(8)]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def recipe(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe for them, in a folder of its own."""
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.gin"
    path.write_text(RECIPE)
    return path


def test_it_trains_every_arm_once_and_goes_on_where_it_was(
    recipe: Path, capsys: pytest.CaptureFixture[str]
):
    recipe.write_text(RECIPE.replace("%RATE}", "%RATE, 'SEEDS': 1}"))
    # As if it had been killed in the last of its runs.
    _, planned = plan_sweep(FILES, [], WORKDIR)
    first, last = planned
    train(first.run, first.folder, config=first.config)
    before = (first.folder / "result.json").stat().st_mtime_ns
    capsys.readouterr()

    prompts, model = sweep(FILES, [], WORKDIR)
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("run ")] == [
        "run 1 of 2: own, two_tokens",
        "run 2 of 2: own, model, seed 0",
    ]
    assert (first.folder / "result.json").stat().st_mtime_ns == before
    # Seeds of a prompt are one bank; a model has a folder for each.
    assert first.folder == WORKDIR / "own" / "two_tokens"
    assert len(list((first.folder / "prompts").iterdir())) == 2
    assert last.folder == WORKDIR / "own" / "model" / "seed-0"
    assert (last.folder / "model").is_dir()

    assert (prompts.task, prompts.method, prompts.x) == ("own", "two tokens", 2)
    assert (model.task, model.method, model.x) == ("own", "model", None)
    assert (prompts.seeds, model.seeds) == ((0, 1), (0,))
    result = json.loads((last.folder / "result.json").read_text())
    assert model.scores == (result["score"],)
    written = [path for path in WORKDIR.iterdir() if path.is_file()]
    assert len(written) == 5
    assert all(str(path) in said[-1] for path in written)
    page = (WORKDIR / "report.html").read_text()
    assert 'href="own/model/seed-0/report.html"' in page
    header, _, *rows = said[-5:-1]
    assert "| tokens |" in header
    assert ["two tokens" in row for row in rows] == [True, False]
    assert "\n".join(said[-5:-1]) in (WORKDIR / "results.md").read_text()


def test_a_mistake_in_the_last_arm_shows_before_the_first_one_trains(recipe: Path):
    def refused(old: str, new: str, match: str, *settings: str) -> None:
        assert old in RECIPE
        recipe.write_text(RECIPE.replace(old, new))
        with pytest.raises((ValueError, FileNotFoundError), match=match):
            sweep(FILES, settings, WORKDIR)
        assert not WORKDIR.exists()

    refused(
        "'TRAINS'", "'TRIANS'", r"arm model: no name TRIANS .* did you mean TRAINS\?"
    )
    refused("'TRAINS': 'model'", "'TRAINS': 'all'", r"arm model: .*trains 'all'")
    refused(
        "'TRAINS': 'model'",
        "'MODEL': './nowhere'",
        r"own, model: no model folder at \./nowhere",
    )
    refused(
        "'TRAINS': 'model'",
        "'OwnTask.files': {'train': 'nowhere.jsonl'}",
        r"own, model: .*nowhere\.jsonl",
    )
    refused(
        "'TRAINS': 'model'",
        "'PROMPT_INIT': 'file', 'PROMPT_FILE': 'nowhere.safetensors'",
        r"own, model: .*nowhere\.safetensors",
    )
    refused(
        "'TRAINS': 'model'",
        "'PROMPT_INIT': 'text', 'PromptStart.text': 'good, or bad', 'PROMPT_LENGTH': 1",
        r"own, model: text initialisation needs [2-9] rows, but the prompt length is 1",
    )
    backbone = open_backbone(find_checkpoint("tiny"))
    save_prompt(
        "three.safetensors", make_prompt(jnp.ones((3, backbone.width))), backbone
    )
    refused(
        "'TRAINS': 'model'",
        "'PROMPT_INIT': 'file', 'PROMPT_FILE': 'three.safetensors', 'PROMPT_LENGTH': 2",
        r"own, model: three.safetensors has 3 rows, but the prompt length is 2",
    )
    refused("'TRAINS': 'model'", "'MODEL': None", r"own, model: no model: give")
    refused("%RATE", "%NO_RATE", "NO_RATE")
    Path("other.jsonl").write_text('{"text": "a row", "label": 0}\n{"text": "b"}\n')
    files = {"train": "own.jsonl", "validation": "other.jsonl"}
    refused(
        "'TRAINS': 'model'",
        f"'OwnTask.files': {files}",
        r"own, model: other\.jsonl:2.*label",
    )
    refused(
        "'TRAINS': 'model'",
        "'OwnTask.labels': {'0': 'no', '2': 'yes'}",
        r"own, model: own\.jsonl:2: label '1'",
    )
    refused(
        "'TRAINS': 'model'",
        "'OwnTask.inputs': '{slots:3} {text}'",
        r"own, model: template .* has places for 3 soft tokens, but .* set ",
    )
    refused("'TRAINS': 'model'", "'Model.mesh_data': 3", r"own, model: mesh data=3")


def test_a_dry_run_names_its_runs_and_writes_nothing(
    recipe: Path, capsys: pytest.CaptureFixture[str]
):
    assert sweep(FILES, [], WORKDIR, dry_run=True) == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{WORKDIR / 'own' / 'two_tokens'}: own, two_tokens, 2 steps"
    assert [line.partition(": ")[2] for line in lines[1:]] == [
        "own, model, seed 0, 2 steps",
        "own, model, seed 1, 2 steps",
    ]
    assert not WORKDIR.exists()


def test_arms_train_one_after_the_other_into_one_table(
    recipe: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(ValueError, match=r"no arm 'tow_tokens': did you mean two_toke"):
        sweep(FILES, [], WORKDIR, arms=["model", "tow_tokens"])
    assert not WORKDIR.exists()
    settings = ["SEEDS=1", "STEPS=1"]
    (row,) = sweep(FILES, settings, WORKDIR, arms=["model"])
    assert row.method == "model"
    assert not (WORKDIR / "own" / "two_tokens").exists()
    before = (WORKDIR / "own" / "model" / "seed-0" / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    rows = sweep(FILES, settings, WORKDIR, arms=["two_tokens"])
    # In the order of the recipe, and the finished one is not trained again.
    assert [row.method for row in rows] == ["two tokens", "model"]
    after = (WORKDIR / "own" / "model" / "seed-0" / "result.json").stat().st_mtime_ns
    assert after == before
    assert "two tokens" in (WORKDIR / "results.md").read_text()


def test_a_folder_of_another_sweep_is_refused_at_once(recipe: Path):
    _, planned = plan_sweep(FILES, [], WORKDIR)
    last = planned[-1]
    # A folder is a run's from its first checkpoint on.
    (last.folder / "checkpoints" / "1").mkdir(parents=True)
    (last.folder / "operative_config.gin").write_text(
        last.config.replace("STEPS = 2", "STEPS = 3")
    )
    with pytest.raises(ValueError, match=r"STEPS was 3 and is 2"):
        sweep(FILES, [], WORKDIR)
    assert not (WORKDIR / "own" / "two_tokens").exists()


def test_what_is_no_run_of_the_sweep_is_not_replaced(recipe: Path):
    theirs = WORKDIR / "own" / "model" / "seed-1" / "model"
    theirs.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"seed-1 has model, which the run would repl"):
        sweep(FILES, [], WORKDIR)
    theirs.rmdir()
    (WORKDIR / "operative_config.gin").touch()
    with pytest.raises(ValueError, match="is the folder of a run, whose page a sweep"):
        sweep(FILES, [], WORKDIR)


def test_the_results_of_another_sweep_are_not_replaced(recipe: Path):
    results = WORKDIR / "results.csv"
    WORKDIR.mkdir()
    mine = "task,method\nown,two tokens\nown,model\nown -> other,model\n"
    results.write_text(mine)
    plan_sweep(FILES, [], WORKDIR)
    for theirs in ("own,twenty tokens", "rte,model"):
        results.write_text(f"{mine}{theirs}\n")
        task, method = theirs.split(",")
        told = rf"swept has results of task {task}, method '{method}', which sweep "
        with pytest.raises(ValueError, match=told + "'Prompt length' has not"):
            sweep(FILES, [], WORKDIR)
    results.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"results\.csv is no table of results"):
        sweep(FILES, [], WORKDIR)
    assert [path.name for path in WORKDIR.iterdir()] == ["results.csv"]


def test_every_task_gets_every_arm_and_the_arms_have_the_last_word(recipe: Path):
    recipe.write_text(RECIPE.replace("TASK = @OwnTask()", "TASK = None"))
    settings = ["LEARNING_RATE=0.1", "SEEDS=1"]
    with pytest.raises(ValueError, match=r"no task for the sweep: give one"):
        plan_sweep(FILES, settings, WORKDIR)
    for name in ("first", "second"):
        text = f"TASK = @OwnTask()\nOwnTask.name = '{name}'\nSTEPS = 5\n"
        Path(f"{name}.gin").write_text(text)
    settings.append("Sweep.tasks=['first.gin', 'second.gin']")
    _, planned = plan_sweep(FILES, settings, WORKDIR)
    assert [one.title for one in planned] == [
        "first, two_tokens",
        "first, model, seed 0",
        "second, two_tokens",
        "second, model, seed 0",
    ]
    assert [one.run.data.task_name for one in planned[1:3]] == ["first", "second"]
    assert {one.run.pace.steps for one in planned} == {5}
    rates = {one.arm: one.run.optimizer.learning_rate for one in planned}
    assert rates == {"two_tokens": 0.1, "model": 0.001}
    assert planned[0].run.prompt.length == 2


def test_seeds_count_on_from_the_first(recipe: Path):
    _, planned = plan_sweep(FILES, ["SEED=7", "SEEDS=3"], WORKDIR)
    bank, *models = (one.run for one in planned)
    assert (bank.seed, bank.seeds) == (7, 3)
    assert [(run.seed, run.seeds) for run in models] == [(7, 1), (8, 1), (9, 1)]


def test_runs_share_the_model_and_its_own_scores_and_end_as_they_do_alone(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    read, scored = [], []

    def read_counted(*args: Any, **settings: Any) -> Any:
        read.append(args)
        return read_params(*args, **settings)

    def scored_counted(*args: Any, **settings: Any) -> Any:
        scored.append(isinstance(args[2], Scores))
        return evaluate(*args, **settings)

    monkeypatch.setattr(frozen, "read_params", read_counted)
    monkeypatch.setattr(score_report, "evaluate", scored_counted)
    arms = "{'model': {'TRAINS': 'model'}, 'two': {'PROMPT_LENGTH': 2}}"
    settings = [f"Sweep.arms={arms}", "Sweep.x={}", "Sweep.axis=''", "SEEDS=1"]
    settings += ["Evaluation.hand_written='Say:'", "STEPS=1"]
    sweep(FILES, settings, WORKDIR)
    assert len(read) == 1
    assert scored == [False, True]
    # The second run, alone.
    _, (_, one) = plan_sweep(FILES, settings, Path("alone"))
    train(one.run, one.folder, config=one.config)
    assert (len(read), scored[2:]) == (2, [False])
    swept = WORKDIR / one.folder.relative_to("alone")
    ours, theirs = (
        json.loads((folder / "result.json").read_text())
        for folder in (swept, one.folder)
    )
    del ours["seconds"], theirs["seconds"]
    assert ours == theirs
    assert {"untuned", "hand_written"} <= ours.keys()
    ours, theirs = (
        load_prompt(folder / "prompt.safetensors")[0] for folder in (swept, one.folder)
    )
    np.testing.assert_array_equal(ours.rows, theirs.rows)


def test_a_run_of_a_sweep_is_the_run_that_train_would_start(recipe: Path):
    _, planned = plan_sweep(FILES, ["SEEDS=1"], WORKDIR)
    alone = [
        configure(FILES, ["SEEDS=1", "PROMPT_LENGTH=2"]),
        configure(FILES, ["SEEDS=1", "TRAINS='model'", "LEARNING_RATE=0.001"]),
    ]
    assert [(one.run, one.config) for one in planned] == alone


def test_what_no_run_would_heed_is_refused(recipe: Path):
    text = "Sweep.arms={'a': {'PROMPT_LENGTH': 1}, 'b': {'PROMPT_LENGTH': 2}}"
    settings = [text, "Sweep.x={}", "Sweep.axis=''"]
    plan_sweep(FILES, [*settings, "STEPS=3"], WORKDIR)
    # What an arm sets would not be what the table says; two seeds would be one.
    with pytest.raises(ValueError, match=r"length=3 would win over PROMPT_LENGTH, whi"):
        plan_sweep(FILES, [*settings, "PromptStart.length=3"], WORKDIR)
    with pytest.raises(ValueError, match=r"Run\.seed=5 would win over SEED, which"):
        plan_sweep(FILES, ["Run.seed=5"], WORKDIR)
    plan_sweep(FILES, ["PROMPT_LENGTH=9"], WORKDIR)
    with pytest.raises(ValueError, match=r"=9 changes nothing, for every arm .* to be"):
        plan_sweep(FILES, ["PROMPT_LENGTH=9"], WORKDIR, ["two_tokens"])
    with pytest.raises(ValueError, match=r"--gin\.PROMPT_LENGTH=9 changes nothing"):
        plan_sweep(FILES, [*settings, "PROMPT_LENGTH=9"], WORKDIR)
    with pytest.raises(ValueError, match=r"task own and 1 files in Sweep\.tasks"):
        plan_sweep(FILES, ["Sweep.tasks=['gin/tasks/rte.gin']"], WORKDIR)
    with pytest.raises(ValueError, match=r"no sweep in gin/runs/prompt_tuning\.gin"):
        plan_sweep(["gin/runs/prompt_tuning.gin"], [], WORKDIR)


@pytest.mark.parametrize("trains", ["prompt+head", "head"])
def test_seeds_of_heads_are_one_bank(trains: str):
    files = ["gin/recipes/ptuning_v2/sst2.gin"]
    (run,) = [
        run for run, _ in configure_seeds(files, [f"TRAINS='{trains}'", "SEEDS=3"])
    ]
    assert (run.seeds, run.num_members) == (3, 3)
    full = configure_seeds(files, ["TRAINS='model+head'", "SEEDS=3"])
    assert [run.seed for run, _ in full] == [0, 1, 2]
