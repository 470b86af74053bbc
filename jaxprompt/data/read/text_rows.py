"""A JSONL file of texts -> passages of whole rows, for raw text that has rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.read.files import Row, read_rows
from jaxprompt.data.read.template import Template


def read_row_texts(path: Path, row_text: str) -> list[str]:
    """Reads the text of every row of a file.

    Args:
        path: A .jsonl file.
        row_text: Template of a row's text, as "{question} {answers}"; of a list of
            texts it takes the first.

    Returns:
        A text for each row, in file order, on one line each.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the template or a row is malformed, or a text is empty; names
            the line.
    """
    template = Template(row_text)
    texts = []
    for row in read_rows(path):
        firsts = {name: _first(value) for name, value in row.fields.items()}
        text = " ".join(template.fill(Row(row.where, firsts)).split())
        if not text:
            raise ValueError(
                f"{row.where}: the text {row_text!r} is empty: use another field, or "
                "leave the row out"
            )
        texts.append(text)
    return texts


def row_passages(texts: Sequence[str], passage_rows: int) -> list[tuple[str, ...]]:
    """Puts so many rows in a passage; the last passage has what is left.

    Raises:
        ValueError: If `passage_rows` is below 1.
    """
    if passage_rows < 1:
        raise ValueError(f"passage_rows {passage_rows}: use 1 row or more")
    starts = range(0, len(texts), passage_rows)
    return [tuple(texts[start : start + passage_rows]) for start in starts]


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value
