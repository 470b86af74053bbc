"""The Japanese quiz of the AI King competition (AIO, JAQKET), as text to text."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxprompt.bundled import resolve
from jaxprompt.data.read.files import Row, field_text, read_rows
from jaxprompt.data.read.sources import Features, Source, SplitRows, find_files
from jaxprompt.data.read.template import Template
from jaxprompt.data.tasks.quiz_text import EXACT_MATCH, exact_match, extract_answer
from jaxprompt.data.tasks.task import Compare, Example, InWords, Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

FILES = {"train": "aio_02_train.jsonl", "validation": "aio_02_dev_v1.0.jsonl"}
"""Split -> official file, of the second competition."""

ANSWER, FULL_TEXT = "answer", "full_text"
LOSSES = (ANSWER, FULL_TEXT)
"""What the loss of a training example is taken on."""

SEPARATOR = "[SEP]"
"""Stands between question and answer; one id in rinna's vocabularies."""

_ASK, _SHOT = "この答えは", Template("{inputs}{targets}です.")

_FOLDERS = (".", "aio", "AIO", "jaqket", "JAQKET")
"""Where inside DATA_DIR the files may lie."""


def quiz_task(
    name: str,
    data_dir: str | Path | None,
    *,
    vocabulary: Vocabulary,
    loss: str = ANSWER,
    separator: str = SEPARATOR,
) -> Task:
    """Makes the task: inputs "QUESTION[SEP]", targets "ANSWER", the first of several.

    In words, as the hand-written prompt of the original asks, the question is followed
    by "この答えは", a shot's answer by "です.", instruction and shots by the separator.

    Args:
        name: Letters, digits, "_", "." and ":".
        data_dir: Folder of the official files, or the folder above "aio"; None for a
            task that answers requests alone.
        vocabulary: The backbone's vocabulary.
        loss: What a training example has its loss on: "answer"; or "full_text", the
            question too, as in the original: inputs "", targets
            "QUESTION[SEP]ANSWER". Other splits always have the answer as target.
        separator: Text between question and answer; best a single id.

    Returns:
        The task. Its score is the normalised exact match with any of the answers. Its
        files are looked for when a split is first used.

    Raises:
        ValueError: If the loss is unknown, or the separator empty.
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}: use one of {list(LOSSES)}")
    if not separator.strip():
        raise ValueError(
            f"separator {separator!r} has no characters: use {SEPARATOR!r}, or a text "
            "that stands in no question"
        )

    def find() -> dict[str, SplitRows]:
        if data_dir is None:
            raise ValueError(
                f"task {name} has no DATA_DIR: give the folder of "
                f"{' and '.join(FILES.values())}, as --gin.DATA_DIR=\"'aio'\""
            )
        files = {split: (file,) for split, file in FILES.items()}
        paths = find_files(name, resolve(data_dir), _FOLDERS, files)
        return {
            split: SplitRows(
                functools.partial(
                    _rows, path, whole=loss == FULL_TEXT and split == "train"
                ),
                path,
            )
            for split, path in paths.items()
        }

    source = Source(name, find)

    def make(behind: str, compare: Compare) -> Task:
        return Task(
            name=name,
            source=source,
            vocabulary=vocabulary,
            read_request=_read_request,
            write=functools.partial(_write, behind=behind),
            compare=compare,
            metrics=(exact_match,),
        )

    return dataclasses.replace(
        make(separator, _compared),
        headline=(EXACT_MATCH,),
        in_words=InWords(make(_ASK, _extracted), _SHOT, separator),
    )


def read_quiz(path: Path) -> list[Features]:
    """Reads an official file: a JSON object with "question" and "answers" a line.

    Args:
        path: The file.

    Returns:
        {"question": text, "answers": texts} of each question, in file order.

    Raises:
        ValueError: If a row is malformed, or a question has no answer; names the line.
    """
    return [
        {"question": _question(row), "answers": _answers(row)}
        for row in read_rows(path)
    ]


def _question(row: Row) -> str:
    question = field_text(row, "question")
    if not question.strip():
        raise ValueError(f"{row.where}: the question is empty: give it words")
    return question


def _answers(row: Row) -> list[str]:
    found = row.fields.get("answers")
    is_texts = isinstance(found, list) and all(isinstance(x, str) for x in found)
    if not is_texts or not found or not all(map(str.strip, found)):
        raise ValueError(
            f"{row.where}: answers is {str(found)[:40]}: use a list of one text or "
            "more, none of them empty"
        )
    return found


def _rows(path: Path, *, whole: bool) -> list[Features]:
    return [{**row, "whole": int(whole)} for row in read_quiz(path)]


def _read_request(row: Row, number: int) -> Features:
    del number
    return {"question": _question(row), "answers": [""], "whole": 0}


def _write(rows: Sequence[Features], behind: str) -> list[Example]:
    """Writes a question and its first answer as text to text."""
    examples = []
    for row in rows:
        asked, answer = row["question"] + behind, row["answers"][0]
        examples.append(
            Example("", asked + answer) if row["whole"] else Example(asked, answer)
        )
    return examples


def _compared(
    text: str, example: Any = None, is_target: bool = False
) -> str | Sequence[str]:
    """Returns a prediction as it is, and for a target all that counts as right."""
    if not is_target:
        return text
    return list(example["answers"])


def _extracted(
    text: str, example: Any = None, is_target: bool = False
) -> str | Sequence[str]:
    """Likewise, with the answer taken out of a prediction."""
    return _compared(
        text if is_target else extract_answer(text), example, is_target=is_target
    )
