"""Question answering files -> rows: SQuAD's JSON and MRQA's JSON lines."""

import collections
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxprompt.data.read.fields import field_rows
from jaxprompt.data.read.files import Row, field_text, read_jsonl
from jaxprompt.data.read.sources import Features
from jaxprompt.files.strict_json import NotJson, as_json, parse_json
from jaxprompt.files.utf8 import NotUtf8, decode_utf8
from jaxprompt.screen.quoting import quoted


def squad_row(
    number: str, context: str, question: str, answers: Sequence[str]
) -> Features:
    """Makes a row with the features of TFDS's SQuAD, as t5's format wants them.

    Args:
        number: Its id.
        context: The passage.
        question: A question about it.
        answers: All that count as right, one or more; the first is the target.
    """
    return {
        "id": number,
        "context": context,
        "question": question,
        "answers": {"text": list(answers)},
    }


def read_squad(path: Path) -> list[Features]:
    """Reads a file of SQuAD v1.1: articles of paragraphs of questions.

    Args:
        path: The file.

    Returns:
        A `squad_row` for each question, in file order.

    Raises:
        ValueError: If the file is no JSON, or not laid out as SQuAD v1.1; names the
            place.
    """
    try:
        content = parse_json(decode_utf8(path.read_bytes()), several_lines=True)
    except (NotJson, NotUtf8) as err:
        raise ValueError(f"{path}: not JSON: {err.reason}") from err
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: a JSON {type(content).__name__}, not an object: give a file of "
            "SQuAD v1.1"
        )
    rows = []
    for article in field_rows(Row(str(path), content), "data"):
        for paragraph in field_rows(article, "paragraphs"):
            context = field_text(paragraph, "context")
            for row in field_rows(paragraph, "qas"):
                answers = [field_text(a, "text") for a in field_rows(row, "answers")]
                _check_answers(answers, row)
                question = field_text(row, "question")
                rows.append(
                    squad_row(field_text(row, "id"), context, question, answers)
                )
    _check_rows(rows, path)
    return rows


def read_mrqa(path: Path) -> list[Features]:
    """Reads a file of MRQA 2019: one passage with its questions a line.

    Args:
        path: The file, .jsonl.gz or unpacked. A line {"header": ...} is skipped.

    Returns:
        A `squad_row` for each question, in file order; without space around passage
        and question, as in TFDS.

    Raises:
        ValueError: If a line is malformed; names it.
    """
    rows = []
    for line in read_jsonl(_lines(path), path):
        if "header" in line.fields:
            continue
        context = field_text(line, "context").strip()
        for row in field_rows(line, "qas"):
            answers = _texts(row, "answers")
            _check_answers(answers, row)
            question = field_text(row, "question").strip()
            rows.append(squad_row(field_text(row, "qid"), context, question, answers))
    _check_rows(rows, path)
    return rows


def _check_answers(answers: Sequence[str], row: Row) -> None:
    if not answers:
        raise ValueError(
            f"{row.where}: no answers: every question needs one or more; those of "
            "SQuAD v2.0 may have none"
        )


def _check_rows(rows: Sequence[Features], path: Path) -> None:
    if not rows:
        raise ValueError(f"{path}: no questions: the file is empty")
    counts = collections.Counter(row["id"] for row in rows)
    repeated, count = counts.most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"{path}: {count} questions have the id {quoted(repeated)}: give each its "
            "own"
        )


def _texts(row: Row, name: str) -> list[str]:
    found = row.fields.get(name)
    if not isinstance(found, list) or not all(isinstance(x, str) for x in found):
        raise ValueError(
            f"{row.where}: {name} is {as_json(found)}: use a list of texts"
        )
    return found


def _lines(path: Path) -> Iterator[str]:
    unpack = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with unpack(path, "rb") as lines:
            for line in lines:
                number += 1
                yield line.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(f"{path}:{number}: not UTF-8: {err}") from err
    except (EOFError, gzip.BadGzipFile, zlib.error) as err:
        raise ValueError(
            f"{path}:{number + 1}: cannot be unpacked ({err}): download it again"
        ) from err
