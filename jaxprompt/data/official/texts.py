"""Rows -> text to text, by the preprocessors of a seqio task."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from jaxprompt.data.official.libraries import seqio, tf
from jaxprompt.data.read.sources import Features
from jaxprompt.data.tasks.task import Example

Preprocessor = Callable[[tf.data.Dataset], tf.data.Dataset]

_BATCH = 512
"""Rows that come out of TensorFlow at once: one by one takes ten times as long."""

_TEXT = seqio.Feature(
    seqio.PassThroughVocabulary(size=1), dtype=tf.string, rank=0, add_eos=False
)


class Texts:
    """The text format of an official task: preprocessors that make texts of rows."""

    def __init__(self, name: str, preprocessors: Sequence[Preprocessor]):
        """Makes a format.

        Args:
            name: The task's name.
            preprocessors: From features to the texts "inputs" and "targets"; they make
                one example of each row, in order.
        """
        self._name = name
        self._preprocessors = list(preprocessors)

    def write(self, rows: Sequence[Features]) -> list[Example]:
        """Writes rows as text to text."""
        texts = self._run(rows).map(lambda row: (row["inputs"], row["targets"]))
        return [
            Example(inputs.decode(), targets.decode())
            for batch in texts.batch(_BATCH).as_numpy_iterator()
            for inputs, targets in zip(*batch, strict=True)
        ]

    def fields(self, rows: Sequence[Features]) -> list[dict[str, Any]]:
        """Returns what a seqio metric sees of rows, as `example`."""
        of_rows: Any = self._run(rows).as_numpy_iterator()
        return [
            {
                **row,
                "inputs_pretokenized": row["inputs"],
                "targets_pretokenized": row["targets"],
            }
            for row in of_rows
        ]

    def _run(self, rows: Sequence[Features]) -> tf.data.Dataset:
        columns: Any = to_columns(rows)

        def dataset(
            split: str, shuffle_files: bool, seed: int | None = None
        ) -> tf.data.Dataset:
            del split, shuffle_files, seed
            return tf.data.Dataset.from_tensor_slices(columns)

        task = seqio.Task(
            self._name,
            seqio.FunctionDataSource(dataset, splits=("rows",)),
            output_features={"inputs": _TEXT, "targets": _TEXT},
            preprocessors=self._preprocessors,
        )
        options: Any = {"split": "rows", "shuffle": False, "try_in_mem_cache": False}
        # AutoGraph translates the source of preprocessors, for the sake of branches on
        # what a row holds. Few have any, and these fail where they are not translated.
        untranslated: Any = tf.autograph.experimental.do_not_convert(task.get_dataset)
        with _quiet_seqio():
            try:
                return untranslated(**options)
            except TypeError:
                return task.get_dataset(**options)


def to_columns(rows: Sequence[Features]) -> Mapping[str, Any]:
    """Stacks rows into columns, with the dtypes that TFDS uses.

    Args:
        rows: Equal features everywhere.

    Returns:
        "label" int64 where it is a class, other whole numbers int32, other numbers
        float32, texts as strings, each [rows]; a list of texts is a ragged
        [rows, None].
    """
    return {name: _column(name, [row[name] for row in rows]) for name in rows[0]}


def _column(name: str, values: Sequence[Any]) -> Any:
    match values[0]:
        case Mapping():
            return to_columns(values)
        case list() | np.ndarray():
            flat = [text for texts in values for text in texts]
            lengths = [len(texts) for texts in values]
            ragged: Any = tf.RaggedTensor
            return ragged.from_row_lengths(tf.constant(flat, tf.string), lengths)
        case int() | np.integer():
            return tf.constant(values, tf.int64 if name == "label" else tf.int32)
        case float() | np.floating():
            return tf.constant(values, tf.float32)
        case _:
            return tf.constant(values, tf.string)


@contextlib.contextmanager
def _quiet_seqio() -> Iterator[None]:
    """Keeps seqio's advice off the terminal; none of it applies here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
