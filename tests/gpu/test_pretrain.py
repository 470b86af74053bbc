"""A larger nano from tokens that were made beforehand; stopped, it goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pretrain
import pytest
import safetensors.numpy
from token_files import StoredTask, read_about, read_table

from jaxprompt.command.configure import configure
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import load
from jaxprompt.train.stopped import Stopped

WORDS = (
    "kettle stove rain baker loaf friday garden window letter morning house river road "
    "horse table light night music water paper summer winter mother father"
).split()
SETTINGS = (
    *pretrain.TINY,
    "PASSAGE_WORDS=20",
    # Skills that need neither t5 nor much text.
    "OBJECTIVES={'in_order': 2.0, 'question': 1.0}",
)
STEPS = 6


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("text")
    draw = np.random.default_rng(0)
    lines = [" ".join(["The", *draw.choice(WORDS, 7)]) + "." for _ in range(900)]
    (folder / "a.txt").write_text("\n\n".join(lines))
    return str(folder)


@pytest.fixture(scope="module")
def tokens(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens") / "made"
    pretrain.prepare(folder, text, megabytes=0.6, settings=SETTINGS)
    return folder


def test_all_files_together_keep_to_the_size(tokens: Path):
    about = read_about(tokens)
    sizes = [path.stat().st_size for path in tokens.iterdir()]
    assert 400_000 < sum(sizes) <= 600_000
    # More examples than passages: each epoch has noise of its own.
    assert about["examples"] > about["passages"] > 100


def test_the_tokens_are_those_that_the_recipe_draws(text: str, tokens: Path):
    vocabulary = load_vocabulary(str(pretrain.NANO / "spiece.model"))
    run, _ = configure([pretrain.RECIPE], [f"TEXT={text!r}", *SETTINGS])
    assert run.data.task is not None
    drawn = run.data.task.tasks[0].load(vocabulary)
    about = read_about(tokens)
    stored = StoredTask(name="text", folder=tokens, rates=about["rates"])
    made = stored.load(vocabulary)
    assert made.num_examples("train") == about["examples"]
    numbers = [0, 7, about["examples"] - 1]
    for ours, wanted in zip(
        made.pairs("train", [*numbers, about["examples"]]),
        drawn.pairs("train", [*numbers, 0]),
        strict=True,
    ):
        np.testing.assert_array_equal(ours.inputs, wanted.inputs)
        np.testing.assert_array_equal(ours.targets, wanted.targets)
    assert about["rates"] == {"in_order": 2 / 3, "question": 1 / 3}
    for name, part in drawn.parts.items():
        assert made.parts[name].rate == part.rate
        (ours,) = made.parts[name].task.pairs("validation", [3])
        (wanted,) = part.task.pairs("validation", [3])
        np.testing.assert_array_equal(ours.inputs, wanted.inputs)


def losses(out: Path) -> list[dict[str, float]]:
    lines = (out / "run" / "metrics.jsonl").read_text().splitlines()
    kept = ("step", "loss", "validation/loss")
    return [{k: v for k, v in json.loads(x).items() if k in kept} for x in lines]


@pytest.mark.long
def test_stopped_by_the_clock_it_goes_on_to_the_same_model(
    tokens: Path, tmp_path: Path
):
    whole = pretrain.train(tokens, tmp_path / "whole", steps=STEPS, shard_bytes=2_000)
    with pytest.raises(Stopped, match="its state is saved"):
        pretrain.train(tokens, tmp_path / "halves", steps=STEPS, minutes=0)
    assert not (tmp_path / "halves" / "model").exists()
    _, begun = load(tmp_path / "halves" / "start")
    for number, row in read_table(tokens).items():
        np.testing.assert_array_equal(begun["embedding"][number], row)
    halves = pretrain.train(tokens, tmp_path / "halves")
    for result in (whole, halves):
        assert result.pop("backbone") == "model"
    assert halves == whole
    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")

    assert set(whole["objectives"]) == {"in_order", "question"}
    for part in whole["objectives"].values():
        assert 0 < part["loss"] < 20
        assert 0 < part["other_input_loss"] < 20
    assert json.loads((tmp_path / "whole" / "losses.json").read_text())["loss"] > 0

    # The shards are the trained weights, rounded; a large one has a file of its own.
    rounded = {}
    for shard in (tmp_path / "whole" / "model").glob("*.safetensors"):
        arrays = safetensors.numpy.load_file(shard)
        assert len(arrays) == 1 or sum(x.nbytes for x in arrays.values()) <= 2_000
        rounded |= arrays
    trained = safetensors.numpy.load_file(
        tmp_path / "halves" / "run" / "model" / "model.safetensors"
    )
    assert rounded.keys() == trained.keys()
    for name, array in rounded.items():
        assert array.dtype == np.float16
        np.testing.assert_array_equal(array, trained[name].astype(np.float16))
    backbone, _ = load(tmp_path / "whole" / "model")
    assert backbone.width == 16
    assert load_vocabulary(str(backbone.vocabulary)).decode([6143]) == "<extra_id_0>"


def test_training_imports_neither_gin_nor_tensorflow(tmp_path: Path):
    for name in ("gin", "gguf", "seqio", "t5", "tensorflow"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    modules = "pretrain, jaxprompt.runs.training, jaxprompt.evaluate.loss"
    tools = Path(pretrain.__file__).parent
    path = f"{tmp_path}:{tools}:{tools.parents[1]}"
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"megabytes": 0.1}, "no example fits in"),
        ({"settings": ["LEARNING=1"]}, "no name LEARNING in the gin files"),
    ],
)
def test_a_mistake_leaves_no_folder(text: str, tmp_path: Path, asked, message):
    options = {"settings": SETTINGS, **asked}
    with pytest.raises(ValueError, match=message):
        pretrain.prepare(tmp_path / "new", text, **options)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_exists_is_left_alone(tokens: Path, text: str):
    with pytest.raises(FileExistsError, match="remove it, or name another folder"):
        pretrain.prepare(tokens, text, settings=SETTINGS)


def test_without_tokens_the_error_says_how_to_make_them(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"make it with `pretrain.py prepare`"):
        pretrain.train(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()
