"""Predictions -> the file that a leaderboard takes: GLUE's and SuperGLUE's formats."""

import collections
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data.official.benchmarks import stsb
from jaxprompt.data.read.sources import Features
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.reading import Reading
from jaxprompt.data.tasks.task import Task


class Submission(NamedTuple):
    """What a leaderboard takes for one task.

    Attributes:
        file: Name of the file.
        text: Its content.
        illegal: Predictions that are no answer of the task; the file has the first
            label for them, or the lowest score.
    """

    file: str
    text: str
    illegal: int


Rows = Sequence[Features]

Answers = list[Any]
"""What the leaderboard wants for each row; None where the prediction is no answer."""


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """How a leaderboard wants a task.

    Attributes:
        file: Name of the file.
        read: Task, its rows, predicted texts -> answers.
        numbers: The rows -> the number that the file calls each row by.
        write: These numbers, answers -> content of the file.
        default: What stands for a prediction that is no answer.
    """

    file: str
    read: Callable[[Task, Rows, Sequence[str]], Answers]
    numbers: Callable[[Rows], list[Any]]
    write: Callable[[Sequence[Any], Answers], str]
    default: Any


def submission(
    task_name: str, task: Task, split: str, predictions: Sequence[str]
) -> Submission:
    """Writes predictions as a task's leaderboard wants them.

    Args:
        task_name: One of `data.official.names.task_names()`; the task's own may be a
            title.
        task: The task that was predicted.
        split: The split that was predicted, "test" or, of MNLI, "test_mismatched".
        predictions: The predicted text of every row, in order.

    Returns:
        The file's name and content, and how many predictions are no answer.

    Raises:
        ValueError: If the task has no leaderboard, the number of predictions is
            another than that of the rows, or two rows have the same number.

    Source: the submission formats of https://gluebenchmark.com/faq and
    https://super.gluebenchmark.com/faq, as the benchmarks' toolkit writes them:
    https://github.com/nyu-mll/jiant, jiant/scripts/postproc.
    """
    board = _board(task_name)
    numbers = row_numbers(task_name, task, split)
    rows = task.source.rows(split)
    if len(predictions) != len(rows):
        raise ValueError(
            f"{len(predictions)} predictions for the {len(rows)} rows of split "
            f"{split!r} of task {task_name}: predict every row once"
        )
    answers = board.read(task, rows, predictions)
    illegal = sum(answer is None for answer in answers)
    filled = [board.default if answer is None else answer for answer in answers]
    file = submission_file(task_name, split)
    return Submission(file, board.write(numbers, filled), illegal)


def row_numbers(task_name: str, task: Task, split: str) -> list[Any]:
    """Returns the number that a leaderboard calls each row of a split by.

    Raises:
        ValueError: If the task has no leaderboard, or two rows have the same number:
            the leaderboard would take one answer for both.
    """
    numbers = _board(task_name).numbers(task.source.rows(split))
    number, count = collections.Counter(numbers).most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"{count} rows of split {split!r} of task {task_name} have the idx "
            f"{number}, by which the leaderboard tells rows apart: number them anew"
        )
    return numbers


def submission_file(task_name: str, split: str) -> str:
    """Returns the name of the file; ValueError if the task has no leaderboard."""
    if task_name == "mnli" and split.endswith("_mismatched"):
        return "MNLI-mm.tsv"
    return _board(task_name).file


def _board(task_name: str) -> Leaderboard:
    if task_name not in LEADERBOARDS:
        raise ValueError(
            f"task {task_name} has no leaderboard: these have one: "
            f"{', '.join(sorted(LEADERBOARDS))}"
        )
    return LEADERBOARDS[task_name]


_CHUNK = 8192


def split_readings(
    task: Task, split: str, lengths: Lengths, soft_ids: Int[np.ndarray, " P"]
) -> Iterator[Reading]:
    """Tokenises a split to be predicted: unlike for a score, it may be unlabelled.

    Args:
        task: The task.
        split: The split.
        lengths: Longest texts.
        soft_ids: int32 ids of the prompt [P]; empty for no prompt.

    Yields:
        The rows in order, some thousand at a time: so many are in memory at once.
    """
    layout, count = layout_of(task, lengths, soft_ids), task.num_examples(split)
    for done in range(0, count, _CHUNK):
        chunk = np.arange(done, min(done + _CHUNK, count))
        # What stands for a label that is not there is no class of a head.
        examples = task.examples(split, chunk.tolist())
        parts = [[example._replace(targets="")] for example in examples]
        yield Reading(task, layout, parts, chunk)


def _read_labels(values: Sequence[Any]) -> Callable[..., Answers]:
    """Makes the reader of label words: `values` are the labels in class order."""

    def read(task: Task, rows: Rows, texts: Sequence[str]) -> Answers:
        del rows
        value_of = dict(zip(task.labels or (), values, strict=True))
        return [value_of.get(text) for text in texts]

    return read


