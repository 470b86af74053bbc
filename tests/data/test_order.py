"""The examples that a batch is said to hold are those that it holds."""

import itertools
import json

import pytest
from byte_vocabulary import byte_vocabulary

from jaxprompt.data.rows.batches import train_batches
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.mixture import NO_PROMPT, mixed_batches
from jaxprompt.data.rows.order import examples_of
from jaxprompt.data.rows.position import Position
from jaxprompt.data.tasks.own import file_task

LENGTHS = Lengths(12, 4)
SIZES = [7, 11]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Tasks whose inputs say which task and which example they are."""
    folder, made = tmp_path_factory.mktemp("numbered"), []
    for place, size in enumerate(SIZES):
        path = folder / f"{place}.jsonl"
        rows = [{"text": f"{place} {n}", "answer": "ok"} for n in range(size)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        made.append(
            file_task(
                f"task_{place}",
                files={"train": path},
                inputs="{text}",
                target="answer",
                vocabulary=byte_vocabulary(),
            )
        )
    return made


def read(task, batch):
    texts = (task.vocabulary.decode(row.tolist()) for row in batch.inputs)
    return [tuple(map(int, text.split())) for text in texts]


def test_of_one_task_over_several_epochs_and_hosts(tasks):
    options = {"batch_size": 2, "seed": 5}
    shares = [
        train_batches(tasks[1], "train", LENGTHS, NO_PROMPT, shard=(i, 2), **options)
        for i in range(2)
    ]
    for parts in itertools.islice(zip(*shares, strict=True), 5):
        found = [(0, n) for batch, _ in parts for _, n in read(tasks[1], batch)]
        position = parts[0][1]
        assert examples_of([11], position, batch_size=4, seed=5) == found
    assert position.epoch == 2


def test_of_tasks_that_share_batches(tasks):
    batches = mixed_batches(
        tasks, "train", LENGTHS, batch_size=4, seed=5, start=Position(1, 0)
    )
    for batch, position in itertools.islice(batches, 6):
        found = read(tasks[0], batch)
        assert examples_of(SIZES, position, batch_size=4, seed=5) == found
