"""What answers say beside their score: a confusion matrix, each class, the mistakes."""

import collections
import math
from collections.abc import Sequence
from typing import NamedTuple

Cells = tuple[list[str], list[list[object]]]
"""A header, and under it the cells of each row."""

OTHER = "(another answer)"
"""The column of answers that are no label."""

_MOST_LABELS = 20
"""Of a confusion matrix: a wider one cannot be read."""


_MISTAKES = 12
"""Rows with wrong answers that a page shows."""


class Answered(NamedTuple):
    """Rows of a scored split of one task, with the answers of those that read them.

    Attributes:
        task: What results call the task.
        places: Of each row, where it stands, as "validation.jsonl:3".
        inputs: What the model reads, without soft tokens.
        expected: The true target text.
        predicted: Of each prompt, or of the model, its answer to each row.
        right: Of each prompt, whether its answer to each row is right.
        seeds: Of each prompt, its seed.
        labels: The label words; empty for free text.
    """

    task: str
    places: Sequence[str]
    inputs: Sequence[str]
    expected: Sequence[str]
    predicted: Sequence[Sequence[str]]
    right: Sequence[Sequence[bool]]
    seeds: Sequence[int]
    labels: Sequence[str] = ()


class Mistake(NamedTuple):
    """A row that is answered wrongly.

    Attributes:
        row: Which of the scored rows it is, from 0.
        place: Where it stands.
        text: What the model reads, without soft tokens.
        expected: The true target text.
        predicted: The wrong answer that most prompts give.
        wrong: How many prompts give a wrong one.
    """

    row: int
    place: str
    text: str
    expected: str
    predicted: str
    wrong: int


def confusion_cells(answered: Answered) -> Cells | None:
    """Counts the answers to the rows of each label, of all prompts together.

    Args:
        answered: The rows.

    Returns:
        A row for each label, a column for each answer; None for free text, or for more
        labels than a page can show.
    """
    labels = list(answered.labels)
    if not labels or len(labels) > _MOST_LABELS:
        return None
    counts = _counts(answered)
    has_other = any(found not in labels for _, found in counts)
    rows: list[list[object]] = []
    for label in labels:
        cells = [counts[label, found] for found in labels]
        given = sum(n for (true, _), n in counts.items() if true == label)
        rows.append([label, *cells, *[given - sum(cells)] * has_other])
    return ["expected", *labels, *[OTHER] * has_other], rows


def class_cells(answered: Answered) -> Cells | None:
    """Scores each label on its own, of all prompts together.

    Precision is the share of its answers that are right, recall the share of its rows
    that are, and F1 their harmonic mean, 0 to 100; where there is nothing to share, the
    cell is empty.

    Args:
        answered: The rows.

    Returns:
        A row for each label; None for free text.

    Source: van Rijsbergen 1979, Information Retrieval, ch. 7, for F1.
    """
    if not answered.labels:
        return None
    counts = _counts(answered)
    rows: list[list[object]] = []
    for label in answered.labels:
        right = counts[label, label]
        given = sum(n for (true, _), n in counts.items() if true == label)
        said = sum(n for (_, found), n in counts.items() if found == label)
        # 2 right / (given + said) is the harmonic mean of the two shares.
        shares = [(right, said), (right, given), (2 * right, given + said)]
        rows.append([label, given, *(100 * a / b if b else None for a, b in shares)])
    return ["label", "rows", "precision", "recall", "F1"], rows


class AnswerSection(NamedTuple):
    """What a page shows of the answers to a task.

    Attributes:
        task: What results call it.
        prompts: How many prompts answer.
        classes: As of `class_cells`.
        confusion: As of `confusion_cells`.
        mistakes: As of `worst_mistakes`.
        num_wrong: Rows that some prompt answers wrongly.
    """

    task: str
    prompts: int
    classes: Cells | None
    confusion: Cells | None
    mistakes: Sequence[Mistake]
    num_wrong: int


def answer_section(answered: Answered) -> AnswerSection:
    """Gathers what a page shows of the answers to a task."""
    rights = zip(*answered.right, strict=True)
    return AnswerSection(
        task=answered.task,
        prompts=len(answered.predicted),
        classes=class_cells(answered),
        confusion=confusion_cells(answered),
        mistakes=worst_mistakes(answered, _MISTAKES),
        num_wrong=sum(not all(of_row) for of_row in rights),
    )


def worst_mistakes(answered: Answered, most: int) -> list[Mistake]:
    """Lists rows that are answered wrongly: those that most prompts get wrong first.

    Of rows that as many get wrong, the kinds of mistake take turns, the most frequent
    kind first: an expected answer and the one that is given instead are a kind.

    Args:
        answered: The rows.
        most: How many to list.
    """
    found: list[Mistake] = []
    texts = zip(answered.places, answered.inputs, answered.expected, strict=True)
    answers = zip(*answered.predicted, strict=True)
    right = zip(*answered.right, strict=True)
    rows = zip(texts, answers, right, strict=True)
    for row, ((place, text, expected), given, are_right) in enumerate(rows):
        pairs = zip(given, are_right, strict=True)
        others = [answer for answer, is_right in pairs if not is_right]
        if others:
            usual = collections.Counter(others).most_common(1)[0][0]
            found.append(Mistake(row, place, text, expected, usual, len(others)))
    kinds = collections.Counter((one.expected, one.predicted) for one in found)
    turn: collections.Counter[tuple[int, str, str]] = collections.Counter()
    ordered = []
    for one in found:
        key = one.wrong, one.expected, one.predicted
        ordered.append(((-one.wrong, turn[key], -kinds[key[1:]]), one))
        turn[key] += 1
    return [one for _, one in sorted(ordered, key=lambda pair: pair[0])[:most]]


def surprising_mistakes(
    answered: Answered, nats: Sequence[float], most: int
) -> list[tuple[Mistake, float]]:
    """Lists rows that are answered wrongly, the least likely true answer first.

    Args:
        answered: The rows.
        nats: Of each row, the cross-entropy of its true answer.
        most: How many to list.

    Returns:
        Each with the probability of its true answer.
    """
    found = worst_mistakes(answered, len(answered.places))
    found.sort(key=lambda one: -nats[one.row])
    return [(one, math.exp(-nats[one.row])) for one in found[:most]]


def _counts(answered: Answered) -> collections.Counter[tuple[str, str]]:
    """Counts pairs of a true and a given answer."""
    return collections.Counter(
        pair
        for given in answered.predicted
        for pair in zip(answered.expected, given, strict=True)
    )
