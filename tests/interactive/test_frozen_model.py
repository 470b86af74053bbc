"""`jp.load`: a model that generates and scores, as predict and by hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from page_blocks import example_of, run_code
from scipy.special import log_softmax, softmax
from tiny import draw_prompt, save_tiny

import jaxprompt as jp
from jaxprompt.cli import main
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.shapes import unpacked_batch

TEXTS = ["a fine film", "dull", "rain and wind all day long", "kind people"]
LABELS = ["bad", "very good"]


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("frozen")
    save_tiny(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.fixture(scope="module")
def model(in_folder: None) -> jp.FrozenModel:
    return jp.load("model")


@pytest.fixture(scope="module")
def tuned(model: jp.FrozenModel):
    rows = [{"a": text, "b": "x", "y": text[:1]} for text in TEXTS * 3]
    words = {"a": "bad", "d": "good", "r": "wet", "k": "kind"}
    asked = {"inputs": "{a} of {b}", "target": "y", "labels": words}
    result = jp.tune(model, rows, **asked, prompt_length=2, steps=1, workdir="run")
    return result.prompt


def test_it_unpacks_for_the_functions_of_the_lower_level(model: jp.FrozenModel):
    backbone, params = model
    assert backbone.table(params).shape == (6144, 16)
    assert repr(model) == "<model, frozen, float32>"


def test_scores_are_the_shares_of_what_teacher_forcing_gives(model: jp.FrozenModel):
    backbone, params = model
    prompt = draw_prompt(0)
    vocabulary = jp.load_vocabulary(backbone.vocabulary, rows=backbone.vocab_rows)
    source = np.full((len(TEXTS), 20), NO_TOKEN, np.int32)
    for row, text in zip(source, TEXTS, strict=True):
        ids = [6144, 6145, 6146, *vocabulary.encode(text), 1]
        row[: len(ids)] = ids
    scores = np.zeros((len(TEXTS), len(LABELS)))
    logits_of = jax.jit(prompted_logits, static_argnums=0)
    for column, label in enumerate(LABELS):
        ids = [*vocabulary.encode(label), 1]
        targets = np.tile([*ids, *[NO_TOKEN] * (4 - len(ids))], (len(TEXTS), 1))
        batch = unpacked_batch(source, targets.astype(np.int32))
        logits = logits_of(backbone, {"model": params, "prompt": prompt}, batch)
        logs = log_softmax(np.asarray(logits, np.float64), axis=-1)
        scores[:, column] = logs[:, np.arange(len(ids)), ids].sum(axis=1)
    found = model.scores(TEXTS, LABELS, prompt=prompt)
    np.testing.assert_allclose(found, softmax(scores, axis=1), atol=1e-5)
    # Another batch size, or fewer rows, change nothing.
    alone = model.scores(TEXTS[2:3], LABELS, prompt=prompt, batch_size=1)
    np.testing.assert_allclose(alone, found[2:3], atol=1e-5)
    without = np.log(model.scores(TEXTS, LABELS))
    assert np.abs(without - np.log(found)).max() > 0.1, "no prompt"


def test_generate_answers_as_predict_does(model: jp.FrozenModel, tuned):
    rows = [{"a": text, "b": "film"} for text in TEXTS]
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompt = "run/prompt.safetensors"
    files = ["--input=asked.jsonl", "--output=said.jsonl", "--overwrite"]
    assert main(["predict", f"--prompt={prompt}", *files]) == 0
    said = [json.loads(line) for line in Path("said.jsonl").read_text().splitlines()]
    expected = [row["prediction"] for row in said]
    for same in (tuned, prompt, Path("run"), "run"):
        assert model.generate(rows, prompt=same) == expected
    labels = ["bad", "good", "wet", "kind"]
    best = model.scores(rows, prompt=tuned).argmax(axis=1)
    assert [labels[column] for column in best] == expected
    written = [{"inputs": f"{text} of film"} for text in TEXTS]
    assert model.generate(written, prompt=tuned) == expected


def test_generate_without_a_task_writes_what_greedy_decoding_does(
    model: jp.FrozenModel,
):
    backbone, params = model
    prompt = draw_prompt(1)
    vocabulary = jp.load_vocabulary(backbone.vocabulary, rows=backbone.vocab_rows)
    (answer,) = model.generate(TEXTS[:1], prompt=prompt, max_tokens=3)
    source = [[6144, 6145, 6146, *vocabulary.encode(TEXTS[0]), 1]]
    logits_of = jax.jit(prompted_logits, static_argnums=0)
    ids = np.full((1, 3), 2, np.int32)
    for place in range(3):
        batch = unpacked_batch(np.array(source, np.int32), ids)
        logits = logits_of(backbone, {"model": params, "prompt": prompt}, batch)
        ids[0, place] = np.asarray(logits)[0, place].argmax()
    written = ids[0].tolist()
    assert answer == vocabulary.decode(written[: [*written, 1].index(1)])
    sampled = [
        model.generate(TEXTS, method="nucleus", temperature=9.0, max_tokens=4)
        for _ in range(2)
    ]
    assert sampled[0] == sampled[1] != model.generate(TEXTS, max_tokens=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, p: m.generate("a text"), r"rows is one text: put it into a list"),
        (lambda m, p: m.generate(["a"], prompt=p), r"rows\[0\] is a text, but the "
         r"prompt's template has the fields a, b: give rows, as \{'a': ..., 'b': "),
        (lambda m, p: m.generate([{"a": "x"}], prompt=p), r"rows\[0\]: no field 'b': "
         "the row has a"),
        (lambda m, p: m.generate([{"t": "x"}]), r"rows\[0\]: no field 'inputs'"),
        (lambda m, p: m.generate([7]), r"rows\[0\] is 7, no dict"),
        (lambda m, p: m.generate(["a"], beam=2), r"no setting 'Evaluation.beam': did "
         "you mean Evaluation.beams"),
        (lambda m, p: m.generate(["a"], top_p=0.5), "top_p is read by method 'nucleus'"
         ", but these answers are by 'greedy': give method='nucleus' too, or leave"),
        (lambda m, p: m.generate(["a"], method="nucleus", beams=2), "beams is read by "
         "method 'beam', but these answers are by 'nucleus'"),
        (lambda m, p: m.generate(["a"], num_examples=1), "num_examples is of scores"),
        (lambda m, p: m.generate(["a"], max_tokens=0), "max_tokens 0: use 1 token or"),
        (lambda m, p: m.generate(["a"], max_tokens=2.5), "max_tokens is 2.5, of type"),
        (lambda m, p: jp.save_prompt("x", jp.TuningResult({}, (p,))), "what is to be "
         "saved is a TuningResult: give a prompt, as result.prompt"),
        (lambda m, p: m.generate(["a"], prompt=7), "prompt is 7: give a prompt, as "
         "result.prompt of what"),
        (lambda m, p: m.generate(["a"], prompt="no.safetensors"), "no prompt file at"),
        (lambda m, p: m.generate(["a"], prompt=draw_prompt(0, members=2)), "a bank of "
         "2 prompts of width 16"),
        (lambda m, p: jp.load("model", dtype="f32"), "dtype 'f32' is none of float32"),
        (lambda m, p: jp.load("model", mesh_data="2"), "mesh_data is '2', of type str"),
        (lambda m, p: jp.load("model", dropout="0"), "dropout is '0', of type str"),
        (lambda m, p: m.scores(["a"], [0, 1]), r"labels\[0\] is 0: give a word"),
        (lambda m, p: m.scores(["a"], ["x", "y", "x"]), "labels x, y, x: a word stands "
         "there twice"),
        (lambda m, p: m.scores(["a"]), "no labels to score: give their words"),
        (lambda m, p: m.scores(["a"], "bad"), "labels is the text 'bad'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(model: jp.FrozenModel, tuned, call, message: str):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        call(model, tuned)
    assert "\n" not in str(error.value)


def test_a_prompt_of_another_model_is_refused(tuned):
    nano = jp.load("bundled:nano")
    with pytest.raises(ValueError, match="prompt width 16 != model width"):
        nano.generate([{"a": "x", "b": "y"}], prompt=tuned)


def test_the_example_of_load_runs():
    code = example_of(jp.load)
    assert "bundled:nano" in code
    found = run_code(code.replace("bundled:nano", "model"), load=jp.load)
    assert found["backbone"].vocab_rows == 6144
