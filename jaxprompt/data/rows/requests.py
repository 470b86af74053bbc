"""Rows to predict -> batches, through the same format as training."""

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxprompt.data.read import files
from jaxprompt.data.read.answered import TABLES
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.reading import Reading
from jaxprompt.data.rows.row_batches import RowBatch, sorted_batches
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.data.vocabulary.vocabulary import decode
from jaxprompt.screen.quoting import quoted_path

__all__ = ["decode", "read_jsonl", "read_requests", "request_batches", "request_rows"]

RAW = {"inputs"}
"""A row with this key alone is text to be used as it is."""


def read_requests(source: str) -> Iterator[files.Row]:
    """Reads rows to predict one after the other, in the memory of one.

    Args:
        source: A file: .csv and .tsv are read as for training, any other as JSON lines;
            or "-" for JSON lines from standard input.

    Returns:
        The rows in order; none if JSON lines are empty.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a row is malformed, naming its line, or a table has no rows; when
            it is reached.
    """
    if source == "-":
        return _read_objects(sys.stdin, "standard input")
    # Not Path.is_file, which fails on a name that is too long.
    if not os.path.isfile(source):
        raise FileNotFoundError(f"no input file {quoted_path(source)}: check the path")
    if Path(source).suffix in TABLES:
        return files.stream_rows(Path(source))
    if Path(source).suffix in files.PACKED:
        files.check_extension(Path(source))
    return _read_lines(source)


def _read_lines(source: str) -> Iterator[files.Row]:
    with Path(source).open(encoding="utf-8") as file:
        yield from _read_objects(file, source)


def read_jsonl(lines: Iterable[str], where: str) -> Iterator[dict[str, Any]]:
    """Reads JSON objects, one a line, from an open file or standard input.

    Args:
        lines: The stream; if it has bytes beneath, these are read as UTF-8.
        where: Its name, for error messages.

    Yields:
        The objects in order.

    Raises:
        ValueError: If a line is no JSON object; names the line.
    """
    for row in _read_objects(lines, where):
        yield row.fields


def _read_objects(lines: Iterable[str], where: str) -> Iterator[files.Row]:
    if isinstance(lines, io.TextIOWrapper):
        lines = files.stream_lines(lines, where)
    try:
        yield from files.read_jsonl(lines, where)
    except UnicodeDecodeError as err:
        raise ValueError(f"{where}: not UTF-8: {err}") from err


def request_batches(
    task: Task,
    rows: Iterable[Mapping[str, Any]],
    lengths: Lengths,
    soft_ids: Int[np.ndarray, " P"],
    batch_size: int,
    where: str = "requests",
) -> Iterator[RowBatch]:
    """Formats rows as examples of the task; see `request_rows`.

    Args:
        task: The task, whose fields a row must have; a label may be absent.
        rows: The rows. {"inputs": text} alone is taken as it is.
        lengths: Longest texts.
        soft_ids: int32 ids of the prompt [P]; empty for no prompt.
        batch_size: Rows B; the last batch is filled up with empty rows.
        where: Name of the rows' file, for error messages.

    Returns:
        The batches, for `data.rows.row_batches.predict_rows`.
    """
    numbered = {
        number: files.Row(f"{where}:{number + 1}", dict(row))
        for number, row in enumerate(rows)
    }
    if not numbered:
        return iter(())
    return sorted_batches(
        request_rows(task, numbered, lengths, soft_ids).batch, batch_size
    )


def request_rows(
    task: Task,
    rows: Mapping[int, files.Row],
    lengths: Lengths,
    soft_ids: Int[np.ndarray, " P"],
) -> Reading:
    """Formats rows as examples of the task.

    Args:
        task: The task, whose fields a row must have; a label may be absent.
        rows: Number of the row among all, from 0 -> row; one or more. {"inputs": text}
            alone is taken as it is.
        lengths: Longest texts.
        soft_ids: int32 ids of the prompt [P]; empty for no prompt.

    Returns:
        The rows, in their order; each is tokenised when its batch is asked for.

    Raises:
        ValueError: If a field is missing, or a text holds a token without a row in
            the model's table; names file and line.
    """
    parts = _parts(task, [*rows.values()], lengths.inputs)
    for row, (first, *_) in zip(rows.values(), parts, strict=True):
        _check_room(task, first, row.where, lengths.targets)
    layout = layout_of(task, lengths, soft_ids)
    return Reading(task, layout, parts, np.fromiter(rows, np.int32))


def request_parts(task: Task, row: files.Row, lengths: Lengths) -> list[Example]:
    """Writes a row as the examples that a model reads: one, or its windows.

    Args:
        task: The task.
        row: The row; {"inputs": text} alone is taken as it is.
        lengths: Longest texts.

    Raises:
        ValueError: As `request_rows`.
    """
    (parts,) = _parts(task, [row], lengths.inputs)
    _check_room(task, parts[0], row.where, lengths.targets)
    return parts


def request_pairs(task: Task, rows: Sequence[files.Row]) -> list[Pair]:
    """Writes rows as examples of the task, and tokenises them, as long as they are.

    Raises:
        ValueError: As `request_rows`.
    """
    return task.encode([example for (example,) in _parts(task, rows, None)])


def check_request(task: Task, row: files.Row, number: int, longest: int) -> None:
    """Raises ValueError unless a row has what `request_rows` wants of it.

    Args:
        task: The task.
        row: The row; {"inputs": text} alone is taken as it is.
        number: Its number among all.
        longest: The run's target length.
    """
    if not _is_raw(task, row):
        features = task.read_request(row, number)
        if task.answers is not None and task.answers.of_words:
            (example,) = task.write([features])
            _check_room(task, example, row.where, longest)
        return
    text = files.field_text(row, "inputs")
    _check_room(task, Example(text, ""), row.where, longest)


def _check_room(task: Task, example: Example, where: str, longest: int) -> None:
    """Raises ValueError if there is no room for the answer to an example."""
    if task.answers is not None:
        task.answers.check_room(example, where, longest)


def _is_raw(task: Task, row: files.Row) -> bool:
    """Tells whether a row is text alone, of a task that can read it so."""
    return row.fields.keys() == RAW and task.takes_text


def _parts(
    task: Task, rows: Sequence[files.Row], length: int | None
) -> list[list[Example]]:
    """Writes rows as the examples that a model reads, without targets.

    Args:
        task: The task.
        rows: The rows.
        length: As of `Task.read_as`.
    """
    found = [[Example("", "")]] * len(rows)
    structured = {}
    for i, row in enumerate(rows):
        if _is_raw(task, row):
            found[i] = [Example(files.field_text(row, "inputs"), "")]
        else:
            structured[i] = task.read_request(row, i)
    if structured:
        written = task.read_as(list(structured.values()), length)
        for i, part in zip(structured, written, strict=True):
            found[i] = [example._replace(targets="") for example in part]
    if task.vocabulary.rowless:
        for row, (first, *_) in zip(rows, found, strict=True):
            task.check_text(first.inputs, row.where)
    return found
