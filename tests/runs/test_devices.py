"""Whole runs on eight devices: one prompt however they lie, and what they divide."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tiny import save_tiny

from jaxprompt.config import Data, Evaluation, Model, OwnTask, PromptStart, Run
from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs import train
from jaxprompt.train.pace import Pace

pytestmark = pytest.mark.every_device


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A prompt for a random T5, on rows of one to twenty words."""
    monkeypatch.chdir(tmp_path)
    save_tiny(Path("model"))
    rows = [{"text": "film " * (row % 20 + 1), "label": row % 2} for row in range(32)]
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
        data=Data(task=task, input_length=48, target_length=4),
        prompt=PromptStart(length=4, init="vocabulary"),
        pace=Pace(steps=2, evaluate_every=0, log_every=1),
        evaluation=Evaluation(method="rank", batch_size=8, num_examples=8),
        batch_size=8,
    )


def test_however_devices_are_arranged_the_prompt_is_the_same(run: Run):
    results, rows = {}, {}
    for data, model in ((8, 1), (2, 4)):
        folder = f"{data}x{model}"
        mesh = Model(name="model", mesh_data=data, mesh_model=model)
        results[folder] = train(dataclasses.replace(run, model=mesh), Path(folder))
        rows[folder] = load_prompt(Path(folder, "prompt.safetensors"))[0].rows
    np.testing.assert_allclose(rows["8x1"], rows["2x4"], atol=1e-4)
    assert results["8x1"]["score"] == results["2x4"]["score"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": 30},
            r"batch size 30 is not divisible by the data axis \(8 dev",
        ),
        ({"optimizer": {"accumulate": 3}}, "8 devices x 3 accumulation steps"),
        ({"model": {"mesh_model": 3}}, "there are 8"),
        ({"data": {"part_rows": 6}}, "part_rows 6 for 8 rows on 8 devices"),
    ],
)
def test_what_the_devices_do_not_divide_is_refused(run: Run, changes, message: str):
    for name, values in changes.items():
        part = getattr(run, name)
        changed = (
            dataclasses.replace(part, **values) if isinstance(values, dict) else values
        )
        run = dataclasses.replace(run, **{name: changed})
    with pytest.raises(ValueError, match=message):
        train(run, Path("odd"))
    assert not Path("odd").exists()
