"""Batches that are cut to their longest input train the same prompt in less time."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import CONFIG, make_tiny

from jaxprompt.bundled import resolve
from jaxprompt.config import Data, Evaluation, Model, OwnTask, PromptStart, Run
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs import train
from jaxprompt.train.pace import Pace


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two prompts for a random T5, on rows of 1 to 90 words."""
    monkeypatch.chdir(tmp_path)
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=6144))
    nano = Path(resolve("bundled:nano")) / "spiece.model"
    save("model", dataclasses.replace(tiny.backbone, vocabulary=str(nano)), tiny.model)
    draw = np.random.default_rng(0)
    rows = [
        {"text": "film " * int(draw.integers(1, 91)), "label": row % 2}
        for row in range(32)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = OwnTask(
        name="own",
        files=dict.fromkeys(("train", "validation"), "rows.jsonl"),
        inputs="{text}",
        target="label",
        labels={"0": "no", "1": "yes"},
    )
    return Run(
        model=Model(name="model"),
        data=Data(task=task, input_length=250, target_length=8),
        prompt=PromptStart(length=6, init="vocabulary"),
        pace=Pace(steps=3, evaluate_every=0, log_every=1),
        evaluation=Evaluation(method="rank", batch_size=8, num_examples=8),
        batch_size=8,
        seeds=2,
    )


def log_of(workdir: Path) -> list[dict[str, Any]]:
    return [*map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())]


def test_the_prompt_is_the_same_and_there_is_less_padding(run: Run):
    for name, cut in {"cut": True, "whole": False}.items():
        data = dataclasses.replace(run.data, cut=cut)
        train(dataclasses.replace(run, data=data), Path(name))
    lines = zip(log_of(Path("cut")), log_of(Path("whole")), strict=True)
    for cut, whole in lines:
        assert cut["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        assert cut["padding"] < whole["padding"] - 0.1
    for file in sorted(Path("cut/prompts").iterdir()):
        rows, others = (
            load_prompt(workdir / "prompts" / file.name)[0].rows
            for workdir in map(Path, ("cut", "whole"))
        )
        np.testing.assert_allclose(rows, others, atol=1e-4)
