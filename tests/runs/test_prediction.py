"""`jaxprompt predict` on tables, and on rows with a user's own column names."""

import dataclasses
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import CONFIG, draw_prompt, make_tiny

from jaxprompt.bundled import resolve
from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.data.read.files import read_rows
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import save_prompt
from jaxprompt.runs.answering import told_once

TEXTS = ["a fine film", 'he said "no, never"', "one line\nand another"]


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random T5, and two prompts of a task over "text" and "prompt"."""
    folder = tmp_path_factory.mktemp("prediction")
    nano = Path(resolve("bundled:nano")) / "spiece.model"
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=6144))
    backbone = dataclasses.replace(tiny.backbone, vocabulary=str(nano))
    save(folder / "model", backbone, tiny.model)
    files = ["gin/runs/prompt_tuning.gin", "gin/tasks/own.gin"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, inputs in (
            ("one", "{text}"),
            ("two", "{text}"),
            ("mine", "{prompt}"),
        ):
            _, config = configure(
                files,
                [
                    "MODEL='model'",
                    "METHOD='rank'",
                    "BATCH_SIZE=8",
                    "INPUT_LENGTH=16",
                    f"OwnTask.inputs={inputs!r}",
                ],
            )
            save_prompt(
                f"{name}.safetensors",
                draw_prompt(len(name)),
                backbone,
                task="reviews",
                config=config,
            )
        yield


def predict(*flags: str) -> None:
    assert main(["predict", "--overwrite", *flags]) == 0


def write_jsonl(*rows: dict) -> None:
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_jsonl(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_tables_are_answered_as_json_lines_are(capsys: pytest.CaptureFixture[str]):
    write_jsonl(*({"text": text} for text in TEXTS))
    predict("--prompt=one.safetensors", "--input=asked.jsonl", "--output=said.jsonl")
    expected = read_jsonl("said.jsonl")
    predict("--prompt=one.safetensors", "--input=asked.jsonl", "--output=said.csv")
    assert [row.fields for row in read_rows("said.csv")] == expected
    # The table of answers is a table of rows, once their field has another name.
    table = ["--prompt=one.safetensors", "--input=said.csv", "--answer_field=again"]
    predict(*table, "--output=again.csv")
    assert [row.fields for row in read_rows("again.csv")] == [
        {**row, "again": row["prediction"]} for row in expected
    ]
    capsys.readouterr()
    predict(*table)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["again"] for row in printed] == [row["prediction"] for row in expected]
    Path("asked.tsv").write_text("text\tid\n" + 'he said "no, never"\t7\n')
    predict("--prompt=one.safetensors", "--input=asked.tsv", "--output=said.tsv")
    (row,) = read_rows("said.tsv")
    assert row.fields == {**expected[1], "id": "7"}


def test_rows_are_answered_in_blocks_as_they_are_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    texts = [*TEXTS, "a dull one", "rain"]
    write_jsonl(*({"text": text} for text in texts))
    one = ["--prompt=one.safetensors", "--input=asked.jsonl"]
    predict(*one, "--output=said.csv")
    together = Path("said.csv").read_bytes()
    monkeypatch.setattr("jaxprompt.runs.prediction.BLOCK", 2)
    predict(*one, "--output=blocks.csv")
    assert Path("blocks.csv").read_bytes() == together

    # Every row of a file is checked before the first is answered.
    with Path("asked.jsonl").open("a") as file:
        file.write('{"title": "no text"}\n')
    capsys.readouterr()
    assert main(["predict", *one]) == 1
    said = capsys.readouterr()
    assert (said.out, "asked.jsonl:6: " in said.err) == ("", True)
    # Of a stream, the rows before it are answered.
    stream = io.TextIOWrapper(io.BytesIO(Path("asked.jsonl").read_bytes()))
    monkeypatch.setattr("sys.stdin", stream)
    assert main(["predict", one[0], "--input=-"]) == 1
    said = capsys.readouterr()
    assert [json.loads(line)["text"] for line in said.out.splitlines()] == texts[:4]
    assert "standard input:6: " in said.err


def test_scores_are_fields_of_json_and_columns_of_tables():
    write_jsonl(*({"text": text} for text in TEXTS))
    asked = ["--prompt=one.safetensors", "--input=asked.jsonl"]
    predict(*asked, "--output=said.jsonl")
    plain = read_jsonl("said.jsonl")
    predict(*asked, "--scores", "--top_k=5", "--output=said.jsonl")
    scored = read_jsonl("said.jsonl")
    for row, scores in zip(plain, scored, strict=True):
        shares = scores["probabilities"]
        assert [*shares] == ["negative", "positive"]
        assert sum(shares.values()) == pytest.approx(1, abs=2e-6)
        best = sorted(shares.items(), key=lambda item: -item[1])
        assert scores["candidates"] == [
            {"prediction": label, "probability": share} for label, share in best
        ]
        assert row["prediction"] == scores["prediction"] == best[0][0]
    predict(*asked, "--scores", "--top_k=1", "--output=said.csv")
    for row, scores in zip(read_rows("said.csv"), scored, strict=True):
        shares, said = scores["probabilities"], scores["prediction"]
        assert row.fields == {
            "text": scores["text"],
            "prediction": said,
            "probabilities.negative": str(shares["negative"]),
            "probabilities.positive": str(shares["positive"]),
            "candidates.0.prediction": said,
            "candidates.0.probability": str(max(shares.values())),
        }
    # A table of scored rows cannot be scored once more under the same names.
    again = ["predict", asked[0], "--input=said.csv", "--answer_field=again"]
    assert main([*again, "--scores"]) == 1


def test_beam_search_gives_several_answers_with_their_probabilities():
    write_jsonl({"text": TEXTS[0]}, {"text": TEXTS[1]})
    asked = ["--prompt=one.safetensors", "--input=asked.jsonl", "--output=said.jsonl"]
    beams = ["--gin.METHOD='beam'", "--gin.Evaluation.beams=3", "--gin.TARGET_LENGTH=3"]
    predict(*asked, *beams, "--scores", "--top_k=3")
    for row in read_jsonl("said.jsonl"):
        best, *others = row["candidates"]
        assert best["prediction"] == row["prediction"]
        assert best["probability"] == row["probability"] > 0
        assert len(others) == 2
        assert sum(one["probability"] for one in row["candidates"]) <= 1
    predict(*asked, "--gin.METHOD='greedy'", "--scores", "--gin.TARGET_LENGTH=3")
    assert [*read_jsonl("said.jsonl")[0]] == ["text", "prediction", "probability"]


def test_an_answer_that_is_written_in_two_ways_is_told_once():
    found = told_once([("fine", 0.5), ("good", 0.25), ("fine", 0.125)])
    assert found == [
        {"prediction": "fine", "probability": 0.625},
        {"prediction": "good", "probability": 0.25},
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--gin.METHOD='greedy'", "--top_k=2"], "top_k 2 with method 'greedy' of 4 "
         "beams: decoding finds several answers by beam search, so use method 'beam'"),
        (["--gin.METHOD='beam'", "--top_k=9"], "--gin.Evaluation.beams=9"),
        (["--top_k=-1"], "top_k -1: use a number of answers"),
    ],
)  # fmt: skip
def test_answers_that_are_not_searched_for_are_refused(
    capsys: pytest.CaptureFixture[str], flags: list[str], message: str
):
    write_jsonl({"text": "a"})
    asked = ["predict", "--prompt=one.safetensors", "--input=asked.jsonl"]
    assert main([*asked, *flags]) == 1
    assert message in capsys.readouterr().err


def test_the_folder_of_a_bank_stands_for_its_prompts():
    bank = Path("bank/prompts")
    bank.mkdir(parents=True)
    for name in ("one", "two"):
        shutil.copy(f"{name}.safetensors", bank)
    write_jsonl(
        {"text": TEXTS[0], "prompt": "two"}, {"text": TEXTS[1], "prompt": "one"}
    )
    output = ["--input=asked.jsonl", "--output=said.jsonl"]
    predict("--prompt=bank/prompts", *output)
    expected = read_jsonl("said.jsonl")
    predict("--prompt=bank", *output)
    assert read_jsonl("said.jsonl") == expected


def test_a_column_may_be_called_prompt():
    write_jsonl({"prompt": "a fine film"}, {"prompt": "two"})
    one = ["--prompt=mine.safetensors", "--input=asked.jsonl", "--output=said.jsonl"]
    predict(*one)
    alone = read_jsonl("said.jsonl")
    assert [row["prompt"] for row in alone] == ["a fine film", "two"]
    # Of several prompts, another field can name a row's own.
    write_jsonl(*({"prompt": row["prompt"], "by": "mine"} for row in alone))
    predict(*one, "--prompt=two.safetensors", "--prompt_field=by")
    assert read_jsonl("said.jsonl") == [
        {"prompt": row["prompt"], "by": "mine", "prediction": row["prediction"]}
        for row in alone
    ]
    write_jsonl({"text": "a fine film", "prompt": "one"})
    predict(*one, "--prompt=one.safetensors", "--prompt=two.safetensors")
    assert read_jsonl("said.jsonl")[0]["prompt"] == "one"


@pytest.mark.parametrize(
    ("name", "content", "flags", "message"),
    [
        ("bad.csv", 'text\n"a\nb"\n"c', [], "bad.csv:4: not CSV: unexpected end of"),
        ("bad.csv", "text,n\na\n", [], "bad.csv:2: 1 columns, but the header has 2"),
        ("bad.tsv", "txt\na\n", [], "bad.tsv:2: no field 'text': the row has txt"),
        ("bad.csv", "text\n\nb\n", [], "bad.csv:2: blank line"),
        ("bad.csv", "", [], "bad.csv: no rows: the file is empty"),
        ("bad.csv", "text,prediction\na,b\n", [], "bad.csv:2: it has a field "
         "'prediction' already, which the answer would replace: name another for the "
         "answer by --answer_field"),
        ("bad.csv", "text\na\n", ["--scores", "--answer_field=probabilities"],
         "--answer_field 'probabilities' is what --scores or --top_k adds: name ano"),
        ("bad.csv", "text\na\n", ["--top_k=2", "--answer_field=candidates.0.answer"],
         "--answer_field 'candidates.0.answer' is what --scores or --top_k adds"),
        ("bad.csv", "text\na\n", ["--prompt_field=by"], "bad.csv:2: by is null: each "
         "row names its prompt, one of one"),
        ("bad.jsonl", '{"text": "a", "l": [1]}', ["--output=out.csv"], "bad.jsonl:1: "
         "field 'l' is [1]: use a text or a number"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(
    capsys: pytest.CaptureFixture[str], name, content, flags, message
):
    Path(name).write_text(content)
    asked = ["predict", "--prompt=one.safetensors", f"--input={name}", *flags]
    assert main(asked) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("out.csv").exists()
