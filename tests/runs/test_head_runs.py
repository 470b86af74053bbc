"""Heads of labels, end to end: trained, saved with their prompts, and answering."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from letters_bert import save_letters_bert
from tiny import save_tiny

import jaxprompt as jp
from jaxprompt.cli import main
from jaxprompt.config import (
    Data,
    Evaluation,
    HeadStart,
    Model,
    Optimizer,
    OwnChoices,
    OwnSpans,
    OwnTags,
    OwnTask,
    PromptStart,
    Run,
    TaskGroup,
)
from jaxprompt.config.answering import answering_run
from jaxprompt.models.load import load
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.runs import evaluate, export_prompt, predict, train
from jaxprompt.train.pace import Pace

ROWS = [{"text": text, "label": str(n % 2)} for n, text in enumerate("abcdefgh")]
RUN = Run(
    trains="prompt+head",
    model=Model(name="bert"),
    data=Data(
        task=OwnTask(
            name="own",
            files={"train": "rows.jsonl", "validation": "rows.jsonl"},
            inputs="{text}",
            target="label",
            labels={"0": "no", "1": "a yes"},
        ),
        input_length=8,
    ),
    prompt=PromptStart(length=1, init="normal", deep={"encoder": 2}, stddev=0.1),
    head=HeadStart(kind="classes", pooler="frozen"),
    optimizer=Optimizer(kind="adamw", learning_rate=0.05),
    pace=Pace(steps=40, evaluate_every=20, log_every=20),
    evaluation=Evaluation(batch_size=8),
    batch_size=8,
)


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random BERT, a random T5 and rows."""
    folder = tmp_path_factory.mktemp("heads")
    save_letters_bert(folder, positions=32)
    save_tiny(folder / "t5")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        yield


@pytest.fixture(scope="module")
def trained() -> dict:
    return train(RUN, Path("both"))


def test_a_prompt_and_its_head_learn_and_answer_from_their_file(trained, capsys):
    assert (trained["score"], trained["trains"]) == (100.0, "prompt+head")
    file = Path("both/prompt.safetensors")
    prompt, provenance = load_prompt(file)
    assert (provenance.head, prompt.length) == ("classes", 1)
    assert provenance.init == "normal"
    assert load_head(file)["weight"].shape == (1, 16, 2)
    assert evaluate(RUN, file)["score"] == 100.0

    Path("asked.jsonl").write_text('{"text": "b"}\n{"text": "c"}\n')
    arguments = ["predict", "--prompt", str(file), "--input", "asked.jsonl"]
    assert main([*arguments, "--scores"]) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert [answer["prediction"] for answer in answers] == ["a yes", "no"]
    for answer in answers:
        shares = answer["probabilities"]
        assert shares[answer["prediction"]] == max(shares.values())
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert main([*arguments, "--scores", "--output", "answers.csv"]) == 0
    header = "text,prediction,probabilities.no,probabilities.a yes"
    assert Path("answers.csv").read_text().splitlines()[0] == header


def test_heads_of_a_bank_are_those_that_train_alone(trained):
    del trained
    train(dataclasses.replace(RUN, seeds=2), Path("bank"))
    for name, leaf in load_head("both/prompt.safetensors").items():
        bank = load_head("bank/prompts/own-0.safetensors")
        np.testing.assert_allclose(bank[name], leaf, atol=2e-4)
    several = [Path(f"bank/prompts/own-{seed}.safetensors") for seed in (0, 1)]
    rows = Path("of_bank.jsonl")
    asked = [("a", "own-0"), ("b", "own-0"), ("g", "own-1"), ("h", "own-1")]
    rows.write_text(
        "".join(json.dumps({"text": t, "prompt": p}) + "\n" for t, p in asked)
    )
    predict(dict.fromkeys(several, RUN), source=str(rows), output="bank.jsonl")
    answers = map(json.loads, Path("bank.jsonl").read_text().splitlines())
    assert [x["prediction"] for x in answers] == ["no", "a yes", "no", "a yes"]


