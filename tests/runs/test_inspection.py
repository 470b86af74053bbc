"""Inspecting a prompt prints and writes what its file and its model tell of it."""

import dataclasses
import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.config import (
    Data,
    HeadStart,
    Model,
    OfficialTask,
    OwnTags,
    OwnTask,
    PromptStart,
    Run,
)
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import load
from jaxprompt.prompts.file import save_prompt, write_prompt
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.runs.inspection import inspect

TASK = OfficialTask(
    name="sst2",
    data_dir="nowhere",
    label_words={"negative": "bad", "positive": "good"},
)
RUN = Run(model=Model(name="bundled:nano"), data=Data(task=TASK))


@pytest.fixture(scope="module")
def nano():
    backbone, model = load("bundled:nano")
    return backbone, np.asarray(backbone.table(model))


@pytest.fixture(scope="module")
def rows(nano) -> tuple[np.ndarray, np.ndarray]:
    """An end and a start: both label words, one of them kept, and a garden."""
    backbone, table = nano
    start = table[load_vocabulary(backbone.vocabulary).encode("bad good garden")]
    return 2 * start[[0, 2, 2]], start


@pytest.fixture
def file(nano, rows, tmp_path: Path) -> Path:
    path = tmp_path / "prompt.safetensors"
    end, start = map(make_prompt, rows)
    details = {"task": "sst2", "init": "class_labels", "config": "SECRET = 1\n"}
    save_prompt(path, end, nano[0], start=start, **details)
    return path


def test_it_prints_provenance_every_token_and_a_summary(
    file: Path, rows, capsys: pytest.CaptureFixture[str]
):
    inspect(RUN, file, neighbours=3)
    printed = capsys.readouterr().out
    assert re.search(r"\| backbone +\| bundled:nano +\|", printed)
    assert re.search(r"\| init +\| class_labels +\|", printed)
    assert "SECRET" not in printed, "the configuration is long"
    header = next(line for line in printed.splitlines() if "soft token |" in line)
    assert [cell.strip() for cell in header.strip("| ").split("|")] == [
        "soft token",
        "norm",
        "cosine with start",
        "distance from start",
        "nearest words (cosine)",
    ]
    norm = np.linalg.norm(rows[0][0])
    line = rf"\| 0 +\| +{norm:.1f} \| 1\.00 +\| +{norm / 2:.1f} \| bad \(1\.00\), "
    assert re.search(line, printed)
    assert "label word 'bad' is near soft tokens 0" in printed
    assert "label words persisted: 1 of 2 soft tokens" in printed
    assert "soft tokens 1, 2 share 'garden' (2)" in printed


def test_the_file_holds_all_that_is_returned(file: Path, tmp_path: Path):
    output = tmp_path / "report.json"
    report = inspect(RUN, file, neighbours=2, metric="l2", output=output)
    assert json.loads(output.read_text()) == json.loads(json.dumps(report))
    assert report["provenance"]["config"] == "SECRET = 1\n"
    assert report["metric"] == "l2"
    assert [len(token["words"]) for token in report["tokens"]] == [2, 2, 2]
    first = report["tokens"][0]
    assert first["words"][0]["l2"] == pytest.approx(first["drift"]["distance"])
    assert report["vocabulary_norms"]["mean"] == pytest.approx(11.3, abs=0.1)

    with pytest.raises(ValueError, match=r"report\.json exists: .* --overwrite"):
        inspect(RUN, file, output=output)
    inspect(RUN, file, output=output, overwrite=True)
    assert json.loads(output.read_text())["metric"] == "cosine"


def test_label_words_are_the_tasks_without_its_files_or_those_asked_for(file: Path):
    def words(run: Run, **options) -> list[str]:
        report = inspect(run, file, neighbours=1, **options)
        return [label["word"] for label in report["label_words"]]

    def run_of(task, start: PromptStart | None = None) -> Run:
        data = dataclasses.replace(RUN.data, task=task)
        return dataclasses.replace(RUN, data=data, prompt=start or RUN.prompt)

    assert words(RUN) == ["bad", "good"]
    plain = dataclasses.replace(TASK, label_words=None)
    assert words(run_of(plain)) == ["negative", "positive"]
    own = OwnTask(name="own", labels={"0": "poor", "1": "fine", "2": "poor"})
    assert words(run_of(own)) == ["poor", "fine"]
    start = PromptStart(words=["film", "good"])
    assert words(run_of(TASK, start)) == ["film", "good", "bad"]
    assert words(run_of(None)) == []
    assert words(RUN, label_words=["garden"]) == ["garden"]


