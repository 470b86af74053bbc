"""Answers as JSON lines and tables, which come back as they were written."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxprompt.data.read.answered import check_writable, write_answers
from jaxprompt.data.read.files import Row, read_rows

STRANGE = ['a "quoted" word', "two\nlines", "a\rb", "tab\there", "", " ", "é, ü", "'"]


def rows(*fields: dict) -> list[Row]:
    return [Row(f"asked:{line}", row) for line, row in enumerate(fields, start=1)]


def check_all(asked: list[Row], suffix: str) -> None:
    for row in asked:
        check_writable(row, asked[0], suffix)


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
@example([(text, text) for text in STRANGE])
def test_a_csv_is_read_as_it_was_written(tmp_path_factory, pairs):
    # Half a character is no text, and no JSON or UTF-8 file holds it.
    pairs = [tuple(t.encode(errors="ignore").decode() for t in p) for p in pairs]
    asked = rows(*({"text": text} for text, _ in pairs))
    answers = [answer for _, answer in pairs]
    check_all(asked, ".csv")
    written = write_answers(asked, answers, "prediction", ".csv")
    path = tmp_path_factory.mktemp("csv") / "said.csv"
    path.write_bytes(written.text.encode())
    found = [(row.fields["text"], row.fields["prediction"]) for row in read_rows(path)]
    assert found == pairs
    assert written.changed == 0


def test_a_tsv_has_spaces_for_what_it_cannot_hold(tmp_path: Path):
    asked = rows({"text": 'say "tea"', "n": 3}, {"text": "", "n": True})
    check_all(asked, ".tsv")
    written = write_answers(asked, ["a\tb\nc", "fine"], "said", ".tsv")
    assert written.text == 'text\tn\tsaid\nsay "tea"\t3\ta b c\n\ttrue\tfine\n'
    assert written.changed == 1
    path = tmp_path / "said.tsv"
    path.write_text(written.text)
    assert [row.fields["said"] for row in read_rows(path)] == ["a b c", "fine"]


def test_json_lines_keep_every_value():
    asked = rows({"a": [1, {"b": None}], "t": "\t\n"})
    check_all(asked, ".jsonl")
    text, changed = write_answers(asked, ["x\ty"], "said", ".jsonl")
    assert json.loads(text) == {"a": [1, {"b": None}], "t": "\t\n", "said": "x\ty"}
    assert (text.count("\n"), changed) == (1, 0)


@pytest.mark.parametrize(
    ("suffix", "fields", "message"),
    [
        (".csv", [{"a": "x"}, {"b": "x"}], r"asked:2: the fields are b, but those of "
         r"asked:1 are a: a \.csv has the same columns"),
        (".csv", [{"a": ["x"]}], r"asked:1: field 'a' is \[\"x\"\]: use a text"),
        (".tsv", [{"a": None}], "asked:1: field 'a' is null"),
        (".tsv", [{"a": "x"}, {"a": "x\ty"}], "asked:2: field 'a' holds a tab or a li"),
        (".tsv", [{"a\nb": "x"}], r"asked:1: the field 'a\\nb' has a tab or a"),
    ],
)  # fmt: skip
def test_what_a_table_cannot_hold_is_told(suffix: str, fields: list, message: str):
    with pytest.raises(ValueError, match=message):
        check_all(rows(*fields), suffix)
