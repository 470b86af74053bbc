"""Rows of files, whatever they hold: every one, once and unchanged, or one error."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from amounts import examples
from hostile_input import LONG, STRANGE, json_values, one_error, texts
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jaxprompt.data.read.documents import Documents
from jaxprompt.data.read.files import read_rows
from jaxprompt.data.rows.requests import read_jsonl

line_ends = st.sampled_from(["\n", "\r\n", "\r"])
marks = st.sampled_from(["", "\ufeff"])


def read(path: Path, content: bytes) -> list[dict] | None:
    path.write_bytes(content)
    rows = one_error(lambda: read_rows(path), path)
    return None if rows is None else [row.fields for row in rows]


def failing_line(path: Path) -> int:
    with pytest.raises(ValueError, match=re.escape(str(path)) + r":\d+: ") as caught:
        read_rows(path)
    return int(str(caught.value).removeprefix(f"{path}:").split(":")[0])


@given(
    rows=st.lists(
        st.dictionaries(texts, json_values | texts, max_size=4), min_size=1, max_size=6
    ),
    escape=st.booleans(),
    end=line_ends,
    mark=marks,
    last=st.booleans(),
)
@example(
    rows=[{"text": x} for x in STRANGE], escape=False, end="\n", mark="", last=True
)
@example(
    rows=[{x: "text"} for x in STRANGE], escape=True, end="\r\n", mark="", last=False
)
@example(rows=[{"n": 10**4000}, {"n": -0.0}], escape=True, end="\n", mark="", last=True)
@settings(max_examples=examples(100))
def test_jsonl_rows_come_back(tmp_path: Path, rows, escape, end, mark, last):
    text = end.join(json.dumps(row, ensure_ascii=escape) for row in rows)
    content = f"{mark}{text}{end if last else ''}".encode()
    assert read(tmp_path / "rows.jsonl", content) == rows
    # The same bytes as requests, on a stream that was opened in any encoding.
    for encoding in ("utf-8", "latin-1", "ascii"):
        stream = io.TextIOWrapper(io.BytesIO(content), encoding)
        assert list(read_jsonl(stream, "standard input")) == rows


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a", "text": "b"}',
        '{"deep": [{"text": "a", "text": "b"}]}',
        '{"n": NaN}',
        '{"n": [-Infinity]}',
        '{"n": 1e999}',
        '{"n": ' + "1" * 5000 + "}",
        '{"n": ' + "[" * 100_000,
        '{"n": ' + "[" * 101 + "]" * 101 + "}",
        '{"n":' * 5000 + "0" + "}" * 5000,
        '{"text": "\\ud800"}',
        '{"\\uDFFF": "text"}',
        '{"text": "\\udc00\\ud800"}',
        '{"text": "raw \0"}',
        "\ufeff\ufeff{}",
        '{"text": "a"} {"text": "b"}',
        '"text"',
        "null",
        "",
        "\u2028",
        "{'text': 'a'}",
        '{"text": "a",}',
    ],
    ids=lambda line: ascii(line[:16]),
)
def test_a_jsonl_line_that_means_no_one_thing(tmp_path: Path, line: str):
    path = tmp_path / "rows.jsonl"
    sound = '{"text": "a \\ud83d\\ude00"}'
    path.write_text("\n".join([sound, line, sound]), "utf-8")
    assert one_error(lambda: read_rows(path), f"{path}:2: ") is None
    with path.open(encoding="utf-8") as stream:
        rows = read_jsonl(stream, "asked")
        assert one_error(lambda: list(rows), "asked:2: ") is None
    assert failing_line(path) == 2


def test_as_many_levels_as_are_allowed(tmp_path: Path):
    line = '{"n": ' + "[" * 99 + "]" * 99 + "}"
    (row,) = read(tmp_path / "rows.jsonl", line.encode()) or [None]
    assert json.dumps(row) == line


@given(content=st.binary(max_size=60), suffix=st.sampled_from(["jsonl", "csv", "tsv"]))
@example(content=b"", suffix="jsonl")
@example(content=b"\r", suffix="csv")
@example(content=b"\0", suffix="csv")
@example(content=b'"', suffix="csv")
@example(content=b"\xef\xbb\xbf", suffix="tsv")
@example(content=b"\t\t\na\tb\tc\n", suffix="tsv")
@settings(max_examples=examples(300))
def test_any_bytes(tmp_path: Path, content: bytes, suffix: str):
    read(tmp_path / f"rows.{suffix}", content)


cells = texts.filter(lambda text: not set("\t\n\r") & set(text))


@st.composite
def tables(draw, cell: st.SearchStrategy[str]) -> list[list[str]]:
    """Draws a header of different names, and rows as wide."""
    header = draw(st.lists(cell, min_size=1, max_size=4, unique=True))
    width = len(header)
    row = st.lists(cell, min_size=width, max_size=width)
    return [header, *draw(st.lists(row, min_size=1, max_size=6))]


def as_fields(table: list[list[str]]) -> list[dict[str, str]]:
    header, *rows = table
    return [dict(zip(header, row, strict=True)) for row in rows]


@given(table=tables(cells), end=line_ends, mark=marks, last=st.booleans())
@example(table=[["a", "b"], ["", ""]], end="\n", mark="\ufeff", last=False)
@example(table=[["text"], ["a"], [""], ["b"]], end="\n", mark="", last=True)
@example(
    table=[["text", "\0"], *([x, x] for x in STRANGE)], end="\r\n", mark="", last=True
)
@settings(max_examples=examples(100))
def test_tsv_rows_come_back(tmp_path: Path, table, end, mark, last):
    assume("\0" not in table[0][0])  # So UTF-16 begins.
    text = end.join("\t".join(row) for row in table)
    if text.startswith("\ufeff"):  # Of the header's name, and so behind the file's.
        mark = "\ufeff"
    content = f"{mark}{text}{end if last else ''}".encode()
    expected: list | None = as_fields(table)
    if len(table[0]) == 1:
        assume(table[0] != [""])
        # A blank line at the end is none; before a row it could be one.
        while table[-1] == [""]:
            table.pop()
        expected = as_fields(table) if [""] not in table and table[1:] else None
    assert read(tmp_path / "rows.tsv", content) == expected


@given(table=tables(texts), end=line_ends, mark=marks)
@example(table=[["text"], ["a"], [""], ["b"]], end="\n", mark="\ufeff")
@example([["a", "b"], ["x\ny", '"'], ["x\ry", ","], ["x\r\ny", "\0"]], "\r\n", "")
@example(table=[["text"], [LONG * 3]], end="\n", mark="")
@settings(max_examples=examples(100))
def test_csv_rows_come_back(tmp_path: Path, table, end, mark):
    assume("\0" not in table[0][0])
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    content = f"{mark}{written.getvalue()}".encode()
    assert read(tmp_path / "rows.csv", content) == as_fields(table)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_blank_line_is_no_lost_row_of_one_column(tmp_path: Path, suffix: str):
    path = tmp_path / f"rows.{suffix}"
    path.write_text("text\na\n\nb\n")
    assert one_error(lambda: read_rows(path), f"{path}:3: blank line") is None
    assert read(path, b"text\na\nb\n\n\n") == [{"text": "a"}, {"text": "b"}]
    assert read(path, b"\ntext\nb") == [{"text": "b"}]


def test_csv_leaves_the_limit_of_a_field_as_it_was(tmp_path: Path):
    read(tmp_path / "rows.csv", f"text\n{LONG * 2}\n".encode())
    read(tmp_path / "rows.csv", b'text\n"')
    assert csv.field_size_limit() == 131_072


@given(
    table=tables(st.text("ab\xe9\xff\u20ac\u0416", max_size=6)),
    encoding=st.sampled_from(["cp1252", "utf-16", "utf-16-le", "koi8-r", "utf-32"]),
    suffix=st.sampled_from(["jsonl", "csv", "tsv"]),
)
@example([["text"], ["caf\xe9"]], "cp1252", "tsv")
@example([["text", "n"], ["caf\xe9", "1"]], "utf-16", "csv")
@example([["\u20ac", "\u0416"], ["\xe9", "1"]], "koi8-r", "csv")
@example([[""], [""], ["\xe9"]], "utf-16-le", "jsonl")
@settings(max_examples=examples(150))
def test_other_encodings(tmp_path: Path, table, encoding, suffix):
    path = tmp_path / f"rows.{suffix}"
    if suffix == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in as_fields(table)]
    else:
        mark = "," if suffix == "csv" else "\t"
        lines = [mark.join(row) for row in table]
    content = "\n".join(lines).encode(encoding, "replace")
    found = read(path, content)
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        assert found is None
        line = content[: error.start].count(b"\n") + 1
        with pytest.raises(ValueError, match=r":\d+: ") as told:
            read_rows(path)
        message = str(told.value)
        if re.search(rf":{line}: byte 0x.. is not UTF-8", message):
            return
        # A line before it is no row by itself, as of two names that are "??" now.
        (number,) = map(int, re.findall(rf"{path.name}:(\d+): ", message))
        assert number < line
        path.write_bytes(b"\n".join(content.split(b"\n")[:number]))
        with pytest.raises(ValueError, match=re.escape(message)):
            read_rows(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_utf_16_file_is_told_as_such(tmp_path: Path, encoding: str):
    name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
    told = rf":1: byte 0x.. is not UTF-8: .* iconv -f {name} -t UTF-8"
    for file, text in {"rows.tsv": "text\nx\n", "rows.jsonl": '{"text": "x"}'}.items():
        (tmp_path / file).write_text(text, encoding)
        with pytest.raises(ValueError, match=told):
            read_rows(tmp_path / file)
    # English in it is UTF-8 too, as bytes: a prompt would learn from every other zero.
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "story.txt").write_text("A story.\n", encoding)
    with pytest.raises(ValueError, match=rf"story\.txt{told}"):
        Documents(tmp_path / "texts")


def test_a_name_that_no_file_can_have():
    for name in ("x" * 5000 + ".tsv", "\0.csv"):
        assert one_error(lambda name=name: read_rows(name), "no such file") is None
