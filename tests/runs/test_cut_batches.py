"""Batches that are cut to their longest input train the same prompt in less time."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import save_tiny

from jaxprompt.config import (
    Data,
    Evaluation,
    HeadStart,
    Model,
    Optimizer,
    OwnTask,
    PromptStart,
    Run,
)
from jaxprompt.data.rows.position import Position
from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs import train
from jaxprompt.runs.measure.padding import measure_work, report_padding
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.runs.ready.training_batches import parts_of_batch, training_batches
from jaxprompt.train.pace import Pace


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two prompts for a random T5, on rows of 1 to 90 words."""
    monkeypatch.chdir(tmp_path)
    save_tiny(Path("model"))
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
        data=Data(task=task, input_length=220, target_length=8),
        prompt=PromptStart(length=6, init="vocabulary"),
        pace=Pace(steps=2, evaluate_every=0, log_every=1),
        evaluation=Evaluation(method="rank", batch_size=8, num_examples=8),
        batch_size=8,
        seeds=2,
    )


def tuned(run: Run, **data: Any) -> Run:
    """The same run, but the model trains, in batches of 16 rows."""
    return dataclasses.replace(
        run,
        trains="model",
        prompt=PromptStart(),
        optimizer=Optimizer(kind="adamw", learning_rate=0.001),
        data=dataclasses.replace(run.data, **data),
        batch_size=16,
        seeds=1,
    )


def log_of(workdir: Path) -> list[dict[str, Any]]:
    return [*map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())]


SETTINGS = {
    "whole": {"cut": False},
    "cut": {"cut": True, "part_rows": 0},
    "parts": {"cut": True, "part_rows": 8},
}


def test_what_padding_costs_is_said(run: Run, capsys: pytest.CaptureFixture[str]):
    works = {}
    for name, settings in {**SETTINGS, "packed": {"pack": True}}.items():
        data = dataclasses.replace(run.data, **settings)
        job = prepare(dataclasses.replace(run, data=data), splits=("train",))
        works[name] = measure_work(job, 6)
    whole, packed = works["whole"], works["packed"]
    # Behind 6 soft tokens 220 of text, and "yes" with its end.
    assert whole.computed == 6 + 220 + job.task.label_ids(8).shape[1]
    assert whole.computed > works["cut"].computed > works["parts"].computed > whole.own
    assert works["parts"].own == pytest.approx(whole.own)
    assert whole.a_row == 1 < packed.a_row < 8
    assert packed.own < packed.computed < whole.computed
    report_padding(prepare(run, splits=("train",)), 6)
    now = works["parts"]
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"padding: {now.computed:.0f} tokens are computed for each example, "
        f"{now.own:.0f} of them its own; with PACK=True {packed.computed:.0f}. A "
        f"packed row holds {packed.a_row:.1f} examples: a step learns from that many "
        "times more of them"
    )


def test_the_prompt_is_the_same_and_there_is_less_padding(run: Run):
    padding, losses, rows = {}, {}, {}
    for name, settings in SETTINGS.items():
        data = dataclasses.replace(run.data, **settings)
        train(dataclasses.replace(run, data=data), Path(name))
        log = log_of(Path(name))
        padding[name] = np.array([line["padding"] for line in log])
        losses[name] = [line["loss"] for line in log]
        files = sorted(Path(name, "prompts").iterdir())
        rows[name] = np.stack([load_prompt(file)[0].rows for file in files])
    assert np.all(padding["cut"] < padding["whole"] - 0.05)
    assert np.all(padding["parts"] < padding["cut"])
    for name in ("cut", "parts"):
        np.testing.assert_allclose(losses[name], losses["whole"], rtol=1e-5)
        np.testing.assert_allclose(rows[name], rows["whole"], atol=1e-4)


