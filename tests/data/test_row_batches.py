"""Every row is predicted once, comes back in its place, and costs little padding."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxprompt.data.rows.row_batches import (
    packed_batches,
    padding_share,
    predict_rows,
    sorted_batches,
)
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.shapes import Batch, unpacked_batch

WIDTH, TARGETS = 600, 4


def draw_rows(seed: int, count: int) -> Batch:
    """Rows whose first token is the row's number, from 1."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, WIDTH + 1, count)
    sizes[0] = WIDTH
    inputs = np.where(np.arange(WIDTH) < sizes[:, None], 7, NO_TOKEN).astype(np.int32)
    inputs[:, 0] = np.arange(1, count + 1)
    targets = np.full((count, TARGETS), NO_TOKEN, np.int32)
    return jax.tree.map(np.asarray, unpacked_batch(inputs, targets))


def echo(batch, examples=None):
    """Answers each example with its first token and its length, twice over."""
    if examples is None:
        sizes = (batch.input_segments > 0).sum(axis=1)
        return np.stack([batch.inputs[:, 0], sizes], axis=1)
    found = np.zeros((len(batch.inputs), examples, 2), int)
    for row in range(len(batch.inputs)):
        for segment in range(1, examples + 1):
            places = np.flatnonzero(batch.input_segments[row] == segment)
            if places.size:
                assert places[-1] - places[0] + 1 == places.size
                found[row, segment - 1] = batch.inputs[row, places[0]], places.size
    return found


@pytest.mark.parametrize("cut", [sorted_batches, packed_batches])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_answers_come_back_in_the_order_of_the_rows(cut, batch_size):
    rows, done = draw_rows(0, 23), []
    found = predict_rows(
        echo, cut(rows, batch_size), 23, lambda count, _: done.append(count)
    )
    sizes = np.count_nonzero(rows.inputs, axis=1)
    np.testing.assert_array_equal(found, np.stack([np.arange(1, 24), sizes], axis=1))
    assert sum(done) == 23


def test_no_rows_give_no_answers():
    empty = jax.tree.map(lambda x: x[:0], draw_rows(0, 1))
    assert len(predict_rows(echo, sorted_batches(empty, 2), 0)) == 0
    assert len(predict_rows(echo, packed_batches(empty, 2), 0)) == 0


def test_like_lengths_share_a_batch_of_one_of_a_few_widths():
    batches = list(sorted_batches(draw_rows(1, 200), 8))
    widths = [some.batch.inputs.shape[1] for some in batches]
    assert widths[0] == WIDTH
    assert widths == sorted(widths, reverse=True)
    assert 4 <= len(set(widths)) <= 16
    assert all(width % 16 == 0 or width == WIDTH for width in widths)


def test_there_are_no_more_widths_than_batches():
    def widths(count: int) -> set[int]:
        batches = sorted_batches(draw_rows(1, count), 8)
        return {some.batch.inputs.shape[1] for some in batches}

    assert len(widths(16)) == 2
    short = jax.tree.map(lambda x: x[1:], draw_rows(4, 2))
    longest = np.count_nonzero(short.inputs)
    (only,) = sorted_batches(short, 8)
    assert longest <= only.batch.inputs.shape[1] < longest + max(16, longest / 4)
    assert 2 < len(widths(48)) <= 6


def test_packing_fills_rows_and_separates_their_examples():
    rows = draw_rows(2, 200)
    unsorted = np.mean(rows.input_segments == 0)
    packed = list(packed_batches(rows, 8))
    share = np.mean([padding_share(some.batch) for some in packed[:-1]])
    assert unsorted > 0.4
    assert share < 0.08
    # Nothing is in front of a text whose next tokens are predicted.
    empty = np.zeros_like(packed[0].batch.input_segments)
    targets = np.array([[1, 1, 0, 0]])
    text = dataclasses.replace(
        packed[0].batch, input_segments=empty, target_segments=targets
    )
    assert padding_share(text) == 0.5
    for some in packed:
        assert some.batch.inputs.shape == (8, WIDTH)
        np.testing.assert_array_equal(
            some.batch.input_segments.max(axis=1), (some.numbers >= 0).sum(axis=1)
        )
        assert not some.batch.weights.any()


@pytest.mark.parametrize("cut", [sorted_batches, packed_batches])
def test_a_batch_of_no_rows_is_refused(cut):
    with pytest.raises(ValueError, match="batch size 0: use 1 or more"):
        list(cut(draw_rows(0, 2), 0))
