"""Counts in a prompt's own configuration, however large: one quick error names it."""

import time
import tracemalloc
from pathlib import Path

import jax.numpy as jnp
import pytest

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.prompts.file import write_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import Provenance

FILES = ["gin/runs/prompt_tuning.gin", "gin/tasks/own.gin"]

HUGE = (10**9, 2**31, 2**62, 2**63, 10**400)
COUNTS = {
    "Data.input_length": "input_length",
    "Data.target_length": "target_length",
    "PromptStart.length": "prompt length",
    "Evaluation.decode_length": "decode_length",
    "Evaluation.batch_size": "evaluation batches of",
    "Run.batch_size": "training batches of",
    "Run.seeds": "seeds",
}
"""Setting -> how the error names it; as "Data.input_length" beyond 63 bits."""


@pytest.fixture(autouse=True)
def at_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("asked.jsonl").write_text('{"text": "rain"}\n')


def write(config: str) -> None:
    where = Provenance(
        backbone="nomodel",
        revision=None,
        fingerprint="0" * 16,
        length=4,
        width=8,
        task="reviews",
        seed=0,
        config=config,
    )
    write_prompt("p.safetensors", make_prompt(jnp.ones((4, 8))), where)


def sound() -> str:
    return configure(FILES, ["MODEL='./nomodel'"])[1]


def refusal(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """Returns the one line that refuses a prompt, soon and without much memory."""
    started = time.process_time()
    tracemalloc.start()
    try:
        assert main([*command]) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 2
    assert peak < 50e6
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert len(error) < 1000
    return error


PREDICT = ["predict", "--input=asked.jsonl", "--prompt=p.safetensors"]


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Imports what the commands import, whose time is not the configuration's."""
    assert main(["predict", "--prompt=absent.safetensors"]) == 1


@pytest.mark.parametrize("setting", COUNTS)
def test_a_count_of_a_prompts_file_is_refused_at_once(capsys, setting: str):
    for count in HUGE:
        write(f"{sound()}\n{setting} = {count}\n")
        error = refusal(capsys, *PREDICT)
        assert "p.safetensors: its configuration: " in error
        assert (COUNTS[setting] if count < 2**63 else setting) in error


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "--prompt=p.safetensors"],
        ["evaluate", "--ensemble", "--prompt=p.safetensors"],
        ["inspect", "--prompt=p.safetensors"],
        ["doctor", "--prompt=p.safetensors"],
        ["export", "p.safetensors", "--format=stablehlo", "--output=out"],
        ["push", "--prompt=p.safetensors", "--repo=me/x"],
    ],
    ids=" ".join,
)
def test_every_command_that_reads_the_configuration_refuses_it(capsys, command):
    write(f"{sound()}\nData.input_length = 1000000000\n")
    assert main(command) == 1
    error = capsys.readouterr().err
    assert (
        "p.safetensors: its configuration: Data: input_length 1000000000: no mod"
        in error
    )


def test_beams_count_as_rows(capsys):
    write(f"{sound()}\nEvaluation.method = 'beam'\nEvaluation.beams = 1000000\n")
    error = refusal(capsys, *PREDICT)
    assert "batches of 32 rows of 1000000 beams and up to 136 tokens hold" in error


def test_a_prompt_brings_no_model_to_make(capsys):
    write(
        "SEED = 0\nRun.trains = 'model'\nRun.model = @Model()\n"
        "Model.architecture = @GPT2Config()\n"
        "GPT2Config.vocab_size = 2147483647\nGPT2Config.layers = 2147483647\n"
        "GPT2Config.width = 2147483647\nGPT2Config.heads = 1\n"
        "GPT2Config.ffn_width = 2147483647\n"
    )
    error = refusal(capsys, "evaluate", "--prompt=p.safetensors")
    assert "p.safetensors is a prompt, but its configuration trains 'model'" in error


def test_large_counts_that_a_device_may_have_room_for_are_taken():
    lengths = ["INPUT_LENGTH=131072", "PROMPT_LENGTH=131072", "BATCH_SIZE=64"]
    run, config = configure(FILES, lengths)
    assert run.data.input_length == run.prompt.length == 131072
    assert configure([], [], start=config)[0] == run
