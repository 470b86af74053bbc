"""Runs that keep what the layers below their prompt make of each row."""

import dataclasses
import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from letters_bert import save_letters_bert

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
from jaxprompt.data.rows.position import START
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.prompts.join import prompted_lower
from jaxprompt.runs import rehearse, train
from jaxprompt.runs.ready.lower_states import count_states
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.runs.ready.training_batches import training_batches
from jaxprompt.train.pace import Pace

ROWS = [
    {
        "text": " ".join("abcdefgh"[n % 3 : n % 7 + 2]),
        "other": " ".join("hgfedcba"[n % 4 :]),
        "label": n % 2,
    }
    for n in range(24)
]
RUN = Run(
    trains="prompt+head",
    model=Model(name="bert"),
    data=Data(
        task=OwnTask(
            name="own",
            files=dict.fromkeys(("train", "validation"), "rows.jsonl"),
            inputs="{text}{sep:1}{other}",
            target="label",
            labels={"0": "no", "1": "a yes"},
        ),
        input_length=32,
    ),
    prompt=PromptStart(
        length=0,
        deep={"encoder": 3},
        deep_layers="last:1",
        deep_in_front=True,
        stddev=0.5,
    ),
    head=HeadStart(kind="classes", pooler="frozen"),
    optimizer=Optimizer(kind="adamw", learning_rate=0.02),
    pace=Pace(steps=8, evaluate_every=4, log_every=4),
    evaluation=Evaluation(batch_size=8),
    batch_size=8,
    seeds=2,
)


def with_data(**settings: Any) -> Run:
    return dataclasses.replace(RUN, data=dataclasses.replace(RUN.data, **settings))


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("kept")
    save_letters_bert(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return train(with_data(keep_states=True, states_in_memory=0.0), Path("kept"))


def weights_of(workdir: str) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for seed in (0, 1):
        file = Path(workdir, "prompts", f"own-{seed}.safetensors")
        deep = load_prompt(file)[0].deep["encoder"]
        found += [*map(np.asarray, (deep.keys, deep.values, load_head(file)["weight"]))]
    return found


def test_the_prompts_and_heads_of_a_bank_are_the_same(kept):
    result = train(RUN, Path("without"))
    assert kept["score"] == result["score"]
    for found, expected in zip(weights_of("kept"), weights_of("without"), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_batches_and_their_parts_come_with_the_states_of_their_rows(tmp_path):
    job = prepare(with_data(keep_states=True), splits=("train",))
    start = job.start_prompt()
    to_keep = count_states(job, start)
    assert to_keep is not None
    stream = training_batches(job, 0, lambda: to_keep.make(tmp_path))
    lower = jax.jit(functools.partial(prompted_lower, job.frozen.backbone))
    params = job.frozen.join(start)
    parts, _ = next(stream((START, START)))
    assert len(parts) == 2
    for part in parts:
        assert part.lower.layers == (1, 0)
        expected = lower(params, dataclasses.replace(part, lower=None)).inputs
        real = part.input_segments > 0
        found = part.lower.inputs[real]
        np.testing.assert_allclose(found, np.asarray(expected)[real], atol=1e-5)


def test_a_killed_run_makes_them_again_and_ends_with_the_same_bytes(kept, tmp_path):
    del kept
    # The paths of a run are in its files, so it is resumed where it was.
    shutil.copytree("kept", tmp_path / "kept")
    shutil.rmtree("kept/checkpoints/8")
    shutil.rmtree("kept/prompts")
    Path("kept/result.json").unlink()
    train(with_data(keep_states=True, states_in_memory=0.0), Path("kept"))
    files = sorted(Path("kept/prompts").iterdir())
    assert len(files) == 2
    for file in files:
        assert file.read_bytes() == (tmp_path / file).read_bytes()


def test_their_size_is_told_before_and_bounded(capsys):
    run = with_data(keep_states=True, most_states=1e-9)
    message = r"states of 24 rows \(\d+ tokens\) take 0\.00 GiB, but Data.most_states"
    with pytest.raises(ValueError, match=message):
        train(run, Path("refused"))
    assert not Path("refused").exists()
    rehearse(with_data(keep_states=True), Path("refused"))
    assert "tokens) below layer 1 are kept: 0.00 GiB in memory\n" in (
        capsys.readouterr().out
    )


KEEPING = with_data(keep_states=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trains": "model+head", "prompt": PromptStart(), "seeds": 1},
            "keep_states where 'model.head' trains, and so no state stays the same",
        ),
        (
            {"prompt": dataclasses.replace(RUN.prompt, length=2)},
            "keep_states behind 2 soft tokens, which all layers read",
        ),
        (
            {"model": Model(name="bert", dropout=0.1)},
            "keep_states with dropout 0.1 in the model, drawn anew in every step",
        ),
        (
            {"data": dataclasses.replace(KEEPING.data, pack=True)},
            "keep_states with packed rows, which are others in every epoch",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(KEEPING, **changes)


def test_sizes_that_hold_nothing_are_refused():
    with pytest.raises(ValueError, match=r"states_in_memory 4.0 and most_states 0, in"):
        with_data(most_states=0)


def test_keys_and_values_in_the_first_layer_are_refused():
    prompt = dataclasses.replace(RUN.prompt, deep_layers="first:1")
    with pytest.raises(ValueError, match="the first layer of bert reads 3 keys and"):
        train(dataclasses.replace(KEEPING, prompt=prompt), Path("refused"))
    assert not Path("refused").exists()
