"""Official tasks of one label a row, in t5's format of all text fields."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.official.libraries import t5_glue as glue_utils
from jaxprompt.data.official.libraries import t5_preprocessors as preprocessors
from jaxprompt.data.official.libraries import tf
from jaxprompt.data.official.origin import Origin
from jaxprompt.data.official.spec import BuiltSpec
from jaxprompt.data.read import files
from jaxprompt.data.read.fields import field_label, field_number
from jaxprompt.data.read.sources import Features
from jaxprompt.data.tasks.task import UNLABELLED


@dataclasses.dataclass(frozen=True)
class LabelledRows:
    """How the official files write texts and a label.

    Attributes:
        texts: The text fields.
        labels: A label as written in the files -> class index.
        columns: Name of a text field, or "label" -> its column in the files, where
            this is called otherwise.
        numbered: Whether a row carries its number, as in SuperGLUE; otherwise rows
            are counted, as TFDS does for GLUE.
        read_rows: Official file, split -> its rows.
    """

    texts: tuple[str, ...]
    labels: Mapping[str, int]
    columns: Mapping[str, str]
    numbered: bool
    read_rows: Callable[[Path, str], list[files.Row]]

    def read_file(self, path: Path, split: str) -> list[Features]:
        """Reads and validates an official file; see `ReadFile`."""
        return [
            {
                **{name: self._text(row, name) for name in self.texts},
                "label": self._label(row, split),
                "idx": field_number(row, "idx") if self.numbered else number,
            }
            for number, row in enumerate(self.read_rows(path, split))
        ]

    def read_request(self, row: files.Row, number: int) -> Features:
        """Turns a row to predict into features; only its text fields count."""
        texts = {name: files.field_text(row, name) for name in self.texts}
        return {**texts, "label": UNLABELLED, "idx": number}

    def _text(self, row: files.Row, name: str) -> str:
        return files.field_text(row, self.columns.get(name, name))

    def _label(self, row: files.Row, split: str) -> int:
        column = self.columns.get("label", "label")
        if split.startswith("test") and column not in row.fields:
            return UNLABELLED
        return field_label(row, column, self.labels)


def label_task(
    name: str,
    config: Any,
    origin: Origin,
    rows: LabelledRows,
    metric_fns: Sequence[Callable[..., Any]],
    *,
    prefix: str | None = None,
    renamed: Mapping[str, str] | None = None,
) -> BuiltSpec:
    """Puts a task together.

    Args:
        name: The task's name.
        config: Builder config of TFDS, which t5 reads the label words from.
        origin: Where its rows lie.
        rows: How the files write them.
        metric_fns: Functions (targets, predictions) -> scores.
        prefix: What t5 calls the task in the inputs; None for its name in TFDS.
        renamed: Feature that t5's format has -> what it is called here.

    Returns:
        The task.
    """
    to_text = glue_utils.get_glue_text_preprocessor(config)
    return BuiltSpec(
        name=name,
        origin=origin,
        read_file=rows.read_file,
        read_request=rows.read_request,
        to_text=to_text if renamed is None else _renamed(to_text, renamed),
        prefix=f"{prefix or config.name} ",
        postprocess_fn=glue_utils.get_glue_postprocess_fn(config),
        metric_fns=metric_fns,
        label_words=tuple(config.label_classes),
    )


def _renamed(to_text: Callable[..., Any], renamed: Mapping[str, str]) -> Any:
    key_map = {**renamed, "label": "label", "idx": "idx"}

    def rename_and_format(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return to_text(preprocessors.rekey(dataset, key_map))

    return rename_and_format
