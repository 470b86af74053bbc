"""Where rows come from: official files in a folder, or TFDS; the same rows either way.

Rows are validated in Python and held in memory, so that a malformed row is one clear
error before training starts, and any row can be picked by its number.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

Columns = Mapping[str, tf.Tensor]
"""Feature name -> one value per row, [rows]."""

FOLDERS = (".", "glue", "GLUE", "glue_data", "superglue", "super_glue", "SuperGLUE")
"""Where inside DATA_DIR the official folders may lie."""


class TableSource(seqio.DataSource):
    """A seqio source whose rows are in memory, read split by split on first use."""

    def __init__(self, task_name: str, readers: Mapping[str, Callable[[], Columns]]):
        """Makes a source.

        Args:
            task_name: For error messages.
            readers: Split -> function that reads and validates its rows.
        """
        super().__init__(
            splits=tuple(readers),
            caching_permitted=False,
            performs_internal_shuffling=True,
        )
        self._task_name = task_name
        self._readers = {
            split: functools.cache(reader) for split, reader in readers.items()
        }

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """True: any row can be read without the others."""
        return True

    def list_shards(self, split: str) -> Sequence[str]:
        """Returns one name: a split is one table."""
        return [split]

    def columns(self, split: str) -> Columns:
        """Returns every row of a split; reads it if this has not happened yet."""
        if split not in self._readers:
            raise ValueError(
                f"no split {split!r} in task {self._task_name}: it has "
                f"{', '.join(self._readers)}"
            )
        return self._readers[split]()

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of the files that rows come from, where a source records it."""
        return {}

    def num_input_examples(self, split: str) -> int:
        """Returns the number of rows of a split."""
        return len(next(iter(self.columns(split).values())))

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
            lambda row: {name: column[row % count] for name, column in columns.items()}
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


def to_columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Stacks rows into columns, with the dtypes that TFDS uses for GLUE.

    Args:
        rows: Equal keys everywhere; "label" and "idx" are ints, the others texts.

    Returns:
        "label" int64, "idx" int32, every other feature a string, each [rows].
    """
    dtypes = {"label": tf.int64, "idx": tf.int32}
    return {
        name: tf.constant([row[name] for row in rows], dtypes.get(name, tf.string))
        for name in rows[0]
    }


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


def read_tfds(name: str, split: str) -> Columns:
    """Reads one split from TensorFlow Datasets, downloading it if need be.

    Args:
        name: Data set, config and version, such as "glue/sst2:2.0.0".
        split: The split.

    Returns:
        The rows in the order of the official file (of "idx"), as `to_columns` has.

    Raises:
        ValueError: If the data set is not prepared and cannot be downloaded.
    """
    source = seqio.TfdsDataSource(tfds_name=name, splits=(split,))
    try:
        rows = list(source.get_dataset(split, shuffle=False).as_numpy_iterator())
    except Exception as err:
        # TFDS raises a dozen unrelated types here: network, disk, checksum, format.
        raise ValueError(
            f"TFDS has no {name} prepared and cannot download it "
            f"({type(err).__name__}: {_first_line(err)}): set TFDS_DATA_DIR to a "
            "folder that holds it, or DATA_DIR to a folder of the official files"
        ) from err
    rows.sort(key=lambda row: row["idx"])
    return to_columns(rows)


def _first_line(err: Exception) -> str:
    return (str(err).splitlines() or ["no message"])[0]