def test_a_long_answer_is_cut_alike_in_packed_rows(run: Run):
    """A packed row has room for several answers, and still no example has a longer."""
    answers = [{"text": "film", "answer": "film " * (n % 9 + 1)} for n in range(64)]
    Path("long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    files = dict.fromkeys(("train", "validation"), "long.jsonl")
    task = OwnTask(name="own", files=files, inputs="{text}", target="answer")
    for pack in (False, True):
        data = dataclasses.replace(
            run.data, task=task, target_length=4, pack=pack, part_rows=0
        )
        scored = Evaluation(method="loss", batch_size=8, num_examples=8)
        one = dataclasses.replace(
            run, data=data, evaluation=scored, seeds=1, batch_size=2
        )
        stream = training_batches(prepare(one, splits=("train",)), 6)
        batch, _ = next(stream((Position(),)))
        rows = np.asarray(batch.target_segments)
        longest = [np.bincount(row[row > 0]).max() for row in rows]
        assert max(longest) == 4
        assert (rows.max() > 1) == pack


def test_batches_with_dropout_are_whole(run: Run):
    """The parts of a batch draw no masks."""
    for part in (
        {
            "prompt": dataclasses.replace(
                run.prompt, deep={"encoder": 2}, deep_dropout=0.5
            )
        },
        {
            "head": HeadStart(kind="classes", pooler="none", dropout=0.5),
            "trains": "prompt+head",
        },
        {"model": dataclasses.replace(run.model, dropout=0.5)},
    ):
        job = prepare(dataclasses.replace(run, **part))
        assert parts_of_batch(job) == 0
    assert parts_of_batch(prepare(run)) == 8


@pytest.mark.parametrize("pack", [False, True])
def test_the_prompt_is_the_same_where_answers_are_cut(run: Run, pack: bool):
    draw = np.random.default_rng(1)
    texts = [
        {"text": "film " * int(words), "answer": "film " * int(words % 17 + 1)}
        for words in draw.integers(1, 91, 64)
    ]
    Path("texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    task = OwnTask(
        name="own",
        files=dict.fromkeys(("train", "validation"), "texts.jsonl"),
        inputs="{text}",
        target="answer",
    )
    work, losses, rows = {}, {}, {}
    for cut in (False, True):
        data = dataclasses.replace(
            run.data, task=task, target_length=80, pack=pack, cut=cut
        )
        scored = Evaluation(method="loss", batch_size=8, num_examples=8)
        one = dataclasses.replace(run, data=data, evaluation=scored, seeds=1)
        workdir = Path(f"cut-{cut}")
        train(one, workdir)
        work[cut] = measure_work(prepare(one, splits=("train",)), 6)
        losses[cut] = [line["loss"] for line in log_of(workdir)]
        rows[cut] = load_prompt(workdir / "prompt.safetensors")[0].rows
    # No answer has more than 64 tokens; of packed rows, room for many is kept.
    assert work[True].own == work[False].own
    assert work[True].computed < work[False].computed - (150 if pack else 16)
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-5)
    np.testing.assert_allclose(rows[True], rows[False], atol=1e-4)


def test_many_rows_are_scored_in_small_batches_unless_much_is_written(run: Run):
    def rows(count: int, **settings: Any) -> int:
        asked = Evaluation(**{"method": "rank", "batch_size": 32} | settings)
        job = prepare(dataclasses.replace(run, evaluation=asked), splits=("train",))
        return job.scored_rows(count)

    assert (rows(1000), rows(90)) == (8, 32)
    assert rows(1000, method="greedy", decode_length=8) == 8
    assert rows(1000, method="greedy", decode_length=9) == 32


def test_a_model_that_trains_reads_parts_too(run: Run):
    whole, parts = (
        prepare(tuned(run, part_rows=rows), splits=("train",)) for rows in (0, None)
    )
    assert (parts_of_batch(whole), parts_of_batch(parts)) == (0, 8)
    assert measure_work(parts, 0).computed < measure_work(whole, 0).computed
