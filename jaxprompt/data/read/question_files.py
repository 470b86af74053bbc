"""Files of questions whose answers stand in a text: SQuAD's JSON, or JSON lines."""

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.data.read.fields import field_rows
from jaxprompt.data.read.files import Row, check_exists, field_text, read_rows
from jaxprompt.files.strict_json import NotJson, as_json, parse_json
from jaxprompt.files.utf8 import NotUtf8, decode_utf8
from jaxprompt.screen.quoting import quoted


class TextQuestion(NamedTuple):
    """A question about a text.

    Attributes:
        where: Where it stands, for error messages.
        id: What the file calls it.
        question: The question.
        context: The text.
        answers: All that count as right, each as it stands in the text; none where the
            text has no answer.
        start: The character that the first of these begins with; -1 without an answer.
    """

    where: str
    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    start: int


def check_question_file(path: Path) -> None:
    """Raises ValueError unless the ending is one that `read_questions` knows."""
    if path.suffix not in (".json", ".jsonl"):
        raise ValueError(
            f"{path}: unknown extension {path.suffix!r}: use a .json of SQuAD, or a "
            ".jsonl of its rows"
        )


def read_questions(path: str | Path) -> list[TextQuestion]:
    """Reads SQuAD's own JSON of version 1.1 or 2.0, or JSON lines of its rows.

    A line has "question", "context" and "answers": a list of {"text": ...,
    "answer_start": ...}, or as `datasets` writes them {"text": [...], "answer_start":
    [...]}; it may have an "id". No answer is an empty list.

    Args:
        path: The file, .json or .jsonl; UTF-8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is malformed: names the line, or the place and the id.
    """
    path = Path(path)
    check_question_file(path)
    check_exists(path)
    rows = read_rows(path) if path.suffix == ".jsonl" else _rows_of_squad(path)
    found = [_question(row, number) for number, row in enumerate(rows)]
    if not found:
        raise ValueError(f"{path}: no questions: the file is empty")
    counts = collections.Counter(one.id for one in found)
    repeated, count = counts.most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"{path}: {count} questions have the id {quoted(repeated)}: give each its "
            "own"
        )
    return found


def _rows_of_squad(path: Path) -> Iterator[Row]:
    """Yields each question of SQuAD's JSON, beside the text that it is about."""
    try:
        content = parse_json(decode_utf8(path.read_bytes()), several_lines=True)
    except (NotJson, NotUtf8) as err:
        raise ValueError(f"{path}: not JSON: {err.reason}") from err
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: a JSON {type(content).__name__}, not an object: give a file of "
            "SQuAD"
        )
    for article in field_rows(Row(str(path), content), "data"):
        for paragraph in field_rows(article, "paragraphs"):
            context = field_text(paragraph, "context")
            for row in field_rows(paragraph, "qas"):
                named = f"{row.where} (id {quoted(field_text(row, 'id'))})"
                yield Row(named, {**row.fields, "context": context})


def _question(row: Row, number: int) -> TextQuestion:
    question, context = field_text(row, "question"), field_text(row, "context")
    if not question.strip():
        raise ValueError(f"{row.where}: the question is empty: give it words")
    answers = []
    for text, start in _answers(row):
        if not text.strip() or context[start : start + len(text)] != text:
            there = context[start : start + len(text)]
            raise ValueError(
                f"{row.where}: answer {quoted(text)} does not stand at character "
                f"{start} of its context, where {quoted(there)} does: answer_start "
                "counts characters from 0"
            )
        answers.append((text, start))
    return TextQuestion(
        row.where,
        field_text(row, "id") if "id" in row.fields else str(number),
        question,
        context,
        tuple(text for text, _ in answers),
        answers[0][1] if answers else -1,
    )


def _answers(row: Row) -> list[tuple[str, int]]:
    """Returns the answers of a row and where each begins, in either layout."""
    value: Any = row.fields.get("answers")
    if isinstance(value, dict):
        columns = [value.get(name) for name in ("text", "answer_start")]
        texts, starts = (x if isinstance(x, list) else [None] for x in columns)
        if len(texts) != len(starts):
            raise ValueError(
                f"{row.where}: answers has {len(texts)} texts and {len(starts)} of "
                "answer_start: give one for each"
            )
        pairs: list[tuple[Any, Any]] = [*zip(texts, starts, strict=True)]
    else:
        rows = field_rows(row, "answers")
        pairs = [(x.fields.get("text"), x.fields.get("answer_start")) for x in rows]
    for text, start in pairs:
        if not isinstance(text, str) or type(start) is not int or start < 0:
            raise ValueError(
                f"{row.where}: an answer has text {as_json(text)} and answer_start "
                f"{as_json(start)}: use a text, and the number of the character that "
                "it begins with"
            )
    return pairs
