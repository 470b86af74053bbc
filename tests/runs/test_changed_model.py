"""A model whose attention changed: no prompt of the old one, no resumed run."""

import dataclasses
from pathlib import Path

import pytest
import safetensors.numpy
from tiny import CONFIG, make_tiny

from jaxprompt.bundled import resolve
from jaxprompt.command.configure import configure
from jaxprompt.config import Run
from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save
from jaxprompt.runs import evaluate, train
from jaxprompt.train.checksums import NAME, write_checksums

FILES = ["gin/runs/prompt_tuning.gin", "gin/tasks/mini_sentiment.gin"]
SETTINGS = [
    *("MODEL='model'", "METHOD='rank'", "INPUT_LENGTH=16", "STEPS=2", "BATCH_SIZE=8"),
    *("PROMPT_LENGTH=4", "EVALUATE_EVERY=2", "Evaluation.num_examples=8"),
]


def triple_attention(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    for name in tensors:
        if "Attention" in name and "bias" not in name:
            tensors[name] = 3 * tensors[name]
    safetensors.numpy.save_file(tensors, path)


def exchange_hash(workdir: Path, there: str, put: str) -> int:
    """Writes another hash into the checkpoints of a run; returns how often."""
    places = 0
    for folder in (workdir / "checkpoints").iterdir():
        for path in (p for p in folder.rglob("*") if p.is_file()):
            content = path.read_bytes()
            places += content.count(there.encode())
            path.write_bytes(content.replace(there.encode(), put.encode()))
        (folder / NAME).unlink()
        write_checksums(folder)
    return places


def test_a_prompt_and_a_run_belong_to_every_weight_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    vocabulary = Path(resolve("bundled:nano")) / "spiece.model"
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=6144))
    backbone = dataclasses.replace(tiny.backbone, vocabulary=str(vocabulary))
    save(tmp_path / "model", backbone, tiny.model)
    monkeypatch.chdir(tmp_path)
    run, config = configure(FILES, SETTINGS)
    workdir = tmp_path / "run"
    prompt = workdir / "prompt.safetensors"

    def resume(run: Run) -> None:
        (workdir / "result.json").unlink(missing_ok=True)
        train(run, workdir, config=config)

    train(run, workdir, config=config)
    backbone, _ = load("model")
    old = exchange_hash(workdir, backbone.fingerprint, backbone.first_fingerprint)
    assert old > 0
    resume(run)
    assert "only a part of it was hashed then" in capsys.readouterr().err

    triple_attention(tmp_path / "model")
    with pytest.raises(ValueError, match=r"trained on model .*the model is model"):
        evaluate(run, prompt)
    exchange_hash(workdir, backbone.first_fingerprint, backbone.fingerprint)
    with pytest.raises(ValueError, match=r"the model model changed since this run"):
        resume(run)
