"""Official tasks: counts, formats, labels; the same examples from TFDS and files."""

from pathlib import Path

import numpy as np
import pytest
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from jaxprompt.data.official.names import LABEL_WORDS
from jaxprompt.data.official.tasks import OFFICIAL_TASKS, load_task
from jaxprompt.data.official.texts import to_columns
from jaxprompt.data.tasks.digest import data_hashes
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.no_token import NO_TOKEN


def texts(task, split: str) -> list[tuple[str, str]]:
    return [example[:2] for example in task.examples(split)]


COUNTS = {
    "sst2": (67349, 872, 1821),
    "rte": (2490, 277, 3000),
    "cb": (250, 56, 250),
    "boolq": (9427, 3270, 3245),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_the_official_files(shared: Path, vocabulary, name: str):
    task = load_task(name, vocabulary=vocabulary, data_dir=shared / "data")
    splits = ("train", "validation", "test")
    assert task.splits == splits
    assert tuple(task.num_examples(split) for split in splits) == COUNTS[name]
    assert set(dict(texts(task, "validation")).values()) == set(task.labels)
    assert {target for _, target in texts(task, "test")} == {"<unk>"}


def test_formats_are_t5s(shared: Path, vocabulary):
    first = {
        "sst2": (
            "sentence: it 's a charming and often affecting journey . ",
            "positive",
        ),
        "rte": (
            "hypothesis: Christopher Reeve had an accident. premise: Dana Reeve, the "
            "widow of the actor Christopher Reeve, has died of lung cancer at age 44, "
            "according to the Christopher Reeve Foundation.",
            "not_entailment",
        ),
        "cb": (
            "hypothesis: Valence was helping premise: Valence the void-brain, Valence "
            "the virtuous valet. Why couldn't the figger choose his own portion of "
            "titanic anatomy to shaft? Did he think he was helping?",
            "contradiction",
        ),
    }
    for name, expected in first.items():
        task = load_task(name, vocabulary=vocabulary, data_dir=shared / "data")
        assert texts(task, "validation")[0] == expected
        with_name = load_task(
            name, vocabulary=vocabulary, data_dir=shared / "data", keep_task_name=True
        )
        assert texts(with_name, "validation")[0][0] == f"{name} {expected[0]}"
    boolq = load_task("boolq", vocabulary=vocabulary, data_dir=shared / "data")
    text, target = texts(boolq, "validation")[0]
    assert text.startswith("passage: Ethanol fuel -- All biomass goes")
    assert text.endswith("question: does ethanol take more energy make that produces")
    assert target == "False"


def test_every_text_ends_in_end_of_sequence(official: Path, vocabulary):
    task = load_task("sst2", vocabulary=vocabulary, data_dir=official)
    examples = task.examples("train")
    pairs = list(task.pairs("train", range(len(examples))))
    for pair, example in zip(pairs, examples, strict=True):
        for ids, text in zip(pair[:2], example[:2], strict=True):
            assert ids[-1] == 1
            assert vocabulary.decode(ids.tolist()) == text.rstrip()


def test_tfds_gives_the_same_examples(official: Path, vocabulary, tmp_path: Path):
    from_files = load_task("sst2", vocabulary=vocabulary, data_dir=official)
    splits = {
        split: tf.data.Dataset.from_tensor_slices(
            to_columns(from_files.source.rows(split))
        )
        for split in from_files.splits
    }
    tfds.disable_progress_bar()
    tfds.dataset_builders.store_as_tfds_dataset(
        name="glue",
        config="sst2",
        version="2.0.0",
        data_dir=tmp_path,
        split_datasets=splits,
        features=tfds.features.FeaturesDict(
            {
                "sentence": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=["negative", "positive"]),
                "idx": np.int32,
            }
        ),
    )
    seqio.set_tfds_data_dir_override(str(tmp_path))
    try:
        from_tfds = load_task("sst2", vocabulary=vocabulary)
        for split in from_files.splits:
            assert from_files.source.rows(split) == from_tfds.source.rows(split)
            assert from_files.examples(split) == from_tfds.examples(split)
            assert data_hashes(from_files, [split]) == data_hashes(from_tfds, [split])
    finally:
        seqio.set_tfds_data_dir_override(None)


def test_tfds_without_data(vocabulary, tmp_path: Path):
    (tmp_path / "file").write_text("where TFDS wants a folder")
    seqio.set_tfds_data_dir_override(str(tmp_path / "file"))
    try:
        task = load_task("rte", vocabulary=vocabulary)
        with pytest.raises(
            ValueError, match=r"TFDS has no super_glue/rte:1.* prepared and cannot down"
        ):
            task.num_examples("train")
    finally:
        seqio.set_tfds_data_dir_override(None)


def test_the_same_task_with_another_vocabulary(official: Path, vocabulary, spiece):
    other = load_vocabulary(spiece, extra_ids=3)
    first = load_task("cb", vocabulary=vocabulary, data_dir=official)
    second = load_task("cb", vocabulary=other, data_dir=official)
    assert (first.vocabulary, second.vocabulary) == (vocabulary, other)
    assert texts(first, "train") == texts(second, "train")


