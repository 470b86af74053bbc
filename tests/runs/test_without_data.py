"""A prompt file answers with its model alone; what needs the data says which file."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import save_tiny

from jaxprompt.bundled import resolve
from jaxprompt.cli import main
from jaxprompt.prompts.file import load_prompt, write_prompt

TRAIN = (
    "--gin_file=gin/runs/prompt_tuning.gin",
    "--gin.PROMPT_INIT='vocabulary'",
    "--gin.PROMPT_LENGTH=4",
    "--gin.INPUT_LENGTH=16",
    "--gin.BATCH_SIZE=8",
    "--gin.STEPS=2",
    "--gin.EVALUATE_EVERY=2",
    "--gin.METHOD='rank'",
)
OWN = (
    "--gin_file=gin/tasks/own.gin",
    "--gin.OwnTask.files={'train': 'mine/train.jsonl', 'validation': 'mine/val.csv'}",
)
OFFICIAL = ("--gin_file=gin/tasks/sst2.gin", "--gin.DATA_DIR='official'")
ASKED = {"own": {"text": "a fine film"}, "sst2": {"sentence": "a fine film"}}


@dataclasses.dataclass(frozen=True)
class Trained:
    """Two prompts, the model, the data, and what was answered beside the data."""

    folder: Path
    said: dict[str, list[dict[str, Any]]]

    def prompt(self, task: str) -> Path:
        return self.folder / task / "prompt.safetensors"


def answers(prompt: Path, row: dict[str, str], *flags: str) -> list[dict[str, Any]]:
    Path("asked.jsonl").write_text(json.dumps(row) + "\n")
    options = ["--input=asked.jsonl", "--output=said.jsonl", "--overwrite", *flags]
    assert main(["predict", f"--prompt={prompt}", *options]) == 0
    return [json.loads(line) for line in Path("said.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    save_tiny(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("mine").mkdir()
        rows = [{"text": f"film {n}", "label": n % 2} for n in range(16)]
        lines = [json.dumps(row) + "\n" for row in rows]
        Path("mine/train.jsonl").write_text("".join(lines))
        Path("mine/val.csv").write_text("text,label\n" + "a film,1\n" * 8)
        shutil.copytree(Path(resolve("bundled:mini")) / "SST-2", "official/SST-2")
        said = {}
        for task, flags in (("own", OWN), ("sst2", OFFICIAL)):
            model = f"--gin.MODEL='{folder / 'model'}'"
            few = "--gin.Evaluation.num_examples=8"
            run = [*TRAIN, *flags, model, few, f"--workdir={task}"]
            assert main(["train", *run]) == 0
            said[task] = answers(Path(task, "prompt.safetensors"), ASKED[task])
    return Trained(folder, said)


@pytest.fixture
def elsewhere(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder that holds copies of the prompts, and none of the data."""
    for task in trained.said:
        shutil.copy(trained.prompt(task), tmp_path / f"{task}.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("task", ["own", "sst2"])
def test_a_prompt_answers_with_its_model_alone(
    trained: Trained, elsewhere: Path, task: str
):
    row, prompt = ASKED[task], Path(f"{task}.safetensors")
    assert answers(prompt, row) == trained.said[task]
    shift = "--gin.SHIFT_TO=[@other/OwnTask()]"
    other = "--gin.other/OwnTask.name='other'"
    assert answers(prompt, row, shift, other) == trained.said[task]


def test_several_prompts_answer_with_their_model_alone(
    trained: Trained, elsewhere: Path
):
    row = {**ASKED["own"], "prompt": "own"}
    (said,) = answers(Path("own.safetensors"), row, "--prompt=sst2.safetensors")
    assert said["prediction"] == trained.said["own"][0]["prediction"]


def test_the_prompted_model_is_exported_without_the_data(elsewhere: Path):
    flags = ["--format=stablehlo", "--output=whole"]
    assert main(["export", "own.safetensors", *flags]) == 0
    assert "`review: {text}`" in (elsewhere / "whole" / "README.md").read_text()
    assert main(["inspect", "--prompt=own.safetensors"]) == 0


def test_other_devices_than_the_training_had(trained: Trained, elsewhere: Path):
    # The tests run on eight: a batch of 12 rows could not be trained on these.
    prompt, where = load_prompt("own.safetensors")
    config, count = re.subn("BATCH_SIZE = 8\n", "BATCH_SIZE = 12\n", where.config)
    assert count == 1
    other = Path("other.safetensors")
    write_prompt(other, prompt, dataclasses.replace(where, config=config))
    said = answers(other, ASKED["own"], "--gin.Evaluation.batch_size=8")
    assert said == trained.said["own"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["evaluate", "--prompt=own.safetensors"], "mine/val.csv: no such file"),
        (["doctor", "--prompt=own.safetensors"], "mine/train.jsonl: no such file"),
        (
            [
                "evaluate",
                "--prompt=own.safetensors",
                "--gin.EXAMPLES_IN_INPUT=2",
                "--split=there",
            ],
            "mine/train.jsonl: no such file",
        ),
        (
            ["evaluate", "--prompt=sst2.safetensors"],
            "no files of task sst2 below DATA_DIR 'official': looked for train.tsv",
        ),
        (
            ["submit", "--prompt=sst2.safetensors", "--output=."],
            "no files of task sst2 below DATA_DIR 'official': looked for train.tsv",
        ),
    ],
)
def test_what_needs_the_data_says_so(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], command, message: str
):
    if "--split=there" in command:
        Path("there.csv").write_text("text,label\na film,1\n")
        files = "{'train': 'mine/train.jsonl', 'there': 'there.csv'}"
        command = [*command, f"--gin.OwnTask.files={files}"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_split_needs_its_own_file_alone(trained: Trained, elsewhere: Path):
    Path("mine").mkdir()
    shutil.copy(trained.folder / "mine" / "val.csv", "mine")
    scored = ["--prompt=own.safetensors", "--output=scores.json"]
    assert main(["evaluate", *scored]) == 0
    result = json.loads((trained.folder / "own" / "result.json").read_text())
    assert json.loads(Path("scores.json").read_text())["score"] == result["score"]
    Path("official/SST-2").mkdir(parents=True)
    test = "index\tsentence\n0\ta fine film\n"
    Path("official/SST-2/test.tsv").write_text(test)
    assert main(["submit", "--prompt=sst2.safetensors", "--output=."]) == 0
    assert len(Path("SST-2.tsv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--gin.Data.validation_split='validation'", "mine/val.csv: no such file"),
        ("--gin.Data.test_split='test'", "no split 'test' in task reviews: it has tra"),
        ("--gin.Data.shift_to=[@other/OwnTask()]", "mine/val.csv: no such file"),
    ],
)
def test_training_looks_for_every_file_before_it_reads_one(
    trained: Trained,
    elsewhere: Path,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    message: str,
):
    Path("mine").mkdir()
    # Whoever read this would find something else to complain about.
    Path("mine/train.jsonl").write_text("no JSON\n")
    if "validation_split" not in flag:
        shutil.copy(trained.folder / "mine" / "val.csv", "mine/there.csv")
        message = message.replace("val.csv", "gone.csv")
        there = "{'train': 'mine/train.jsonl', 'validation': 'mine/there.csv'}"
        flags = [flag, f"--gin.OwnTask.files={there}"]
        gone = "{'train': 'mine/train.jsonl', 'validation': 'mine/gone.csv'}"
        flags += [
            "--gin.other/OwnTask.name='other'",
            f"--gin.other/OwnTask.files={gone}",
        ]
    else:
        flags = [flag]
    model = f"--gin.MODEL='{trained.folder / 'model'}'"
    assert main(["train", *TRAIN, *OWN, *flags, model, "--workdir=run"]) == 1
    assert message in capsys.readouterr().err
    assert not Path("run").exists()
