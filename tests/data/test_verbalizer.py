"""Verbalizers: several words a class, one token each, told apart, at every mask."""

from pathlib import Path

import numpy as np
import pytest
from jax.scipy.special import logsumexp

from jaxprompt.bundled import resolve
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.requests import Lengths, request_rows
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.tasks.verbalizer import make_verbalizer
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.heads.head import class_scores

SEVERAL = {"0": ["bad", "poor"], "1": "good"}


@pytest.fixture(scope="module", params=[False, True], ids=["T5", "decoder"])
def nano(request):
    path = Path(resolve("bundled:nano")) / "spiece.model"
    return load_vocabulary(path, causal=request.param)


def make(vocabulary, path, inputs="{text} It was {mask:1} .", **options):
    path.write_text('{"text": "A film.", "label": 0}\n{"text": "Rain.", "label": 1}\n')
    options = {"labels": SEVERAL, **options}
    return file_task(
        "own",
        files=path,
        inputs=inputs,
        target="label",
        vocabulary=vocabulary,
        **options,
    )


def test_the_first_word_is_the_label_and_any_of_them_is_read_as_it(nano, tmp_path):
    task = make(nano, tmp_path / "rows.jsonl", inputs="{text}")
    assert task.labels == ("bad", "good")
    assert [example.targets for example in task.examples("train")] == ["bad", "good"]
    words = task.word_ids(6)
    assert task.decode(words) == ["bad", "bad", "good"]
    np.testing.assert_array_equal(task.label_ids(6), words[[0, 2]])


def test_one_template_puts_the_answer_where_the_model_wants_it(nano, tmp_path):
    task = make(nano, tmp_path / "rows.jsonl")
    rows = {0: Row("here:1", {"text": "A film."})}
    batch = request_rows(task, rows, Lengths(20, 6), np.zeros(0, np.int32)).batch
    read = batch.inputs[0][batch.input_segments[0] > 0].tolist()
    pair = next(task.pairs("train", [0]))
    if nano.causal:
        # The answer takes the space before the mask, and the full stop is left out.
        read.append(int(batch.target_inputs[0, 0]))
        assert read == nano.encode("A film. It was")
        assert task.labels == (" bad", " good")
        assert pair.targets.tolist() == [*nano.encode(" bad"), nano.eos_id]
    else:
        (sentinel,) = nano.encode("<extra_id_0>")
        text = nano.encode("A film. It was <extra_id_0> .")
        assert read == [*text, nano.eos_id]
        expected = [sentinel, *nano.encode("bad"), nano.eos_id]
        assert pair.targets.tolist() == expected
        # What it answers is read behind the sentinel, and as it is without one.
        assert task.decode(np.array([expected])) == ["bad"]
        assert task.decode(np.array([expected[1:]])) == ["bad"]
    assert task.decode(task.label_ids(6)) == list(task.labels)


@pytest.mark.parametrize(
    ("inputs", "read"),
    [
        ("so {mask:1} , {text} !", "so , A film. !"),
        # The answer begins a word, though no space stands before its mask.
        ("{mask:1} News: {text}", "News: A film."),
        ("{slots:2} {mask:1} News: {text}", "News: A film."),
    ],
)
def test_fields_behind_the_mask_stay_in_a_decoders_text(tmp_path, inputs, read):
    path = Path(resolve("bundled:nano")) / "spiece.model"
    decoder = load_vocabulary(path, causal=True)
    task = make(decoder, tmp_path / "rows.jsonl", inputs=inputs)
    assert task.examples("train")[0].inputs == read
    assert task.labels == (" bad", " good")


def test_words_that_are_several_tokens_are_told(nano, tmp_path):
    labels = {"0": "bad", "1": ["good", "incomprehensible"]}
    with pytest.raises(
        ValueError, match=r"one token each, but ' ?incomprehensible' is"
    ):
        make(nano, tmp_path / "rows.jsonl", labels=labels, single_token=True)
    assert make(nano, tmp_path / "rows.jsonl", labels=labels).labels


@pytest.mark.parametrize(
    ("labels", "score", "error"),
    [
        ({"0": ["bad", "good"], "1": "good"}, "sum", "'good' stands twice"),
        ({"0": [], "1": "good"}, "sum", "class 0 of a verbalizer has no words"),
        (
            {"0": "bad", "1": "good"},
            "max",
            r"score 'max': use one of \['sum', 'mean'\]",
        ),
    ],
)
def test_what_is_no_verbalizer_is_refused(labels, score, error):
    with pytest.raises(ValueError, match=error):
        make_verbalizer(labels, score)


def test_words_the_vocabulary_does_not_tell_apart_are_refused(tmp_path):
    path = Path(resolve("bundled:nano")) / "spiece.model"
    labels = {"0": ["bad", "bad "], "1": "good"}
    task = make(load_vocabulary(path), tmp_path / "rows.jsonl", labels=labels)
    with pytest.raises(ValueError, match="are not told apart"):
        task.label_ids(6)


@pytest.mark.parametrize("score", ["sum", "mean"])
def test_a_class_has_the_sum_or_the_mean_of_its_words(score):
    words = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    probabilities = np.exp(words - logsumexp(words, axis=1, keepdims=True))
    parts = [probabilities[:, :3], probabilities[:, 3:]]
    combine = np.sum if score == "sum" else np.mean
    expected = np.stack([combine(part, axis=1) for part in parts], axis=1)
    found = np.exp(class_scores(words, [3, 1], score))
    shares = found / found.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        shares, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5
    )
    assert class_scores(words, [1, 1, 1, 1], score) is words
