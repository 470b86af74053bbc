"""A matrix of transfer: each cell is an evaluation of its own, and is scored once."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gguf_files import byte_pairs
from tiny import save_tiny

from jaxprompt.cli import main
from jaxprompt.config import (
    Data,
    Evaluation,
    HeadStart,
    Model,
    OwnSpans,
    OwnTask,
    Run,
)
from jaxprompt.config.answering import describe
from jaxprompt.heads.head import class_scores
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.models.families.llama import LlamaConfig
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.checkpoint import read_table
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.runs import evaluate
from jaxprompt.runs.transfer.matrix import KNOWN, score_matrix
from jaxprompt.runs.transfer.neurons import score_without
from jaxprompt.runs.transfer.projection import project_prompts
from jaxprompt.runs.transfer.similarity import compare
from jaxprompt.transfer.answering import label_words, pad_labels, score_classes
from jaxprompt.transfer.matrix import RANDOM, read_matrix

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]


def task(name: str, labels: dict[str, str], inputs: str) -> OwnTask:
    return OwnTask(
        name=name,
        files={"train": f"{name}.jsonl", "validation": f"{name}.jsonl"},
        inputs=inputs,
        target="label",
        labels=labels,
    )


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with two random BERTs, a random T5 and the rows of three tasks."""
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
    sizes: dict[str, Any] = {"heads": 2, "ffn_width": 24, "layers": 2, "positions": 32}
    draw = np.random.default_rng(0)
    for name, width in (("bert", 16), ("bert2", 24)):
        wide = {**sizes, "width": width}
        config = BertConfig(vocab_size=len(WORDS), **wide, fills=True)
        bert = Encoder(config, vocabulary=str(folder / "vocab.txt"))
        weights = jax.tree.map(
            lambda leaf: jnp.asarray(draw.normal(0.0, 0.5, leaf.shape), leaf.dtype),
            jax.eval_shape(bert.init, jax.random.key(0)),
        )
        save(folder / name, bert, weights)
    save_tiny(folder / "t5")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, classes in {"sst2": 2, "mnli": 3, "imdb": 2}.items():
            rows = [
                {"text": text, "label": str(n % classes)}
                for n, text in enumerate("abcdefgh")
            ]
            Path(f"{name}.jsonl").write_text(
                "".join(json.dumps(r) + "\n" for r in rows)
            )
        yield


def run_of(settings: OwnTask, model: str) -> Run:
    in_mask = model != "t5"
    return Run(
        model=Model(name=model),
        data=Data(task=settings, input_length=8, target_length=3),
        head=HeadStart(kind="mask" if in_mask else "words"),
        evaluation=Evaluation(batch_size=8, method="greedy" if in_mask else "rank"),
        batch_size=8,
    )


def runs_of(model: str) -> list[Any]:
    text = "{text} {mask:1}" if model != "t5" else "{text}"
    labels = {str(n): word for n, word in enumerate("gha")}
    two = {name: labels[name] for name in "01"}
    words = {"0": "good", "1": "a bad", "2": "it"} if model == "t5" else labels
    return [
        run_of(task("sst2", two, text), model),
        run_of(task("mnli", words, text), model),
        run_of(task("imdb", two, text), model),
    ]


def write_prompts(model: str, runs: list[Run]) -> list[Path]:
    backbone = open_backbone(find_checkpoint(model))
    draw, files = np.random.default_rng(1), []
    for run in runs:
        label = run.data.tasks[0].label
        file = Path(f"{model}-{label}.safetensors")
        rows = jnp.asarray(draw.normal(0.0, 3.0, (2, backbone.width)))
        save_prompt(
            file,
            make_prompt(rows),
            backbone,
            task=label,
            head=run.head.kind,
            seed=0,
            answering=describe(run),
        )
        files.append(file)
    return files


