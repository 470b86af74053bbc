"""QQP and MRPC: their columns, formats and scores, and rows that are torn apart."""

from pathlib import Path

import numpy as np
import pytest

from jaxprompt.data.files import Row
from jaxprompt.data.task import Task, load_task

QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
MRPC = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def texts(task: Task, split: str) -> list[tuple[str, str]]:
    dataset = task.seqio_task.get_dataset(split=split, shuffle=False)
    return [
        (row["inputs_pretokenized"].decode(), row["targets_pretokenized"].decode())
        for row in dataset.as_numpy_iterator()
    ]


def test_formats_are_t5s(tmp_path: Path, vocabulary):
    write(tmp_path / "QQP" / "dev.tsv", QQP + "7\t1\t2\tHow so?\tWhy not?\t0\n")
    write(tmp_path / "QQP" / "test.tsv", "id\tquestion1\tquestion2\n0\tWho?\tI?\n")
    write(tmp_path / "MRPC" / "dev.tsv", MRPC + '1\t1\t2\t" It rained .\tRain fell .\n')
    write(
        tmp_path / "MRPC" / "test.tsv",
        "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tIt rained .\tSnow .\n",
    )
    qqp = load_task("qqp", vocabulary=vocabulary, data_dir=tmp_path)
    assert texts(qqp, "validation") == [
        ("question1: How so? question2: Why not?", "not_duplicate")
    ]
    assert texts(qqp, "test") == [("question1: Who? question2: I?", "<unk>")]
    mrpc = load_task(
        "mrpc", vocabulary=vocabulary, data_dir=tmp_path, keep_task_name=True
    )
    assert texts(mrpc, "validation") == [
        ('mrpc sentence1: " It rained . sentence2: Rain fell .', "equivalent")
    ]
    with pytest.raises(ValueError, match="split 'test' of task mrpc has no labels"):
        mrpc.check_labelled("test")


@pytest.mark.parametrize(
    ("name", "counts"),
    [("QQP", (20_000, 3_497)), ("MRPC", (3_667, 408, 1_725))],
)
def test_counts_of_the_official_files(shared: Path, tmp_path, vocabulary, name, counts):
    if name == "QQP":  # Lies under another name there.
        (tmp_path / "QQP").symlink_to(shared / "data" / "qqp")
    else:
        tmp_path = shared / "data"
    task = load_task(name.lower(), vocabulary=vocabulary, data_dir=tmp_path)
    assert tuple(task.num_examples(split) for split in task.splits) == counts
    labels = task.source.columns("validation")["label"].numpy()
    assert set(labels.tolist()) == {0, 1}


def test_a_torn_row_is_left_out_of_qqp_alone(tmp_path: Path, vocabulary):
    torn = QQP + "1\t1\t2\tWhat is\n it?\tWhat?\t1\n2\t3\t4\tWho?\tWhom?\t1\n"
    write(tmp_path / "QQP" / "train.tsv", torn)
    write(tmp_path / "QQP" / "dev.tsv", QQP + "2\t3\t4\tWho?\tWhom?\t1\tmore\n")
    qqp = load_task("qqp", vocabulary=vocabulary, data_dir=tmp_path)
    assert texts(qqp, "train") == [("question1: Who? question2: Whom?", "duplicate")]
    with pytest.raises(ValueError, match=r"dev.tsv:2: 7 columns, but the header has 6"):
        qqp.num_examples("validation")
    write(tmp_path / "MRPC" / "train.tsv", MRPC + "1\t1\t2\tIt rained .\n")
    mrpc = load_task("mrpc", vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"train.tsv:2: 4 columns, but the header"):
        mrpc.num_examples("train")


def test_errors_name_the_column_of_the_file(tmp_path: Path, vocabulary):
    write(tmp_path / "MRPC" / "dev.tsv", MRPC + "2\t1\t2\ta\tb\n")
    write(tmp_path / "MRPC" / "train.tsv", "Quality\t#1 String\n1\ta\n")
    mrpc = load_task("mrpc", vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"dev.tsv:2: Quality '2' is not one of 0, 1"):
        mrpc.num_examples("validation")
    with pytest.raises(ValueError, match=r"train.tsv:2: no field '#2 String'"):
        mrpc.num_examples("train")


def test_a_request_uses_the_names_of_the_features(tmp_path: Path, vocabulary):
    write(tmp_path / "MRPC" / "dev.tsv", MRPC + "1\t1\t2\ta\tb\n")
    mrpc = load_task("mrpc", vocabulary=vocabulary, data_dir=tmp_path)
    fields = {"sentence1": "It rained .", "sentence2": "Rain fell ."}
    features = mrpc.read_request(Row("here:1", fields), 0)
    assert {name: features[name] for name in fields} == fields
    with pytest.raises(ValueError, match=r"here:1: no field 'sentence2'"):
        mrpc.read_request(Row("here:1", {"sentence1": "It rained ."}), 0)


def test_scores_are_f1_and_accuracy_and_an_illegal_answer_is_wrong(
    tmp_path: Path, vocabulary
):
    write(tmp_path / "QQP" / "dev.tsv", QQP + "2\t3\t4\tWho?\tWhom?\t1\n")
    task = load_task("qqp", vocabulary=vocabulary, data_dir=tmp_path).seqio_task
    words = ["duplicate", "duplicate", "not_duplicate", "maybe"]
    answers = np.array([task.postprocess_fn(word) for word in words])
    assert answers.tolist() == [1, 1, 0, -1]
    scores = {}
    for metric_fn in task.metric_fns:
        scores.update(metric_fn([1, 0, 0, 0], answers))
    # Of three that count as duplicates, the illegal one too, one is; no other is.
    assert scores == {"f1": pytest.approx(50.0), "accuracy": pytest.approx(50.0)}
