"""Rows to predict -> batches, through the same format as training."""

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxprompt.data import files, pipeline, sources
from jaxprompt.data.libraries import tf
from jaxprompt.data.rows import RowBatch, sorted_batches
from jaxprompt.data.task import Task, make_task
from jaxprompt.data.vocabulary import decode, rowless

__all__ = ["decode", "read_jsonl", "request_batches", "request_rows"]

RAW = {"inputs"}
"""A row with this key alone is text to be used as it is."""


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
    if isinstance(lines, io.TextIOWrapper):
        lines = files.stream_lines(lines, where)
    try:
        for row in files.read_jsonl(lines, where):
            yield row.fields
    except UnicodeDecodeError as err:
        raise ValueError(f"{where}: not UTF-8: {err}") from err


def request_batches(
    task: Task,
    rows: Iterable[Mapping[str, Any]],
    lengths: pipeline.Lengths,
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
        The batches, for `data.rows.predict_rows`.
    """
    numbered = dict(enumerate(rows, start=1))
    if not numbered:
        return iter(())
    features = request_rows(task, numbered, lengths, soft_ids, where)
    return sorted_batches(features, batch_size)


def request_rows(
    task: Task,
    rows: Mapping[int, Mapping[str, Any]],
    lengths: pipeline.Lengths,
    soft_ids: Int[np.ndarray, " P"],
    where: str = "requests",
) -> dict[str, np.ndarray]:
    """Formats rows as examples of the task, and tokenises them.

    Args:
        task: The task, whose fields a row must have; a label may be absent.
        rows: Line number -> row, one or more. {"inputs": text} alone is taken as it is.
        lengths: Longest texts.
        soft_ids: int32 ids of the prompt [P]; empty for no prompt.
        where: Name of the rows' file, for error messages.

    Returns:
        Model features, [rows, ...] each, in the order of the rows; the number of a
        row is its line's, from 0.

    Raises:
        ValueError: If a field is missing, or a text holds a token without a row in
            the model's table; names file and line.
    """
    texts = _input_texts(task, rows, where)
    if rowless(task.vocabulary):
        for line, text in zip(rows, texts, strict=True):
            decoded = text.decode() if isinstance(text, bytes) else text
            task.check_text(decoded, f"{where}:{line}")
    examples = sources.to_columns([{"inputs": text, "targets": ""} for text in texts])
    plain = make_task(
        task.name,
        sources.TableSource(
            task.name, lambda: {"requests": sources.SplitRows(lambda: examples)}
        ),
        vocabulary=task.vocabulary,
        read_request=task.read_request,
    )
    order = tf.data.Dataset.range(len(texts))
    dataset = pipeline.model_features(plain, "requests", order, lengths, soft_ids)
    numbers = np.fromiter(rows, np.int32) - 1  # From 0, as in a split.
    return {**pipeline.stack(dataset), pipeline.ROW_NUMBERS: numbers}


def _input_texts(
    task: Task, rows: Mapping[int, Mapping[str, Any]], where: str
) -> list[str | bytes]:
    numbered = [files.Row(f"{where}:{line}", dict(row)) for line, row in rows.items()]
    texts: list[str | bytes] = [""] * len(rows)
    structured = {}
    for i, row in enumerate(numbered):
        if row.fields.keys() == RAW:
            texts[i] = files.field_text(row, "inputs")
        else:
            structured[i] = task.read_request(row, i)
    if structured:
        columns: Any = sources.to_columns(list(structured.values()))
        dataset = tf.data.Dataset.from_tensor_slices(columns)
        for preprocess in task.formats:
            dataset = preprocess(dataset)
        for i, example in zip(structured, dataset.as_numpy_iterator(), strict=True):
            texts[i] = example["inputs"]
    return texts
