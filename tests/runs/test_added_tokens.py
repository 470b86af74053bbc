"""A model whose vocabulary has outgrown its table opens, and refuses what it lacks."""

import json
import shutil
from pathlib import Path

import pytest

from jaxprompt.bundled import resolve
from jaxprompt.cli import main
from jaxprompt.models.load import find_checkpoint
from jaxprompt.runs.ready.frozen import vocabulary_of

ROWS = 6144
LACKS = f"token '<new>' of id {ROWS}, but the model's embedding table has {ROWS} rows"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nano with a token more, as `tokenizer.add_tokens` alone leaves a model."""
    folder = tmp_path_factory.mktemp("grown") / "nano"
    shutil.copytree(resolve("bundled:nano"), folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<new>": ROWS}))
    return folder


def test_it_opens_with_a_note(grown: Path, capsys: pytest.CaptureFixture[str]):
    vocabulary = vocabulary_of(find_checkpoint(grown))
    assert vocabulary.decode(vocabulary.encode("a good film")) == "a good film"
    note = "nano: tokens of the vocabulary without a row in the model's embedding table"
    assert f"{note}: 1 ('<new>')" in capsys.readouterr().err
    vocabulary_of(find_checkpoint("bundled:nano"))
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("inputs", "flag"),
    [
        ("a <new> film", ""),
        ("a film", "--gin.OwnTask.labels={'0': 'bad<new>', '1': 'good'}"),
    ],
)
def test_a_text_or_a_label_word_with_the_token_is_refused_before_anything(
    grown: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    inputs: str,
    flag: str,
):
    rows = [{"text": inputs, "label": number % 2} for number in range(40)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(lines)
    task = tmp_path / "task.gin"
    task.write_text(
        "TASK = @OwnTask()\n"
        "OwnTask.name = 'own'\n"
        f"OwnTask.files = {str(tmp_path / 'rows.jsonl')!r}\n"
        "OwnTask.share = {'train': 0.5, 'validation': 0.5}\n"
        "OwnTask.inputs = '{text}'\n"
        "OwnTask.target = 'label'\n"
        "OwnTask.labels = {'0': 'bad', '1': 'good'}\n"
    )
    code = main(
        [
            "train",
            "--gin_file=gin/runs/prompt_tuning.gin",
            f"--gin_file={task}",
            f"--gin.MODEL={str(grown)!r}",
            "--gin.INPUT_LENGTH=8",
            "--gin.TARGET_LENGTH=8",
            f"--workdir={tmp_path / 'run'}",
            *([flag] if flag else []),
        ]
    )
    assert code == 1
    assert LACKS in capsys.readouterr().err
