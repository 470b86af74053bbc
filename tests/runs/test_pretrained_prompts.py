"""A prompt is trained on text by an ordinary run, and a task starts from its file."""

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny import save_tiny

from jaxprompt.cli import main
from jaxprompt.config import (
    Data,
    Evaluation,
    Model,
    OwnTask,
    PromptStart,
    Run,
    SelfSupervisedTask,
)
from jaxprompt.prompts.file import load_prompt, load_start
from jaxprompt.runs import evaluate, train
from jaxprompt.train.pace import Pace

PRETRAINING = Run(
    model=Model(name="model"),
    data=Data(
        task=SelfSupervisedTask(
            name="asked", folder="text", inputs="{first} {mask:1} {second}"
        ),
        input_length=24,
        target_length=4,
    ),
    prompt=PromptStart(length=2, init="vocabulary"),
    pace=Pace(steps=2, evaluate_every=2),
    evaluation=Evaluation(method="rank", batch_size=8, num_examples=24),
    batch_size=8,
)


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of text, and a random T5 of the nano's vocabulary."""
    folder = tmp_path_factory.mktemp("pretrained")
    save_tiny(folder / "model")
    (folder / "text").mkdir()
    lines = [
        " ".join(f"House {d}-{n} had some rooms." for n in range(8)) for d in range(120)
    ]
    (folder / "text" / "a.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def test_a_task_starts_from_a_prompt_that_text_has_trained(capsys):
    result = train(PRETRAINING, Path("asked"))
    said = capsys.readouterr().out
    assert "asked: 120 documents, without 0 that repeat another; train: " in said
    assert (result["task"], result["metric"]) == ("asked", "accuracy")
    page = Path("asked/report.html").read_text()
    assert ("is at chance" in said) == ("is at chance" in page)
    task = OwnTask(
        name="mini",
        files={
            "train": "bundled:mini/SST-2/train.tsv",
            "validation": "bundled:mini/SST-2/dev.tsv",
        },
        inputs="{sentence} {mask:1}",
        target="label",
        labels={"0": ["no", "bad"], "1": "yes"},
    )
    data = dataclasses.replace(PRETRAINING.data, task=task, shots_per_class=4)
    start = PromptStart(length=2, init="file", file="asked/prompt.safetensors")
    few = dataclasses.replace(PRETRAINING, data=data, prompt=start)
    assert train(few, Path("few"))["examples"] == 24
    begun, pretrained = load_start("few/prompt.safetensors"), load_prompt(start.file)[0]
    assert begun is not None
    np.testing.assert_array_equal(begun.rows, pretrained.rows)
    again = evaluate(PRETRAINING, Path(start.file))
    assert again["score"] == result["score"]


def test_the_recipes_on_the_nano_run_from_text_to_the_table():
    """In a smaller form: a random model, two steps, two seeds, sixteen rows."""
    small = {
        "MODEL": "model",
        "PROMPT_LENGTH": 2,
        "INPUT_LENGTH": 24,
        "STEPS": 2,
        "EVALUATE_EVERY": 2,
        "BATCH_SIZE": 8,
        "Evaluation.num_examples": 16,
        "Evaluation.batch_size": 8,
    }
    settings = [f"--gin.{name}={value!r}" for name, value in small.items()]
    nano = "--gin_file=gin/runs/prompt_pretraining_nano.gin"
    for form, folder in (("next_sentence", "nano"), ("multiple_choice", "nano_choice")):
        recipe = f"--gin_file=gin/recipes/ppt/pretrain_{form}.gin"
        run = [recipe, nano, "--gin.TEXT=text", f"--workdir=runs/ppt/{folder}"]
        assert main(["train", *run, *settings]) == 0
    few = ["--gin_file=gin/recipes/ppt/nano.gin", "--gin.TRAIN_EXAMPLES=8"]
    sweep = [*few, "--gin.SEEDS=2", "--workdir=table", *settings]
    assert main(["sweep", *sweep]) == 0
    with Path("table/results.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    prompts = ["vanilla pt", "hybrid pt", "ppt", "hybrid ppt", "unified ppt"]
    assert [*rows] == [*prompts, "full tuning"]
    assert all(len(row["scores"].split()) == 2 for row in rows.values())
    assert rows["hybrid pt"]["hand_written"]
    starts = {"ppt": "nano", "hybrid_ppt": "nano", "unified_ppt": "nano_choice"}
    for arm, folder in starts.items():
        at = f"table/mini_entailment/{arm}/prompts"
        begun = load_start(f"{at}/mini_entailment-10.safetensors")
        pretrained = load_prompt(f"runs/ppt/{folder}/prompt.safetensors")[0]
        assert begun is not None
        np.testing.assert_array_equal(begun.rows, pretrained.rows)
