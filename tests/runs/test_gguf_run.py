"""A run on a GGUF file: from the gin name to its weights, and to a saved folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from gguf_files import write_chat_model

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config import OwnTask
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.vocabulary.chat import read_chat_template
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.sharding import make_mesh


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf"
    write_chat_model(path)
    return path


def test_a_run_says_how_the_weights_lie_in_memory(
    path: Path, capsys: pytest.CaptureFixture[str]
):
    run, _ = configure(
        ["gin/runs/prompt_tuning.gin", "gin/tasks/mini_sentiment.gin"],
        [f"MODEL={str(path)!r}", "QUANTISE='int8'"],
    )
    frozen = open_model(run.model).load(make_mesh())
    said = capsys.readouterr()
    note = "matrices of tiny.Q8_0.gguf in memory: 8 Q8_0 kept as int8 levels"
    assert note in said.out + said.err
    assert frozen.backbone.name == "tiny.Q8_0.gguf"
    assert frozen.vocabulary.decode(frozen.vocabulary.encode("naïve")) == "naïve"


def test_a_task_of_roles_has_its_soft_tokens_in_the_systems_turn(
    path: Path, tmp_path: Path
):
    (tmp_path / "rows.jsonl").write_text('{"text": "hm", "label": "yes"}\n')
    roles = {"system": "{slots:3}", "user": "Is it: {text}?"}
    task = OwnTask(
        name="asked",
        files={"train": str(tmp_path / "rows.jsonl")},
        roles=roles,
        target="label",
    )
    vocabulary = load_vocabulary(path, causal=True)
    loaded = task.load(vocabulary)
    (pair,) = loaded.pairs("train", [0])
    soft = np.arange(900, 903, dtype=np.int32)
    row = layout_of(loaded, Lengths(64, 8), soft).prompted(pair)
    front = vocabulary.encode("<|im_start|>system\n")
    behind = vocabulary.encode(
        "<|im_end|>\n<|im_start|>user\nIs it: hm?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert row.inputs[: len(front) + 3].tolist() == [*front, *soft]
    name = vocabulary.pieces.name
    written = [name(number) for number in row.inputs[len(front) + 3 :]]
    assert "".join(written) == "".join(name(number) for number in behind)
    assert row.targets.tolist() == [*vocabulary.encode("yes"), 2]
    assert "by the model's chat template: system '{slots:3}'" in task.told
    with pytest.raises(ValueError, match="has inputs 'x' and roles system, user"):
        OwnTask(name="both", inputs="x", roles=roles)


def test_a_prompt_of_conversations_is_trained_and_goes_on_with_others(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    turns = [
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two?"},
        {"role": "assistant", "content": "2"},
    ]
    Path("chats.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    files = "{'train': 'chats.jsonl', 'validation': 'chats.jsonl'}"
    settings = {
        "MODEL": f"'{path}'",
        "TASK": "@OwnChats()",
        "OwnChats.name": "'chats'",
        "OwnChats.files": files,
        "PROMPT_LENGTH": "2",
        "PROMPT_INIT": "'vocabulary'",
        "INPUT_LENGTH": "40",
        "TARGET_LENGTH": "4",
        "BATCH_SIZE": "1",
        "STEPS": "2",
        "CHECKPOINT_EVERY": "2",
    }
    gin = [f"--gin.{name}={value}" for name, value in settings.items()]
    files = ["--gin_file=gin/runs/prompt_tuning.gin"]
    assert main(["train", *files, *gin, "--workdir=run"]) == 0
    said = capsys.readouterr().out
    assert "chats: 2 answers are learned in 1 row: those of a conversation" in said
    assert "cut to length" not in said
    assert "vocabulary lacks" not in said
    lengths = []
    for pack in ("False", "True"):
        told = [f"{name}={value}" for name, value in {**settings, "PACK": pack}.items()]
        run, _ = configure(["gin/runs/prompt_tuning.gin"], told)
        job = prepare(run, splits=("train",))
        lengths.append(job.training_lengths(2).targets)
    # Both answers have room; two short texts in a packed row would need eight tokens.
    assert lengths == [32, 32]
    lines = Path("run/predictions.jsonl").read_text().splitlines()
    rows = [*map(json.loads, lines)]
    assert [row["expected"] for row in rows] == ["1", "2"]
    Path("ask.jsonl").write_text(json.dumps({"messages": turns[:3]}) + "\n")
    capsys.readouterr()
    ask = ["--prompt=run/prompt.safetensors", "--input=ask.jsonl"]
    assert main(["predict", *ask]) == 0
    (answer,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert answer["messages"] == turns[:3]
    assert [answer["prediction"]] == rows[1]["predicted"]


def test_a_saved_folder_has_its_weights_vocabulary_and_template(
    path: Path, tmp_path: Path
):
    backbone, model = load(path)
    save(tmp_path / "saved", backbone, model)
    again, _ = load(tmp_path / "saved")
    assert again.config == backbone.config
    assert again.fingerprint == backbone.fingerprint
    texts = ["a bad film<|im_end|>", "1999, isn't it?"]
    ours, theirs = (
        load_vocabulary(place, causal=True) for place in (path, tmp_path / "saved")
    )
    assert theirs.encode_all(texts) == ours.encode_all(texts)
    assert theirs.end_ids == ours.end_ids
    found, expected = (read_chat_template(p) for p in (tmp_path / "saved", path))
    assert found is not None
    assert expected is not None
    assert (found.source, found.names) == (expected.source, expected.names)
