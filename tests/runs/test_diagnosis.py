"""The doctor finds nothing wrong with what is right, and says what is wrong."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny import CONFIG, make_tiny

from jaxprompt.bundled import resolve
from jaxprompt.cli import main
from jaxprompt.config import (
    Data,
    Evaluation,
    HeadStart,
    Model,
    OfficialTask,
    PromptStart,
    Run,
    TaskGroup,
)
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.init import init_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.runs.diagnosis import diagnose
from jaxprompt.train.pace import Pace

TASK = OfficialTask(
    name="qqp",
    data_dir="bundled:mini",
    label_words={"duplicate": "yes", "not_duplicate": "no"},
)
TEXT = "are these the same ?"
RUN = Run(
    model=Model(name="bundled:nano"),
    data=Data(task=TASK, input_length=64, target_length=2),
    prompt=PromptStart(length=8, init="text", text=TEXT),
    pace=Pace(steps=400),
    evaluation=Evaluation(method="rank"),
)
CHECKS = [
    "label words",
    "truncation",
    "unknown characters",
    "right answers",
    "padding invariance",
    "cached decoding",
    "LM adaptation",
    "row norms",
    "effect of the prompt",
    "gradient of each row",
    "learning rate",
    "collapse",
    "majority",
]


@pytest.fixture(scope="module")
def nano():
    """The bundled model, and a prompt of words that it knows the task by."""
    backbone, model = load("bundled:nano")
    prompt = init_prompt(
        jax.random.key(0),
        backbone.table(model),
        length=8,
        method="text",
        text=TEXT,
        encode=load_vocabulary(backbone.vocabulary or "").encode,
    )
    return backbone, prompt


@pytest.mark.long
def test_a_prompt_that_works_has_nothing_wrong(
    nano, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    backbone, prompt = nano
    file, output = tmp_path / "prompt.safetensors", tmp_path / "doctor.json"
    save_prompt(file, prompt, backbone, start=prompt, task="qqp")
    content = diagnose(RUN, file, output=output)
    verdicts = {found["check"]: found["verdict"] for found in content["findings"]}
    assert list(verdicts) == CHECKS
    assert set(verdicts.values()) == {"ok"}, capsys.readouterr().out
    assert content["healthy"] is True
    assert content["prompt"] == str(file)
    assert json.loads(output.read_text()) == content
    printed = capsys.readouterr().out
    assert "\n13 ok\n" in printed
    with pytest.raises(ValueError, match=r"doctor\.json exists"):
        diagnose(RUN, file, output=output)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with a random T5 of the nano's vocabulary, quick to compile."""
    vocabulary = Path(resolve("bundled:nano")) / "spiece.model"
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=6144))
    table = tiny.model["embedding"] * 6144**0.5
    backbone = dataclasses.replace(tiny.backbone, vocabulary=str(vocabulary))
    save(tmp_path / "model", backbone, {**tiny.model, "embedding": table})
    monkeypatch.chdir(tmp_path)
    return load("model")


def test_the_command_fails_on_a_broken_prompt_and_says_why(
    small, capsys: pytest.CaptureFixture[str]
):
    backbone, model = small
    # A row of immense length has no gradient.
    rows = np.array(backbone.table(model)[10:14])
    rows[2] *= 1e12
    names = (
        "TASK = @OfficialTask()\nRun.model = @Model()\nModel.name = 'model'\n"
        "Run.data = @Data()\nData.task = %TASK\nOfficialTask.name = 'qqp'\n"
        "OfficialTask.data_dir = 'bundled:mini'\nData.input_length = 64\n"
        "Run.evaluation = @Evaluation()\nEvaluation.method = 'rank'\n"
    )
    save_prompt("a.safetensors", make_prompt(rows), backbone, task="qqp", config=names)
    asked = ["doctor", "--prompt=a.safetensors", "--output=a.json"]
    assert main(asked) == 1
    found = {
        one["check"]: one for one in json.loads(Path("a.json").read_text())["findings"]
    }
    assert found["gradient of each row"]["verdict"] == "wrong"
    assert found["label words"]["verdict"] == "warning", "not_duplicate"
    assert found["learning rate"]["verdict"] == "skipped", "the file has no start"
    assert found["padding invariance"]["verdict"] == "ok"
    assert "1 of 4 soft tokens have no gradient" in capsys.readouterr().out


def test_more_than_one_prompt_or_none_is_refused():
    def run_of(**changes) -> Run:
        return dataclasses.replace(RUN, **changes)

    for head in ("classes", "mask"):
        trains = "prompt" if head == "mask" else "prompt+head"
        with pytest.raises(ValueError, match=f"a head of {head}: the doctor looks at"):
            diagnose(run_of(head=HeadStart(kind=head), trains=trains))
    with pytest.raises(ValueError, match="trains 'model': the doctor looks at prompt"):
        diagnose(run_of(trains="model"))
    for rate in (0.0, -0.3):
        optimizer = dataclasses.replace(RUN.optimizer, learning_rate=rate)
        with pytest.raises(ValueError, match=f"learning rate {rate}: .* use one above"):
            diagnose(run_of(optimizer=optimizer))
    with pytest.raises(ValueError, match=r"2 prompts \(qqp, 2 seeds\): .*SEEDS=1"):
        diagnose(run_of(seeds=2))
    group = TaskGroup(name="two", names=("sst2", "rte"), data_dir="bundled:mini")
    data = dataclasses.replace(RUN.data, task=group)
    with pytest.raises(ValueError, match=r"2 prompts \(two, 1 seeds\)"):
        diagnose(run_of(data=data))


def test_before_training_a_bad_rate_and_cut_inputs_are_found(
    small, capsys: pytest.CaptureFixture[str]
):
    run = dataclasses.replace(
        RUN,
        model=Model(name="model"),
        data=dataclasses.replace(RUN.data, input_length=8),
        optimizer=dataclasses.replace(RUN.optimizer, learning_rate=1e4),
    )
    content = diagnose(run)
    wrong = [f["check"] for f in content["findings"] if f["verdict"] == "wrong"]
    assert wrong == ["truncation", "learning rate"]
    assert not content["healthy"]
    assert content["prompt"] is None
    printed = capsys.readouterr().out
    assert "Raise INPUT_LENGTH" in printed
    assert "Nothing is trained yet: run this again with --prompt." in printed
