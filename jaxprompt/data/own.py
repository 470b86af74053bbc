"""Own data: any JSONL, CSV or TSV file becomes a task, by templates over its fields."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.data import sources
from jaxprompt.data.files import Row, check_extension, read_rows
from jaxprompt.data.libraries import seqio, t5_metrics
from jaxprompt.data.libraries import t5_postprocessors as postprocessors
from jaxprompt.data.task import Task, make_task
from jaxprompt.data.template import Template
from jaxprompt.data.writing import as_written
from jaxprompt.quoting import listed, quoted

MetricFn = Callable[..., Any]


def _squad(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, Any]:
    """Scores as SQuAD does; t5's function wants all answers of a question, ours is one.

    Of a target without words, such as "the" or "+", t5's F1 is 0 whatever the answer.
    Here it is 1 if the answer has no words either, as in SQuAD 2.0.

    Source: compute_f1 of SQuAD 2.0's evaluation script,
    https://rajpurkar.github.io/SQuAD-explorer.
    """
    scores = t5_metrics.squad([[target] for target in targets], predictions)
    normalise = t5_metrics.qa_utils.normalize_squad
    both_empty = [
        not normalise(target) and not normalise(prediction)
        for target, prediction in zip(targets, predictions, strict=True)
    ]
    return {**scores, "f1": scores["f1"] + 100 * np.mean(both_empty)}


def _rouge(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, Any]:
    """Scores by t5's ROUGE, which draws samples of the rows: always the same ones."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        return t5_metrics.rouge(targets, predictions)
    finally:
        np.random.set_state(state)


def _mean_f1(num_classes: int) -> MetricFn:
    """Makes the mean F1 of the classes that a split or the predictions for it hold.

    This is scikit-learn's macro average. t5's function, which SuperGLUE's CB keeps,
    also counts a class that is nowhere, with an F1 of 0: perfect predictions of two
    classes out of three would score 66.7. A prediction that is no class is wrong, but
    no class of its own.
    """

    def mean_f1(targets: Sequence[int], predictions: Sequence[int]) -> Any:
        present = sorted({*targets, *predictions} & {*range(num_classes)})
        metric = t5_metrics.sklearn_metrics_wrapper(
            "f1_score",
            metric_dict_str=f"mean_{num_classes}class_f1",
            metric_post_process_fn=lambda x: 100 * x,
            labels=present,
            average="macro",
            zero_division=0,
        )
        return metric(targets, predictions)

    return mean_f1


METRICS: Mapping[str, MetricFn] = {
    "accuracy": t5_metrics.accuracy,
    "sequence_accuracy": t5_metrics.sequence_accuracy,
    "squad": _squad,
    "rouge": _rouge,
    "bleu": t5_metrics.bleu,
}
"""Metrics of texts; of these, only accuracy suits a task with labels."""

OF_SENTENCES = ("rouge",)
"""Those of `METRICS` that take each line of a target for a sentence."""

LABEL_METRICS: Mapping[str, Callable[[int], MetricFn]] = {
    "accuracy": lambda num_classes: t5_metrics.accuracy,
    "f1_score_with_invalid": lambda num_classes: t5_metrics.f1_score_with_invalid,
    "matthews_corrcoef": lambda num_classes: t5_metrics.sklearn_metrics_wrapper(
        "matthews_corrcoef", metric_post_process_fn=lambda x: 100 * x
    ),
    "mean_multiclass_f1": _mean_f1,
}
"""Metrics of class indices, made from the number of classes."""


def file_task(
    name: str,
    *,
    files: str | Path | Mapping[str, str | Path],
    inputs: str,
    target: str,
    vocabulary: seqio.Vocabulary,
    labels: Mapping[str, str] | None = None,
    share: Mapping[str, float] | None = None,
    seed: int = 0,
    metrics: Sequence[str] = ("accuracy",),
) -> Task:
    """Makes a task of one's own files.

    Example:
        file_task(
            "reviews",
            files="reviews.csv",
            share={"train": 0.9, "validation": 0.1},
            inputs="review: {text}",
            target="stars",
            labels={"1": "bad", "5": "good"},
            vocabulary=vocabulary,
        )

    Args:
        name: Letters, digits, "_", "." and ":".
        files: Split -> file (.jsonl, .csv or .tsv); or one file, which is the split
            "train" or is divided by `share`.
        inputs: Template of the input text: "{field}" stands for a field's value.
        target: A field's name, or a template, of the target.
        vocabulary: The backbone's vocabulary.
        labels: The target as in the file -> label word; JSON's true and false are
            "true" and "false". Without it the target itself is the target text.
        share: Split -> share of the rows, 1 in sum. A row's split depends on its
            number and the seed alone, so rows that are added move no others.
        seed: Seed of that division.
        metrics: Names out of `LABEL_METRICS` with labels, `METRICS` without. A target
            that is free text is compared as the vocabulary writes it, so that an
            answer with every token right is right; see `writing.as_written`.

    Returns:
        The task. A split's file is looked for, and its rows are validated, when the
        split is first used: without any file the task still answers requests.

    Raises:
        ValueError: If an argument or, later, a row is malformed.
    """
    row_format = _RowFormat(
        Template(inputs),
        Template(target if "{" in target else f"{{{target}}}"),
        None if labels is None else {str(k): word for k, word in labels.items()},
    )
    words = None if labels is None else tuple(dict.fromkeys(labels.values()))
    return make_task(
        name,
        sources.TableSource(name, _finder(files, row_format, share, seed)),
        vocabulary=vocabulary,
        read_request=row_format.read_request,
        labels=words,
        postprocess_fn=None if words is None else _class_index(words),
        metric_fns=_metric_fns(metrics, words, vocabulary),
    )


