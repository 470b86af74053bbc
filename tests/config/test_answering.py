"""What a prompt file says of answering makes its run again, and nothing else does."""

import copy
import dataclasses
import json
from typing import Any

import pytest

from jaxprompt.command.configure import configure
from jaxprompt.config import (
    Data,
    Evaluation,
    Model,
    OfficialTask,
    OwnTask,
    PromptStart,
    QuizTask,
    Run,
)
from jaxprompt.config.answering import answering_gin, answering_run, describe

OWN = OwnTask(
    name="reviews",
    files={"train": "train.jsonl"},
    share=None,
    inputs="review:\n{text} '{{\"",
    target="label",
    labels={"0": "bad", "1": "good"},
    metrics=("accuracy", "f1_score_with_invalid"),
)
RUN = Run(
    model=Model(name="a/model", revision="main", dtype="bfloat16"),
    data=Data(task=OWN, input_length=30, target_length=5),
    evaluation=Evaluation(method="beam", beams=3, alpha=0.2),
    prompt=PromptStart(length=7),
    batch_size=4,
    seed=9,
)
"""A run that differs from the defaults in all that answers need."""


def of_task(task: Any) -> Run:
    return dataclasses.replace(RUN, data=dataclasses.replace(RUN.data, task=task))


@pytest.mark.parametrize(
    ("task", "without_data"),
    [
        (OWN, {"files": {}}),
        (OfficialTask(name="rte", data_dir="here", title="mine"), {"data_dir": None}),
        (QuizTask(data_dir="here", separator=" "), {"data_dir": None}),
    ],
)
def test_the_run_comes_back_but_for_its_training_and_its_data(task, without_data):
    said = describe(of_task(task))
    assert "train.jsonl" not in json.dumps(said)
    assert "here" not in json.dumps(said)
    expected = dataclasses.replace(
        of_task(dataclasses.replace(task, **without_data)),
        prompt=PromptStart(),
        batch_size=32,
        seed=0,
    )
    found = answering_run(json.loads(json.dumps(said)), "p")
    # JSON has no tuples.
    same = describe(found), dataclasses.replace(found, data=expected.data)
    assert same == (describe(expected), expected)
    by_gin, _ = configure([], [], start=answering_gin(said, "p"))
    assert describe(by_gin) == said
    changed, _ = configure([], ["METHOD='rank'"], start=answering_gin(said, "p"))
    assert changed.evaluation.method == "rank"


def test_nothing_is_said_of_no_task():
    assert describe(Run()) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind", "songs"), "answers of kind 'songs' to a task of type 'OwnTask'"),
        (("task", "type", ["OwnTask"]), "this program knows OfficialTask, OwnTask"),
        (("task", 3), "answers of kind 'words' to a task of type"),
        (("task", "files", {"train": "x"}), "OwnTask has no setting 'files'"),
        (("task", "labels", 3), r"p: OwnTask.labels is 3, of type int: it must be"),
        (("model", None), "p: model is None: the file is damaged"),
        (("data", "input_length", "30"), r"Data.input_length is '30', of type str"),
        (("evaluation", "invented", 3), "Evaluation has no setting 'invented'"),
    ],
)
def test_what_no_run_says_is_refused(change, message):
    said: Any = copy.deepcopy(describe(RUN))
    *path, last, value = change
    place = said
    for name in path:
        place = place[name]
    place[last] = value
    for read in (answering_run, answering_gin):
        with pytest.raises(ValueError, match=message):
            read(said, "p")
