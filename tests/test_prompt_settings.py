"""Which settings a command on a trained prompt takes: those that it heeds."""

from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import pytest

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.prompts.file import write_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import Provenance

FILES = ["gin/runs/prompt_tuning.gin", "gin/tasks/own.gin"]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a prompt of a bank of five, the one of seed 3, and no model."""
    monkeypatch.chdir(tmp_path)
    _, config = configure(FILES, ["MODEL='./nomodel'", "SEEDS=5", "BATCH_SIZE=16"])
    where = Provenance(
        backbone="nomodel",
        revision=None,
        fingerprint="0" * 16,
        length=4,
        width=8,
        task="reviews",
        seed=3,
        config=config,
    )
    write_prompt("p.safetensors", make_prompt(jnp.ones((4, 8))), where)
    write_prompt("q.safetensors", make_prompt(jnp.ones((4, 8))), where)
    Path("asked.jsonl").write_text('{"text": "rain"}\n')


def error_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


COMMANDS = {
    "evaluate": ["evaluate", "--prompt=p.safetensors"],
    "ensemble": [
        *("evaluate", "--ensemble"),
        *("--prompt=p.safetensors", "--prompt=q.safetensors"),
    ],
    "predict": ["predict", "--prompt=p.safetensors", "--input=asked.jsonl"],
    "submit": ["submit", "--prompt=p.safetensors", "--output=out"],
    "inspect": ["inspect", "--prompt=p.safetensors"],
    "export": ["export", "p.safetensors", "--format=stablehlo", "--output=out"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_trained_prompt_keeps_its_seed(capsys, command: str):
    error = error_of(capsys, *COMMANDS[command], "--gin.SEED=7")
    assert "--gin.SEED=7 changes nothing: p.safetensors is trained, and keeps" in error


@pytest.mark.parametrize(
    "setting",
    [
        "SEEDS=2",
        "Run.seed=7",
        "STEPS=5",
        "LEARNING_RATE=0.1",
        "DROPOUT=0.5",
        "REMAT='full'",
        "PROMPT_LENGTH=7",
        "PROMPT_INIT='normal'",
        "Run.batch_size=8",
    ],
)
def test_what_only_training_reads_is_refused(capsys, setting: str):
    flags = ["--gin.METHOD='rank'", f"--gin.{setting}"]
    error = error_of(capsys, *COMMANDS["evaluate"], *flags)
    assert f"--gin.{setting} changes nothing: p.safetensors is trained" in error


@pytest.mark.parametrize(
    "flags",
    [
        ["METHOD='rank'"],
        ["METHOD='greedy'"],  # It says what the file says.
        ["METHOD='nucleus'", "Evaluation.top_p=0.5"],
        ["BATCH_SIZE=8"],  # That of the evaluation is the same name.
        ["INPUT_LENGTH=64", "DTYPE='bfloat16'", "Data.pack=True"],
    ],
)
def test_what_it_heeds_is_taken(capsys, flags: list[str]):
    given = [f"--gin.{flag}" for flag in flags]
    error = error_of(capsys, *COMMANDS["predict"], *given)
    assert "nomodel" in error, "the next thing that is missing"


def test_the_doctor_trains_and_so_takes_them(capsys):
    error = error_of(
        capsys, "doctor", "--prompt=p.safetensors", "--gin.LEARNING_RATE=0.1"
    )
    assert "changes nothing" not in error


@pytest.mark.parametrize("name", ["SHOTS", "Evaluation.shots"])
def test_a_setting_that_was_renamed_says_its_new_name(name: str, tmp_path: Path):
    with pytest.raises(ValueError, match=r"is called .*(?i:examples_in_input) now"):
        configure(FILES, [f"{name}=4"])
    (tmp_path / "mine.gin").write_text(f"{name} = 4\n")
    with pytest.raises(ValueError, match=r"mine\.gin: .*(?i:examples_in_input) now"):
        configure([*FILES, "mine.gin"], [])


def test_what_is_stored_with_an_old_name_is_read():
    run, config = configure(FILES, ["EXAMPLES_IN_INPUT=4"])
    old = config.replace("EXAMPLES_IN_INPUT", "SHOTS").replace(
        "Evaluation.examples_in_input", "Evaluation.shots"
    )
    assert old != config
    assert configure([], [], start=old) == (run, config)