@pytest.mark.parametrize("model", ["bert", "t5"])
def test_cells_are_evaluations_and_are_scored_once(
    model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    runs = runs_of(model)
    files = write_prompts(model, runs)
    own = dict(zip(files, runs, strict=True))
    two = dict(list(own.items())[:2])
    # An option of JAX of its own, and no default: other tests would see it.
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        matrix = score_matrix(two, output=tmp_path / "m")
    lines = [line for line in caplog.messages if line.startswith("Compiling ")]
    compiled = [line for line in lines if "compiled" in line.split(" with ")[0]]
    assert len(compiled) == 1  # For both tasks, whose label words differ in number.
    assert matrix.targets == ("sst2", "mnli")
    assert matrix.sources == ("sst2", "mnli", RANDOM)
    for row, column in ((0, 0), (1, 0)):
        found = evaluate(runs[row], files[column])
        assert matrix.scores[row, column] == pytest.approx(found["score"])
    kept = read_matrix(tmp_path / "m" / "matrix.csv")
    np.testing.assert_array_equal(kept.scores, matrix.scores)
    page = (tmp_path / "m" / "report.html").read_text()
    assert "Above chance" in page
    assert "<svg" in page
    assert (tmp_path / "m" / "heatmap.png").read_bytes()[:4] == b"\x89PNG"

    # What is known stays as it is written, and only a row and a column are new.
    known = json.loads((tmp_path / "m" / KNOWN).read_text())
    for scores in known.values():
        scores["scores"] = dict.fromkeys(scores["scores"], -1.0)
    (tmp_path / "m" / KNOWN).write_text(json.dumps(known))
    more = score_matrix(own, output=tmp_path / "m", random=False)
    np.testing.assert_array_equal(more.scores[:2, :2], -1)
    assert (more.scores[2] >= 0).all()
    assert (more.scores[:2, 2] >= 0).all()


def test_classes_of_several_words_score_as_they_do_alone():
    words = np.log([[0.1, 0.3, 0.35, 0.25]]).astype(np.float32)
    counts = [2, 1, 1]
    for score in ("sum", "mean"):
        own = label_words([5, 6, 7, 8], counts, score)
        other = label_words([5, 6, 7, 8, 9], [1] * 5, "sum")
        padded, _ = pad_labels([own, other])
        found = np.asarray(score_classes(jnp.pad(words, ((0, 0), (0, 1))), padded))
        alone = class_scores(jnp.asarray(words), counts, score)
        np.testing.assert_allclose(found[:, :3], alone, rtol=1e-6)
        assert np.isneginf(found[:, 3:]).all()


def test_refusals_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = runs_of("bert")
    files = write_prompts("bert", runs)
    other = dataclasses.replace(
        runs[1], evaluation=dataclasses.replace(runs[1].evaluation, method="beam")
    )
    with pytest.raises(ValueError, match=r"do not run together: Evaluation.method"):
        score_matrix({files[0]: runs[0], files[1]: other}, output=tmp_path / "m")
    renamed = dataclasses.replace(runs[1].data.task, name="sst2")
    same = dataclasses.replace(
        runs[1], data=dataclasses.replace(runs[1].data, task=renamed)
    )
    with pytest.raises(ValueError, match=r"two tasks are called 'sst2' and are not"):
        score_matrix({files[0]: runs[0]}, [same], output=tmp_path / "m")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "report.html").write_text("mine")
    with pytest.raises(ValueError, match=r"theirs holds report.html, and no scores"):
        score_matrix({files[0]: runs[0]}, output=tmp_path / "theirs")
    assert not (tmp_path / "m").exists()

    asked = f"--gin.OwnTask.files={runs[0].data.task.files!r}"
    output = tmp_path / "one"
    command = ["transfer", "matrix", str(files[0]), f"--output={output}", asked]
    assert main(command) == 0
    assert f"wrote {output}: matrix.csv" in capsys.readouterr().out
    (output / KNOWN).write_text('{"a": 1}')
    assert main(command) == 1
    assert "holds no scores of a matrix: remove it" in capsys.readouterr().err


