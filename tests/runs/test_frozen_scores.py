"""`evaluate --without_prompt`: the frozen model as it is, and in words."""

import json
from pathlib import Path

import pytest

from jaxprompt.cli import main

SETTINGS = {
    "EXAMPLES_IN_INPUT": "1",
    "INPUT_LENGTH": "32",
    "Evaluation.num_examples": "40",
    "Evaluation.hand_written": "'last'",
}
FILES = (
    "--gin_file=gin/runs/prompt_tuning.gin",
    "--gin_file=gin/recipes/quickstart/skill.gin",
)
ALONE = ("evaluate", "--without_prompt", "--output=alone.json")


def given(**settings: str) -> list[str]:
    values = {**SETTINGS, **settings}
    return [*FILES, *(f"--gin.{name}={value}" for name, value in values.items())]


@pytest.fixture(autouse=True)
def in_folder(skills: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("build").mkdir()
    Path("build/skills").symlink_to(skills)


def test_it_is_what_a_run_says_of_its_model_for_each_draw_of_examples(
    capsys: pytest.CaptureFixture[str],
):
    assert main([*ALONE, *given(SEEDS="3")]) == 0
    header, _, row = capsys.readouterr().out.splitlines()[-4:-1]
    names, cells = (
        [x.strip() for x in line.split("|")[1:-1]] for line in (header, row)
    )
    told = dict(zip(names, cells, strict=True))
    (task,) = json.loads(Path("alone.json").read_text())["tasks"]
    scores = [one["score"] for one in task["in_words"]]
    assert (told["draws"], told["examples"]) == ("3", "40")
    assert len({*scores}) > 1
    assert told["in words"] == f"{sum(scores) / 3:.1f}"
    assert told["best"] == f"{max(scores):.1f}"

    trained = given(SEED="1", STEPS="1", EVALUATE_EVERY="0")
    assert main(["train", *trained, "--workdir=run"]) == 0
    result = json.loads(Path("run/result.json").read_text())
    same = ("majority", "metric", "examples", "backbone")
    assert {name: task[name] for name in same} == {name: result[name] for name in same}
    assert task["untuned"]["score"] == result["untuned"]
    assert task["in_words"][1]["score"] == result["hand_written"]


def test_texts_that_are_read_in_part_are_told(capsys: pytest.CaptureFixture[str]):
    assert main([*ALONE, *given(INPUT_LENGTH="4")]) == 0
    assert "examples looked at: 100.0% of the inputs (4 tokens)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--ensemble"], "--ensemble needs a prompt: leave it out, or give --prompt"),
        (["--mistakes=2"], "--mistakes needs a prompt"),
        (["--gin.METHOD=loss"], "method 'loss' gives no answers"),
        (["--prompt=p.safetensors"], "not allowed with argument --without_prompt"),
    ],
)
def test_what_gives_no_scores_in_words_is_refused(
    more: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    try:
        status = main([*ALONE, *given(), *more])
    except SystemExit as stopped:
        status = stopped.code
    assert status in (1, 2)
    assert message in capsys.readouterr().err
    assert not Path("alone.json").exists()


def test_a_head_that_has_not_learned_is_refused(capsys: pytest.CaptureFixture[str]):
    head = ["--gin_file=gin/recipes/ptuning_v2/sst2.gin", "--gin.TRAINS=head"]
    assert main([*ALONE, *head]) == 1
    assert "a model whose head of 'classes' has not learned" in capsys.readouterr().err
