"""`jaxprompt predict`: as many rows out as in, in order, whatever they hold."""

import json
import re
from pathlib import Path

import jax
import make_skills
import pytest
from amounts import examples
from hostile_input import STRANGE, json_values, texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.models.load import load
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.init import init_prompt
from jaxprompt.runs import predict

FILES = ["gin/runs/prompt_tuning.gin", "gin/recipes/quickstart/skill.gin"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a barely trained T5, and a random prompt of it."""
    folder = tmp_path_factory.mktemp("hostile")
    made = folder / "build" / "skills"
    make_skills.make_skills(made, steps=2)
    backbone, params = load(made / "backbone")
    table = backbone.table(params)
    prompt = init_prompt(jax.random.key(0), table, length=8, method="vocabulary")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _, config = configure(FILES, [])
        save_prompt("p.safetensors", prompt, backbone, task="last", config=config)
    return folder


@pytest.fixture
def at_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def answer(rows: list[dict], end: str = "\n", mark: str = "") -> list[dict]:
    """Answers rows from one file to another, as the command does."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    Path("asked.jsonl").write_bytes((mark + end.join(lines)).encode())
    run, _ = configure(FILES, [])
    predict(
        {Path("p.safetensors"): run},
        source="asked.jsonl",
        output="said.jsonl",
        overwrite=True,
    )
    said = Path("said.jsonl").read_bytes().decode().split("\n")
    assert said.pop() == ""
    return [json.loads(line) for line in said]


extra = st.dictionaries(
    st.text(max_size=6).filter(lambda name: name not in ("text", "prediction")),
    json_values,
    max_size=3,
)


@given(
    rows=st.lists(st.tuples(texts, extra), max_size=40),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
@example(rows=[(text, {"id": text}) for text in STRANGE], end="\r\n", mark="\ufeff")
@example(rows=[("a or b : a b .", {})] * 70, end="\n", mark="")
@example(rows=[], end="\n", mark="")
@settings(max_examples=examples(3))
def test_rows_in_are_rows_out(at_folder: Path, rows, end, mark):
    asked = [{**more, "text": text} for text, more in rows]
    said = answer(asked, end, mark)
    assert len(said) == len(asked)
    for row, answered in zip(asked, said, strict=True):
        assert isinstance(answered.pop("prediction"), str)
        assert list(answered.items()) == list(row.items())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a", "text": "b"}', "the key 'text' stands twice"),
        (b'{"text": "\\ud800"}', "half a character"),
        (b'{"text": "a", "n": NaN}', "NaN is no number of JSON"),
        (b'{"text": "caf\xe9"}', "byte 0xe9 is not UTF-8"),
        (b'{"text": ' + b"[" * 100_000, "more than 100 levels"),
        (b'{"text": null}', "field 'text' is null"),
        (b'{"inputs": ["a"]}', "field 'inputs' is"),
        (b"", "blank line"),
    ],
)
def test_a_row_that_cannot_be_answered_leaves_nothing_behind(
    at_folder: Path, capsys, line: bytes, message: str
):
    sound = b'{"text": "a or b : a b ."}'
    Path("asked.jsonl").write_bytes(b"\n".join([sound, line, sound]))
    Path("said.jsonl").unlink(missing_ok=True)
    asked = ["predict", "--prompt=p.safetensors", "--input=asked.jsonl"]
    assert main([*asked, "--output=said.jsonl"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert re.search(r"asked\.jsonl:2: |line 2: ", error)
    assert error.count("\n") == 1
    assert not Path("said.jsonl").exists()
