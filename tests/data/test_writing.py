"""Texts that a vocabulary cannot tell apart, and those that it cannot write."""

import json
from pathlib import Path

import pytest

from jaxprompt.data.rows.coverage import measure_coverage
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.metrics import OF_NUMBERS
from jaxprompt.data.tasks.own import METRICS, file_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.data.vocabulary.writing import as_written, lost_characters
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.soft_ids import prefix

LENGTHS = Lengths(inputs=40, targets=40)
SOFT_IDS = prefix(num_rows=500, length=3)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("the rain", "the rain"),
        ("the  rain\n on\tthe stove ", "the rain on the stove"),
        ("fi\uff11\uff12²", "fi122"),
        ("", ""),
        ("a { b", None),
        ("½", None),
    ],
)
def test_a_text_as_it_comes_back(text, written, vocabulary, causal_spiece: Path):
    assert as_written(vocabulary, text) == written
    assert as_written(load_vocabulary(causal_spiece, causal=True), text) == written


def test_the_characters_that_are_lost(vocabulary):
    assert lost_characters(vocabulary, "{the} {rain} ☂") == "{}☂"
    assert lost_characters(vocabulary, "the rain") == ""


def test_a_vocabulary_of_bytes_writes_all_but_its_end(shared: Path):
    gpt2 = load_vocabulary(shared / "data" / "vocab" / "gpt2", causal=True)
    for text in ("a < {b}", "½ ☂", " two  lines\n\n"):
        assert as_written(gpt2, text) == text
    assert as_written(gpt2, "the <|endoftext|> of it") is None


def make(texts: list[str], tmp_path: Path, vocabulary, **options):
    rows = [{"q": f"is {n} even", "a": text} for n, text in enumerate(texts)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    template = {"inputs": "{q}", "target": "a"}
    return file_task(
        "own", files=path, vocabulary=vocabulary, **{**template, **options}
    )


def answers(vocabulary, texts: list[str]) -> list[str]:
    """What a model says that has learned every token."""
    return [vocabulary.decode(vocabulary.encode(text)) for text in texts]


ALIKE = ["the  rain", "the\nrain", " the rain", "no\t2 ", "no\uff12", "no²", "the rain"]


@pytest.mark.parametrize("metric", ["accuracy", "sequence_accuracy"])
def test_right_answers_are_right(metric: str, tmp_path: Path, vocabulary):
    task = make(ALIKE, tmp_path, vocabulary, metrics=[metric])
    rows = EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS))
    assert rows.score_texts(answers(vocabulary, ALIKE)).score == 100
    assert rows.perfect().score == 100
    assert rows.unwritable == 0
    # Another text is as wrong as ever.
    assert rows.score_texts(["the stove"] * len(ALIKE)).score == 0
    assert rows.limits() == [
        "6 of 7 targets of split 'train' come back otherwise from the vocabulary, as "
        "'the  rain', which it writes 'the rain'"
    ]
    # Four of the targets are one and the same answer.
    assert rows.majority().score == pytest.approx(400 / 7)


def test_a_line_stays_a_sentence_of_rouge(tmp_path: Path, vocabulary):
    names = [name for name in METRICS if name not in OF_NUMBERS]
    task = make(["the rain\nminds nobody"], tmp_path, vocabulary, metrics=names)
    rows = EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS))
    assert all(x == pytest.approx(100) for x in rows.perfect().metrics.values())
    # Either order of the two sentences holds both of them.
    swapped = rows.score_texts(["minds nobody the rain"]).metrics
    assert swapped["rougeLsum"] == pytest.approx(100)
    assert swapped["rouge2"] < 100


def test_targets_that_cannot_be_written_are_told(tmp_path: Path, vocabulary):
    texts = ["the rain", "a { b", "the\nrain", "☂ {}"]
    task = make(texts, tmp_path, vocabulary)
    rows = EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS))
    assert rows.perfect().score == 50
    assert rows.score_texts(answers(vocabulary, texts)).score == 50
    assert rows.unwritable == 0.5
    assert rows.limits() == [
        "2 of 4 targets of split 'train' hold characters that the vocabulary cannot "
        "write: no answer can equal them. The first: "
        f"{tmp_path}/rows.jsonl:2: 'a {{ b' ('{{'); "
        f"{tmp_path}/rows.jsonl:4: '☂ {{}}' ('☂' '{{' '}}')",
        "1 of 4 targets of split 'train' come back otherwise from the vocabulary, as "
        "'the\\nrain', which it writes 'the rain'",
        "right answers score accuracy 50.0, not 100, on split 'train'",
    ]


def test_shares_of_a_split_that_do_not_reach_the_model(tmp_path: Path, vocabulary):
    texts = ["the rain", "a { b", "the\nrain", "the rain and the stove"]
    task = make(texts, tmp_path, vocabulary, inputs="{q} {a} ☂", share={"train": 1.0})
    found = measure_coverage(task, "train", Lengths(2, 500))
    assert found[:-1] == (4, 1.0, 0.0, 1.0, 0.25)
    assert found.shown == f"{tmp_path}/rows.jsonl:2: 'a {{ b' ('{{')"
    inputs = make(["yes"], tmp_path, vocabulary, inputs="{q} ☂")
    found = measure_coverage(inputs, "train", LENGTHS)
    assert (found.unknown_inputs, found.unknown_targets) == (1, 0)
    assert found.shown == f"{tmp_path}/rows.jsonl:1: 'is 0 even ☂' ('☂')"


def test_labels_that_the_vocabulary_cannot_tell_apart(tmp_path: Path, vocabulary):
    for words in (("☂", "☃"), ("no", "no "), ("no\uff12", "no2")):
        labels = dict(zip("ab", words, strict=True))
        task = make(["a", "b"], tmp_path, vocabulary, labels=labels)
        with pytest.raises(ValueError, match="are not told apart by the vocabulary"):
            task.label_ids(8)
