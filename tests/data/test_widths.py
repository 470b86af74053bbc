"""A batch is as wide as its longest input needs, in one of a few widths."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxprompt.data.rows.widths import (
    cut_in_parts,
    cut_to_longest,
    scored_rows,
    width_step,
)
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.shapes import Batch, unpacked_batch

FULL = 612


def batch_of(*sizes: int) -> Batch:
    rows = [np.where(np.arange(FULL) < size, 7, NO_TOKEN) for size in sizes]
    batch = unpacked_batch(np.stack(rows), np.ones((len(sizes), 2), np.int32))
    return jax.tree.map(np.asarray, batch)


@pytest.mark.parametrize("longest", [1, 64, 65, 128, 129, 611, FULL])
def test_only_padding_is_cut(longest: int):
    batch = batch_of(3, longest)
    cut = cut_to_longest(batch)
    width = cut.inputs.shape[1]
    assert longest <= width < longest + max(16, longest / 4)
    np.testing.assert_array_equal(cut.inputs, batch.inputs[:, :width])
    np.testing.assert_array_equal(cut.input_segments, batch.input_segments[:, :width])
    np.testing.assert_array_equal(cut.targets, batch.targets)


def test_the_padding_behind_targets_is_cut_in_fewer_widths():
    widths = set()
    for longest in range(1, 97):
        targets = np.where(np.arange(96) < np.array([[1], [longest]]), 7, NO_TOKEN)
        batch = unpacked_batch(np.full((2, 32), 7), targets)
        batch = dataclasses.replace(
            jax.tree.map(np.asarray, batch), target_places=np.asarray(targets)
        )
        cut = cut_to_longest(batch)
        width = cut.targets.shape[1]
        assert longest <= width <= max(2 * longest, 16)
        whole, kept = (dataclasses.asdict(one) for one in (batch, cut))
        for name in kept:
            if "target" in name or name == "weights":
                np.testing.assert_array_equal(kept[name], whole[name][:, :width])
        widths.add(width)
    assert widths == {16, 32, 64, 96}


def test_there_are_a_few_widths_and_no_empty_one():
    widths = {
        cut_to_longest(batch_of(longest)).inputs.shape[1] for longest in range(FULL + 1)
    }
    assert min(widths) > 0
    assert max(widths) == FULL
    assert len(widths) <= 18


def test_short_texts_have_fewer_widths():
    rows = np.where(np.arange(40) < 9, 7, NO_TOKEN)[None]
    batch = jax.tree.map(np.asarray, unpacked_batch(rows, np.ones((1, 2), np.int32)))
    assert cut_to_longest(batch).inputs.shape == (1, 16)


def test_short_texts_in_long_rows_are_cut_as_finely_as_in_short_ones():
    widths = [
        cut_to_longest(batch_of(longest)).inputs.shape[1]
        for longest in (9, 16, 17, 40, 64, 65, 128, 129, 256, 257)
    ]
    assert widths == [16, 16, 32, 48, 64, 80, 128, 160, 256, 320]


def test_training_on_a_cpu_cuts_short_texts_finer():
    texts, step = (5, 9, 17, 33, 57, 65, 128, 129, 257), width_step("cpu")
    widths = [
        cut_to_longest(batch_of(longest), step=step).inputs.shape[1]
        for longest in texts
    ]
    assert widths == [8, 16, 24, 40, 64, 80, 128, 160, 320]
    (longest, shortest) = cut_in_parts(batch_of(20, 3, 6, 17), 2, step=step)
    assert (longest.inputs.shape, shortest.inputs.shape) == ((2, 24), (2, 8))
    assert width_step("gpu") == width_step("tpu") == 16


def test_many_rows_are_scored_in_small_batches_on_a_cpu():
    def rows(batch_size: int, count: int, backend: str = "cpu") -> int:
        return scored_rows(batch_size, count, devices=1, backend=backend)

    assert (rows(32, 96), rows(32, 95), rows(4, 1000)) == (8, 32, 4)
    assert rows(32, 1000, "gpu") == rows(32, 1000, "tpu") == 32
    assert scored_rows(32, 1000, devices=2, backend="cpu") == 16


def test_soft_tokens_in_front_take_no_widths():
    widths = {
        cut_to_longest(batch_of(100 + text), soft=100).inputs.shape[1]
        for text in range(1, FULL - 99)
    }
    short, long = range(16, 129, 16), (160, 192, 224, 256, 320, 384, 448, 512)
    assert widths == {100 + text for text in (*short, *long)}


def test_parts_hold_every_row_once_each_cut_to_its_own_longest():
    sizes = [5, 600, 70, 65, 300, 1, 64, 200]
    batch = batch_of(*sizes)
    numbered = dataclasses.replace(batch, members=np.arange(8))
    parts = cut_in_parts(numbered, 2)
    rows = np.concatenate([part.members for part in parts])
    assert [sizes[row] for row in rows] == sorted(sizes, reverse=True)
    assert [part.inputs.shape for part in parts] == [
        (2, FULL),
        (2, 224),
        (2, 80),
        (2, 16),
    ]
    for part in parts:
        width = part.inputs.shape[1]
        np.testing.assert_array_equal(part.inputs, batch.inputs[part.members, :width])
    with pytest.raises(ValueError, match="8 rows in parts of 3: use a divisor"):
        cut_in_parts(batch, 3)
