"""Few-shot runs: a bank of seeds, each with rows of its own, tested on all."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import save_tiny

from jaxprompt.config import Data, Evaluation, Model, OwnTask, PromptStart, Run
from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs import train
from jaxprompt.train.pace import Pace

RUN = Run(
    model=Model(name="model"),
    data=Data(
        task=OwnTask(
            name="mini",
            files={
                "train": "bundled:mini/SST-2/train.tsv",
                "validation": "bundled:mini/SST-2/dev.tsv",
            },
            inputs="{sentence}",
            target="label",
            labels={"0": "bad", "1": "good"},
        ),
        input_length=16,
        target_length=2,
        shots_per_class=4,
    ),
    prompt=PromptStart(length=2, init="vocabulary"),
    pace=Pace(steps=4, evaluate_every=2, log_every=2),
    evaluation=Evaluation(method="rank", batch_size=8, num_examples=24),
    batch_size=8,
    seed=5,
    seeds=2,
)


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random T5 of the nano's vocabulary, quick to compile."""
    folder = tmp_path_factory.mktemp("few")
    save_tiny(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def scores(folder: Path, name: str) -> list[tuple[int, float]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    wanted = f"validation/{name}"
    return [(line["step"], line[wanted]) for line in lines if wanted in line]


def test_a_bank_has_the_rows_of_each_seed(tmp_path: Path, capsys):
    result = train(RUN, tmp_path / "bank")
    said = capsys.readouterr().out
    assert "mini: 8 rows of each seed choose its best step" in said
    assert "error of up to 18 points" in said
    assert (result["split"], result["examples"]) == ("validation", 24)
    alone = dataclasses.replace(RUN, seed=6, seeds=1)
    train(alone, tmp_path / "alone")
    prompts = [
        load_prompt(tmp_path / file)[0].rows
        for file in ("bank/prompts/mini-6.safetensors", "alone/prompt.safetensors")
    ]
    np.testing.assert_allclose(*prompts, rtol=1e-4, atol=1e-6)
    # Eight rows choose the step, so a score is a multiple of an eighth.
    chosen = scores(tmp_path / "bank", "mini-6/score")
    assert [step for step, _ in chosen] == [2, 4]
    assert all(score % 12.5 == 0 for _, score in chosen)
    assert scores(tmp_path / "alone", "score") == chosen


def test_a_model_learns_from_few_rows_too(tmp_path: Path):
    run = dataclasses.replace(
        RUN, trains="model", seeds=1, pace=Pace(steps=2, evaluate_every=2)
    )
    assert train(run, tmp_path / "run")["examples"] == 24
    ((_, score),) = scores(tmp_path / "run", "score")
    assert score % 12.5 == 0


def test_a_full_disk_is_told_before_a_model_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = dataclasses.replace(RUN, trains="model", seeds=1)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jaxprompt.runs.training.write_result", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(run, tmp_path / "run")
    kept = {
        name: sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        for name in ("checkpoints", "model")
        for folder in [tmp_path / "run" / name]
    }
    # Two checkpoints, of which one is the best, and no others were written.
    assert len([*(tmp_path / "run" / "checkpoints").glob("[0-9]*")]) == 2

    def disk_of(free: float) -> None:
        usage = SimpleNamespace(free=int(free))
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    disk_of(0.8 * sum(kept.values()))
    told = r"free, and the run needs .* for up to 2 checkpoints of .* MB at a time and"
    with pytest.raises(ValueError, match=told):
        train(run, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    # What an interrupted run has kept is no longer needed of the disk.
    disk_of(0.3 * sum(kept.values()))
    train(run, tmp_path / "run")
    disk_of(1.1 * sum(kept.values()))
    train(run, tmp_path / "other")


def test_too_few_rows_are_told_before_the_model_is_read(tmp_path: Path):
    data = dataclasses.replace(RUN.data, shots_per_class=900)
    with pytest.raises(ValueError, match=r"label 'bad' in split 'train' .* use fewer"):
        train(dataclasses.replace(RUN, data=data), tmp_path / "run")


def test_few_rows_are_not_scored_by_their_loss():
    with pytest.raises(ValueError, match="'loss' with few training rows"):
        dataclasses.replace(RUN, seeds=1, evaluation=Evaluation(method="loss"))
