"""Question answering files that are absent or malformed: one line says where."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from jaxprompt.data.official.tasks import load_task


def test_files_that_are_not_there(tmp_path: Path, vocabulary):
    with pytest.raises(
        FileNotFoundError,
        match=r"no files of task squad .*looked for train-v1\.1\.json, dev-v1\.1\.json "
        r"in .*/squad, .*/SQuAD, ",
    ):
        load_task("squad", vocabulary=vocabulary, data_dir=tmp_path).check_split(
            "train"
        )
    with pytest.raises(FileNotFoundError, match=r"RACE\.jsonl\.gz, RACE\.jsonl in"):
        load_task("mrqa_race", vocabulary=vocabulary, data_dir=tmp_path).check_split(
            "test"
        )


def qas(**changes: object) -> dict[str, Any]:
    """A SQuAD file of one question, with some of its fields changed."""
    row = {"id": "q", "question": "Who?", "answers": [{"text": "a"}], **changes}
    kept = {name: value for name, value in row.items() if value != "absent"}
    return {"data": [{"paragraphs": [{"context": "a b", "qas": [kept]}]}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [', r"dev-v1.1.json: not JSON: .* line 1 column 11"),
        (b'{"data": "\xff"}', r"dev-v1.1.json: not JSON: byte 0xff is not UTF-8"),
        ("[1]", r"dev-v1.1.json: a JSON list, not an object"),
        ('{"rows": 1}', r"dev-v1.1.json: no field 'data': the row has rows"),
        ('{"data": [1]}', r"dev-v1.1.json: data\[0\] is 1: use an object"),
        ('{"data": []}', r"dev-v1.1.json: no questions"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}',
         r"json: data\[0\]: paragraphs\[0\]: no field 'context'"),
        (qas(question="absent"), r"qas\[0\]: no field 'question': the row has id"),
        (qas(answers=[]), r"qas\[0\]: no answers: .*SQuAD v2.0 may have none"),
        (qas(answers=["a"]), r"qas\[0\]: answers\[0\] is \"a\": use an object"),
        (qas(answers=[{}]), r"qas\[0\]: answers\[0\]: no field 'text'"),
        ({"data": qas()["data"] * 2}, r"dev-v1.1.json: 2 questions have the id 'q'"),
    ],
)  # fmt: skip
def test_malformed_squad(tmp_path: Path, vocabulary, content, message: str):
    if isinstance(content, dict):
        content = json.dumps(content)
    if isinstance(content, str):
        content = content.encode()
    (tmp_path / "dev-v1.1.json").write_bytes(content)
    task = load_task("squad", vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        task.num_examples("validation")


LINE = '{"context": "a b", "qas": [{"qid": "q", "question": "Who?", "answers": ["a"]}]}'
PACKED = gzip.compress(f"{LINE}\n".encode(), mtime=0)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("RACE.jsonl", b'{"header": {}}\n{oh\n', r"RACE.jsonl:2: not JSON"),
        ("RACE.jsonl", b'{"header": {}}\n{"context": "\xff"}\n', r"jsonl:2: not UTF-8"),
        ("RACE.jsonl", b'{"header": {}}\n', r"RACE.jsonl: no questions"),
        ("RACE.jsonl", b'{"context": "a", "qas": {}}', r"jsonl:1: qas is {}: use a"),
        ("RACE.jsonl", LINE.replace('"qid"', '"id"').encode(),
         r"RACE.jsonl:1: qas\[0\]: no field 'qid': the row has id, question"),
        ("RACE.jsonl", LINE.replace('["a"]', "[]").encode(), r"qas\[0\]: no answers"),
        ("RACE.jsonl", LINE.replace('["a"]', "[1]").encode(),
         r"RACE.jsonl:1: qas\[0\]: answers is \[1\]: use a list of texts"),
        ("RACE.jsonl", f"{LINE}\n{LINE}\n".encode(), r"2 questions have the id 'q'"),
        ("RACE.jsonl.gz", LINE.encode(), r"gz:1: cannot be unpacked .*Not a gzipped"),
        ("RACE.jsonl.gz", PACKED[:-8], r"gz:\d: cannot be unpacked .*download"),
    ],
)  # fmt: skip
def test_malformed_mrqa(tmp_path: Path, vocabulary, file: str, content, message: str):
    (tmp_path / file).write_bytes(content)
    task = load_task("mrqa_race", vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        task.num_examples("validation")
