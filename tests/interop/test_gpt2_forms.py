"""A prompt of a decoder-only model in every form: it goes and comes, or is refused."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny import draw_prompt

from jaxprompt.cli import main
from jaxprompt.interop.forms import FORMS
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.load import with_fingerprint
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt, save_prompt

CONFIG = GPT2Config(
    vocab_size=60, width=16, heads=2, ffn_width=24, layers=2, positions=40
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small GPT-2, and a prompt of it."""
    folder = tmp_path_factory.mktemp("gpt2")
    backbone = Decoder(CONFIG)
    model = jax.jit(backbone.init)(jax.random.key(0))
    backbone = dataclasses.replace(with_fingerprint(backbone, model), name="small")
    save(folder / "small", backbone, model)
    save_prompt(folder / "prompt.safetensors", draw_prompt(0), backbone, task="t")
    return folder


@pytest.fixture(autouse=True)
def at_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def command(*arguments: object) -> int:
    return main([*map(str, arguments), "--overwrite"])


def task_type(adapter: Path) -> str:
    return json.loads((adapter / "adapter_config.json").read_text())["task_type"]


def test_every_form_was_tried():
    assert {*FORMS} == {
        "cartridge",
        "google",
        "llama_cpp",
        "peft",
        "tensorrt_llm",
        "vllm",
        "t5x",
    }


@pytest.mark.parametrize(
    "form", ["google", "llama_cpp", "peft", "tensorrt_llm", "vllm"]
)
def test_its_rows_go_and_come_back(tmp_path: Path, form: str):
    given, back = tmp_path / "given.npy", tmp_path / "back.safetensors"
    if form == "vllm":
        given = given.with_suffix(".safetensors")
    export = ("export", "prompt.safetensors", f"--format={form}", f"--output={given}")
    assert command(*export) == 0
    backbone = "--backbone=small"
    take = ("import", given, f"--format={form}", backbone, f"--output={back}")
    assert command(*take) == 0
    prompt, provenance = load_prompt(back)
    np.testing.assert_array_equal(prompt.rows, draw_prompt(0).rows)
    assert (provenance.backbone, provenance.causal) == ("small", True)
    # PEFT is told what the model is, whichever way the prompt came.
    adapter = tmp_path / "adapter"
    assert command("export", back, "--format=peft", f"--output={adapter}") == 0
    assert task_type(adapter) == "CAUSAL_LM"


def test_what_a_model_is_that_is_not_here_is_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    given, back = tmp_path / "given.safetensors", tmp_path / "back.safetensors"
    adapter = tmp_path / "adapter"
    export = ("export", "prompt.safetensors", "--format=vllm", f"--output={given}")
    assert command(*export) == 0
    take = ("import", given, "--format=vllm", f"--output={back}")
    assert command(*take, "--backbone=someone/gpt2-small") == 0
    assert load_prompt(back)[1].causal is None
    give = ("export", back, "--format=peft", f"--output={adapter}")
    assert command(*give) == 1
    error = capsys.readouterr().err
    assert "whether someone/gpt2-small has a decoder only, and that is not kn" in error
    assert command(*give, "--backbone=small") == 0
    assert task_type(adapter) == "CAUSAL_LM"


def test_a_prefix_goes_and_comes_back_as_keys_and_values(tmp_path: Path):
    adapter = tmp_path / "prefix"
    gin = ("--gin_file=gin/runs/prompt_tuning.gin", "--gin.MODEL='small'")
    form = ("--format=peft_prefix", f"--output={adapter}")
    assert command("export", "prompt.safetensors", *form, *gin) == 0
    assert task_type(adapter) == "CAUSAL_LM"
    back = tmp_path / "back.safetensors"
    assert command("import", adapter, "--format=peft", f"--output={back}") == 0
    prompt, _ = load_prompt(back)
    assert (prompt.length, prompt.deep["decoder"].keys.shape[2]) == (0, 3)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("t5x", "form t5x puts a prompt into a T5's encoder, but small has a decoder"),
        ("stablehlo", "a model with a decoder only: only a T5 can be exported whole"),
    ],
)
def test_forms_of_t5_alone_refuse_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, message: str
):
    more = ("--backbone=small",)
    if form == "stablehlo":
        more = ("--gin_file=gin/runs/prompt_tuning.gin", "--gin.MODEL='small'")
    out = tmp_path / "out"
    form = f"--format={form}"
    assert command("export", "prompt.safetensors", form, f"--output={out}", *more) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()
