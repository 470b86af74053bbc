"""Question answering as text to text: SQuAD, and MRQA's sets of other domains."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.bundled import resolve
from jaxprompt.data.official.libraries import t5_metrics as metrics
from jaxprompt.data.official.libraries import t5_postprocessors as postprocessors
from jaxprompt.data.official.libraries import t5_preprocessors as preprocessors
from jaxprompt.data.official.tfds import read_tfds
from jaxprompt.data.read import files
from jaxprompt.data.read.qa_files import read_mrqa, read_squad, squad_row
from jaxprompt.data.read.sources import Features, Source, SplitRows, find_files


@dataclasses.dataclass(frozen=True)
class QuestionTask:
    """What is known about a question answering task, whose answers are free text.

    Attributes:
        name: The task's name.
        folders: Where below DATA_DIR its files may lie.
        split_files: Split -> its official file, under any of these names.
        read_file: From a file to rows with the features of TFDS's SQuAD.
        tfds_name: Data set, config and version in TFDS.
        tfds_splits: Split -> TFDS's name of it.
        read_tfds: From one of TFDS's rows to such a row.
    """

    name: str
    folders: tuple[str, ...]
    split_files: Mapping[str, tuple[str, ...]]
    read_file: Callable[[Path], list[Features]]
    tfds_name: str
    tfds_splits: Mapping[str, str]
    read_tfds: Callable[[Features], Features]

    @property
    def label_words(self) -> None:
        """None: an answer is free text."""
        return None

    @property
    def targets_are_right(self) -> bool:
        """True: the target is the first of the answers."""
        return True

    @property
    def postprocess_fn(self) -> Callable[..., Any]:
        """A prediction is its text; a target is every answer that counts as right."""
        return postprocessors.qa

    @property
    def metric_fns(self) -> Sequence[Callable[..., Any]]:
        """Exact match "em" and word overlap "f1", with the answer that is nearest."""
        return (metrics.squad,)

    def source(self, data_dir: str | Path | None) -> Source:
        """Makes the source: the files below `data_dir`, or TFDS if that is None."""
        return Source(self.name, functools.partial(self._find, data_dir))

    def _find(self, data_dir: str | Path | None) -> dict[str, SplitRows]:
        if data_dir is None:
            return {
                split: _in_order(functools.partial(self._tfds_rows, name))
                for split, name in self.tfds_splits.items()
            }
        paths = find_files(self.name, resolve(data_dir), self.folders, self.split_files)
        return {
            split: _in_order(functools.partial(self.read_file, path), path)
            for split, path in paths.items()
        }

    def formats(self, keep_task_name: bool) -> tuple[Callable[..., Any], ...]:
        """Returns t5's format of SQuAD, which has no task name that could be kept."""
        del keep_task_name
        return (preprocessors.squad,)

    def read_request(self, row: files.Row, number: int) -> Features:
        """Turns a row to answer into features; its context and its question count."""
        context = files.field_text(row, "context")
        question = files.field_text(row, "question")
        return squad_row(str(number), context, question, answers=[""])

    def _tfds_rows(self, split: str) -> list[Features]:
        return [self.read_tfds(r) for r in read_tfds(self.tfds_name, split)]


def _in_order(
    read: Callable[[], list[Features]], file: Path | None = None
) -> SplitRows:
    """Sorts what is read: TFDS mixes rows, and ids alone give a common order."""
    return SplitRows(lambda: sorted(read(), key=lambda row: row["id"]), file)


def _squad_from_tfds(row: Features) -> Features:
    answers = row["answers"]["text"]
    return squad_row(row["id"], row["context"], row["question"], answers)


def _mrqa_from_tfds(row: Features) -> Features:
    return squad_row(row["qid"], row["context"], row["question"], row["answers"])


def _mrqa(name: str, file: str) -> QuestionTask:
    """Returns a set of MRQA 2019 that is out of domain: it is not trained on.

    Source: Fisch et al. 2019, sec. 3 (arXiv:1910.09753). The answers are those of the
    field "answers", as its evaluation uses them, and not the spans that were found.
    """
    return QuestionTask(
        name=f"mrqa_{name}",
        folders=("mrqa", "MRQA", "."),
        split_files={"validation": (f"{file}.jsonl.gz", f"{file}.jsonl")},
        read_file=read_mrqa,
        tfds_name=f"mrqa/{name}:1.0.0",
        tfds_splits={"validation": "test"},
        read_tfds=_mrqa_from_tfds,
    )


SQUAD = QuestionTask(
    name="squad",
    folders=("squad", "SQuAD", "."),
    split_files={"train": ("train-v1.1.json",), "validation": ("dev-v1.1.json",)},
    read_file=read_squad,
    tfds_name="squad/v1.1:3.0.0",
    tfds_splits={"train": "train", "validation": "validation"},
    read_tfds=_squad_from_tfds,
)

MRQA = (
    _mrqa("bio_asq", "BioASQ"),
    _mrqa("drop", "DROP"),
    _mrqa("duo_rc", "DuoRC.ParaphraseRC"),
    _mrqa("race", "RACE"),
    _mrqa("relation_extraction", "RelationExtraction"),
    _mrqa("textbook_qa", "TextbookQA"),
)

TASKS = {task.name: task for task in (SQUAD, *MRQA)}