def test_a_file_without_its_start_tells_no_drift_but_class_labels_are_in_order(
    nano, rows, file: Path, capsys: pytest.CaptureFixture[str]
):
    def started(init: str) -> list[tuple[int, ...]]:
        save_prompt(file, make_prompt(rows[0]), nano[0], task="sst2", init=init)
        report = inspect(RUN, file)
        assert [token["drift"] for token in report["tokens"]] == [None] * 3
        return [label["started"] for label in report["label_words"]]

    assert started("class_labels") == [(0,), (1,)]
    assert started("vocabulary") == [(), ()]
    assert "distance from" not in capsys.readouterr().out


def test_without_the_model_it_tells_what_the_file_does(
    rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "prompt.safetensors"
    end, start = map(make_prompt, rows)
    far = Provenance(
        backbone="./far-away", revision=None, fingerprint="ab", length=3, width=128
    )
    write_prompt(path, end, far, start=start)
    with pytest.raises(
        FileNotFoundError, match=r"no model folder at \./far-away; --without_model"
    ):
        inspect(Run(), path)
    capsys.readouterr()
    report = inspect(Run(), path, without_model=True)
    printed = capsys.readouterr().out
    assert "nearest words" not in printed
    assert re.search(rf"\| 1 +\| +{np.linalg.norm(end.rows[0, 1]):.1f} \|", printed)
    assert report["tokens"][0]["drift"]["cosine"] == pytest.approx(1)
    assert report["vocabulary_norms"] is None


def save_head(path: Path, head: str, *, deep: bool = False, **weights) -> Path:
    """Writes a file with a head for the tags of PER and LOC."""
    keys = jnp.ones((1, 2, 3, 4, 4))
    prompt = make_prompt(np.zeros((0, 16)), {"encoder": make_deep(keys[0], keys[0])})
    said = Provenance(
        backbone="bert", revision=None, fingerprint="ab", length=0, width=16, head=head
    )
    arrays = {"weight": np.ones((1, 16, 5)), "bias": np.ones((1, 5)), **weights}
    none = make_prompt(np.zeros((0, 16)))
    write_prompt(path, prompt if deep else none, said, weights=arrays)
    return path


def test_the_head_of_a_file_is_told(tmp_path: Path, capsys):
    task = OwnTags(name="ner", kinds=["PER", "LOC"])
    run = Run(trains="head", data=Data(task=task), head=HeadStart(kind="tags"))
    inspect(run, save_head(tmp_path / "deep", "tags", deep=True), without_model=True)
    printed = capsys.readouterr().out
    assert "| tags: a linear layer chooses a label for each word; [16, 5] " in printed
    assert "words tagged with spans of PER, LOC " in printed
    assert "no soft tokens to read: the prompt is 3 keys and values" in printed
    own = {"weight": np.ones((1, 16, 16)), "bias": np.ones((1, 16))}
    inspect(run, save_head(tmp_path / "head", "tags", pooler=own), without_model=True)
    printed = capsys.readouterr().out
    assert "[16, 5], behind a pooler that was trained " in printed
    assert "no soft tokens to read: the file holds a head alone" in printed


def test_a_file_that_names_another_head_is_damaged(tmp_path: Path):
    for head in ("words", "taggs"):
        file = save_head(tmp_path / head, head)
        with pytest.raises(
            ValueError, match=rf"not those of a head of '{head}', which"
        ):
            inspect(Run(), file, without_model=True)


def test_mistakes_are_told(file: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"unknown metric 'l1': use one of \['cosine'"):
        inspect(RUN, file, metric="l1")
    with pytest.raises(ValueError, match=r"6001 neighbours .* use 1 to 5997"):
        inspect(RUN, file, neighbours=6001)
    with pytest.raises(ValueError, match=r"no folder .*none for r\.json"):
        inspect(RUN, file, output=tmp_path / "none" / "r.json")
