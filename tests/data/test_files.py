"""Malformed text files fail with file and line; well-formed ones keep every row."""

import io
from pathlib import Path

import pytest

from jaxprompt.data.read.files import Row, field_text, read_jsonl, read_rows


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path):
    path = write(tmp_path / "rows.tsv", "\ufefftext\tlabel\r\ngood tea\t1\r\n")
    assert [row.fields for row in read_rows(path)] == [
        {"text": "good tea", "label": "1"}
    ]


def test_tsv_keeps_quotes_spaces_and_unicode_line_ends(tmp_path: Path):
    path = write(tmp_path / "rows.tsv", 'text\n" half a quote \nhe said\u2028"no"\n')
    texts = [row.fields["text"] for row in read_rows(path)]
    assert texts == ['" half a quote ', 'he said\u2028"no"']


def test_csv_quotes_commas_and_line_ends(tmp_path: Path):
    path = write(tmp_path / "rows.csv", 'text,n\n"tea,\nor ""coffee""",1\nmilk,2\n')
    rows = read_rows(path)
    assert rows[0].fields == {"text": 'tea,\nor "coffee"', "n": "1"}
    assert rows[1].where == f"{path}:4"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", "x", r"unknown extension '.txt': use .jsonl, .csv or .tsv"),
        ("a.jsonl", "", r"a.jsonl: no rows: the file is empty"),
        ("a.tsv", "only\ta header\n", r"a.tsv: no rows"),
        ("a.jsonl", '{"x": 1}\n{"x": \n', r"a.jsonl:2: not JSON: .* at column"),
        ("a.jsonl", "[1]\n", r"a.jsonl:1: a JSON list, not an object"),
        ("a.jsonl", '{"x": 1}\n\n{"x": 2}\n', r"a.jsonl:2: blank line"),
        ("a.tsv", "x\ty\n1\t2\n3\n", r"a.tsv:3: 1 columns, but the header has 2: x, y"),
        ("a.csv", "x,y\n1,2,3\n", r"a.csv:2: 3 columns, but the header has 2"),
        ("a.csv", 'x,y\n1,2\n3,"4\n', r"a.csv:3: not CSV: unexpected end"),
        ("a.tsv", "x\tx\n1\t2\n", r"a.tsv:1: the header names x more than once"),
        ("a.tsv", b"x\nfine\nna\xefve\n", r"a.tsv:3: byte 0xef is not UTF-8: convert"),
    ],
)
def test_malformed_files(tmp_path: Path, name: str, data: str | bytes, message: str):
    with pytest.raises(ValueError, match=message):
        read_rows(write(tmp_path / name, data))


def test_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv: no such file"):
        read_rows(tmp_path / "nowhere.csv")
    write(tmp_path / "rows.csv", "a\n1\n")
    with pytest.raises(
        FileNotFoundError, match=r"row.csv: no such file: did you mean "
    ):
        read_rows(tmp_path / "row.csv")


def test_fields_as_text():
    (row,) = read_jsonl(io.StringIO('{"b": true, "n": 3, "t": "tea", "l": []}'), "here")
    assert [field_text(row, name) for name in "bnt"] == ["true", "3", "tea"]
    with pytest.raises(ValueError, match=r"here:1: field 'l' is \[\]: use a text or a"):
        field_text(row, "l")
    with pytest.raises(ValueError, match=r"here:1: no field 'x': the row has b, n, t"):
        field_text(row, "x")


def test_windows_1252_file_is_refused(shared: Path, tmp_path: Path):
    real = shared / "data" / "rotten_tomatoes" / "rt-polarity.pos"
    with pytest.raises(ValueError, match=r"rt.tsv:\d+: byte 0x.. is not UTF-8"):
        read_rows(write(tmp_path / "rt.tsv", real.read_bytes()))


def test_a_field_may_stand_within_another():
    row = Row("here:1", {"target": {"text": "it", "index": 3}, "a.b": "c"})
    assert field_text(row, "target.index") == "3"
    assert field_text(row, "a.b") == "c"
    with pytest.raises(ValueError, match="here:1: target: no field 'word': the row"):
        field_text(row, "target.word")
    with pytest.raises(ValueError, match=r"here:1: no field 'a[.]c': the row has"):
        field_text(row, "a.c")
