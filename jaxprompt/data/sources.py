"""Where rows come from: official files in a folder, or TFDS; the same rows either way.

Rows are validated in Python and held in memory, so that a malformed row is one clear
error before training starts, and any row can be picked by its number. Nothing is looked
for before a split is asked for: a task answers rows of a user without any files.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.bundled import resolve
from jaxprompt.data.files import check_exists
from jaxprompt.data.libraries import seqio, tf

Features = dict[str, Any]
"""A row: feature name -> a text, a number, a list of texts, or features again."""

Columns = Mapping[str, Any]
"""Feature name -> one value per row, [rows]; lists are ragged, features nest."""

ReadFile = Callable[[Path, str], list[Features]]
"""Official file, split -> its rows, validated, under the names that TFDS uses."""

Choose = Callable[[Sequence[Features], str], list[Features]]
"""Rows of a split, as files or TFDS have them, and its name -> its examples."""

FOLDERS = (".", "glue", "GLUE", "glue_data", "superglue", "super_glue", "SuperGLUE")
"""Where inside DATA_DIR the official folders may lie."""


class SplitRows(NamedTuple):
    """The rows of a split, which are still to be read.

    Attributes:
        read: Reads and validates them.
        file: The file that holds them; None where they lie in no single file.
        places: Lists where each row stands, as "file:line"; None if it is not known.
    """

    read: Callable[[], Columns]
    file: Path | None = None
    places: Callable[[], Sequence[str]] | None = None


class TableSource(seqio.DataSource):
    """A seqio source whose rows are in memory, read split by split on first use."""

    def __init__(self, task_name: str, find: Callable[[], Mapping[str, SplitRows]]):
        """Makes a source, and looks for none of its files.

        Args:
            task_name: For error messages.
            find: Returns the splits that are there, and the rows of each; called when
                the source is first asked for its splits, or for one of them.
        """
        super().__init__(
            splits=(),  # See the property.
            caching_permitted=False,
            performs_internal_shuffling=True,
        )
        self._task_name = task_name
        self._find = functools.cache(find)
        self._columns: dict[str, Columns] = {}

    @property
    def splits(self) -> Sequence[str]:
        """The splits that are there; FileNotFoundError if no file of the task is."""
        return tuple(self._find())

    def check(self, split: str) -> None:
        """Checks that a split is there, and reads no row of it.

        Raises:
            ValueError: If the task has no such split.
            FileNotFoundError: If the split's file is missing.
        """
        file = self._rows_of(split).file
        if file is not None:
            check_exists(file)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """True: any row can be read without the others."""
        return True

    def list_shards(self, split: str) -> Sequence[str]:
        """Returns one name: a split is one table."""
        return [split]

    def columns(self, split: str) -> Columns:
        """Returns every row of a split; reads it if this has not happened yet."""
        if split not in self._columns:
            self._columns[split] = self._rows_of(split).read()
        return self._columns[split]

    def _rows_of(self, split: str) -> SplitRows:
        found = self._find()
        if split not in found:
            raise ValueError(
                f"no split {split!r} in task {self._task_name}: it has "
                f"{', '.join(found)}"
            )
        return found[split]

    def place(self, split: str, row: int) -> str:
        """Returns where a row stands, for messages: its file and line if known."""
        places = self._rows_of(split).places
        return f"row {row + 1} of split {split!r}" if places is None else places()[row]

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of the files that rows come from, where a source records it."""
        return {}

    def num_input_examples(self, split: str) -> int:
        """Returns the number of rows of a split."""
        return int(tf.nest.flatten(self.columns(split))[0].shape[0])

    def select(self, split: str, rows: tf.data.Dataset) -> tf.data.Dataset:
        """Picks rows by number.

        Args:
            split: The split.
            rows: Row numbers in the wanted order, int64 scalars. Epochs count on: of
                R rows, number R is the first one again, in the second epoch.

        Returns:
            The rows as a dataset of feature dicts.
        """
        columns, count = self.columns(split), self.num_input_examples(split)
        return rows.map(
            lambda row: tf.nest.map_structure(
                lambda column: column[row % count], columns
            )
        )

    def pick(self, split: str, rows: tf.data.Dataset) -> seqio.DataSource:
        """Returns `select`'s rows as a source of their own."""

        def dataset(
            split: str, shuffle_files: bool, seed: int | None = None
        ) -> tf.data.Dataset:
            del shuffle_files, seed
            return self.select(split, rows)

        return seqio.FunctionDataSource(dataset, splits=(split,))

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: Mapping[str, int] | None = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """Returns a split as seqio wants it; a shuffle is over all of its rows."""
        del sequence_length, use_cached, num_epochs
        rows = np.arange(self.num_input_examples(split))
        if shuffle:
            rows = np.random.default_rng(seed).permutation(rows)
        if shard_info is not None:
            rows = rows[shard_info.index :: shard_info.num_shards]
        return self.select(split, tf.data.Dataset.from_tensor_slices(rows))


