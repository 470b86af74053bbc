"""`jp.tune` on rows in memory: the command's own training, and a result that shows."""

import dataclasses
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import (
    TINY_LLAMA,
    byte_pairs,
    draw_tensors,
    write_chat_model,
    write_model,
)
from letters_bert import save_letters_bert
from made_results import made_loss
from page_blocks import example_of, run_code
from tiny import save_tiny

import jaxprompt as jp
from jaxprompt import runs
from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config import Run
from jaxprompt.interactive import tune
from jaxprompt.interactive.settings import gin_text
from jaxprompt.prompts.file import load_head
from jaxprompt.train.stopped import Stopped

WORDS = ["a fine film", "a dull one", "rain all day", "warm and kind"]
ROWS = [{"text": WORDS[n % 4], "label": n % 2} for n in range(20)]
ASKED = {
    "inputs": "review: {text}",
    "target": "label",
    "labels": {0: "bad", 1: "good"},
    "prompt_length": 3,
    "steps": 4,
    "name": "reviews",
    "loggers": ("csv",),
}


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random T5."""
    folder = tmp_path_factory.mktemp("tuning")
    save_tiny(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.fixture(scope="module")
def model(in_folder: None) -> jp.FrozenModel:
    return jp.load("model")


@pytest.fixture(scope="module")
def result(model: jp.FrozenModel) -> jp.TuningResult:
    return jp.tune(model, ROWS, **ASKED, workdir="run", seeds=2)


def rows_of(prompt: jp.Prompt) -> np.ndarray:
    return np.asarray(prompt.rows)


def test_it_is_the_training_of_the_command(result: jp.TuningResult, model):
    assert [prompt.provenance.seed for prompt in result.prompts] == [0, 1]
    # The same rows from files, by the configuration that the folder keeps.
    text = Path("run/operative_config.gin").read_text()
    run, _ = configure([], [], start=text)
    (task,) = run.data.tasks
    kept = set(jp.tune(model, ROWS, **ASKED, workdir="run", seeds=2).content)
    assert kept == set(result.content), "the second call reads the first one's result"
    parts = {"train": [], "validation": []}
    for row in ROWS:
        parts["train"].append(row)
    # Of each label two of ten rows, drawn by the seed, are to validate on.
    draw = np.random.default_rng(0)
    chosen = {int(n) for of in (0, 1) for n in draw.permutation(range(of, 20, 2))[:2]}
    for split, wanted in (("train", False), ("validation", True)):
        lines = [json.dumps(r) for n, r in enumerate(ROWS) if (n in chosen) == wanted]
        Path(f"{split}.jsonl").write_text("\n".join(lines))
    files = {split: f"{split}.jsonl" for split in parts}
    task = dataclasses.replace(task, files=files)
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, task=task))
    runs.train(run, Path("by_command"))
    for seed, tuned in enumerate(result.prompts):
        there, said = jp.load_prompt(f"by_command/prompts/reviews-{seed}.safetensors")
        np.testing.assert_array_equal(rows_of(there), rows_of(tuned.prompt))
        assert said.score == tuned.provenance.score
    # The curves too, but for speeds, where the loggers that are named have them.
    found, expected = (
        [x for x in table.read_text().splitlines() if "per_second" not in x]
        for table in (Path("run/metrics.csv"), Path("by_command/metrics.csv"))
    )
    assert found == expected
    assert "4,validation/score," in "\n".join(found)
    assert not Path("run/tensorboard").exists()


def test_a_result_prints_and_draws_itself(result: jp.TuningResult):
    shown, drawn = repr(result), result._repr_html_()
    for text in ("majority", "untuned", "average", "vote", "reviews"):
        assert text in shown, shown
        assert f">{text}<" in drawn, drawn
    assert "scores of 4 validation rows, which also chose the best step" in shown
    assert "<table>" in drawn
    assert result.prompt in result.prompts
    assert result.content["score"] == result.score


def test_a_result_that_is_measured_by_its_loss_prints_too():
    result = jp.TuningResult(made_loss(), ())
    assert "| prefix_lm |   100.0 | 2.50 | 3.00        |" in repr(result)
    assert ">other input<" in result._repr_html_()


def test_a_tuned_prompt_is_saved_with_all_that_its_file_says(result, model):
    jp.save_prompt("mine.safetensors", result.prompt)
    file = f"run/prompts/reviews-{result.prompt.provenance.seed}.safetensors"
    assert Path("mine.safetensors").read_bytes() == Path(file).read_bytes()
    jp.save_prompt("mine.safetensors", result.prompt, model.backbone)
    with pytest.raises(ValueError, match="task for a tuned prompt, which brings its"):
        jp.save_prompt("mine.safetensors", result.prompt, task="other")
    with pytest.raises(ValueError, match=r"give its backbone, as save_prompt\(path"):
        jp.save_prompt("mine.safetensors", result.prompt.prompt)
    assert main(["inspect", "--prompt=mine.safetensors", "--without_model"]) == 0


def test_other_rows_or_settings_are_another_run(result, model):
    del result
    with pytest.raises(ValueError, match=r"ROWS was .* and is .* Use another workdir"):
        jp.tune(model, ROWS[:-2], **ASKED, workdir="run", seeds=2)
    with pytest.raises(ValueError, match=r"Optimizer.learning_rate was 0.3 and is 0.1"):
        jp.tune(model, ROWS, **ASKED, workdir="run", seeds=2, learning_rate=0.1)


def test_free_text_settings_and_rows_of_a_test(model, capsys):
    rows = [{"q": text, "a": text.split()[-1]} for text in WORDS]
    data = {"train": rows * 2, "validation": rows, "test": rows[:3], "more": rows}
    result = jp.tune(
        model,
        data,
        inputs="last of {q}",
        target="a",
        prompt_text="the last word",
        prompt_length=4,
        steps=2,
        metrics=("squad",),
        settings={"Optimizer.kind": "adamw", "Pace.evaluate_every": 0},
    )
    assert "splits that are not used: more" in capsys.readouterr().out
    assert (result.content["split"], result.content["examples"]) == ("test", 3)
    assert "which also chose" not in repr(result)
    assert result.prompt.provenance.init == "text"
    assert result.workdir is None
    assert len(model.generate(WORDS, prompt=result.prompt)) == 4


class Asked(Exception):
    """What `tune` would train, in the place of its training."""


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(run: Run, *_: Any, **__: Any) -> None:
        raise Asked(run)

    monkeypatch.setattr(tune, "finish", finish)


@pytest.mark.usefixtures("untrained")
def test_keys_and_values_may_train_without_soft_tokens(model: jp.FrozenModel):
    asked = {**ASKED, "prompt_length": 0}
    with pytest.raises(Asked) as found:
        jp.tune(model, ROWS, **asked, settings={"PromptStart.deep": {"encoder": 2}})
    (run,) = found.value.args
    assert (run.prompt.length, run.prompt.deep) == (0, {"encoder": 2})
    with pytest.raises(ValueError, match="prompt length 0: a trained prompt has 1 or"):
        jp.tune(model, ROWS, **asked)


@pytest.mark.usefixtures("untrained")
def test_numbers_and_texts_of_numpy_are_those_of_python(model: jp.FrozenModel):
    asked = {**ASKED, "steps": np.int64(4), "seed": np.int32(7)}
    asked["validation"] = np.float32(0.25)
    words = {key: np.str_(word) for key, word in ASKED["labels"].items()}
    with pytest.raises(Asked) as found:
        jp.tune(model, ROWS, **asked | {"labels": words}, learning_rate=np.float64(0.1))
    (run,) = found.value.args
    assert (run.pace.steps, run.seed, run.optimizer.learning_rate) == (4, 7, 0.1)
    assert "np." not in gin_text(run), "the prompt's file tells its configuration"


def test_a_decoder_answers_behind_the_text(tmp_path: Path):
    path = tmp_path / "tiny.gguf"
    vocabulary = byte_pairs(280, ("<|endoftext|>",))
    write_model(
        path,
        TINY_LLAMA,
        draw_tensors(TINY_LLAMA),
        architecture="llama",
        kind="Q8_0",
        tokenizer=vocabulary,
    )
    model = jp.load(path)
    result = jp.tune(model, ROWS, **ASKED)
    assert result.prompt.provenance.causal
    said = result.prompt.provenance.answering
    assert said["task"]["inputs"] == "review: {text} {mask:1}"
    assert set(model.generate(WORDS, prompt=result.prompt)) <= {"bad", "good"}
    scores = model.scores(WORDS, prompt=result.prompt)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-6)
    # Without a task a label is a word of its own behind the text, too.
    found, spaced = (model.scores(["a"], x) for x in (["b", "c"], [" b", " c"]))
    np.testing.assert_array_equal(found, spaced)


def test_the_answers_in_conversations_are_learned(tmp_path: Path):
    write_chat_model(tmp_path / "chat.gguf")
    model = jp.load(tmp_path / "chat.gguf")
    turns = [
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two?"},
        {"role": "assistant", "content": "2"},
    ]
    rows = [{"messages": turns}] * 4
    result = jp.tune(model, rows, messages="messages", prompt_length=2, steps=1)
    assert "rouge1" in str(result)
    asked = [{"messages": turns[:1]}, {"messages": turns[:2]}, "one?"]
    answers = model.generate(asked, prompt=result.prompt)
    assert len({*answers}) == 1  # An answer that is there is left out.
    for wrong, message in (
        ({"messages": "messages", "target": "x"}, "messages 'messages', and inputs"),
        ({"inputs": "{text}"}, "no inputs or no target: give both"),
        ({"messages": "said"}, r"no column 'said': there are messages"),
    ):
        with pytest.raises(ValueError, match=message):
            jp.tune(model, rows, **wrong)
    with pytest.raises(ValueError, match="no chat template beside"):
        jp.tune(jp.load("bundled:nano"), rows, messages="messages")


def test_an_encoder_gets_a_head_of_the_labels(tmp_path: Path):
    save_letters_bert(tmp_path)
    model = jp.load(tmp_path / "bert")
    rows = [{"text": text, "label": n % 2} for n, text in enumerate("abcdefgh")]
    # The order of the labels is that of the head's columns, in the file too.
    words = {1: "good", 0: "bad"}
    asked = {**ASKED, "inputs": "{text}", "steps": 160, "prompt_length": 2}
    asked |= {"labels": words, "validation": rows}
    result = jp.tune(model, rows, **asked, learning_rate=0.1)
    assert result.prompt.provenance.head == "classes"
    assert model.generate([*"abc"], prompt=result.prompt) == ["bad", "good", "bad"]
    best = model.scores([*"abc"], prompt=result.prompt).argmax(axis=1)
    assert [[*words.values()][column] for column in best] == ["bad", "good", "bad"]
    with pytest.raises(ValueError, match="labels no, yes for a prompt of reviews"):
        model.scores(["a"], ["no", "yes"], prompt=result.prompt)
    jp.save_prompt(tmp_path / "p.safetensors", result.prompt)
    assert load_head(tmp_path / "p.safetensors")["weight"].shape == (1, 16, 2)
    with pytest.raises(ValueError, match="bert is an encoder, which writes no words"):
        jp.tune(model, rows, inputs="{text}", target="label")
    for ask in (model.generate, model.scores):
        with pytest.raises(
            ValueError, match=r"bert is an encoder, .* give a prompt wi"
        ):
            ask(["a"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": 7}, r"data is 7: give a list of dicts, a pandas DataFrame, a dat"),
        ({"data": []}, "data has no rows"),
        ({"data": ["a"]}, r"data\[0\] is 'a', no dict: give a list of dicts"),
        ({"data": {"text": ["a"]}}, r"data is a dict of text: name splits, as"),
        ({"data": [ROWS[0], {"text": "b"}]}, r"data\[1\]: no column 'label': there "
         "are text"),
        ({"data": [{"text": float("nan"), "label": 0}]}, r"data\[0\]: column 'text' "
         r"has no value: leave such rows out, as \[row for row in data if"),
        ({"data": [*ROWS, {"text": "b", "label": 2}]}, r"data\[20\]: column 'label' is "
         "'2', which is none of the labels 0, 1: add it to labels"),
        ({"data": ROWS[:2]}, "2 rows, and no two of one label"),
        ({"inputs": "{txt}"}, r"data\[0\]: no column 'txt': there are text, label"),
        ({"validation": 1.5}, "validation 1.5: use a share of the rows above 0"),
        ({"labels": {0: 0, 1: 1}}, r"labels\[0\] is 0: give a word, or a list of"),
        ({"labels": "bad"}, "labels is the text 'bad': give a dict of values"),
        ({"steps": 0}, "0 steps: a run has 1 or more"),
        ({"batch_size": 500}, "do not fill a batch"),
        ({"steps": "3"}, "steps is '3': give a whole number"),
        ({"prompt_length": 2.5}, "prompt_length is 2.5: give a whole number"),
        ({"prompt_length": 512}, "prompt_length 512 leaves no text in rows of 512"),
        ({"labels": {0: "bad", "0": "good"}}, r"labels\['0'\] stands for the sa"),
        ({"seed": -1}, "seed -1: use 0 or more"),
        ({"workdir": ""}, "workdir '' is no folder: name one"),
        ({"steps": True}, "steps is True: give a whole number"),
        ({"inputs": 3}, "inputs is 3: give a template, as"),
        ({"target": 3}, "target is 3: give a text"),
        ({"labels": {"bad", "good"}}, "labels is .* which has no order: give a dict"),
        ({"labels": 2}, "labels is 2, which has no order: give a dict"),
        ({"settings": ["Pace.steps"]}, r"settings is \['Pace.steps'\]: give a dict"),
        ({"seed": None}, "seed is None: give a whole number"),
        ({"metrics": 5}, "metrics is 5: give a name, or a list of names"),
        ({"metrics": ("f2",)}, "no metric 'f2' for a task with labels"),
        ({"settings": {"Optimizer.kin": 1}}, r"no setting 'Optimizer.kin': did you "
         "mean Optimizer.kind"),
        ({"settings": {"Pace.steps": "9"}}, "Pace.steps is '9', of type str"),
        ({"data": "none.csv"}, "none.csv: no such file"),
        ({"model": "bundled:nano"}, r"load it first, as jp.load\('bundled:nano'\)"),
        ({"inputs": "text"}, "inputs 'text' names no field, so that all rows w"),
        ({"metrics": "f2"}, "no metric 'f2' for a task with labels"),
        ({"settings": {"Model.dropout": 0.1}}, r"Model.dropout is 0.1, but the model "
         r"was loaded with 0.0: give it .* as jp.load\(..., dropout=0.1\)"),
        ({"settings": {"Run.trains": "model"}}, "Run.trains is 'model', which makes no "
         "prompt: use 'prompt', 'prompt.head' or 'head'"),
        ({"settings": {"STEPS": 9}}, "no setting 'STEPS': did you mean Pace.steps?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_row_or_column(
    model: jp.FrozenModel, change: dict, message: str
):
    asked = {"model": model, "data": ROWS, **ASKED, **change}
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        jp.tune(asked.pop("model"), asked.pop("data"), **asked)
    assert "\n" not in str(error.value)


def interrupt_when(found: Path, pattern: str) -> threading.Thread:
    """Sends SIGINT once a log has lines, as Ctrl-C does in the middle of a training."""

    def wait() -> None:
        while not any(file.stat().st_size for file in found.glob(pattern)):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_an_interrupt_saves_the_state_where_there_is_a_folder(
    model: jp.FrozenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = {**ASKED, "steps": 100_000}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    thread = interrupt_when(tmp_path, "jaxprompt-*/metrics.jsonl")
    with pytest.raises(KeyboardInterrupt, match="nothing is kept without a workdir"):
        jp.tune(model, ROWS, **asked)
    thread.join()
    assert not any(tmp_path.iterdir())
    thread = interrupt_when(tmp_path, "run/metrics.jsonl")
    with pytest.raises(Stopped, match="its state is saved"):
        jp.tune(model, ROWS, **asked, workdir=tmp_path / "run")
    thread.join()
    assert (tmp_path / "run" / "checkpoints").is_dir()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_of_a_loss_that_is_not_finite_are_named_where_they_stand(model):
    rows = [{"text": f"film {n}", "label": n % 2} for n in range(40)]
    few = {"Data.train_examples": 4, "Pace.log_every": 1}
    options = {**ASKED, "batch_size": 4, "learning_rate": 1e39, "settings": few}
    with pytest.raises(FloatingPointError) as error:
        jp.tune(model, rows, **options)
    found = re.findall(r"data\[(\d+)\]", str(error.value))
    # Of many rows, four that were drawn: their places in what was given.
    assert len({*found}) == 4
    assert max(map(int, found)) > 4


def test_the_example_of_tune_runs(model: jp.FrozenModel):
    code = example_of(jp.tune)
    assert code.count("steps=100") == 1
    shorter = code.replace("steps=100", "steps=1, prompt_length=3")
    found = run_code(shorter, tune=jp.tune, model=model)
    assert found["result"].content["task"] == "task"
