"""Any file becomes a task: templates, labels, shares, metrics; clear errors."""

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import sklearn.metrics
from scipy.stats import rankdata

from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.batches import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.metrics import OF_NUMBERS
from jaxprompt.data.tasks.own import METRICS, Template, file_task
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.soft_ids import prefix

ROWS = [
    {"q": f"is {i} even", "p": f"film {i}", "a": i % 2 == 0, "n": i} for i in range(40)
]


def write(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    mark = "," if path.suffix == ".csv" else "\t"
    text = {True: "true", False: "false"}
    lines = [mark.join(rows[0])]
    lines += [
        mark.join(text.get(v, str(v)) if isinstance(v, bool) else str(v) for v in r)
        for r in (row.values() for row in rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def make(path, vocabulary, **options):
    defaults = {
        "inputs": "question: {q} passage: {p}",
        "target": "a",
        "labels": {"true": "yes", "false": "no"},
    }
    return file_task(
        "own", files=path, vocabulary=vocabulary, **{**defaults, **options}
    )


def texts(task, split: str = "train") -> list[tuple[str, str]]:
    return [example[:2] for example in task.examples(split)]


def test_a_whole_number_with_a_fraction_of_0_is_the_same_label(tmp_path, vocabulary):
    """As pandas writes the labels of a column in which a value is missing."""
    rows = [{"q": "a", "p": "b", "n": n, "a": n % 2} for n in (0.0, 1.0, 2.0)]
    file = write(tmp_path / "rows.jsonl", rows)
    task = make(file, vocabulary, labels={"0": "no", "1": "yes"})
    assert [target for _, target in texts(task)] == ["no", "yes", "no"]
    # Both are labels: each is what it says. Free text stays as it is.
    task = make(file, vocabulary, labels={"0": "no", "1": "yes", "1.0": "maybe"})
    assert [target for _, target in texts(task)] == ["no", "maybe", "no"]
    free = make(file, vocabulary, target="n", labels=None, metrics=["squad"])
    assert [target for _, target in texts(free)] == ["0.0", "1.0", "2.0"]
    file = write(tmp_path / "half.jsonl", [{**rows[0], "a": 0.5}])
    half = make(file, vocabulary, labels={"0": "no", "1": "yes"})
    with pytest.raises(ValueError, match=r"label '0.5' is not one of 0, 1"):
        texts(half)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_every_format_gives_the_same_examples(tmp_path: Path, vocabulary, suffix: str):
    task = make(write(tmp_path / f"rows{suffix}", ROWS), vocabulary)
    assert task.splits == ("train",)
    assert task.labels == ("yes", "no")
    assert texts(task)[:2] == [
        ("question: is 0 even passage: film 0", "yes"),
        ("question: is 1 even passage: film 1", "no"),
    ]


def test_a_file_for_each_split(tmp_path: Path, vocabulary):
    files = {
        "train": write(tmp_path / "a.jsonl", ROWS[:30]),
        "validation": str(write(tmp_path / "b.csv", ROWS[30:])),
    }
    task = make(files, vocabulary)
    assert task.splits == ("train", "validation")
    assert [task.num_examples(split) for split in task.splits] == [30, 10]


def test_shares_divide_one_file(tmp_path: Path, vocabulary):
    path = write(tmp_path / "rows.jsonl", ROWS)
    share = {"train": 0.5, "validation": 0.25, "test": 0.25}

    def divide(seed: int, path: Path = path) -> list[list[str]]:
        task = make(path, vocabulary, share=share, seed=seed)
        return [[text for text, _ in texts(task, split)] for split in share]

    first = divide(seed=1)
    assert first == divide(seed=1) != divide(seed=2)
    assert sorted(itertools.chain(*first)) == sorted(
        t for t, _ in texts(make(path, vocabulary))
    )
    assert 12 <= len(first[0]) <= 28
    # Rows that are added move no other row.
    longer = write(tmp_path / "longer.jsonl", ROWS + ROWS)
    for before, after in zip(first, divide(seed=1, path=longer), strict=True):
        assert after[: len(before)] == before


def test_stratified_shares_keep_the_part_of_each_label(tmp_path: Path, vocabulary):
    rows = [{**ROWS[0], "n": n, "a": n % 10 == 0} for n in range(40)]
    path = write(tmp_path / "rows.jsonl", rows)
    share = {"train": 0.5, "validation": 0.25, "test": 0.25}

    def divide(seed: int) -> list[list[tuple[str, str]]]:
        inputs = "row {n}"
        options = {"share": share, "stratify": True, "seed": seed, "inputs": inputs}
        task = make(path, vocabulary, **options)
        return [texts(task, split) for split in share]

    first = divide(seed=1)
    assert first == divide(seed=1) != divide(seed=2)
    assert len({text for text, _ in itertools.chain(*first)}) == 40
    for seed in range(5):
        counts = [Counter(label for _, label in part) for part in divide(seed)]
        assert counts == [
            {"no": 18, "yes": 2},
            {"no": 9, "yes": 1},
            {"no": 9, "yes": 1},
        ]


def test_the_rarest_label_trains(tmp_path: Path, vocabulary):
    rows = [{**ROWS[0], "a": label} for label in [False] * 5 + [True]]
    path = write(tmp_path / "rows.jsonl", rows)
    share = {"train": 0.1, "test": 0.9}
    task = make(path, vocabulary, share=share, stratify=True)
    assert Counter(label for _, label in texts(task, "train")) == {"no": 1, "yes": 1}


def test_several_values_may_share_a_label_word(tmp_path: Path, vocabulary):
    path = write(tmp_path / "rows.jsonl", ROWS[:3])
    labels = {"0": "no", "1": "yes", "2": "yes"}
    task = make(path, vocabulary, target="n", labels=labels)
    assert task.labels == ("no", "yes")
    assert [target for _, target in texts(task)] == ["no", "yes", "yes"]


def test_free_text_and_templates(tmp_path: Path, vocabulary):
    path = write(tmp_path / "rows.jsonl", ROWS[:1])
    task = make(path, vocabulary, inputs="{{{n}}} {q}", target="the {p}", labels=None)
    assert task.labels is None
    assert texts(task) == [("{0} is 0 even", "the film 0")]
    with pytest.raises(
        ValueError, match="task own is free text: it has no label words"
    ):
        task.label_ids(4)


def test_label_metrics_are_sklearns(tmp_path: Path, vocabulary):
    path = write(tmp_path / "rows.jsonl", ROWS[:8])
    names = (
        "accuracy",
        "f1_score_with_invalid",
        "mean_multiclass_f1",
        "macro_f1",
        "matthews_corrcoef",
        "mcc",
    )
    task = make(path, vocabulary, metrics=names)
    evaluation = EvaluationSet(Sample(task, "train", Lengths(30, 9), prefix(500, 2)))
    answers = [0, 0, 0, 1, 1, 1, 0, 1]
    scores = evaluation.score_texts([task.labels[i] for i in answers])
    truth = evaluation.targets
    macro = 100 * sklearn.metrics.f1_score(truth, answers, average="macro")
    matthews = 100 * sklearn.metrics.matthews_corrcoef(truth, answers)
    assert scores.metrics == pytest.approx(
        {
            "accuracy": 100 * sklearn.metrics.accuracy_score(truth, answers),
            "f1": 100 * sklearn.metrics.f1_score(truth, answers),
            "mean_2class_f1": macro,
            "macro_f1": macro,
            "matthews_corrcoef": matthews,
            "mcc": matthews,
        }
    )


def test_text_metrics_of_perfect_and_wrong_answers(tmp_path: Path, vocabulary):
    rows = [
        {"q": "x", "a": "four words of text"},
        {"q": "y", "a": "and these are four"},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    names = tuple(name for name in METRICS if name not in OF_NUMBERS)
    task = make(path, vocabulary, inputs="{q}", labels=None, metrics=names)
    evaluation = EvaluationSet(Sample(task, "train", Lengths(30, 30), prefix(500, 2)))
    perfect = evaluation.score_texts(evaluation.texts)
    assert all(value == pytest.approx(100) for value in perfect.metrics.values())
    assert {"accuracy", "em", "f1", "rouge1", "bleu"} <= perfect.metrics.keys()
    assert evaluation.score_texts(["nothing", "alike"]).score == pytest.approx(0, abs=1)


def test_numbers_are_compared_as_numbers(tmp_path: Path, vocabulary):
    true = [1.5, 2.0, 4.0, 3.25, 0.0]
    rows = [{"q": "x", "a": number} for number in true]
    path = write(tmp_path / "rows.jsonl", rows)
    names = ("pearson", "spearman")
    task = make(path, vocabulary, inputs="{q}", labels=None, metrics=names)
    evaluation = EvaluationSet(Sample(task, "train", Lengths(30, 30), prefix(500, 2)))
    found = evaluation.score_texts(["1.50", "+2", "3e0", "4", "none"]).metrics
    # What is no number is as far off as the range of the targets allows.
    told = [1.5, 2.0, 3.0, 4.0, 4.0]
    assert found == pytest.approx(
        {
            "pearson": 100 * np.corrcoef(true, told)[0, 1],
            "spearman": 100 * np.corrcoef(rankdata(true), rankdata(told))[0, 1],
        }
    )
    assert evaluation.majority().score == 0.0, "a constant"
    right = evaluation.score_texts([f"{number:.3f}" for number in true])
    assert right.score == pytest.approx(100)
    refuse(
        tmp_path,
        vocabulary,
        r"jsonl:1: the target 'film 0' is no number, but metric 'pearson' compares",
        target="p",
        labels=None,
        metrics=("accuracy", "pearson"),
    )


def test_any_of_several_answers_is_right(tmp_path: Path, vocabulary):
    rows = [
        {"q": "x", "a": ["the grey cat", "a  cat of grey"]},
        {"q": "y", "a": ["two"]},
        {"q": "z", "a": "three"},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    names = ("exact_match", "squad")
    task = make(path, vocabulary, inputs="{q}", labels=None, metrics=names)
    assert [text for _, text in texts(task)] == ["the grey cat", "two", "three"]
    evaluation = EvaluationSet(Sample(task, "train", Lengths(30, 30), prefix(500, 2)))
    right = evaluation.score_texts(["a cat of grey", "two", "three"])
    assert all(value == pytest.approx(100) for value in right.metrics.values())
    assert evaluation.right(["a cat of grey", "two", "four"]) == [True, True, False]
    # "cat of" has two of the second answer's three words, and one of the first's two.
    near = evaluation.score_texts(["cat of", "two", "four"]).metrics
    assert near["exact_match"] == pytest.approx(100 / 3)
    assert near["f1"] == pytest.approx(100 * (0.8 + 1 + 0) / 3)
    refuse_rows = write(tmp_path / "none.jsonl", [{"q": "x", "a": []}])
    with pytest.raises(ValueError, match=r"none.jsonl:1: field 'a' is \[\]: give an"):
        make(refuse_rows, vocabulary, inputs="{q}", labels=None).num_examples("train")


def test_bleu_takes_the_words_of_all_right_answers(tmp_path: Path, vocabulary):
    # The example of sacrebleu's README, but for the answer that its third row lacks.
    rows = [
        {"q": "x", "a": ["The dog bit the man.", "The dog had bit the man."]},
        {"q": "y", "a": ["It was not unexpected.", "No one was surprised."]},
        {"q": "z", "a": "The man bit him first."},
    ]
    said = ["The dog had bit.", "It wasn't surprised.", "The man had bitten him."]
    path = write(tmp_path / "rows.jsonl", rows)
    task = make(path, vocabulary, inputs="{q}", labels=None, metrics=("bleu",))
    evaluation = EvaluationSet(Sample(task, "train", Lengths(30, 30), prefix(500, 2)))
    first = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
    second = ["The dog had bit the man.", "No one was surprised.", None]
    every = sacrebleu.corpus_bleu(said, [first, second], tokenize="intl")
    assert evaluation.score_texts(said).score == pytest.approx(every.score)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("rows.CSV", "rename it to rows.csv"),
        (
            "rows.json",
            r"one object a line into a .jsonl, as jq -c '.\[\]' rows.json > ",
        ),
        ("rows.jsonl.gz", "gunzip --keep rows.jsonl.gz, and name rows.jsonl"),
        ("rows.parquet", r"read_parquet\('rows.parquet'\).to_json\('rows.jsonl'"),
    ],
)
def test_other_files_are_refused_with_the_cure(vocabulary, name: str, cure: str):
    with pytest.raises(ValueError, match=f"{name}: unknown extension .*{cure}"):
        make(name, vocabulary)


def refuse(tmp_path: Path, vocabulary, message: str, **options):
    path = write(tmp_path / "rows.jsonl", ROWS[:5])

    def read_all():
        task = make(path, vocabulary, **options)
        return [task.num_examples(split) for split in task.splits]

    with pytest.raises(ValueError, match=message):
        read_all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": "{text}"}, r"jsonl:1: no field 'text': the row has q, p, a, n"),
        ({"target": "label"}, r"jsonl:1: no field 'label': the row has q, p, a, n"),
        ({"labels": {"true": "yes"}}, r"jsonl:2: label 'false' is not one of true"),
        ({"inputs": "{}"}, r"template '{}': braces hold a field's name and nothing"),
        ({"inputs": "{q!r}"}, r"template '{q!r}': braces hold a field's name"),
        ({"inputs": "a { b"}, r"template 'a { b': .*: write {field}"),
    ],
)
def test_errors_of_fields(tmp_path: Path, vocabulary, options: dict, message: str):
    refuse(tmp_path, vocabulary, message, **options)


@pytest.mark.parametrize(
    ("metrics", "labels", "message"),
    [
        (("f2",), {"true": "yes"}, r"no metric 'f2' for a task with labels: use acc"),
        (("rouge",), {"true": "yes"}, r"no metric 'rouge' for a task with labels"),
        (("mean_multiclass_f1",), None, r"no metric .* for a task with free text: use"),
        ((), None, r"no metrics: use accuracy"),
        (
            ("f1_score_with_invalid",),
            {"1": "a", "2": "b", "3": "c"},
            r"f1_score_with_invalid is for 2 labels, not 3: use mean_multiclass_f1",
        ),
    ],
)
def test_errors_of_metrics(tmp_path: Path, vocabulary, metrics, labels, message: str):
    refuse(tmp_path, vocabulary, message, metrics=metrics, labels=labels)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ({"train": 0.5}, r"share {'train': 0.5}: use shares above 0, 1 in sum"),
        ({"train": 1.5, "test": -0.5}, r"use shares above 0"),
        ({"train": 1 - 1e-9, "test": 1e-9}, r"none of 5 rows falls into split 'test'"),
    ],
)
def test_errors_of_shares(tmp_path: Path, vocabulary, share: dict, message: str):
    refuse(tmp_path, vocabulary, message, share=share)


