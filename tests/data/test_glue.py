"""GLUE: columns, formats and scores, files without a header, rows torn apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.evaluation_set import EvaluationSet

QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
MRPC = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def texts(task: Task, split: str) -> list[tuple[str, str]]:
    return [example[:2] for example in task.examples(split)]


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
    [
        ("QQP", (20_000, 3_497)),
        ("MRPC", (3_667, 408, 1_725)),
        ("CoLA", (8_551, 1_043, 1_063)),
        ("QNLI", (5_463, 5_463)),  # Its training file is not there.
        ("GLUE_RTE", (2_490, 277, 3_000)),
        ("WNLI", (635, 71, 146)),
    ],
)
def test_counts_of_the_official_files(shared: Path, tmp_path, vocabulary, name, counts):
    if name == "QQP":  # Lies under another name there.
        (tmp_path / "QQP").symlink_to(shared / "data" / "qqp")
    else:
        tmp_path = shared / "data"
    task = load_task(name.lower(), vocabulary=vocabulary, data_dir=tmp_path)
    assert tuple(task.num_examples(split) for split in task.splits) == counts
    assert {row["label"] for row in task.source.rows("validation")} == {0, 1}


def test_the_rte_of_each_benchmark_reads_its_own_files(shared: Path, vocabulary):
    data = shared / "data"
    glue, superglue = (
        load_task(name, vocabulary=vocabulary, data_dir=data).source
        for name in ("glue_rte", "rte")
    )
    rows = glue.rows("validation"), superglue.rows("validation")
    assert rows[0][0]["sentence1"] == rows[1][0]["premise"]
    labels = [[row["label"] for row in of_task] for of_task in rows]
    assert labels[0] == labels[1]


def test_the_mismatched_sections_of_mnli_are_splits(tmp_path: Path, vocabulary):
    header = "index\tsentence1\tsentence2\tlabel1\tgold_label\n"
    for section, label in (("matched", "neutral"), ("mismatched", "contradiction")):
        row = f"0\tIn {section}.\tIt rained.\tentailment\t{label}\n"
        write(tmp_path / "MNLI" / f"dev_{section}.tsv", header + row)
        blank = "index\tsentence1\tsentence2\n0\tIt rained.\tIt snowed.\n"
        write(tmp_path / "MNLI" / f"test_{section}.tsv", blank)
    task = load_task("mnli", vocabulary=vocabulary, data_dir=tmp_path)
    assert task.splits == (
        "validation",
        "test",
        "validation_mismatched",
        "test_mismatched",
    )
    assert texts(task, "validation") == [
        ("hypothesis: It rained. premise: In matched.", "neutral")
    ]
    assert texts(task, "validation_mismatched") == [
        ("hypothesis: It rained. premise: In mismatched.", "contradiction")
    ]
    for split in ("test", "test_mismatched"):
        with pytest.raises(ValueError, match=f"split '{split}' of task mnli has no la"):
            task.check_labelled(split)


def test_cola_has_no_header_but_in_its_test_file(tmp_path: Path, vocabulary):
    write(tmp_path / "CoLA" / "dev.tsv", 'a\t1\t\tIt "rained.\nb\t0\t*\tIt rain.\n')
    write(tmp_path / "CoLA" / "test.tsv", "index\tsentence\n0\tIt rained.\n")
    task = load_task("cola", vocabulary=vocabulary, data_dir=tmp_path)
    assert texts(task, "validation") == [
        ('sentence: It "rained.', "acceptable"),
        ("sentence: It rain.", "unacceptable"),
    ]
    assert texts(task, "test") == [("sentence: It rained.", "<unk>")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a\t1\t\tfine\na\t1\tfine\n", r"train.tsv:2: 3 columns, but CoLA has 4: so"),
        (b"a\t1\t\tfine\na\t2\t\tx\n", r"train.tsv:2: label '2' is not one of 0, 1"),
        (b"a\t1\t\t\xff\n", r"train.tsv: not UTF-8: .* 0xff in position 5"),
        (b"\n", r"train.tsv: no rows: the file is empty"),
    ],
)
def test_malformed_rows_of_cola(text: bytes, message: str, tmp_path, vocabulary):
    (tmp_path / "CoLA").mkdir()
    (tmp_path / "CoLA" / "train.tsv").write_bytes(text)
    task = load_task("cola", vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        task.num_examples("train")


def test_cola_is_scored_by_matthews_correlation(tmp_path: Path, vocabulary):
    rows = "".join(f"a\t{label}\t\tfine\n" for label in (1, 1, 0, 0))
    write(tmp_path / "CoLA" / "dev.tsv", rows)
    score = scorer(load_task("cola", vocabulary=vocabulary, data_dir=tmp_path))
    yes, no = "acceptable", "unacceptable"
    assert score([yes, yes, no, no]) == {"matthews_corrcoef": pytest.approx(100)}
    assert score([no, no, yes, yes]) == {"matthews_corrcoef": pytest.approx(-100)}
    assert score([yes, yes, yes, yes]) == {"matthews_corrcoef": 0}


def scorer(task: Task) -> Callable[[list[str]], dict[str, float]]:
    lengths = Lengths(inputs=16, targets=8)
    rows = EvaluationSet(Sample(task, "validation", lengths, np.zeros(0, np.int32)))
    return lambda predictions: rows.score_texts(predictions).metrics


STSB = "index\tsentence1\tsentence2\tscore\n"


def test_stsb_rounds_its_scores_and_is_scored_by_correlation(tmp_path, vocabulary):
    scores = ("0.000", "1.750", "3.333", "5.000")
    lines = [f"{i}\tA.\tB.\t{score}\n" for i, score in enumerate(scores)]
    write(tmp_path / "STS-B" / "dev.tsv", STSB + "".join(lines))
    task = load_task("stsb", vocabulary=vocabulary, data_dir=tmp_path)
    targets = [target for _, target in texts(task, "validation")]
    assert targets == ["0.0", "1.8", "3.4", "5.0"]
    assert texts(task, "validation")[0][0] == "sentence1: A. sentence2: B."
    score = scorer(task)
    perfect = {
        "pearson_corrcoef": pytest.approx(100),
        "spearman_corrcoef": pytest.approx(100),
    }
    assert score(targets) == perfect
    reverse = score(targets[::-1])
    assert reverse["spearman_corrcoef"] == pytest.approx(-100)
    assert reverse["pearson_corrcoef"] < -99
    # The order alone is right.
    order = score(["0.0", "0.2", "0.4", "5.0"])
    assert order["spearman_corrcoef"] == pytest.approx(100)
    assert 50 < order["pearson_corrcoef"] < 95
    # One score for all, as the majority baseline gives, says nothing.
    nothing = {"pearson_corrcoef": 0, "spearman_corrcoef": 0}
    assert score(["5.0"] * 4) == score(["very"] * 4) == nothing


@pytest.mark.parametrize("score", ["5.2", "-1", "nan", "high", ""])
def test_malformed_scores_of_stsb(score: str, tmp_path: Path, vocabulary):
    write(tmp_path / "STS-B" / "train.tsv", f"{STSB}0\tA.\tB.\t{score}\n")
    task = load_task("stsb", vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(
        ValueError, match=rf"train.tsv:2: score '{score}' is no number from 0 to 5$"
    ):
        task.num_examples("train")


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
    task = load_task("qqp", vocabulary=vocabulary, data_dir=tmp_path)
    words = ["duplicate", "duplicate", "not_duplicate", "maybe"]
    answers = np.array([task.compare(word) for word in words])
    assert answers.tolist() == [1, 1, 0, -1]
    scores = {}
    for metric_fn in task.metrics:
        scores.update(metric_fn([1, 0, 0, 0], answers))
    # Of three that count as duplicates, the illegal one too, one is; no other is.
    assert scores == {"f1": pytest.approx(50.0), "accuracy": pytest.approx(50.0)}