def test_every_word_of_a_row_gets_its_tag(capsys):
    pairs = ("ab", "cd", "ef", "gh") * 2
    Path("tags.txt").write_text("".join(f"{a} B-X\n{b} I-X\nz O\n\n" for a, b in pairs))
    task = OwnTags(
        name="ner",
        files={"train": "tags.txt", "validation": "tags.txt"},
        kinds=["X", "Y"],
    )
    run = dataclasses.replace(
        RUN,
        data=Data(task=task, input_length=8, target_length=4),
        head=HeadStart(kind="tags"),
    )
    result = train(run, Path("ner"))
    assert (result["metric"], result["score"], result["majority"]) == ("f1", 100.0, 0.0)
    # A soft token and 8 of text; the three tags are places among these.
    said = "padding: 9 tokens are computed for each example, 6 of them its own"
    assert said in capsys.readouterr().out
    Path("words.jsonl").write_text(
        '{"words": ["a", "b", "\\u200d"]}\n{"words": "c d"}\n'
    )
    arguments = ["predict", "--prompt", "ner/prompt.safetensors"]
    assert main([*arguments, "--input", "words.jsonl", "--scores"]) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert [answer["prediction"] for answer in answers] == ["B-X I-X O", "B-X I-X"]
    assert [len(answer["probabilities"]) for answer in answers] == [3, 2]
    long = dataclasses.replace(run, data=Data(task=task, target_length=2))
    with pytest.raises(ValueError, match=r"tags.txt:1: 3 words, but the target length"):
        train(long, Path("refused"))


