"""Where an official task's rows lie: the same ones in files and in TFDS."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.bundled import resolve
from jaxprompt.data.official.tfds import read_tfds
from jaxprompt.data.read.sources import Features, Source, SplitRows, find_files

ReadFile = Callable[[Path, str], list[Features]]
"""Official file, split -> its rows, validated, under the names that TFDS uses."""

Choose = Callable[[Sequence[Features], str], list[Features]]
"""Rows of a split, as files or TFDS have them, and its name -> its examples."""

FOLDERS = (".", "glue", "GLUE", "glue_data", "superglue", "super_glue", "SuperGLUE")
"""Where inside DATA_DIR the official folders may lie."""


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
    ) -> Source:
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

        def read(split: str, file: Path | None = None) -> list[Features]:
            found = self._tfds_rows(split) if file is None else read_file(file, split)
            if not found:
                raise ValueError(
                    f"{file or 'TFDS'}: no examples of task {task_name} for split "
                    f"{split!r}: give the whole file"
                )
            return found if choose is None else choose(found, split)

        def find() -> dict[str, SplitRows]:
            if data_dir is None:
                return {
                    split: SplitRows(functools.partial(read, split))
                    for split in self.files
                }
            folders = [str(Path(name, self.folder)) for name in FOLDERS]
            names = {split: (name,) for split, name in self.files.items()}
            files = find_files(task_name, resolve(data_dir), folders, names)
            return {
                split: SplitRows(functools.partial(read, split, file), file)
                for split, file in files.items()
            }

        return Source(task_name, find)

    def _tfds_rows(self, split: str) -> list[Features]:
        rows = read_tfds(self.tfds_name, self.tfds_splits.get(split, split))
        return [
            {name: row[name] for name in (*self.features, "idx")}
            for row in sorted(rows, key=self._place)
        ]

    def _place(self, row: Features) -> Any:
        index = row["idx"]
        return tuple(index[part] for part in self.index) if self.index else index
