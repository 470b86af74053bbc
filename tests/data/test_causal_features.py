"""What a decoder-only model is given: what stands before a token predicts it."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxprompt.data.rows.batches import train_batches
from jaxprompt.data.rows.layout import Layout, Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.evaluation_set import EvaluationSet

END = 9
SOFT = np.array([50], np.int32)


def convert(
    examples: list[tuple[list[int], list[int]]], widths: tuple[int, int], pack: bool
):
    """Lays out token ids, inputs and targets of each example."""
    layout = Layout(Lengths(*widths), np.zeros(0, np.int32), continues=True, end=END)
    pairs = [Pair(*(np.array(ids, np.int32) for ids in pair)) for pair in examples]
    if pack:
        return layout.rows(list(layout.packed(pairs)))
    return layout.padded(pairs)


def test_the_last_input_token_predicts_the_first_target():
    batch = convert([([50, 11, 12, 13], [21, 22, END])], (6, 4), pack=False)
    np.testing.assert_array_equal(batch.inputs, [[50, 11, 12, 0, 0, 0]])
    np.testing.assert_array_equal(batch.input_segments, [[1, 1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(batch.target_inputs, [[13, 21, 22, 0]])
    np.testing.assert_array_equal(batch.targets, [[21, 22, END, 0]])
    np.testing.assert_array_equal(batch.weights, [[1, 1, 1, 0]])


def test_packed_examples_each_keep_their_own_start():
    examples = [([50, 11], [21, END]), ([50], [22, 23, END]), ([50, 12, 13], [24, END])]
    batch = convert(examples, (8, 9), pack=True)
    np.testing.assert_array_equal(batch.inputs, [[50, 0, 0, 50, 12, 0, 0, 0]])
    np.testing.assert_array_equal(batch.input_segments, [[1, 0, 0, 3, 3, 0, 0, 0]])
    np.testing.assert_array_equal(batch.targets, [[21, 9, 22, 23, 9, 24, 9, 0, 0]])
    expected = [[11, 21, 50, 22, 23, 13, 24]]
    np.testing.assert_array_equal(batch.target_inputs[:, :7], expected)
    np.testing.assert_array_equal(batch.target_segments, [[1, 1, 2, 2, 2, 3, 3, 0, 0]])


@pytest.fixture
def task(tmp_path: Path, causal_spiece: Path):
    rows = [{"ask": f"film {i}", "say": "yes" if i % 2 else "no"} for i in range(6)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file_task(
        "own",
        files={"train": path, "validation": path},
        inputs="{ask}[SEP]",
        target="say",
        labels={"yes": "yes", "no": "no"},
        vocabulary=load_vocabulary(causal_spiece, causal=True),
    )


def test_a_task_gives_a_decoder_inputs_that_do_not_end(task):
    vocabulary = task.vocabulary
    assert task.causal
    separator = vocabulary.encode("[SEP]")
    assert len(separator) == 1
    (batch, _) = next(
        train_batches(task, "train", Lengths(8, 4), SOFT, batch_size=6, seed=0)
    )
    assert set(batch.target_inputs[:, 0]) == set(separator)
    assert set(batch.inputs[:, 0]) == {50}
    for row, targets in zip(batch.inputs, batch.targets, strict=True):
        assert vocabulary.eos_id not in row
        text = vocabulary.decode([int(i) for i in targets])
        assert text in ("yes", "no")
        assert vocabulary.decode([int(i) for i in row[1:]]).startswith("film")


def test_a_cut_input_keeps_what_its_target_follows_on(task):
    (batch, _) = next(
        train_batches(task, "train", Lengths(2, 4), SOFT, batch_size=6, seed=0)
    )
    assert set(batch.target_inputs[:, 0]) == set(task.vocabulary.encode("[SEP]"))
    assert batch.inputs.shape[1] == 3


def test_a_split_is_scored_behind_the_same_tokens(task):
    rows = EvaluationSet(Sample(task, "validation", Lengths(8, 4), SOFT))
    (found,) = rows.batches(8)
    separator = task.vocabulary.encode("[SEP]")[0]
    np.testing.assert_array_equal(found.batch.target_inputs[:6, 0], [separator] * 6)
    # Another member's rows are the same, and say whose they are.
    (first, second) = rows.batches(6, members=(0, 2))
    assert {*first.batch.inputs[:, 0], *second.batch.inputs[:, 0]} == {50}
    members = {*first.batch.members, *second.batch.members}
    assert members == {0, 2}
    # An answer follows on the last token of its input, of which a row has one.
    with pytest.raises(ValueError, match="packed rows of task own for a decoder-only"):
        rows.batches(6, pack=True)


def test_a_text_without_inputs_follows_on_end_of_sequence_or_on_its_prompt(
    tmp_path: Path, causal_spiece: Path
):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"ask": "", "say": "yes"}\n' * 4)
    task = file_task(
        "own",
        files={"train": path},
        inputs="{ask}",
        target="say",
        vocabulary=load_vocabulary(causal_spiece, causal=True),
    )
    for soft, start in ((SOFT, 50), (SOFT[:0], task.vocabulary.eos_id)):
        for pack in (False, True):
            lengths = Lengths(4, 8)
            options = {"batch_size": 1, "seed": 0, "pack": pack}
            batch, _ = next(train_batches(task, "train", lengths, soft, **options))
            assert not batch.inputs.any()
            starts = np.diff(batch.target_segments, prepend=0) > 0
            assert set(batch.target_inputs[starts]) == {start}