def test_a_head_goes_with_its_task(tmp_path: Path):
    settings: Any = dataclasses.replace(runs_of("bert")[0].data.task, inputs="{text}")
    run = dataclasses.replace(
        run_of(settings, "bert"),
        trains="prompt+head",
        head=HeadStart(kind="classes", pooler="none"),
    )
    backbone = open_backbone(find_checkpoint("bert"))
    draw, files = np.random.default_rng(2), []
    for name in ("sst2", "imdb"):
        file = tmp_path / f"{name}.safetensors"
        weights = {
            "weight": jnp.asarray(draw.normal(size=(1, 16, 2)), jnp.float32),
            "bias": jnp.zeros((1, 2)),
        }
        rows = jnp.asarray(draw.normal(0.0, 3.0, (2, 16)))
        save_prompt(
            *(file, make_prompt(rows), backbone),
            weights=weights,
            task=name,
            head="classes",
        )
        files.append(file)
    other: Any = dataclasses.replace(settings, name="imdb")
    imdb = dataclasses.replace(run, data=dataclasses.replace(run.data, task=other))
    matrix = score_matrix(
        dict(zip(files, [run, imdb], strict=True)), output=tmp_path / "m"
    )
    assert matrix.scores[1, 1] == pytest.approx(evaluate(imdb, files[1])["score"])
    third: Any = dataclasses.replace(settings, name="mnli")
    mnli = dataclasses.replace(run, data=dataclasses.replace(run.data, task=third))
    with pytest.raises(ValueError, match=r"'mnli' is answered by a head of classes"):
        score_matrix({files[0]: run}, [mnli], output=tmp_path / "n")
    assert not (tmp_path / "n").exists()


def test_prompts_are_mapped_to_another_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs, others = runs_of("bert"), runs_of("bert2")
    files, theirs = write_prompts("bert", runs), write_prompts("bert2", others)
    own = dict(zip(files, runs, strict=True))
    ways: dict[str, dict[str, Any]] = {
        "linear": {},
        "relative": {},
        "flat": {"towards": theirs, "train_on": ["sst2"]},
        "per_token": {"train_on": ["sst2", "imdb"]},
    }
    for by, options in ways.items():
        training: dict[str, Any] = {"steps": 3, "hidden_width": 4} | options
        made = project_prompts(own, "bert2", tmp_path / by, by=by, **training)
        assert [file.stem for file in made] == ["sst2", "mnli", "imdb"]
        for file in made:
            prompt, said = load_prompt(file)
            assert prompt.rows.shape == (1, 2, 24)
            known = load_prompt(theirs[0])[1]
            assert said.fingerprint == known.fingerprint
            assert said.source == f"mapped by {by} from a prompt of bert"
    told = capsys.readouterr().out
    assert "8 words are one token of bert and of bert2" in told
    assert "trained on sst2, imdb" in told
    assert "other type" in told  # mnli, which is neither's.
    # After three steps a network's soft tokens are about as long as words.
    words = np.concatenate([*read_table(find_checkpoint("bert2"))])
    long = np.linalg.norm(words, axis=-1).mean()
    assert f"soft tokens begin {long:.2f} long, as words of bert2 are" in told
    for by in ("flat", "per_token"):
        made = load_prompt(tmp_path / by / "sst2.safetensors")[0].rows
        assert np.linalg.norm(made, axis=-1).mean() == pytest.approx(long, rel=0.05)
    assert evaluate(others[1], tmp_path / "per_token/mnli.safetensors")["score"] >= 0

    # The same prompt twice, and one beside another.
    twice = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in twice:
        shutil.copy(files[0], file)
    for pair, cosine in ((twice, " 1.00 "), (files[:2], "")):
        project_prompts(dict.fromkeys(pair, runs[0]), "bert2", tmp_path / pair[1].stem)
        told = capsys.readouterr()
        assert cosine in told.out
        assert ("the mapped prompts are nearly one" in told.err) == bool(cosine)

    for options, message in {
        "by=best": r"unknown map 'best': use one of linear, relative, per_token, ",
        "train_on=qqp": r"no prompt of task 'qqp' to train on: .* sst2, mnli, imdb",
    }.items():
        name, value = options.split("=")
        given: dict[str, Any] = {name: [value] if name == "train_on" else value}
        with pytest.raises(ValueError, match=message):
            project_prompts(own, "bert2", tmp_path / "no", **given)
    # Before a model is opened, and anything trains.
    with pytest.raises(ValueError, match=r"one of the prompts that are to be mapped"):
        project_prompts(own, "no model", next(iter(own)).parent, by="per_token")
    with pytest.raises(FileNotFoundError, match=r"no folder .*/none for mapped: make"):
        project_prompts(own, "no model", tmp_path / "none/mapped", by="per_token")
    with pytest.raises(ValueError, match=r"are 16 wide, but bert2 is 24: name its own"):
        project_prompts(own, "bert2", tmp_path / "no", by="flat", towards=files)


