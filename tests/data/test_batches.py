"""Training batches: what survives truncation, order, resuming, hosts, packing."""

import itertools
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.batches import Lengths, train_batches
from jaxprompt.data.rows.position import Position
from jaxprompt.data.tasks.task import Task
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch

SOFT_IDS = prefix(num_rows=500, length=3)
LENGTHS = Lengths(inputs=40, targets=20)


@pytest.fixture(scope="module")
def sst2(official: Path, vocabulary) -> Task:
    return load_task("sst2", vocabulary=vocabulary, data_dir=official)


def take(task: Task, count: int, **options) -> list[tuple[Batch, Position]]:
    options = {"batch_size": 4, "seed": 0, **options}
    lengths = options.pop("lengths", LENGTHS)
    soft_ids = options.pop("soft_ids", SOFT_IDS)
    batches = train_batches(task, "train", lengths, soft_ids, **options)
    return list(itertools.islice(batches, count))


def assert_equal(left, right):
    assert [position for _, position in left] == [position for _, position in right]
    for (ours, _), (theirs, _) in zip(left, right, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def segments(ids_BT, segments_BT) -> list[tuple[int, ...]]:
    """The ids of each packed example, sorted."""
    return sorted(
        tuple(ids[numbers == n].tolist())
        for ids, numbers in zip(ids_BT, segments_BT, strict=True)
        for n in range(1, numbers.max() + 1)
    )


def test_a_batch_is_what_the_model_reads(sst2: Task, vocabulary):
    [(batch, position)] = take(sst2, 1)
    assert position == Position(epoch=0, batch=1)
    assert batch.inputs.shape == batch.input_segments.shape == (4, 3 + 40)
    assert batch.targets.shape == batch.weights.shape == (4, 20)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(batch)} == {"int32", "float32"}
    assert batch.weights.dtype == np.float32
    np.testing.assert_array_equal(batch.input_segments, batch.inputs != 0)
    np.testing.assert_array_equal(batch.target_segments, batch.targets != 0)
    np.testing.assert_array_equal(batch.weights, batch.targets != 0)
    np.testing.assert_array_equal(batch.target_inputs[:, 0], 0)
    np.testing.assert_array_equal(
        batch.target_inputs[:, 1:],
        np.where(batch.targets[:, 1:] > 0, batch.targets[:, :-1], 0)
        + np.where(batch.targets[:, 1:] > 0, 0, batch.target_inputs[:, 1:]),
    )
    np.testing.assert_array_equal(batch.members, [0, 0, 0, 0])
    for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
        assert inputs[:3].tolist() == SOFT_IDS.tolist()
        assert vocabulary.decode(inputs[3:].tolist()).startswith("sentence: film ")
        assert vocabulary.decode(targets.tolist()) in sst2.labels


def test_truncation_cuts_neither_soft_ids_nor_end_of_sequence(sst2: Task):
    whole = take(sst2, 1)[0][0]
    cut = take(sst2, 1, lengths=Lengths(inputs=6, targets=2))[0][0]
    assert cut.inputs.shape == (4, 3 + 6)
    np.testing.assert_array_equal(cut.inputs[:, :8], whole.inputs[:, :8])
    np.testing.assert_array_equal(cut.inputs[:, -1], 1)
    np.testing.assert_array_equal(cut.targets[:, 0], whole.targets[:, 0])
    np.testing.assert_array_equal(cut.targets[:, 1], 1)


def test_no_prompt_no_soft_ids(sst2: Task):
    [(batch, _)] = take(sst2, 1, soft_ids=prefix(500, 0))
    [(prompted, _)] = take(sst2, 1)
    np.testing.assert_array_equal(batch.inputs, prompted.inputs[:, 3:])


