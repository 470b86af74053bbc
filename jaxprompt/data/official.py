"""An official task with a class label: its files, its TFDS twin, its text format."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from t5.data import glue_utils

from jaxprompt.bundled import resolve
from jaxprompt.data import files, sources

UNLABELLED = -1
"""Class index of a row without a label, as in TFDS."""


@dataclasses.dataclass(frozen=True)
class OfficialTask:
    """What is known about a GLUE or SuperGLUE classification task.

    Attributes:
        config: Builder config of TFDS: name, label classes, version.
        tfds_family: "glue" or "super_glue".
        folder: Name of the official folder.
        split_files: Split -> official file name.
        texts: The text fields.
        labels: A label as written in the files -> class index.
        metric_fns: Functions (targets, predictions) -> scores.
        columns: Name of a text field, or "label" -> its column in the files, where
            this is called otherwise.
        skip_short: Whether rows with too few columns are left out, as TFDS does.
    """

    config: Any
    tfds_family: str
    folder: str
    split_files: Mapping[str, str]
    texts: tuple[str, ...]
    labels: Mapping[str, int]
    metric_fns: Sequence[Callable[..., Any]]
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    skip_short: bool = False

    @property
    def name(self) -> str:
        """The task's name, which is also t5's prefix."""
        return self.config.name

    def source(self, data_dir: str | Path | None) -> sources.TableSource:
        """Makes the source: the files below `data_dir`, or TFDS if that is None."""
        if data_dir is None:
            tfds_name = f"{self.tfds_family}/{self.name}:{self.config.version}"
            readers = {
                split: functools.partial(sources.read_tfds, tfds_name, split)
                for split in self.split_files
            }
        else:
            paths = sources.find_files(
                self.name, resolve(data_dir), self.folder, self.split_files
            )
            readers = {
                split: functools.partial(self._read_file, path, split)
                for split, path in paths.items()
            }
        return sources.TableSource(self.name, readers)

    def formats(self, keep_task_name: bool) -> tuple[Callable[..., Any], ...]:
        """Returns the preprocessors: features -> "inputs" and "targets" texts."""
        to_text = glue_utils.get_glue_text_preprocessor(self.config)
        if keep_task_name:
            return (to_text,)
        return (to_text, functools.partial(_drop_prefix, prefix=f"{self.name} "))

    @property
    def postprocess_fn(self) -> Callable[..., Any]:
        """Label word -> class index, -1 for text that is no label."""
        return glue_utils.get_glue_postprocess_fn(self.config)

    def read_request(self, row: files.Row, number: int) -> dict[str, Any]:
        """Turns a row to predict into features; only its text fields count."""
        texts = {name: files.field_text(row, name) for name in self.texts}
        return {**texts, "label": UNLABELLED, "idx": number}

    def _read_file(self, path: Path, split: str) -> sources.Columns:
        rows = files.read_rows(path, skip_short=self.skip_short)
        return sources.to_columns(
            [
                {
                    **{name: self._text(row, name) for name in self.texts},
                    "label": self._label(row, split),
                    "idx": self._index(row, number),
                }
                for number, row in enumerate(rows)
            ]
        )

    def _text(self, row: files.Row, name: str) -> str:
        return files.field_text(row, self.columns.get(name, name))

    def _label(self, row: files.Row, split: str) -> int:
        column = self.columns.get("label", "label")
        if split == "test" and column not in row.fields:
            return UNLABELLED
        label = files.field_text(row, column)
        if label not in self.labels:
            raise ValueError(
                f"{row.where}: {column} {label!r} is not one of "
                f"{', '.join(self.labels)}"
            )
        return self.labels[label]

    def _index(self, row: files.Row, number: int) -> int:
        # As in TFDS: GLUE counts the rows, SuperGLUE's carry their number.
        if self.tfds_family == "glue":
            return number
        index = files.field_text(row, "idx")
        if not index.isdecimal():
            raise ValueError(f"{row.where}: idx {index!r} is not a row number")
        return int(index)


def _drop_prefix(dataset: tf.data.Dataset, prefix: str) -> tf.data.Dataset:
    def drop(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        text = example["inputs"]
        rest = tf.strings.substr(text, len(prefix), tf.strings.length(text))
        return {**example, "inputs": rest}

    return dataset.map(drop, num_parallel_calls=tf.data.AUTOTUNE)