def test_a_map_trains_alike_where_a_decoder_reads_its_prompts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of a decoder, and of batches of two tasks whose templates differ."""
    pieces, model = tmp_path / "pieces", tmp_path / "llama"
    pieces.mkdir()
    byte_pairs(300, ["<|endoftext|>"]).save(str(pieces / "tokenizer.json"))
    sizes: dict[str, Any] = {"heads": 2, "kv_heads": 1, "head_width": 8, "layers": 2}
    config = LlamaConfig(
        vocab_size=300, width=24, ffn_width=24, positions=64, theta=100.0, **sizes
    )
    llama, draw = Decoder(config, vocabulary=str(pieces)), np.random.default_rng(0)
    weights = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.5, leaf.shape), leaf.dtype),
        jax.eval_shape(llama.init, jax.random.key(0)),
    )
    save(model, llama, weights)
    (model / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}'
    )
    files = write_prompts("bert", runs_of("bert"))[:2]
    words = {"0": " no", "1": " yes"}
    texts = {"sst2": "{text}", "mnli": "say {text} once more"}
    runs = [
        run_of(task(name, words | {"2": " or"}, text), str(model))
        for name, text in texts.items()
    ]
    runs = [dataclasses.replace(run, head=HeadStart(kind="words")) for run in runs]
    found = {}
    for folds in (True, False):
        if not folds:
            module = "jaxprompt.runs.transfer.projection"
            monkeypatch.setattr(f"{module}.may_fold", lambda run: False)
        projected = tmp_path / str(folds)
        made = project_prompts(
            dict(zip(files, runs, strict=True)),
            *(str(model), projected),
            by="per_token",
            steps=4,
            learning_rate=1e-4,
            hidden_width=4,
        )
        found[folds] = [load_prompt(file)[0].rows for file in made]
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5),
        found[True],
        found[False],
    )


def test_a_prompt_of_spans_needs_another_task_on_another_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Words are no answers of its own task, so that no file would answer."""
    settings = OwnSpans(name="qa", files={"validation": "qa.jsonl"})
    run = dataclasses.replace(
        run_of(task("qa", {"0": "g", "1": "h"}, "{text}"), "bert"),
        trains="prompt+head",
        data=Data(task=settings),
        head=HeadStart(kind="spans"),
    )
    file, output = tmp_path / "qa.safetensors", tmp_path / "mapped"
    weights = {"weight": jnp.ones((1, 16, 2)), "bias": jnp.zeros((1, 2))}
    save_prompt(
        *(file, make_prompt(jnp.ones((2, 16))), open_backbone(find_checkpoint("bert"))),
        weights=weights,
        task="qa",
        head="spans",
        answering=describe(run),
    )
    command = ["transfer", "project", str(file), "--to=t5", f"--output={output}"]
    command += ["--gin.Run.trains=prompt", "--gin.HeadStart.kind=words"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "a head of words for task qa, whose answers are spans" in said
    assert "by a gin file behind --tasks" in said
    assert not output.exists()
    words = tmp_path / "words.gin"
    words.write_text(
        "TASK = @OwnTask()\nOwnTask.name = 'qa'\nOwnTask.target = 'label'\n"
        "OwnTask.files = {'validation': 'sst2.jsonl'}\nOwnTask.inputs = '{text}'\n"
    )
    assert main([*command, "--tasks", str(words)]) == 0
    assert load_prompt(output / "qa.safetensors")[1].head == "words"


def test_a_prompt_with_a_head_is_mapped_to_answer_by_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = runs_of("bert")[0]
    with_head = dataclasses.replace(
        run,
        trains="prompt+head",
        head=HeadStart(kind="classes", pooler="none"),
    )
    file = tmp_path / "sst2.safetensors"
    weights = {"weight": jnp.ones((1, 16, 2)), "bias": jnp.zeros((1, 2))}
    save_prompt(
        *(file, make_prompt(jnp.ones((2, 16))), open_backbone(find_checkpoint("bert"))),
        weights=weights,
        task="sst2",
        head="classes",
        answering=describe(with_head),
    )
    output, other = tmp_path / "mapped", Path("bert2").absolute()
    command = ["transfer", "project", str(file), f"--to={other}", f"--output={output}"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "answers by a head of classes, which belongs" in said
    assert "by a gin file behind --tasks" in said
    # What the other model cannot answer is told before a prompt is made.
    asked = ["--gin.Run.trains=prompt", "--gin.HeadStart.kind=words"]
    assert main([*command, *asked]) == 1
    assert "bert2 is an encoder, which writes no words" in capsys.readouterr().err
    t5 = ["transfer", "project", str(file), "--to=t5", f"--output={output}"]
    assert main([*t5, "--gin.Run.trains=prompt", "--gin.HeadStart.kind=mask"]) == 1
    said = capsys.readouterr().err
    assert "t5 has no masked-LM head, which a head of mask asks" in said
    assert "use --gin.HEAD=words" in said
    assert not output.exists()
    words = ["--gin.Run.trains=prompt", "--gin.HeadStart.kind=mask"]
    words.append(f"--gin.OwnTask.files={run.data.task.files!r}")
    assert main([*command, *words]) == 0
    made = output / "sst2.safetensors"
    assert load_prompt(made)[1].head == "mask"
    assert str(other) in load_prompt(made)[1].config
    # The mapped prompt's own file says how it answers, and where its rows are.
    scores = tmp_path / "scores.json"
    assert main(["evaluate", f"--prompt={made}", f"--output={scores}"]) == 0
    model = dataclasses.replace(run, model=Model(name="bert2"))
    assert json.loads(scores.read_text())["score"] == evaluate(model, made)["score"]


def test_each_prompt_takes_the_task_file_of_its_own_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    files = [str(file) for file in write_prompts("bert", runs_of("bert"))]
    asked = {}
    for name in ("sst2", "imdb", "qqp"):
        asked[name] = str(tmp_path / f"{name}.gin")
        Path(asked[name]).write_text(
            f"TASK = @OwnTask()\nOwnTask.name = '{name}'\n"
            f"OwnTask.files = {{'validation': '{name}.jsonl'}}\n"
            f"OwnTask.inputs = '{name[0]} {{text}} {{mask:1}}'\n"
        )
    output = tmp_path / "mapped"
    command = ["transfer", "project", *files, "--to=bert2", f"--output={output}"]
    for tasks, message in {
        ("imdb", "qqp"): "qqp.gin is of 'qqp', and no prompt is: there are those of ",
        ("imdb", "imdb"): "imdb.gin are both of 'imdb': name one",
    }.items():
        assert main([*command, "--tasks", *(asked[name] for name in tasks)]) == 1
        assert message in capsys.readouterr().err
    assert not output.exists()

    assert main([*command, "--tasks", asked["imdb"], asked["sst2"]]) == 0
    said = {file.stem: load_prompt(file)[1] for file in output.glob("*.safetensors")}
    inputs = {name: one.answering["task"]["inputs"] for name, one in said.items()}
    assert inputs == {
        "sst2": "s {text} {mask:1}",
        "mnli": "{text} {mask:1}",
        "imdb": "i {text} {mask:1}",
    }
    assert main(["evaluate", f"--prompt={output / 'sst2.safetensors'}"]) == 0


def test_a_local_model_is_found_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A prompt calls a model of a local folder by its name alone."""
    name = str(Path("bert").absolute())
    runs = [
        dataclasses.replace(run, model=Model(name=name)) for run in runs_of("bert")[:2]
    ]
    other = str(Path("bert2").absolute())
    files = [str(file.absolute()) for file in write_prompts("bert", runs)]
    monkeypatch.chdir(tmp_path)
    assert main(["transfer", "similarity", *files, "--neurons"]) == 0
    assert "ON" in capsys.readouterr().out
    command = ["transfer", "project", *files, f"--to={other}", "--output=mapped"]
    assert main(command) == 0
    command = ["transfer", "similarity", *files, "--gin.MODEL=bert"]
    assert main(command) == 1
    assert "add --neurons, or leave them out" in capsys.readouterr().err


def test_neurons_of_prompts_are_compared_and_switched_off(tmp_path: Path):
    runs = runs_of("bert")
    files = write_prompts("bert", runs)
    found = compare(files, neurons=True)
    assert {"C_concat", "ON"} <= {*found["means"]}
    assert all(0 <= pair["ON"] <= 1 for pair in found["pairs"])
    output = tmp_path / "off.json"
    scores = score_without(runs[0], files[0], share=0.5, output=output)
    assert scores["whole"] == pytest.approx(evaluate(runs[0], files[0])["score"])
    assert json.loads(output.read_text()) == scores
    with pytest.raises(ValueError, match=r"share 2 of the neurons"):
        score_without(runs[0], files[0], share=2)
