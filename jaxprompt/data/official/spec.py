"""What is known about an official task: its rows, its text format, its metrics."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from jaxprompt.data.official.libraries import tf
from jaxprompt.data.official.origin import Choose, Origin, ReadFile
from jaxprompt.data.read import files
from jaxprompt.data.read.sources import Features, Source

JSONL = {"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"}
"""Split -> file name, of SuperGLUE."""


class Spec(Protocol):
    """What `official.tasks.load_task` needs to know about an official task."""

    @property
    def name(self) -> str:
        """The task's name, as in `official.tasks.task_names()`."""
        ...

    @property
    def label_words(self) -> tuple[str, ...] | None:
        """The legal label words in class order; None for free text."""
        ...

    @property
    def postprocess_fn(self) -> Callable[..., Any]:
        """Text -> what the metrics compare, as seqio calls it."""
        ...

    @property
    def metric_fns(self) -> Sequence[Callable[..., Any]]:
        """Functions (targets, predictions) -> scores."""
        ...

    @property
    def targets_are_right(self) -> bool:
        """Whether the target of every row is a right answer to it."""
        ...

    def source(self, data_dir: str | Path | None) -> Source:
        """Makes the source: the files below `data_dir`, or TFDS if that is None."""
        ...

    def formats(self, keep_task_name: bool) -> Sequence[Callable[..., Any]]:
        """Returns the preprocessors: features -> "inputs" and "targets" texts.

        They make one example of each row: the batches count on it.
        """
        ...

    def read_request(self, row: files.Row, number: int, /) -> Features:
        """Turns a row to predict into features, as the source has them, unlabelled."""
        ...


@dataclasses.dataclass(frozen=True)
class BuiltSpec:
    """A `Spec` put together from its parts.

    Attributes:
        name: The task's name.
        origin: Where its rows lie.
        read_file: Reads an official file.
        read_request: A row to predict, and its number -> features without a label.
        to_text: t5's preprocessor, from features to texts.
        prefix: What t5 puts before the inputs of every example: the task's name.
        postprocess_fn: Text -> what the metrics compare.
        metric_fns: Functions (targets, predictions) -> scores.
        label_words: The label words of t5's format in class order; None for free
            text.
        choose: From a split's rows to its examples, where these are others.
        targets_are_right: Whether the target of every row is a right answer to it.
    """

    name: str
    origin: Origin
    read_file: ReadFile
    read_request: Callable[[files.Row, int], Features]
    to_text: Callable[..., Any]
    prefix: str
    postprocess_fn: Callable[..., Any]
    metric_fns: Sequence[Callable[..., Any]]
    label_words: tuple[str, ...] | None = None
    choose: Choose | None = None
    targets_are_right: bool = True

    def source(self, data_dir: str | Path | None) -> Source:
        """Makes the source: the files below `data_dir`, or TFDS if that is None."""
        return self.origin.source(self.name, data_dir, self.read_file, self.choose)

    def formats(self, keep_task_name: bool) -> tuple[Callable[..., Any], ...]:
        """Returns the preprocessors: features -> "inputs" and "targets" texts."""
        if keep_task_name:
            return (self.to_text,)
        return (self.to_text, functools.partial(_drop_prefix, prefix=self.prefix))


def _drop_prefix(dataset: tf.data.Dataset, prefix: str) -> tf.data.Dataset:
    def drop(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        text = example["inputs"]
        rest = tf.strings.substr(text, len(prefix), tf.strings.length(text))
        return {**example, "inputs": rest}

    return dataset.map(drop, num_parallel_calls=tf.data.AUTOTUNE)
