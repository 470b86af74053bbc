"""Batches of several tasks: every row once an epoch, and any place can be resumed."""

import collections
import itertools
import json

import numpy as np
import pytest
from byte_vocabulary import byte_vocabulary

from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.mixture import mixed_batches
from jaxprompt.data.rows.position import Position
from jaxprompt.data.tasks.own import file_task

LENGTHS = Lengths(12, 4)
SIZES = {"short": 5, "long": 11}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("own"), []
    for name, size in SIZES.items():
        path = folder / f"{name}.jsonl"
        rows = [{"text": f"{name} {n}", "answer": "ok"} for n in range(size)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        made.append(
            file_task(
                name,
                files={"train": path},
                inputs="{text}",
                target="answer",
                vocabulary=byte_vocabulary(),
            )
        )
    return made


def stream(tasks, start=Position(), seed=0, batch_size=4, shard=(0, 1)):  # noqa: B008
    return mixed_batches(
        tasks,
        "train",
        LENGTHS,
        batch_size=batch_size,
        seed=seed,
        start=start,
        shard=shard,
    )


def texts(batch, tasks):
    return [tasks[0].vocabulary.decode(row.tolist()) for row in batch.inputs]


def test_an_epoch_has_every_row_of_every_task_once(tasks):
    seen = [
        text
        for batch, _ in itertools.islice(stream(tasks), 4)
        for text in texts(batch, tasks)
    ]
    rows = {f"{name} {n}" for name, size in SIZES.items() for n in range(size)}
    assert collections.Counter(seen) == collections.Counter(rows)
    # Mixed, not one task after the other.
    assert len({text.split()[0] for text in seen[:8]}) == 2


def test_it_goes_on_anywhere_with_the_same_batches(tasks):
    whole = list(itertools.islice(stream(tasks), 7))
    for done in (1, 4, 5):
        start = whole[done - 1][1]
        again = list(itertools.islice(stream(tasks, start), 7 - done))
        for (batch, position), (other, at) in zip(whole[done:], again, strict=True):
            np.testing.assert_array_equal(batch.inputs, other.inputs)
            assert position == at
    first, second = (texts(whole[n][0], tasks) for n in (0, 4))
    assert first != second, "another epoch is another shuffle"


def test_hosts_share_a_batch(tasks):
    (whole, _), *_ = itertools.islice(stream(tasks), 1)
    parts = [next(stream(tasks, batch_size=2, shard=(host, 2)))[0] for host in (0, 1)]
    joined = np.concatenate([part.inputs for part in parts])
    np.testing.assert_array_equal(joined, whole.inputs)


def test_too_few_rows_and_packing_are_refused(tasks):
    with pytest.raises(ValueError, match="the 16 examples of split 'train' of 2 tasks"):
        stream(tasks, batch_size=32)
    with pytest.raises(ValueError, match="packing of 2 tasks"):
        mixed_batches(
            tasks,
            "train",
            LENGTHS,
            batch_size=4,
            seed=0,
            start=Position(),
            pack=True,
        )