def test_an_answer_is_cut_out_of_the_window_that_holds_it(capsys):
    """Wherever "c d" stands in a text it is the answer; without it there is none."""
    rows = []
    for shift in (2, 3, 4, 5, 6, 7, 8, 2, 4):
        letters = "abcdefgh"[-shift:] + "abcdefgh"[:-shift]
        text = " ".join(letters).replace("c", "h" if len(rows) > 6 else "C")
        answers = [{"text": "C d", "answer_start": x} for x in (text.find("C"),)]
        row = {"question": "a", "context": text, "answers": answers}
        rows.append(row if "C" in text else row | {"answers": []})
    rows = [
        x for x in rows if not x["answers"] or x["answers"][0]["text"] in x["context"]
    ]
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"train": "asked.jsonl", "validation": "asked.jsonl"}
    task = OwnSpans(
        name="qa", files=files, null_threshold=0.0, stride=2, question_length=1
    )
    run = dataclasses.replace(
        RUN,
        data=Data(
            task=task,
            input_length=10,
            shift_to=(dataclasses.replace(task, name="others"),),
        ),
        head=HeadStart(kind="spans", longest=3),
        seeds=2,
    )
    # Of eight tokens a window has six: the answer of some rows is in the second alone.
    result = train(run, Path("qa"))
    assert result["metric"] == "f1"
    for member in result["members"]:
        assert member["metrics"]["no_answer_em"] == member["score"] == 100.0
        assert member["examples"] == len(rows)
        assert member["shift"]["others"]["score"] == 100.0
    capsys.readouterr()
    file = Path("qa/prompts/qa-0.safetensors")
    assert load_head(file)["weight"].shape == (1, 16, 2)
    said = answering_run(load_prompt(file)[1].answering, "")
    scored = dataclasses.replace(said.data.task, files=files)
    data = dataclasses.replace(said.data, task=scored)
    again = evaluate(dataclasses.replace(said, data=data), file, mistakes=1)
    assert again["score"] == 100.0
    assert "0 of 0 mistakes" in capsys.readouterr().out
    texts = ["e f g h a b C  d", "C d e", "h d e f g h a b h d"]
    asked = [{"question": "a", "context": text} for text in texts]
    Path("texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    arguments = ["predict", "--prompt", str(file), "--input", "texts.jsonl"]
    capsys.readouterr()
    assert main([*arguments, "--scores"]) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert [answer["prediction"] for answer in answers] == ["C  d", "C d", ""]
    for answer in answers:
        shares = answer["probabilities"]
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
        assert shares[answer["prediction"]] == max(shares.values())
    model = jp.load("bert")
    assert model.generate(asked, prompt=file) == ["C  d", "C d", ""]
    for labels in (None, ["no", "yes"]):
        with pytest.raises(ValueError, match="head of spans gives a row no label that"):
            model.scores(asked, labels, prompt=file)
    narrow = dataclasses.replace(run, data=Data(task=task, input_length=6))
    with pytest.raises(
        ValueError, match="input length 6 has room for 2 tokens of a te"
    ):
        train(narrow, Path("refused"))
    with pytest.raises(ValueError, match="packed rows for a head of spans, which read"):
        dataclasses.replace(run, data=dataclasses.replace(run.data, pack=True))


def test_one_of_several_texts_is_chosen_whatever_stands_beside_it(capsys):
    """The text with an "a" is right, first or second."""
    texts = [("a b", "c d"), ("e", "f a"), ("g h", "a"), ("a d", "h h"), ("b", "a c")]
    rows = [
        {"one": one, "two": two, "label": int("a" in two), "three": "h"}
        for one, two in texts * 2
    ]
    Path("choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"train": "choices.jsonl", "validation": "choices.jsonl"}
    task = OwnChoices(
        name="which", files=files, choices={"0": "g{sep:1}{one}", "1": "g{sep:1}{two}"}
    )
    run = dataclasses.replace(
        RUN, data=Data(task=task, input_length=8), head=HeadStart(kind="choices")
    )
    result = train(run, Path("which"))
    assert (result["metric"], result["score"]) == ("accuracy", 100.0)
    file = Path("which/prompt.safetensors")
    assert load_head(file)["weight"].shape == (1, 16, 1)
    assert evaluate(run, file)["score"] == 100.0
    capsys.readouterr()
    Path("pairs.jsonl").write_text(
        '{"one": "h a", "two": "b"}\n{"one": "b", "two": "h a"}\n'
    )
    arguments = ["predict", "--prompt", str(file), "--input", "pairs.jsonl"]
    assert main([*arguments, "--scores"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first, second = (json.loads(line) for line in lines if line.startswith("{"))
    assert [first["prediction"], second["prediction"]] == ["0", "1"]
    # A text's score does not depend on where it stands.
    shares = [one["probabilities"] for one in (first, second)]
    assert shares[0]["0"] == pytest.approx(shares[1]["1"], abs=1e-5)
    assert sum(shares[0].values()) == pytest.approx(1, abs=1e-5)


def test_a_masked_lm_head_chooses_a_label_word_behind_a_prompt(capsys):
    words = dataclasses.replace(
        RUN.data.task, inputs="{text} {mask:1}", labels={"0": "g", "1": "h"}
    )
    run = dataclasses.replace(
        RUN,
        trains="prompt",
        head=HeadStart(kind="mask"),
        data=dataclasses.replace(RUN.data, task=words),
    )
    assert train(run, Path("mask"))["trains"] == "prompt"
    assert load_head("mask/prompt.safetensors") == {}
    capsys.readouterr()
    Path("masked.jsonl").write_text('{"text": "b"}\n')
    arguments = ["predict", "--prompt", "mask/prompt.safetensors", "--scores"]
    assert main([*arguments, "--input", "masked.jsonl"]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("{"))
    answer = json.loads(line)
    shares = answer["probabilities"]
    assert shares[answer["prediction"]] == max(shares.values())
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    for changes, message in (
        (
            {"inputs": "{text}"},
            "whose texts have no mask: put {mask:1} into its inputs",
        ),
        ({"labels": {"0": "a b", "1": "h"}}, "label word 'a b' .* is 2 tokens, but a"),
    ):
        data = Data(task=dataclasses.replace(words, **changes))
        with pytest.raises(ValueError, match=message):
            train(dataclasses.replace(run, data=data), Path("refused"))


def test_a_head_is_not_left_behind_where_only_prompts_are_taken(trained, tmp_path):
    del trained
    file = Path("both/prompt.safetensors")
    with pytest.raises(ValueError, match=r"form peft takes a prompt alone, .* classes"):
        export_prompt([file], tmp_path / "out", form="peft")


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_a_head_alone_reads_a_t5_too(pooling):
    run = dataclasses.replace(
        RUN,
        trains="head",
        model=Model(name="t5"),
        head=HeadStart(kind="classes", pooling=pooling),
    )
    folder = Path(f"probe-{pooling}")
    score = train(run, folder)["score"]
    assert score > 60
    assert evaluate(run, folder / "prompt.safetensors")["score"] == score
    prompt, provenance = load_prompt(folder / "prompt.safetensors")
    assert prompt.is_empty
    assert provenance.init == ""
    assert load_head(folder / "prompt.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trains": "prompt"}, "'prompt', but the head of classes starts with random"),
        ({"head": HeadStart()}, "'prompt.head', but a head of words has no weights"),
        (
            {"head": HeadStart(), "trains": "prompt"},
            "bert is an encoder: it writes no words, so give it a head, as --gin.HEAD",
        ),
        (
            {"model": Model(name="t5"), "prompt": PromptStart(init="normal")},
            "t5 has no pooler that could be kept as it is: use --gin.HeadStart.pooler",
        ),
        (
            {"head": HeadStart(kind="tags")},
            "a head of tags for task own, whose answers are words, mask or classes",
        ),
    ],
)
def test_heads_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        train(dataclasses.replace(RUN, **changes), Path("refused"))
    assert not Path("refused").exists()


FULL = dataclasses.replace(
    RUN,
    trains="model+head",
    prompt=PromptStart(),
    optimizer=Optimizer(kind="adamw", learning_rate=0.01, weight_decay=0.0),
)


@pytest.fixture(scope="module")
def tuned() -> dict:
    return train(FULL, Path("full"))


def test_a_model_and_its_head_train_and_answer_from_their_folder(tuned, capsys):
    assert (tuned["score"], tuned["trains"]) == (100.0, "model+head")
    file = Path("full/prompt.safetensors")
    prompt, provenance = load_prompt(file)
    assert (prompt.is_empty, provenance.backbone) == (True, "model")
    (_, before), (_, after) = load("bert"), load("full/model")
    for path, leaf in jax.tree.leaves_with_path(before):
        name = jax.tree_util.keystr(path)
        other = after
        for key in path:
            other = other[key.key]
        # No word is asked for.
        assert np.array_equal(leaf, other) == ("fill" in name), name
    assert np.abs(load_head(file)["bias"]).min() > 0
    # A run that was killed before it told its result writes its model again.
    whole = Path("full/model/model.safetensors").read_bytes()
    Path("full/result.json").unlink()
    Path("full/model/model.safetensors").write_bytes(b"of another run")
    assert train(FULL, Path("full"))["score"] == 100.0
    assert Path("full/model/model.safetensors").read_bytes() == whole
    capsys.readouterr()
    said = answering_run(provenance.answering, "")
    scored = dataclasses.replace(said.data.task, files=FULL.data.task.files)
    data = dataclasses.replace(said.data, task=scored)
    again = evaluate(dataclasses.replace(said, data=data), file)
    assert (again["score"], again["backbone"]) == (100.0, "model")
    # The model that it was trained from is not here, and this one is not untuned.
    assert "untuned" not in again
    assert "untuned" not in capsys.readouterr().out
    Path("asked.jsonl").write_text('{"text": "b"}\n{"text": "c"}\n')
    predict({file: said}, source="asked.jsonl", output="tuned.jsonl")
    answers = map(json.loads, Path("tuned.jsonl").read_text().splitlines())
    assert [answer["prediction"] for answer in answers] == ["a yes", "no"]


def test_a_killed_full_tuning_resumes_to_the_same_bytes(tuned, tmp_path):
    del tuned
    # The paths of a run are in its files, so it is resumed where it was.
    shutil.copytree("full", tmp_path / "full")
    shutil.rmtree("full/model")
    shutil.rmtree("full/checkpoints/40")
    assert Path("full/checkpoints/20").is_dir()
    for name in ("result.json", "prompt.safetensors"):
        Path("full", name).unlink()
    train(FULL, Path("full"))
    for name in ("model/model.safetensors", "prompt.safetensors"):
        assert (
            Path("full", name).read_bytes() == (tmp_path / "full" / name).read_bytes()
        )


THREE = {"0": "no", "1": "a yes", "2": "maybe"}
"""Labels of a task that has one more than the other."""


def shared_run(**changes) -> Run:
    first = RUN.data.task
    second = dataclasses.replace(first, name="other", labels=THREE)
    group = TaskGroup(name="both", own=[first, second])
    prompt = PromptStart(
        length=0, deep={"encoder": 2}, stddev=0.5, reparametrise="shared", **changes
    )
    data = dataclasses.replace(RUN.data, task=group)
    # Of its best step each task has its own; here all are of the last.
    pace = Pace(steps=40, evaluate_every=0, log_every=20)
    return dataclasses.replace(RUN, data=data, prompt=prompt, pace=pace)


@pytest.fixture(scope="module")
def shared() -> dict:
    return train(shared_run(mixing="size", temperature=2.0), Path("shared"))


def test_tasks_share_a_prompt_and_have_a_head_each(shared):
    assert [member["score"] for member in shared["members"]] == [100.0, 100.0]
    files = [Path(f"shared/prompts/{name}-0.safetensors") for name in ("own", "other")]
    assert [load_head(file)["weight"].shape for file in files] == [
        (1, 16, 2),
        (1, 16, 3),
    ]
    one, other = (load_prompt(file)[0].deep["encoder"] for file in files)
    np.testing.assert_array_equal(one.keys, other.keys)
    data = dataclasses.replace(RUN.data, task=shared_run().data.task.own[1])
    alone = dataclasses.replace(RUN, data=data)
    assert evaluate(alone, files[1])["score"] == 100.0


def test_what_would_be_ignored_is_refused():
    run = shared_run()
    other = dataclasses.replace(run, optimizer=Optimizer(kind="adafactor"))
    with pytest.raises(
        ValueError, match=r"heads of 2, 3 labels in one bank with 'adaf"
    ):
        train(other, Path("refused"))
    assert not Path("refused").exists()
    with pytest.raises(ValueError, match="only 'shared' weighs its tasks"):
        dataclasses.replace(run.prompt, mixing="size", reparametrise="none")
    with pytest.raises(
        ValueError, match="'mlp', whose network starts at random, so th"
    ):
        dataclasses.replace(run.prompt, init="file", file="f", reparametrise="mlp")
    with pytest.raises(ValueError, match="patience 2, but nothing is evaluated: set"):
        Pace(steps=4, evaluate_every=0, patience=2)


def test_a_task_goes_on_alone_from_the_shared_prompt_and_its_head(shared):
    del shared
    file = "shared/prompts/own-0.safetensors"
    start = PromptStart(length=0, deep={"encoder": 2}, init="file", file=file)
    run = dataclasses.replace(
        RUN,
        prompt=start,
        head=dataclasses.replace(RUN.head, file=file),
        optimizer=Optimizer(kind="adamw", learning_rate=1e-12),
        pace=Pace(steps=1),
    )
    assert train(run, Path("alone"))["score"] == 100.0
    for name, leaf in load_head(file).items():
        again = load_head("alone/prompt.safetensors")[name]
        np.testing.assert_allclose(again, leaf, atol=1e-6)
    gone = dataclasses.replace(run, head=dataclasses.replace(run.head, file="gone"))
    assert evaluate(gone, Path("alone/prompt.safetensors"))["score"] == 100.0
    other = "shared/prompts/other-0.safetensors"
    wrong = dataclasses.replace(run.head, file=other)
    with pytest.raises(
        ValueError, match=r"HeadStart.file shared/prompts/other-0.* for task own: heads"
    ):
        train(dataclasses.replace(run, head=wrong), Path("refused"))
    # The same labels in another order would answer each other's rows.
    turned = dataclasses.replace(run.data.task, labels={"1": "a yes", "0": "no"})
    data = dataclasses.replace(run.data, task=turned)
    with pytest.raises(ValueError, match=r"columns are no, a yes, .* are a yes, no:"):
        train(dataclasses.replace(run, data=data), Path("refused"))


def test_a_tuned_model_has_one_head():
    data = shared_run().data
    with pytest.raises(ValueError, match="on 2 tasks: a tuned model has one head"):
        dataclasses.replace(RUN, data=data, trains="model+head")
