"""Texts that a classifier labelled -> a task: rows of which it was sure.

The rows are those of `jaxprompt predict --scores`: fields of a text,
"prediction" and "probabilities".
"""

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxprompt.data.read.files import Row, read_rows
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.text import TRAIN, VALIDATION
from jaxprompt.data.tasks.own import file_task, words_as_written
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.files.strict_json import as_json
from jaxprompt.screen.quoting import listed, quoted

PREDICTION, PROBABILITIES = "prediction", "probabilities"


class _Labelled(Source):
    """The rows of which the classifier was sure."""

    def __init__(
        self,
        name: str,
        path: Path,
        task: Task,
        labels: Mapping[str, str],
        least: Mapping[str, float],
        validation_share: float,
    ):
        self._found = functools.cache(
            functools.partial(_read, name, path, task, labels, least, validation_share)
        )

        def find() -> dict[str, SplitRows]:
            return {
                split: SplitRows(lambda split=split: self._found()[0][split], path)
                for split in (TRAIN, VALIDATION)
            }

        super().__init__(name, find)

    def notes(self, split: str) -> list[str]:
        """Says how many rows of each label were kept, of how many."""
        del split
        _, kept, seen, repeated = self._found()
        shares = ", ".join(f"{label} {kept[label]} of {seen[label]}" for label in seen)
        return [
            f"labelled texts that are kept: {shares}; without {repeated} that repeat "
            "another"
        ]


def pseudo_label_task(
    name: str,
    path: str | Path,
    *,
    inputs: str,
    labels: Mapping[str, str],
    vocabulary: Vocabulary,
    least: Mapping[str, float],
    validation_share: float = 0.05,
    cut: Sequence[str] = (),
) -> Task:
    """Makes a task of texts with a classifier's labels.

    Args:
        name: Letters, digits, "_", "." and ":".
        path: Rows with the fields of `inputs`, "prediction", and "probabilities": label
            -> its probability. JSON lines.
        inputs: Template over the fields of a row.
        labels: Label of the classifier -> its word.
        vocabulary: The backbone's vocabulary.
        least: Label -> probability above which a row with this label is kept; 0 for a
            label that it does not name.
        validation_share: Share of the rows that are kept for validation, by their text.
        cut: As of `data.tasks.own.file_task`.

    Raises:
        ValueError: If `least` names no label; later, if a row is malformed or a split
            has none.

    Source: Gu et al. 2022, sec. 3.2 (arXiv:2109.04332): five labels, of which rows
    above 0.95, 0.5, 0.5, 0.5 and 0.7 are kept.
    """
    unknown = [label for label in least if label not in labels]
    if unknown:
        raise ValueError(
            f"thresholds of task {name} name {', '.join(unknown)}, but the labels are "
            f"{', '.join(labels)}"
        )
    task = file_task(
        name,
        files={},
        inputs=inputs,
        target=PREDICTION,
        labels=labels,
        vocabulary=vocabulary,
        cut=cut,
    )
    # As the task writes them: behind a decoder's text they begin with a space.
    words = words_as_written(task, labels)
    source = _Labelled(name, Path(path), task, words, least, validation_share)
    return dataclasses.replace(task, source=source)


_Read = tuple[
    dict[str, list[Features]], collections.Counter[str], collections.Counter[str], int
]


def _read(
    name: str,
    path: Path,
    task: Task,
    labels: Mapping[str, str],
    least: Mapping[str, float],
    validation_share: float,
) -> _Read:
    """Reads the rows that are kept; counts them and all of each label, and repeats."""
    rows: dict[str, list[Features]] = {TRAIN: [], VALIDATION: []}
    kept, seen = collections.Counter[str](), collections.Counter[str]()
    texts: set[str] = set()
    repeated = 0
    for row in read_rows(path):
        label, probability = _label_of(row)
        if label not in labels:
            raise ValueError(
                f"{row.where}: prediction {quoted(label)} is none of {listed(labels)}"
            )
        seen[label] += 1
        if probability <= least.get(label, 0.0):
            continue
        features = task.read_request(row, sum(kept.values()))
        if features["inputs"] in texts:
            repeated += 1
            continue
        texts.add(features["inputs"])
        kept[label] += 1
        split = VALIDATION if _point(features["inputs"]) < validation_share else TRAIN
        rows[split].append({**features, "targets": labels[label]})
    for split, found in rows.items():
        if not found:
            raise ValueError(
                f"task {name}: no text of {path} is left for split {split!r}: use "
                "lower thresholds, another validation_share, or more text"
            )
    return rows, kept, seen, repeated


def _label_of(row: Row) -> tuple[str, float]:
    label, shares = row.fields.get(PREDICTION), row.fields.get(PROBABILITIES)
    probability = shares.get(label) if isinstance(shares, dict) else None
    if not isinstance(label, str) or not isinstance(probability, int | float):
        raise ValueError(
            f"{row.where}: prediction {as_json(label)} with probabilities "
            f"{as_json(shares)}: give the rows of jaxprompt predict --scores"
        )
    return label, float(probability)


def _point(text: str) -> float:
    """Draws a number from 0 to 1 that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
