"""What stands in front of every example is left out of a decoder's rows, once told."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from jaxprompt.bundled import resolve
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.bank import Member, bank_batches
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.position import START
from jaxprompt.data.rows.requests import request_rows
from jaxprompt.data.rows.row_batches import join_members
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.shapes import put_back

SOFT = np.arange(9000, 9004, dtype=np.int32)
LENGTHS = Lengths(16, 4)
WHOLE = dataclasses.replace(LENGTHS, folds=False)
TEXTS = ["", "a film", "A", "1999?", " two", '"so"', "(b)", "élan", "日本", "\n-", "的"]


@pytest.fixture(scope="module")
def nano():
    path = Path(resolve("bundled:nano")) / "spiece.model"
    return load_vocabulary(path, causal=True)


def own(vocabulary, inputs, files=None):
    return file_task(
        "own", files=files or {}, inputs=inputs, target="a", vocabulary=vocabulary
    )


def laid_out(task, lengths, soft_ids=SOFT, rows=None):
    rows = [{"h": text} for text in TEXTS] if rows is None else rows
    numbered = {n: Row(f"here:{n}", dict(row)) for n, row in enumerate(rows)}
    return request_rows(task, numbered, lengths, soft_ids).batch


def check_same(found, expected):
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)


@pytest.mark.parametrize(
    ("inputs", "words", "soft"),
    [
        ("{h}", "", 3),
        ("{slots:4}{h}", "", 3),
        ("{slots:4} a good film: {h}", "a good film", 4),
        ("a good film: {h}", "a good film", 4),
        ("a good {slots:2} film {slots:2} {h}", "a good film", 3),
        ("{h} {slots:4}", "", 0),
    ],
)
def test_rows_are_as_they_were_behind_it(nano, inputs, words, soft):
    task = own(nano, inputs)
    batch = laid_out(task, LENGTHS)
    assert sum(number >= 9000 for number in batch.lead) == soft
    said = [number for number in batch.lead if number < 9000]
    assert nano.decode(said) == words
    assert batch.inputs.shape[1] == len(SOFT) + 16 - len(batch.lead)
    check_same(put_back(batch, 0), laid_out(task, WHOLE))
    # No row of any text makes it another than made-up rows do.
    assert layout_of(task, LENGTHS, SOFT).lead == batch.lead


def test_without_a_prompt_the_words_are_left(nano):
    batch = laid_out(own(nano, "a good film: {h}"), LENGTHS, SOFT[:0])
    assert nano.decode(batch.lead) == "a good film"


def test_an_encoder_reads_whole_rows():
    vocabulary = load_vocabulary(Path(resolve("bundled:nano")) / "spiece.model")
    assert laid_out(own(vocabulary, "a good film: {h}"), LENGTHS).lead == ()


def test_of_rows_that_differ_what_all_begin_with_is_left_out(nano):
    """A request of "inputs" alone is without the words of the template."""
    task = own(nano, "a good film: {h}")
    rows = [{"h": "one"}, {"inputs": "a bad one"}, {"h": "two"}]
    batch = laid_out(task, LENGTHS, rows=rows)
    assert batch.lead == (*SOFT.tolist(), *nano.encode("a"))
    check_same(
        put_back(batch, 0),
        dataclasses.replace(
            laid_out(task, WHOLE, rows=rows), row_numbers=batch.row_numbers
        ),
    )


def test_words_that_a_long_text_would_be_cut_to_stay_in_the_rows(nano):
    short = dataclasses.replace(LENGTHS, inputs=3)
    task = own(nano, "a good film of the year: {h}")
    batch = laid_out(task, short)
    assert nano.decode([n for n in batch.lead if n < 9000]) == "a"
    whole = laid_out(task, dataclasses.replace(short, folds=False))
    check_same(put_back(batch, 0), whole)


def test_members_of_other_leads_share_a_batch_behind_what_both_begin_with(nano):
    parts = [
        (0, laid_out(own(nano, "a good film: {h}"), LENGTHS, SOFT[:2])),
        (1, laid_out(own(nano, "a good film: {h}"), LENGTHS)),
    ]
    joined = join_members(parts)
    assert joined.lead == tuple(SOFT[:2].tolist())
    whole = join_members(
        [
            (0, laid_out(own(nano, "a good film: {h}"), WHOLE, SOFT[:2])),
            (1, laid_out(own(nano, "a good film: {h}"), WHOLE)),
        ]
    )
    check_same(put_back(joined, 0), whole)


@pytest.mark.parametrize("pack", [False, True])
def test_a_bank_of_tasks_trains_behind_what_all_of_them_begin_with(
    nano, tmp_path, pack
):
    path = tmp_path / "rows.jsonl"
    rows = [{"h": text, "a": "yes"} for text in TEXTS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"train": str(path)}
    bank = [
        Member(own(nano, inputs, files), 0)
        for inputs in ("a good film: {h}", "a good day: {h}")
    ]

    def batch_of(lengths):
        made = bank_batches(
            bank,
            "train",
            dataclasses.replace(lengths, targets=24),
            SOFT,
            [START] * 2,
            batch_size=2,
            pack=pack,
        )
        return next(made)[0]

    batch = batch_of(LENGTHS)
    assert batch.lead == (*SOFT.tolist(), *nano.encode("a good"))
    assert batch.members.tolist() == [0, 0, 1, 1]
    if not pack:
        check_same(put_back(batch, 0), batch_of(WHOLE))
        return
    # Of a packed row each example is behind it, so that more of them fit.
    assert batch.input_segments.max() > batch_of(WHOLE).input_segments.max()
    task = bank[0].task
    numbers = np.random.default_rng((0, 0)).permutation(len(TEXTS)).tolist()
    layout = layout_of(task, WHOLE, SOFT)
    for segment, pair in enumerate(task.pairs("train", numbers[:2]), start=1):
        own_ids = batch.inputs[0][batch.input_segments[0] == segment].tolist()
        whole = layout.prompted(pair).inputs.tolist()
        assert [*batch.lead, *own_ids] == whole[:-1]
