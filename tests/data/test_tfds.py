"""Official files give what TFDS makes of them, and t5's own texts, row by row."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds
from official_rows import FOLDERS, ROWS, TABLES, write_lines, write_official
from t5.data import glue_utils, preprocessors

from jaxprompt.data.official.benchmarks.glue import TSV
from jaxprompt.data.official.spec import JSONL
from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.tasks.digest import data_hashes
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

TFDS = {
    "copa": "super_glue/copa",
    "multirc": "super_glue/multirc",
    "record": "super_glue/record",
    "wic": "super_glue/wic",
    "wsc": "super_glue/wsc.fixed",
    "axb": "super_glue/axb",
    "cola": "glue/cola",
    "stsb": "glue/stsb",
    "mnli": "glue/mnli",
}
"""Task -> its name in TFDS."""


@pytest.fixture
def tfds_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder that seqio reads TFDS from."""
    folder = tmp_path / "tfds"
    folder.mkdir()
    seqio.set_tfds_data_dir_override(str(folder))
    yield folder
    seqio.set_tfds_data_dir_override(None)


def store(name: str, folder: Path, tfds_dir: Path) -> dict[str, tf.data.Dataset]:
    """Prepares TFDS's data set, by its own code, from files instead of a download."""

    def split_generators(builder: Any, manager: Any) -> dict[str, Any]:
        del manager
        return {
            split: builder._generate_examples(str(folder / file), of_reader)
            for split, (file, of_reader) in official_files(name, folder)
        }

    tfds.disable_progress_bar()
    builder = tfds.builder(TFDS[name], data_dir=tfds_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(builder), "_split_generators", split_generators)
        builder.download_and_prepare()
    return builder.as_dataset(shuffle_files=False)


def official_files(name: str, folder: Path) -> list[tuple[str, tuple[str, str]]]:
    """Lists (TFDS's split, (file, what TFDS's reader calls the split))."""
    if name == "axb":
        return [("test", (f"{folder.name}.jsonl", "test"))]
    if name == "mnli":
        ends = ("matched", "mismatched")
        dev = [(f"validation_{end}", (f"dev_{end}.tsv", "dev")) for end in ends]
        test = [(f"test_{end}", (f"test_{end}.tsv", "test")) for end in ends]
        return [("train", ("train.tsv", "train")), *dev, *test]
    files = JSONL if name in ROWS else TSV
    return [
        (split, (file, "dev" if file == "dev.tsv" else split))
        for split, file in files.items()
    ]


def texts(task: Task, split: str) -> list[tuple[str, str]]:
    """Formats a split; what comes after, tokenising, is the same for every task."""
    return [example[:2] for example in task.examples(split)]


def decoded(dataset: tf.data.Dataset) -> list[tuple[str, str]]:
    return [
        (row["inputs"].decode(), row["targets"].decode())
        for row in dataset.as_numpy_iterator()
    ]


def check_same(name: str, data_dir: Path, vocabulary: Vocabulary) -> None:
    """Compares all rows of both sources of a task."""
    from_files = load_task(name, vocabulary=vocabulary, data_dir=data_dir)
    from_tfds = load_task(name, vocabulary=vocabulary)
    assert from_files.splits == from_tfds.splits
    for split in from_files.splits:
        assert from_files.source.rows(split) == from_tfds.source.rows(split)
        assert data_hashes(from_files, [split]) == data_hashes(from_tfds, [split])


@pytest.mark.parametrize("name", [*ROWS, *TABLES])
def test_rows_are_tfds_s_and_texts_are_t5s(
    name: str, tmp_path: Path, tfds_dir: Path, vocabulary
):
    data_dir = tmp_path / "official"
    raw = store(name, write_official(name, data_dir), tfds_dir)
    check_same(name, data_dir, vocabulary)
    task, bare = (
        load_task(name, vocabulary=vocabulary, data_dir=data_dir, keep_task_name=keep)
        for keep in (True, False)
    )
    for split in task.splits:
        ours = texts(task, split)
        theirs = decoded(t5_format(name, split)(raw[tfds_split(name, split)]))
        if name == "record" and split == "validation":
            # t5 repeats a query for each answer, to score the first one alone.
            theirs = list(dict(theirs[::-1]).items())
        assert sorted(ours) == sorted(theirs)
        for (text, target), (whole, same) in zip(texts(bare, split), ours, strict=True):
            # The name that T5 trained with, and nothing else, is dropped.
            assert whole == T5_NAMES.get(name, f"{name} ") + text
            assert target == same


@pytest.mark.parametrize(("name", "rows"), [("wsc", 554), ("multirc", 3), ("stsb", 9)])
def test_the_real_files_give_tfds_s_rows(
    name: str, rows: int, shared: Path, tmp_path: Path, tfds_dir: Path, vocabulary
):
    real = shared / "data" / ("superglue" if name in ROWS else "glue")
    folder = tmp_path / "official" / FOLDERS[name]
    folder.mkdir(parents=True)
    for _, (file, _) in official_files(name, folder):
        lines = (real / folder.name / file).read_text("utf-8")
        write_lines(folder / file, lines.splitlines()[:rows])
    store(name, folder, tfds_dir)
    check_same(name, tmp_path / "official", vocabulary)


def tfds_split(name: str, split: str) -> str:
    if name == "mnli" and split in ("validation", "test"):
        return f"{split}_matched"
    return split


T5_NAMES = {"wsc": "wsc: ", "axb": "rte "}
"""What t5 puts before the inputs, where it is not the task's name."""


def t5_format(name: str, split: str) -> Callable[..., Any]:
    """Returns what t5/data/tasks.py does to TFDS's rows."""
    family, config_name = TFDS[name].split("/")
    config = tfds.builder_cls(family).builder_configs[config_name]
    if name == "wsc":
        return lambda dataset: preprocessors.wsc_simple(
            dataset, correct_referent_only=split == "train"
        )
    to_text = glue_utils.get_glue_text_preprocessor(config)
    if name != "axb":
        return to_text
    key_map = {"premise": "sentence1", "hypothesis": "sentence2"}
    key_map |= {"label": "label", "idx": "idx"}
    return lambda dataset: to_text(preprocessors.rekey(dataset, key_map))