def test_epochs_are_other_orders_of_all_rows(sst2: Task):
    batches = [batch.inputs for batch, _ in take(sst2, 10)]
    rows = [np.concatenate(batches[:5]), np.concatenate(batches[5:])]
    assert (rows[0] != rows[1]).any()
    np.testing.assert_array_equal(
        np.unique(rows[0], axis=0), np.unique(rows[1], axis=0)
    )
    assert len(np.unique(rows[0], axis=0)) == 20
    # Sorted by label in the file, mixed in the batches.
    first = take(sst2, 2)
    assert len(np.unique(np.concatenate([b.targets for b, _ in first]), axis=0)) == 2
    with pytest.raises(AssertionError):
        assert_equal(take(sst2, 2), take(sst2, 2, seed=1))


@pytest.mark.parametrize("pack", [False, True])
def test_resuming_anywhere_gives_identical_batches(sst2: Task, pack: bool):
    options = {"batch_size": 3, "pack": pack, "lengths": Lengths(45, 30)}
    batches = take(sst2, 9, **options)
    ends = [i for i in range(8) if batches[i][1].epoch < batches[i + 1][1].epoch]
    for done in (0, ends[0] - 1, ends[0]):
        start = batches[done][1]
        again = take(sst2, 8 - done, start=start, **options)
        assert_equal(again, batches[done + 1 :])


def test_last_partial_batch_of_an_epoch_is_dropped(sst2: Task):
    positions = [position for _, position in take(sst2, 4, batch_size=8)]
    assert positions == [Position(0, 1), Position(0, 2), Position(1, 1), Position(1, 2)]


@pytest.mark.parametrize("pack", [False, True])
def test_hosts_share_the_batches_of_one_host(sst2: Task, pack: bool):
    options = {"pack": pack, "lengths": Lengths(45, 30)}
    alone = take(sst2, 6, batch_size=4, **options)
    hosts = [take(sst2, 6, batch_size=2, shard=(i, 2), **options) for i in range(2)]
    together = [
        (jax.tree.map(lambda *rows: np.concatenate(rows), left, right), position)
        for (left, position), (right, _) in zip(*hosts, strict=True)
    ]
    assert_equal(together, alone)


def test_packed_rows_hold_the_same_examples(sst2: Task):
    # Everything fits into two packed rows.
    packed = take(sst2, 1, batch_size=1, pack=True, lengths=Lengths(2000, 500))[0][0]
    single = take(sst2, 1, batch_size=20)[0][0]
    assert packed.input_segments.max() == packed.target_segments.max() == 20
    for ids, numbers in (
        ("inputs", "input_segments"),
        ("targets", "target_segments"),
        ("target_inputs", "target_segments"),
        ("weights", "target_segments"),
    ):
        ours = segments(getattr(packed, ids), getattr(packed, numbers))
        assert ours == segments(getattr(single, ids), getattr(single, numbers))
    starts = np.flatnonzero(np.diff(packed.target_segments[0], prepend=0) > 0)
    np.testing.assert_array_equal(packed.target_inputs[0, starts], 0)
    assert (packed.inputs == SOFT_IDS[0]).sum() == 20


def test_errors_come_before_the_first_batch(sst2: Task):
    def start(split: str = "train", **options):
        options = {"batch_size": 4, "seed": 0, **options}
        train_batches(sst2, split, LENGTHS, SOFT_IDS, **options)

    with pytest.raises(ValueError, match="'test' of task sst2 has no labels"):
        start("test")
    with pytest.raises(ValueError, match="no split 'dev' in task sst2"):
        start("dev")
    with pytest.raises(
        ValueError, match=r"20 examples .* sst2 do not fill a batch of 21 rows"
    ):
        start(batch_size=21)
    with pytest.raises(ValueError, match=r"20 examples .* fill a batch of 22 rows"):
        start(batch_size=11, shard=(0, 2))
    with pytest.raises(ValueError, match="do not fill a batch of 20 rows"):
        take(sst2, 1, batch_size=20, pack=True, lengths=Lengths(500, 200))
    with pytest.raises(ValueError, match="batch size 0, shard 0 of 1, seed 0"):
        start(batch_size=0)
    with pytest.raises(ValueError, match="shard 2 of 2"):
        start(shard=(2, 2))
    with pytest.raises(ValueError, match="lengths inputs=0, targets=4: both must be 1"):
        Lengths(0, 4)
