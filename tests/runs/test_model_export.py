"""A prompted model runs where jaxprompt is not: its README's lines, in a process."""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors import safe_open

from jaxprompt.cli import main
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.decode import greedy
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.models.load import load
from jaxprompt.models.t5.model import T5
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import Prompt, make_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, Params, unpacked_batch

RUN = (
    "--format=stablehlo",
    "--gin_file=gin/runs/prompt_tuning.gin",
    "--gin_file=gin/tasks/mini_sentiment.gin",
    "--gin.MODEL='bundled:nano'",
    "--gin.INPUT_LENGTH=8",
    "--gin.TARGET_LENGTH=4",
)
TEXTS = [
    "sentence: a quiet, lovely film",
    "sentence: dull",
    "sentence: a long and very tedious film that nobody could ever want to see again",
]
# Whatever the tests have imported, this process may use nothing of it.
WITHOUT = """
import sys
for name in ("jaxprompt", "flax", "transformers", "seqio", "tensorflow", "torch"):
    sys.modules[name] = None
"""


@pytest.fixture(scope="module")
def nano() -> tuple[T5, Params]:
    return load("bundled:nano")


@pytest.fixture(scope="module")
def prompt(nano: tuple[T5, Params]) -> Prompt:
    rows = nano[0].table(nano[1])[100:105]
    return make_prompt(np.asarray(rows) * 2)


@pytest.fixture(scope="module")
def prompt_file(
    nano: tuple[T5, Params], prompt: Prompt, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("prompt") / "prompt.safetensors"
    save_prompt(path, prompt, nano[0], task="mini")
    return path


def export(prompt_file: Path, folder: Path, *flags: str) -> int:
    return main(["export", str(prompt_file), *RUN, f"--output={folder}", *flags])


def run_readme(folder: Path, name: str) -> tuple[np.ndarray, str]:
    """Runs the README's lines on TEXTS; returns one of its variables, and the print."""
    readme = (folder / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 12
    code, count = re.subn(r"texts = \[.*\]", f"texts = {TEXTS!r}", code)
    assert count == 1
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT}\n{code}\nnp.save('out.npy', {name})"],
        cwd=folder,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return np.load(folder / "out.npy"), done.stdout


def batch_of(backbone: T5, length: int) -> Batch:
    """Tokenises TEXTS as training does, in 8 tokens, behind the prompt."""
    vocabulary: Any = load_vocabulary(backbone.vocabulary)
    ids = np.full((len(TEXTS), 8), NO_TOKEN, np.int32)
    for row, text in zip(ids, TEXTS, strict=True):
        tokens = [*vocabulary.encode(text)[:7], 1]
        row[: len(tokens)] = tokens
    soft = np.tile(prefix(backbone.vocab_rows, 5), (len(TEXTS), 1))
    targets = np.full((len(TEXTS), length), NO_TOKEN)
    return unpacked_batch(np.concatenate([soft, ids], axis=1), targets)


def test_its_readme_writes_what_greedy_search_writes_here(
    nano: tuple[T5, Params], prompt: Prompt, prompt_file: Path, tmp_path: Path
):
    folder, (backbone, model) = tmp_path / "model", nano
    assert export(prompt_file, folder, "--gin.METHOD='greedy'") == 0
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "predict.stablehlo",
        "tokenizer.json",
        "weights.safetensors",
    }
    ids, printed = run_readme(folder, "ids")
    params = {"model": model, "prompt": prompt}
    answer = jax.jit(functools.partial(greedy, backbone, length=4))
    ours = np.asarray(answer(params, batch_of(backbone, 4)))
    np.testing.assert_array_equal(ids, ours)
    assert (ours > 0).any()
    vocabulary: Any = load_vocabulary(backbone.vocabulary)
    assert eval(printed) == [vocabulary.decode(row) for row in ours.tolist()]
    with safe_open(folder / "weights.safetensors", framework="numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("prompt/rows"), prompt.rows)
        assert json.loads(file.metadata()["jaxprompt"])["task"] == "mini"


def test_with_rank_its_readme_chooses_the_label_that_is_chosen_here(
    nano: tuple[T5, Params], prompt: Prompt, prompt_file: Path, tmp_path: Path
):
    folder, (backbone, model) = tmp_path / "model", nano
    assert export(prompt_file, folder, "--gin.METHOD='rank'") == 0
    scores, printed = run_readme(folder, "scores")
    vocabulary: Any = load_vocabulary(backbone.vocabulary)
    labels = ["bad", "good"]
    label_ids = np.array([[*vocabulary.encode(label), 1] for label in labels], np.int32)
    params = {"model": model, "prompt": prompt}
    batch = batch_of(backbone, label_ids.shape[1])
    score = jax.jit(functools.partial(rank_labels, backbone))
    ours = np.asarray(score(params, batch, label_ids)).reshape(3, 2)
    np.testing.assert_allclose(scores, ours, atol=1e-3)
    assert eval(printed) == [labels[place] for place in ours.argmax(axis=1)]


def test_mistakes_are_told_before_the_work(
    prompt_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "model"

    def refused(*flags: str) -> str:
        assert export(prompt_file, folder, *flags) == 1
        return capsys.readouterr().err

    assert "method 'loss' gives no answers" in refused("--gin.METHOD='loss'")
    assert "takes one prompt, and its model and dtype" in refused("--dtype=bfloat16")
    folder.mkdir()
    assert "model exists: name another file, or say --overwrite" in refused()
    (folder / "mine.txt").touch()
    assert "holds mine.txt, which is no part of this" in refused("--overwrite")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