def test_unknown_names(official: Path, vocabulary):
    specs = OFFICIAL_TASKS.items()
    assert {name: spec.label_words for name, spec in specs} == LABEL_WORDS
    with pytest.raises(ValueError, match="no task 'sst': known are axb, axg, boolq, c"):
        load_task("sst", vocabulary=vocabulary, data_dir=official)
    task = load_task("sst2", vocabulary=vocabulary, data_dir=official)
    with pytest.raises(ValueError, match="no split 'dev' in task sst2: it has train,"):
        task.num_examples("dev")
    absent = load_task("rte", vocabulary=vocabulary, data_dir=official)
    with pytest.raises(
        FileNotFoundError,
        match=r"no files of task rte .*looked for train.jsonl, .*glue_data/RTE",
    ):
        absent.check_split("train")


@pytest.mark.parametrize("folder", [".", "GLUE", "glue_data"])
def test_where_the_official_folder_may_lie(tmp_path: Path, vocabulary, folder: str):
    path = tmp_path / folder / "SST-2"
    path.mkdir(parents=True)
    (path / "dev.tsv").write_text("sentence\tlabel\nfine soup\t1\n")
    task = load_task("sst2", vocabulary=vocabulary, data_dir=tmp_path)
    assert task.splits == ("validation",)
    assert texts(task, "validation") == [("sentence: fine soup", "positive")]


@pytest.mark.parametrize(
    ("name", "file", "data", "message"),
    [
        ("sst2", "SST-2/train.tsv", "sentence\tlabel\nsoup\t2\n", r"train.tsv:2: label "
         "'2' is not one of 0, 1"),
        ("sst2", "SST-2/train.tsv", "text\tlabel\nsoup\t1\n", r"train.tsv:2: no field "
         "'sentence': the row has text, label"),
        ("cb", "CB/train.jsonl", '{"premise": "a", "hypothesis": "b", "idx": 0}',
         r"train.jsonl:1: no field 'label'"),
        ("cb", "CB/train.jsonl",
         '{"premise": "a", "hypothesis": null, "idx": 0, "label": "neutral"}',
         r"train.jsonl:1: field 'hypothesis' is null"),
        ("boolq", "BoolQ/train.jsonl",
         '{"question": "a", "passage": "b", "label": "yes", "idx": 0}',
         r"train.jsonl:1: label 'yes' is not one of false, true"),
        ("boolq", "BoolQ/train.jsonl",
         '{"question": "a", "passage": "b", "label": true, "idx": "x"}',
         r"train.jsonl:1: idx 'x' is not a whole number"),
    ],
)  # fmt: skip
def test_malformed_rows(tmp_path, vocabulary, name, file, data, message):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(data)
    task = load_task(name, vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        task.num_examples("train")


def test_label_ids(official: Path, vocabulary):
    task = load_task("sst2", vocabulary=vocabulary, data_dir=official)
    ids = task.label_ids(16)
    assert ids.dtype == np.int32
    expected = [[*vocabulary.encode(label), 1] for label in ("negative", "positive")]
    longest = max(map(len, expected))
    assert ids.tolist() == [x + [NO_TOKEN] * (longest - len(x)) for x in expected]
    with pytest.raises(ValueError, match=r"label 'negative' takes \d+ tokens .* is 1"):
        task.label_ids(1)


def test_label_with_a_piece_that_the_vocabulary_lacks(shared: Path):
    # This vocabulary has no "_".
    vocabulary = load_vocabulary(shared / "backbones" / "t5-nano-lm-adapt")
    task = load_task("rte", vocabulary=vocabulary, data_dir=shared / "data")
    assert task.decode(task.label_ids(8)) == ["entailment", "not_entailment"]


def test_label_words_stand_for_the_labels(vocabulary, official: Path):
    plain = load_task("sst2", vocabulary=vocabulary, data_dir=official)
    words = {"negative": "bad", "positive": "good"}
    task = load_task(
        "sst2", vocabulary=vocabulary, data_dir=official, label_words=words
    )
    assert task.labels == ("bad", "good")
    assert texts(task, "train") == [
        (inputs, words[target]) for inputs, target in texts(plain, "train")
    ]
    read = [task.compare(text, example={}) for text in ("bad", "good", "negative")]
    assert read == [0, 1, -1]


@pytest.mark.parametrize(
    "words",
    [
        {"negative": "bad"},
        {"negative": "bad", "positive": "bad"},
        {"negative": "bad", "positive": ""},
        {"negative": "bad", "positive": "good", "neutral": "so"},
    ],
)
def test_every_label_needs_a_word_of_its_own(vocabulary, official: Path, words):
    with pytest.raises(ValueError, match="give each of its labels negative, positive"):
        load_task("sst2", vocabulary=vocabulary, data_dir=official, label_words=words)