_WHERE = "where"
"""Of a row that was read: its file and line."""


@dataclasses.dataclass(frozen=True)
class _RowFormat:
    inputs: Template
    target: Template
    labels: Mapping[str, str] | None

    def read_request(self, row: Row, number: int) -> dict[str, Any]:
        return {"inputs": self.inputs.fill(row), "targets": "", "idx": number}

    def read(self, path: Path) -> list[dict[str, Any]]:
        return [
            {
                **self.read_request(row, number),
                "targets": self._target(row),
                _WHERE: row.where,
            }
            for number, row in enumerate(read_rows(path))
        ]

    def _target(self, row: Row) -> str:
        value = self.target.fill(row)
        if self.labels is None:
            return value
        if value not in self.labels:
            raise ValueError(
                f"{row.where}: label {quoted(value)} is not one of "
                f"{listed(self.labels)}"
            )
        return self.labels[value]


def _finder(
    files: str | Path | Mapping[str, str | Path],
    row_format: _RowFormat,
    share: Mapping[str, float] | None,
    seed: int,
) -> Callable[[], dict[str, sources.SplitRows]]:
    if isinstance(files, Mapping):
        if share is not None:
            raise ValueError("share divides one file, but files names one per split")
        if not files:
            raise ValueError("files is empty: name a file for each split")
        paths = {split: Path(path) for split, path in files.items()}
        for path in paths.values():
            check_extension(path)
        return lambda: {
            split: _split_rows(functools.partial(row_format.read, path), path)
            for split, path in paths.items()
        }
    path, share = Path(files), {"train": 1.0} if share is None else share
    check_extension(path)
    if (
        not share
        or min(share.values()) <= 0
        or not math.isclose(sum(share.values()), 1)
    ):
        raise ValueError(f"share {dict(share)}: use shares above 0, 1 in sum")
    rows = functools.cache(lambda: row_format.read(path))

    def read(split: str) -> list[dict[str, Any]]:
        mine = [row for row in rows() if _split_of(row["idx"], share, seed) == split]
        if not mine:
            raise ValueError(
                f"{path}: none of {len(rows())} rows falls into split {split!r} with "
                f"share {share[split]}: use a larger share"
            )
        return mine

    return lambda: {
        split: _split_rows(functools.partial(read, split), path) for split in share
    }


def _split_rows(
    read: Callable[[], list[dict[str, Any]]], path: Path
) -> sources.SplitRows:
    def columns() -> sources.Columns:
        return sources.to_columns(
            [{name: row[name] for name in row if name != _WHERE} for row in read()]
        )

    return sources.SplitRows(columns, path, lambda: [row[_WHERE] for row in read()])


def _split_of(number: int, share: Mapping[str, float], seed: int) -> str:
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=8).digest()
    point = int.from_bytes(digest) / 2**64
    *others, last = share
    for split in others:
        point -= share[split]
        if point < 0:
            return split
    return last


def _class_index(labels: Sequence[str]) -> Callable[..., Any]:
    return functools.partial(
        postprocessors.string_label_to_class_id, label_classes=labels
    )


def _metric_fns(
    names: Sequence[str], labels: Sequence[str] | None, vocabulary: seqio.Vocabulary
) -> list[Callable[..., Any]]:
    known = METRICS if labels is None else LABEL_METRICS
    kind = "free text" if labels is None else "labels"
    for name in names:
        if name not in known:
            raise ValueError(
                f"no metric {name!r} for a task with {kind}: use {', '.join(known)}"
            )
    if not names:
        raise ValueError(f"no metrics: use {', '.join(known)}")
    if labels is None:
        return [_of_written(name, vocabulary) for name in names]
    if "f1_score_with_invalid" in names and len(labels) != 2:
        raise ValueError(
            f"f1_score_with_invalid is for 2 labels, not {len(labels)}: use "
            "mean_multiclass_f1"
        )
    return [LABEL_METRICS[name](len(labels)) for name in names]


def _of_written(name: str, vocabulary: seqio.Vocabulary) -> MetricFn:
    """Makes a metric of texts compare targets as the vocabulary writes them.

    A target that it cannot write stays as it is: no prediction equals it.
    """
    metric = METRICS[name]

    def write(text: str) -> str:
        written = as_written(vocabulary, text)
        return text if written is None else written

    def compare(targets: Sequence[str], predictions: Sequence[str]) -> Any:
        if name in OF_SENTENCES:
            lines = [map(write, target.split("\n")) for target in targets]
            return metric(["\n".join(some) for some in lines], predictions)
        return metric([write(target) for target in targets], predictions)

    return compare
