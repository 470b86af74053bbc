"""--gin.NAME=value: text without quotes of its own, and misspelt names."""

from pathlib import Path
from typing import Any

import pytest

from jaxprompt.command.configure import check_names, configure

RUN = "gin/runs/prompt_tuning.gin"
FILES = [RUN, "gin/tasks/own.gin"]


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("MODEL=google/t5-small-lm-adapt", "google/t5-small-lm-adapt"),
        ("MODEL=./a folder/it's-mine", "./a folder/it's-mine"),
        ("MODEL='google/t5'", "google/t5"),
        ("MODEL=C:\\new\\table", "C:\\new\\table"),
        ("Model.name=a=b", "a=b"),
        ("MODEL=line\nSTEPS = 5", "line\nSTEPS = 5"),
        ("MODEL=None", None),
    ],
)
def test_a_text_needs_no_quotes_of_its_own(setting: str, text: str | None):
    run, _ = configure(FILES, [setting])
    assert run.model.name == text
    assert run.pace.steps == 30_000


def test_texts_of_every_kind_of_field_are_taken():
    settings = [
        *("METHOD=rank", "QUANTISE=int8", "DEEP_LAYERS=last:4"),
        *("OwnTask.files=rows.csv", "PROMPT_TEXT=good or bad ?", "a/OwnTask.name=b"),
    ]
    run, config = configure(FILES, settings)
    assert run.evaluation.method == "rank"
    assert run.model.quantise == "int8"
    assert run.prompt.deep_layers == "last:4"
    assert run.prompt.text == "good or bad ?"
    assert run.data.tasks[0].place == "rows.csv"
    assert "METHOD = 'rank'" in config


def test_a_name_that_takes_its_value_from_another_takes_its_kind_too(tmp_path: Path):
    file = tmp_path / "run.gin"
    file.write_text(f"include '{RUN}'\nWHICH = None\nMODEL = %WHICH\n")
    run, _ = configure([str(file)], ["WHICH=google/t5"])
    assert run.model.name == "google/t5"


def test_a_name_that_stands_in_a_table_alone_keeps_its_kind():
    recipe = "gin/recipes/lester2021/figure3c_objective.gin"
    check_names([recipe], ["SPAN_CORRUPTION=google/t5-v1_1-base"])
    with pytest.raises(ValueError, match=r"DEEP_LENGTH must be a number, as 20$"):
        check_names(["gin/recipes/ptuning_v2/baselines.gin"], ["DEEP_LENGTH=abc"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("LEARNING_RATE=abc", r"LEARNING_RATE must be a number, as 0\.3$"),
        ("STEPS=1_0x", r"STEPS must be a whole number, as 30000$"),
        ("PACK=true", r"PACK must be True or False$"),
        ("TASK=sst2", r"did you mean --gin_file=gin/tasks/sst2\.gin\?$"),
        ("DEEP={encoder:20}", r"DEEP must be a dict of str to int$"),
        ("OwnTask.metrics=f1", r"OwnTask\.metrics must be a list of str$"),
        ("MODEL=", r"MODEL has an empty value: write --gin\.MODEL=VALUE"),
        ("MODEL", r"MODEL has no value: write --gin\.MODEL=VALUE"),
        ("MODEL='google", r"its quotes do not match: leave them out$"),
        ("STEPS='many", r"STEPS must be a whole number, as 30000$"),
        ("learning_rate=1", r"did you mean LEARNING_RATE\?$"),
        ("learning-rate=1", r"did you mean LEARNING_RATE\?$"),
        ("PROMPT_LENGHT=1", r"did you mean PROMPT_LENGTH\?$"),
        ("weight_decay=1", r"did you mean Optimizer\.weight_decay\?$"),
        ("pace.steps=1", r"No configurable matching 'pace': did you mean Pace\?$"),
        ("Model.Name=a/b", r"parameter named 'Name': did you mean name\?$"),
        ("Pace.step=1", r"parameter named 'step': did you mean steps\?$"),
        ("qqqq=1", r"no name qqqq in the gin files: there are ACCUMULATE, "),
    ],
)
def test_a_mistake_says_what_may_be_meant(setting: str, message: str):
    with pytest.raises(ValueError, match=message):
        check_names(FILES, [setting])


@pytest.mark.parametrize(
    ("file", "meant"),
    [
        ("gin/runs/prompt_tunning.gin", "gin/runs/prompt_tuning.gin"),
        ("gin/tasks/sst.gin", "gin/tasks/sst2.gin"),
        ("sst2", "gin/tasks/sst2.gin"),
        ("tasks/sst2.gin", "gin/tasks/sst2.gin"),
        ("gin/tasks/encoder/sst2.gin", "gin/tasks/encoders/sst2.gin"),
        ("mine.gn", "mine.gin"),
    ],
)
def test_a_misspelt_gin_file_says_which_is_meant(
    file: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("mine.gin").touch()
    with pytest.raises(FileNotFoundError, match=rf": did you mean {meant}\?$"):
        check_names([file], [])


def test_an_error_of_a_part_names_it_in_front_and_nothing_of_gin():
    with pytest.raises(ValueError, match=r"^Pace: -5 steps: a run has 1 or more$"):
        configure(FILES, ["STEPS=-5"])


def test_a_name_that_no_file_sets_is_named(tmp_path: Path):
    file = tmp_path / "run.gin"
    file.write_text(f"include '{RUN}'\nMODEL = %WHICH\n")
    with pytest.raises(ValueError, match=r"^%WHICH has no value: no gin file sets WHI"):
        configure([str(file)], [])


def test_a_task_or_a_recipe_alone_says_which_file_is_missing():
    first = r"--gin_file=gin/runs/prompt_tuning\.gin"
    with pytest.raises(ValueError, match=rf"^nothing takes MODEL: give {first}"):
        configure(["gin/recipes/quickstart/mini_sentiment.gin"], [])
    with pytest.raises(
        ValueError, match=rf"no name STEPS .* give that first, as {first}"
    ):
        configure(["gin/tasks/mini_sentiment.gin"], ["STEPS=2"])


def test_what_a_run_used_keeps_the_order_of_its_labels(tmp_path: Path):
    """A head's columns are in this order, and what reads its file reads it there."""
    labels = {"yes": "yes", "no": "no", "maybe": "maybe"}
    file = tmp_path / "own.gin"
    file.write_text(
        "include 'gin/runs/prompt_tuning.gin'\nTASK = @OwnTask()\n"
        "MODEL = 'bundled:nano'\n"
        "OwnTask.name = 'own'\nOwnTask.files = {'train': 'a.jsonl'}\n"
        "OwnTask.inputs = '{text}'\nOwnTask.target = 'label'\n"
        f"OwnTask.labels = {labels}\n"
    )
    _, written = configure([str(file)], [])
    again = tmp_path / "again.gin"
    again.write_text(written)
    task: Any = configure([str(again)], [])[0].data.task
    assert list(task.labels) == list(labels)