def to_columns(rows: Sequence[Features]) -> Columns:
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


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where the rows of an official task lie: as files, and in TFDS.

    Attributes:
        tfds_name: Data set, config and version, such as "glue/sst2:2.0.0".
        folder: Name of the official folder, such as "SST-2".
        files: Split -> official file name.
        features: What of TFDS's rows is kept, beside "idx".
        tfds_splits: Split -> TFDS's name of it, where this is another.
        index: Parts of "idx" in the order of the files, where it has parts.
    """

    tfds_name: str
    folder: str
    files: Mapping[str, str]
    features: tuple[str, ...]
    tfds_splits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    index: tuple[str, ...] = ()

    def source(
        self,
        task_name: str,
        data_dir: str | Path | None,
        read_file: ReadFile,
        choose: Choose | None = None,
    ) -> TableSource:
        """Makes the source: the files below `data_dir`, or TFDS if that is None.

        Args:
            task_name: For error messages.
            data_dir: The user's folder, or something bundled.
            read_file: Reads an official file.
            choose: From a split's rows to its examples, where these are others.

        Returns:
            The same rows in the same order either way; looked for on first use, when
            it is a FileNotFoundError if none of the files is there.
        """

        def read(split: str, file: Path | None = None) -> Columns:
            found = self._tfds_rows(split) if file is None else read_file(file, split)
            if not found:
                raise ValueError(
                    f"{file or 'TFDS'}: no examples of task {task_name} for split "
                    f"{split!r}: give the whole file"
                )
            return to_columns(found if choose is None else choose(found, split))

        def find() -> dict[str, SplitRows]:
            if data_dir is None:
                return {
                    split: SplitRows(functools.partial(read, split))
                    for split in self.files
                }
            files = find_files(task_name, resolve(data_dir), self.folder, self.files)
            return {
                split: SplitRows(functools.partial(read, split, file), file)
                for split, file in files.items()
            }

        return TableSource(task_name, find)

    def _tfds_rows(self, split: str) -> list[Features]:
        rows = read_tfds(self.tfds_name, self.tfds_splits.get(split, split))
        return [
            {name: row[name] for name in (*self.features, "idx")}
            for row in sorted(rows, key=self._place)
        ]

    def _place(self, row: Features) -> Any:
        index = row["idx"]
        return tuple(index[part] for part in self.index) if self.index else index


def find_files(
    task_name: str, data_dir: str | Path, folder: str, files: Mapping[str, str]
) -> dict[str, Path]:
    """Finds a task's official files below DATA_DIR.

    Args:
        task_name: For error messages.
        data_dir: The user's folder.
        folder: Name of the official folder, such as "SST-2".
        files: Split -> official file name.

    Returns:
        Split -> path, for the splits that are there.

    Raises:
        FileNotFoundError: If no split is there; lists what was looked for.
    """
    candidates = [Path(data_dir) / name / folder for name in FOLDERS]
    for candidate in candidates:
        found = {
            split: candidate / name
            for split, name in files.items()
            if (candidate / name).is_file()
        }
        if found:
            return found
    raise FileNotFoundError(
        f"no files of task {task_name} below DATA_DIR {str(data_dir)!r}: looked for "
        f"{', '.join(files.values())} in {', '.join(map(str, candidates))}"
    )


def read_tfds(name: str, split: str) -> list[Features]:
    """Reads one split from TensorFlow Datasets, downloading it if need be.

    Args:
        name: Data set, config and version, such as "glue/sst2:2.0.0".
        split: The split, as TFDS calls it.

    Returns:
        The rows in TFDS's order.

    Raises:
        ValueError: If the data set is not prepared and cannot be downloaded.
    """
    source = seqio.TfdsDataSource(tfds_name=name, splits=(split,))
    try:
        return list(source.get_dataset(split, shuffle=False).as_numpy_iterator())
    except Exception as err:
        # TFDS raises a dozen unrelated types here: network, disk, checksum, format.
        raise ValueError(
            f"TFDS has no {name} prepared and cannot download it "
            f"({type(err).__name__}: {_first_line(err)}): set TFDS_DATA_DIR to a "
            "folder that holds it, or DATA_DIR to a folder of the official files"
        ) from err


def _first_line(err: Exception) -> str:
    return (str(err).splitlines() or ["no message"])[0]
