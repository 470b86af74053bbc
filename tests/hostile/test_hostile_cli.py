"""Flags of any text: done, or one line that says what is wrong; no traceback."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from amounts import examples
from hostile_input import safetensors_bytes
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxprompt.cli import main

RUN = "--gin_file=gin/runs/prompt_tuning.gin"

names = st.text(max_size=20).filter(
    # Of this folder, and of one line.
    lambda text: text.isprintable() and "/" not in text and text not in (".", "..")
)
numbers = st.integers().map(str) | names


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sound prompt, which says too little of its model to be used."""
    monkeypatch.chdir(tmp_path)
    header = {"backbone": "t5", "revision": None, "fingerprint": "", "length": 2}
    safetensors.numpy.save_file(
        {"prompt": np.ones((2, 3), np.float32)},
        "p.safetensors",
        {"jaxprompt": json.dumps({**header, "width": 3})},
    )
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> int:
    """Runs a command; returns its status if all that it says is as it should be."""
    try:
        status = main(list(arguments))
    except SystemExit as stop:  # Of argparse.
        status = stop.code
    said = capsys.readouterr()
    assert status in (0, 1, 2)
    assert "Traceback" not in said.err + said.out
    if status == 1:
        assert said.err.startswith("jaxprompt: ")
        assert said.err.count("\n") == 1, said.err
        assert len(said.err) < 2000, said.err[:300]
    if status == 2:
        assert " error: " in said.err.splitlines()[-1]
    return status


COMMANDS = (
    ("inspect", "--prompt={}"),
    ("inspect", "--without_model", "--prompt={}"),
    ("evaluate", "--prompt={}"),
    ("evaluate", "--ensemble", "--prompt={}", "--prompt={}"),
    ("predict", "--prompt={}", "--input={}", "--output={}"),
    ("predict", "--prompt=p.safetensors", "--prompt={}"),
    ("submit", "--prompt={}", "--split={}", "--output={}"),
    ("doctor", "--prompt={}"),
    ("train", "--gin_file={}", "--workdir={}"),
    ("train", RUN, "--gin.{}", "--workdir={}"),
    ("train", RUN, "--gin.STEPS={}", "--workdir={}"),
    ("sweep", "--gin_file={}", "--workdir={}"),
    ("sweep", RUN, "--gin.Sweep.arms={}", "--workdir={}"),
    ("plan", "--topology={}", "--step={}"),
    ("report", "{}", "--output={}"),
    ("compare", "{}", "{}", "--output={}"),
    ("new", "{}", "--output={}", "--text={}"),
    ("list", "{}"),
    ("import", "{}", "--format=peft", "--backbone={}", "--output={}"),
    ("import", "{}", "--format={}", "--output={}"),
    ("import", "p.safetensors", "--format=google", "--output={}"),
    ("export", "{}", "--format={}", "--output={}"),
    ("{}",),
    ("train", "{}"),
)


@given(
    command=st.sampled_from(COMMANDS), values=st.lists(names, min_size=3, max_size=3)
)
@example(("train", RUN, "--gin.{}", "--workdir={}"), ["\ud800=1", "w", ""])
@example(("predict", "--prompt={}"), ["%s{}", "", ""])
@example(("train", RUN, "--gin.STEPS={}", "--workdir={}"), ["@Run()", "w", ""])
@settings(max_examples=examples(120))
def test_a_file_or_a_name_that_is_not_there(capsys, command, values):
    left = iter(values)
    arguments = [
        argument.format(next(left)) if "{}" in argument else argument
        for argument in command
    ]
    assert run(capsys, *arguments) != 0


@given(
    neighbours=numbers,
    metric=names | st.sampled_from(["cosine", "dot", "l2"]),
    words=names,
    output=names,
)
@example(neighbours="-1", metric="cosine", words="", output="a")
@example(neighbours="9" * 5000, metric="cosine", words="", output="a")
@settings(max_examples=examples(40))
def test_options_of_inspect(capsys, neighbours, metric, words, output):
    run(
        capsys,
        "inspect",
        "--prompt=p.safetensors",
        "--without_model",
        f"--neighbours={neighbours}",
        f"--metric={metric}",
        f"--label_words={words}",
        f"--output={output}",
        "--overwrite",
    )


@given(
    form=names | st.sampled_from(["google", "peft", "tensorrt_llm", "vllm", "t5x"]),
    dtype=names | st.sampled_from(["", "float32", "bfloat16", "float16"]),
    row=numbers,
    task=names,
)
@example(form="google", dtype="float32", row="0", task="a,b")
@example(form="tensorrt_llm", dtype="float16", row="-1", task="")
@settings(max_examples=examples(60))
def test_options_of_export_and_import(capsys, form, dtype, row, task):
    run(
        capsys,
        "export",
        "p.safetensors",
        f"--format={form}",
        f"--dtype={dtype}",
        "--output=out",
        "--overwrite",
    )
    run(
        capsys,
        "import",
        "out",
        f"--format={form}",
        f"--row={row}",
        f"--task={task}",
        "--backbone=google/t5",
        "--output=back.safetensors",
        "--overwrite",
    )


@given(fields=st.dictionaries(st.sampled_from(["config", "task", "seed"]), st.text()))
@example(fields={"config": "import os\n"})
@example(fields={"config": "Run.model = @Run()\n"})
@example(fields={"config": "A = %A\nRun.seed = %A\n"})
@example(fields={"config": "Run.data = 5\n"})
@example(fields={"config": "(" * 1000 + "\n"})
@example(fields={"seed": "x"})
@example(fields={"task": "a\nb\x1b[31m"})
@settings(max_examples=examples(40))
def test_a_prompt_file_of_hostile_fields(capsys, fields):
    header = {"backbone": "t5", "revision": None, "fingerprint": "", "length": 1}
    text = json.dumps({**header, "width": 1, **fields})
    tensor = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
    content = {"__metadata__": {"jaxprompt": text}, "prompt": tensor}
    Path("hostile.safetensors").write_bytes(safetensors_bytes(content, bytes(4)))
    prompt = "--prompt=hostile.safetensors"
    assert run(capsys, "evaluate", prompt) == 1
    assert run(capsys, "predict", prompt, "--input=absent.jsonl") == 1
