"""A prompt file's answers to an unlabelled split lie in the leaderboard's file."""

import dataclasses
import json
from pathlib import Path

import jax
import pytest

from jaxprompt.config import (
    Data,
    Evaluation,
    HeadStart,
    Model,
    OfficialTask,
    OwnTask,
    PromptStart,
    Run,
)
from jaxprompt.models.load import load
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.init import init_prompt
from jaxprompt.runs.prediction import predict
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.runs.submission import submit

NUM_ROWS = 11


@pytest.fixture(scope="module")
def prompt_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prompt for the bundled model, untrained."""
    backbone, model = load("bundled:nano")
    prompt = init_prompt(jax.random.key(0), backbone.table(model), length=2)
    path = tmp_path_factory.mktemp("prompt") / "p.safetensors"
    save_prompt(path, prompt, backbone, task="cb")
    return path


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA_DIR with nothing but CB's test file."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "CB").mkdir()
    rows = [
        {"premise": f"It rained on day {i}.", "hypothesis": "It was wet.", "idx": i + 7}
        for i in range(NUM_ROWS)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "CB" / "test.jsonl").write_text(lines)
    return folder


def make_run(data_dir: Path, method: str, **data) -> Run:
    words = {"entailment": "yes", "contradiction": "no", "neutral": "maybe"}
    task = OfficialTask(name="cb", data_dir=str(data_dir), label_words=words)
    return Run(
        model=Model(name="bundled:nano"),
        data=Data(**{"task": task, "input_length": 32, "target_length": 4, **data}),
        evaluation=Evaluation(method=method, batch_size=8),
        batch_size=8,
    )


def labels_in(file: Path) -> list[str]:
    return [json.loads(line)["label"] for line in file.read_text().splitlines()]


def predicted(run: Run, prompt: Path, data_dir: Path, folder: Path) -> list[str]:
    """What `predict` answers to the same rows, as CB's labels."""
    answers, source = folder / "answers.jsonl", data_dir / "CB" / "test.jsonl"
    predict({prompt: run}, source=str(source), output=str(answers))
    labels = {"yes": "entailment", "no": "contradiction", "maybe": "neutral"}
    rows = map(json.loads, answers.read_text().splitlines())
    return [labels[row["prediction"]] for row in rows]


def test_the_file_has_the_answers_of_predict(
    prompt_file: Path, data_dir: Path, tmp_path: Path, capsys
):
    run = make_run(data_dir, "rank")
    file = submit(run, prompt_file, output=tmp_path)
    assert file == tmp_path / "CB.jsonl"
    assert f"wrote {NUM_ROWS} answers to {file}\n" in capsys.readouterr().out
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["idx"] for row in rows] == list(range(7, 7 + NUM_ROWS))
    assert labels_in(file) == predicted(run, prompt_file, data_dir, tmp_path)


def test_the_answers_of_a_head_are_submitted_too(data_dir: Path, tmp_path: Path):
    run = dataclasses.replace(
        make_run(data_dir, "greedy"),
        trains="prompt+head",
        head=HeadStart(kind="classes", pooler="none"),
        prompt=PromptStart(length=2),
    )
    backbone, model = load("bundled:nano")
    prompt = init_prompt(jax.random.key(0), backbone.table(model), length=2)
    job = prepare(run, answered=("test",))
    head = tmp_path / "head.safetensors"
    save_prompt(head, prompt, backbone, weights=job.start_head(), task="cb")
    file = submit(run, head, output=tmp_path)
    assert labels_in(file) == predicted(run, head, data_dir, tmp_path)


def test_a_file_is_replaced_only_if_asked(
    prompt_file: Path, data_dir: Path, tmp_path: Path, capsys
):
    run = make_run(data_dir, "greedy")
    (tmp_path / "CB.jsonl").write_text("mine")
    with pytest.raises(ValueError, match=r"CB.jsonl exists: .* --overwrite"):
        submit(run, prompt_file, output=tmp_path)
    assert (tmp_path / "CB.jsonl").read_text() == "mine"
    submit(run, prompt_file, output=tmp_path, overwrite=True)
    assert len((tmp_path / "CB.jsonl").read_text().splitlines()) == NUM_ROWS
    # An untrained prompt writes anything: the file has labels all the same.
    assert "no answer of the task: they were replaced" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["CB.jsonl"]


def test_mistakes_before_any_work(prompt_file: Path, data_dir: Path, tmp_path: Path):
    run = make_run(data_dir, "greedy")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere: make it, or na"):
        submit(run, prompt_file, output=tmp_path / "nowhere")
    own = OwnTask(name="own", files="own.jsonl", inputs="{text}", target="label")
    with pytest.raises(ValueError, match="task 'own' has no leaderboard: give one of"):
        submit(make_run(data_dir, "greedy", task=own), prompt_file, output=tmp_path)
    with pytest.raises(ValueError, match="method 'loss' gives no answers"):
        submit(make_run(data_dir, "loss"), prompt_file, output=tmp_path)
    with pytest.raises(ValueError, match="no split 'dev' in task cb: it has test"):
        submit(run, prompt_file, split="dev", output=tmp_path)
    assert list(tmp_path.iterdir()) == []