def _read_referents(task: Task, rows: Rows, texts: Sequence[str]) -> Answers:
    """Compares what was written with the referent that each row asks about."""
    values = {0: "False", 1: "True"}
    return [
        values.get(task.compare(text, example={"targets_pretokenized": referent}))
        for text, referent in zip(
            texts, (row["span1_text"] for row in rows), strict=True
        )
    ]


def _read_texts(task: Task, rows: Rows, texts: Sequence[str]) -> Answers:
    del task, rows
    return list(texts)


def _read_scores(task: Task, rows: Rows, texts: Sequence[str]) -> Answers:
    del rows
    scores = [task.compare(text, default=math.nan) for text in texts]
    return [
        f"{min(max(score, 0.0), stsb.HIGHEST):.3f}" if math.isfinite(score) else None
        for score in scores
    ]


def _jsonl(objects: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in objects)


def _row_numbers(rows: Rows) -> list[int]:
    return [row["idx"] for row in rows]


def _query_numbers(rows: Rows) -> list[int]:
    return [row["idx"]["query"] for row in rows]


def _answer_numbers(rows: Rows) -> list[tuple[int, int, int]]:
    """Returns the numbers of paragraph, question and answer."""
    places = (row["idx"] for row in rows)
    return [(x["paragraph"], x["question"], x["answer"]) for x in places]


def _by_row(numbers: Sequence[int], answers: Answers) -> str:
    found = zip(numbers, answers, strict=True)
    return _jsonl([{"idx": row, "label": answer} for row, answer in found])


def _by_paragraph(numbers: Sequence[tuple[int, int, int]], answers: Answers) -> str:
    paragraphs: dict[int, dict[int, list[dict[str, Any]]]] = {}
    for (paragraph, question, answer), label in zip(numbers, answers, strict=True):
        questions = paragraphs.setdefault(paragraph, {})
        questions.setdefault(question, []).append({"idx": answer, "label": label})
    return _jsonl(
        [
            {
                "idx": paragraph,
                "passage": {
                    "questions": [
                        {"idx": question, "answers": labels}
                        for question, labels in questions.items()
                    ]
                },
            }
            for paragraph, questions in paragraphs.items()
        ]
    )


def _table(numbers: Sequence[int], answers: Answers) -> str:
    rows = zip(numbers, answers, strict=True)
    lines = [f"{row}\t{answer}" for row, answer in rows]
    return "\n".join(["index\tprediction", *lines, ""])


def _labels(
    file: str,
    values: Sequence[Any],
    write: Callable[..., str],
    numbers: Callable[[Rows], list[Any]] = _row_numbers,
) -> Leaderboard:
    """Describes a task of label words: `values` are the labels in class order."""
    return Leaderboard(file, _read_labels(values), numbers, write, values[0])


_YES_NO = ("false", "true")
_CLASSES = (0, 1)
_ENTAILMENT = ("entailment", "not_entailment")

LEADERBOARDS: Mapping[str, Leaderboard] = {
    "boolq": _labels("BoolQ.jsonl", _YES_NO, _by_row),
    "cb": _labels("CB.jsonl", ("entailment", "contradiction", "neutral"), _by_row),
    "copa": _labels("COPA.jsonl", _CLASSES, _by_row),
    "multirc": _labels("MultiRC.jsonl", _CLASSES, _by_paragraph, _answer_numbers),
    "record": Leaderboard("ReCoRD.jsonl", _read_texts, _query_numbers, _by_row, ""),
    "rte": _labels("RTE.jsonl", _ENTAILMENT, _by_row),
    "wic": _labels("WiC.jsonl", _YES_NO, _by_row),
    # Unlike BoolQ's and WiC's, its labels are capitalised.
    "wsc": Leaderboard("WSC.jsonl", _read_referents, _row_numbers, _by_row, "False"),
    "axb": _labels("AX-b.jsonl", _ENTAILMENT, _by_row),
    "axg": _labels("AX-g.jsonl", _ENTAILMENT, _by_row),
    "cola": _labels("CoLA.tsv", _CLASSES, _table),
    "sst2": _labels("SST-2.tsv", _CLASSES, _table),
    "mrpc": _labels("MRPC.tsv", _CLASSES, _table),
    "stsb": Leaderboard("STS-B.tsv", _read_scores, _row_numbers, _table, "0.000"),
    "qqp": _labels("QQP.tsv", _CLASSES, _table),
    "mnli": _labels("MNLI-m.tsv", ("entailment", "neutral", "contradiction"), _table),
    "qnli": _labels("QNLI.tsv", _ENTAILMENT, _table),
    "glue_rte": _labels("RTE.tsv", _ENTAILMENT, _table),
    "wnli": _labels("WNLI.tsv", _CLASSES, _table),
}
"""Task -> how its leaderboard wants it."""
