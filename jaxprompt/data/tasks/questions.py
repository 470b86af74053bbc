"""Questions of one's own whose answers stand in a text, as those of SQuAD."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.read.files import Row, field_text
from jaxprompt.data.read.question_files import (
    TextQuestion,
    check_question_file,
    read_questions,
)
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.tasks.answers.passages import Passage, Passages
from jaxprompt.data.tasks.answers.spans import Spans
from jaxprompt.data.tasks.metrics import squad, squad_2
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

_LOOKED_AT = 1000
"""Questions whose lengths are looked at before training."""

_WHOLE = -1
"""The window of a row that is read in one piece."""


def question_task(
    name: str,
    *,
    files: Mapping[str, str | Path],
    vocabulary: Vocabulary,
    null_threshold: float | None = None,
    stride: int = 128,
    question_length: int = 64,
) -> Task:
    """Makes a task of files of `data.read.question_files`.

    The model reads the question and behind it the text, in windows where this is too
    long; an answer is cut out of the text itself. The score is SQuAD's F1, and "em"
    stands beside it: upstream reports both.

    Args:
        name: Letters, digits, "_", "." and ":".
        files: Split -> file.
        vocabulary: The backbone's vocabulary.
        null_threshold: As of `data.tasks.answers.spans.Spans`.
        stride: As of `data.tasks.answers.passages.Passages`.
        question_length: As there.

    Returns:
        The task. A split's file is looked for, and its rows are validated, when the
        split is first used: without any file the task still answers requests.

    Raises:
        ValueError: If a number is out of range, or a file has another ending; later, if
            a row is malformed.
    """
    paths = {split: Path(path) for split, path in files.items()}
    for path in paths.values():
        check_question_file(path)
    passages = Passages(vocabulary, stride=stride, question_length=question_length)
    asked = _Asked(paths, passages, null_threshold is not None)
    return Task(
        name=name,
        source=Source(name, asked.find),
        vocabulary=vocabulary,
        read_request=_read_request,
        write=_write,
        compare=_compared,
        metrics=(squad if null_threshold is None else squad_2,),
        headline=("f1",),
        start_words=("question", "answer"),
        answers=Spans(passages, null_threshold),
        windows=asked.windows,
        own_fields=("question", "context"),
    )


@dataclasses.dataclass(frozen=True)
class _Asked:
    """The files of a task, and how long texts are read."""

    paths: Mapping[str, Path]
    passages: Passages
    may_lack_answers: bool

    def find(self) -> dict[str, SplitRows]:
        if not self.paths:
            raise ValueError(
                "files is empty: name a file for each split, as "
                "--gin.OwnSpans.files=\"{'validation': 'dev-v1.1.json'}\""
            )
        return {split: self._rows(path) for split, path in self.paths.items()}

    def _rows(self, path: Path) -> SplitRows:
        questions = functools.cache(lambda: read_questions(path))

        def rows() -> list[Features]:
            return [self._row(one) for one in questions()]

        def note() -> str:
            every = max(len(questions()) // _LOOKED_AT, 1)
            some = [one.question for one in questions()[::every]]
            return self.passages.tell_cut(some)

        return SplitRows(rows, path, lambda: [one.where for one in questions()], note)

    def _row(self, one: TextQuestion) -> Features:
        if not one.answers and not self.may_lack_answers:
            raise ValueError(
                f"{one.where}: the question has no answer: set "
                "--gin.OwnSpans.null_threshold=0.0, as for SQuAD 2.0, or leave it out"
            )
        return {
            "id": one.id,
            "question": one.question,
            "context": one.context,
            "answers": list(one.answers) or [""],
            "start": one.start,
            "first": _WHOLE,
            "behind": _WHOLE,
        }

    def windows(self, rows: Sequence[Features], length: int) -> list[list[Features]]:
        """Returns the windows of each row, which are rows again."""
        self.passages.check(length)
        return [
            [
                {**row, "first": first, "behind": behind}
                for first, behind in self.passages.windows(
                    Passage(row["question"], row["context"]), length
                )
            ]
            for row in rows
        ]


def _read_request(row: Row, number: int) -> Features:
    return {
        "id": str(number),
        "question": field_text(row, "question"),
        "context": field_text(row, "context"),
        "answers": [""],
        "start": -1,
        "first": _WHOLE,
        "behind": _WHOLE,
    }


def _write(rows: Sequence[Features]) -> list[Example]:
    examples = []
    for row in rows:
        question, context, start = row["question"], row["context"], row["start"]
        answer = row["answers"][0]
        window = None if row["first"] == _WHOLE else (row["first"], row["behind"])
        stands = None if start < 0 else (start, start + len(answer))
        passage = Passage(question, context, stands, window)
        examples.append(Example(f"{question}\n{context}", answer, passage=passage))
    return examples


def _compared(
    text: str, example: Any = None, is_target: bool = False
) -> str | Sequence[str]:
    """Returns a prediction as it is, and for a target all that counts as right."""
    return list(example["answers"]) if is_target else text
