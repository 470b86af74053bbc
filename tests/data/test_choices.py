"""Multiple choice of own rows: its texts share a row, and each is read by itself."""

import json

import numpy as np
import pytest

from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.coverage import measure_coverage
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.rows.requests import check_request
from jaxprompt.data.tasks.choices import choice_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "so", "because", *"abcdefgh"]
CHOICES = {"0": "{premise} {ask}{sep:1}{one}", "1": "{premise} {ask}{sep:1}{two}"}
WORDING = {"ask": {"cause": "because", "effect": "so"}}
ROW = {"premise": "a b", "ask": "cause", "one": "c", "two": "d e", "label": 1}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("choices")
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
    vocabulary = load_vocabulary(folder, encoder_only=True)

    def make(*rows, **options):
        path = folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        settings = {"choices": CHOICES, "wording": WORDING, "target": "label"}
        files = {"train": path}
        return choice_task(
            "own", files=files, vocabulary=vocabulary, **settings | options
        )

    return make


def test_the_texts_of_a_row_lie_beside_one_another(make):
    task = make(ROW)
    (pair,) = task.pairs("train", [0])
    layout = layout_of(task, Lengths(8, 2), np.array([20, 21]))
    batch = layout.padded([pair])
    read = batch.inputs[0][batch.input_segments[0] > 0]
    words = [WORDS[number] if number < 20 else number for number in read]
    one = [20, 21, *"[CLS] a b because [SEP] c [SEP]".split()]
    two = [20, 21, *"[CLS] a b because [SEP] d e [SEP]".split()]
    assert words == [*one, *two]
    assert batch.inputs.shape == (1, 2 * (2 + 8))
    assert batch.input_segments[0, : len(words)].tolist() == [1] * 9 + [2] * 10
    assert batch.input_types[0, : len(words)].tolist() == [0] * 7 + [1] * 2 + [
        *([0] * 7),
        *([1] * 3),
    ]
    # Both are read at [CLS]; the second is right.
    assert batch.target_places.tolist() == [[2, 11]]
    assert batch.weights.tolist() == [[0, 1]]
    assert task.decode(np.array([[2], [1]])) == ["1", "0"]


def test_what_is_cut_is_named_and_the_choice_stays_whole(make):
    task = make(ROW, cut=["premise"])
    layout = layout_of(task, Lengths(6, 2), np.zeros(0, int))
    batch = layout.padded(task.pairs("train", [0]))
    words = [WORDS[n] for n in batch.inputs[batch.input_segments > 0]]
    assert words == (
        "[CLS] a because [SEP] c [SEP] [CLS] because [SEP] d e [SEP]".split()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"choices": {"0": "{one}"}}, "choices of task own: 0: give texts for two"),
        (
            {"choices": {**CHOICES, "1": "{slots:2}{two}"}},
            "template '{slots:2}{two}' of a choice has soft tokens, a mask or",
        ),
        ({"cut": ["premises"]}, "the order of truncation has premises, which no cho"),
        ({"wording": {"aks": {"a": "b"}}}, "wording has aks, but the choices have the"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(ROW, **options)


def test_labels_may_be_whole_numbers(make):
    task = make(ROW, choices={int(label): text for label, text in CHOICES.items()})
    assert [x.targets for x in task.examples("train")] == ["1"]


def test_a_text_alone_is_no_row_of_several_texts(make):
    row = Row("here:1", {"inputs": "a b because c"})
    with pytest.raises(ValueError, match=r"here:1: no field 'ask': the row has inputs"):
        check_request(make(ROW), row, 0, 2)


def test_any_choice_that_is_cut_counts(make):
    for longer in ("one", "two"):
        task = make(ROW, {**ROW, longer: "c d e f g h"})
        coverage = measure_coverage(task, "train", Lengths(9, 2))
        assert (coverage.examples, coverage.cut_inputs) == (2, 0.5)
        lost = measure_coverage(make({**ROW, longer: "zzz"}), "train", Lengths(9, 2))
        assert lost.unknown_inputs == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 2}, r"rows.jsonl:2: label '2' is not one of 0, 1"),
        ({"ask": "why"}, r"rows.jsonl:2: ask 'why' is not one of cause, effect, for"),
        ({"two": None}, r"rows.jsonl:2: field 'two' is null"),
    ],
)
def test_a_malformed_row_is_named(make, changes, message):
    task = make(ROW, {**ROW, **changes})
    with pytest.raises(ValueError, match=message):
        task.num_examples("train")
    assert make(ROW).source.place("train", 0).endswith("rows.jsonl:1")