def test_errors_of_stratified_shares(tmp_path: Path, vocabulary):
    share = {"train": 0.5, "test": 0.5}
    refuse(tmp_path, vocabulary, "label: give share too", stratify=True)
    free = {"stratify": True, "share": share, "labels": None}
    refuse(tmp_path, vocabulary, "label: give labels too", **free)


def test_errors_of_files(tmp_path: Path, vocabulary):
    path = write(tmp_path / "rows.jsonl", ROWS[:5])
    task = make({"train": path, "test": tmp_path / "gone.csv"}, vocabulary)
    assert task.num_examples("train") == 5
    for use in (task.check_split, task.num_examples):
        with pytest.raises(FileNotFoundError, match=r"gone.csv: no such file"):
            use("test")
    with pytest.raises(ValueError, match=r"unknown extension '.xlsx'"):
        make(tmp_path / "rows.xlsx", vocabulary)
    with pytest.raises(ValueError, match="files is empty"):
        make({}, vocabulary).check_split("train")
    with pytest.raises(ValueError, match="share divides one file, but files names one"):
        make({"train": path}, vocabulary, share={"train": 1.0})
    with pytest.raises(ValueError, match="no split 'dev' in task own: it has train"):
        make(path, vocabulary).num_examples("dev")
    with pytest.raises(ValueError, match="task name 'my task': use letters, digits"):
        file_task(
            "my task", files=path, inputs="{q}", target="a", vocabulary=vocabulary
        )


def test_a_template_never_reaches_into_a_value():
    with pytest.raises(ValueError, match=r"no field 'q.__class__': the row has q"):
        Template("{q.__class__}").fill(Row("here:1", {"q": "x"}))
