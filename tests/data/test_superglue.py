"""SuperGLUE: counts, splits, scores, requests, and what a malformed file says."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from official_rows import FOLDERS, ROWS, write_jsonl, write_official

from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.requests import request_batches
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.evaluation_set import EvaluationSet

LENGTHS = Lengths(inputs=64, targets=24)
NO_PROMPT = np.zeros(0, np.int32)

COUNTS = {
    "copa": (400, 100, 500),
    "multirc": (27243, 4848, 9693),
    "wic": (5428, 638, 1400),
    # Of 554 training rows, those with the right referent.
    "wsc": (259, 104, 146),
    "axb": (1104,),
    "axg": (356,),
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA_DIR with a few rows of each task."""
    folder = tmp_path_factory.mktemp("superglue")
    for name in ROWS:
        write_official(name, folder)
    return folder


def texts(task: Task, split: str) -> list[tuple[str, str]]:
    return [example[:2] for example in task.examples(split)]


def scorer(task: Task, split: str = "validation") -> Callable[[list[str]], Any]:
    rows = EvaluationSet(Sample(task, split, LENGTHS, NO_PROMPT))
    return lambda predictions: rows.score_texts(predictions).metrics


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_the_official_files(shared: Path, vocabulary, name: str):
    task = load_task(name, vocabulary=vocabulary, data_dir=shared / "data")
    assert tuple(task.num_examples(split) for split in task.splits) == COUNTS[name]


def test_the_real_record_rows(shared: Path, tmp_path: Path, vocabulary):
    folder = tmp_path / "ReCoRD"
    folder.mkdir()
    real = shared / "data" / "fewglue_32dev" / "ReCoRD"
    (folder / "train.jsonl").symlink_to(real / "train.jsonl")
    (folder / "val.jsonl").symlink_to(real / "dev32.jsonl")
    task = load_task("record", vocabulary=vocabulary, data_dir=tmp_path)
    lines = (real / "train.jsonl").read_text("utf-8").splitlines()
    answers = [
        {answer["text"] for answer in query["answers"]}
        for line in lines
        for query in json.loads(line)["qas"]
    ]
    assert task.num_examples("train") == sum(map(len, answers)) > 32
    assert task.num_examples("validation") == 32
    targets = [target for _, target in texts(task, "train")]
    assert sorted(targets) == sorted(answer for group in answers for answer in group)
    for text, target in texts(task, "train"):
        entities = text.partition(" entities: ")[2].partition(" passage: ")[0]
        assert target in entities.split(", ")


def test_record_learns_every_answer_and_is_scored_by_the_best(data_dir, vocabulary):
    task = load_task("record", data_dir=data_dir, vocabulary=vocabulary)
    train = texts(task, "train")
    assert [target for _, target in train] == ["Bob", "Ann", "Bob", "Ann"]
    assert train[1][0] == train[2][0]
    assert train[0][0] == (
        "query: @placeholder waved. entities: Ann, Bob, Rome passage: Ann met Bob in "
        'Rome. Bob waved. Ann said "Rome!" end'
    )
    assert [target for _, target in texts(task, "validation")] == ["Bob", "Ann", "Ann"]
    score = scorer(task)
    assert score(["Bob", "Ann", "Ann"]) == {"em": 100, "f1": 100}
    # "Bob" is right for the second query too, though it is not the target.
    assert score(["Bob", "Bob", "Ann"]) == {"em": 100, "f1": 100}
    assert score(["Rome", "Rome", "Rome"]) == {"em": 0, "f1": 0}
    found = score(["old Bob", "Bob", "Ann"])
    assert found == {"em": pytest.approx(200 / 3), "f1": pytest.approx(800 / 9)}
    # In the training split a query with two answers counts once, by its first row,
    # whose target is "Ann".
    found = scorer(task, "train")(["Bob", "Bob", "Rome", "Ann"])
    assert found == {"em": 100, "f1": 100}


def test_multirc_counts_answers_and_whole_questions(data_dir: Path, vocabulary):
    task = load_task("multirc", data_dir=data_dir, vocabulary=vocabulary)
    assert texts(task, "validation")[0] == (
        "question: What fell? answer: Rain paragraph: Sent 1: It rained. Ann ran.",
        "True",
    )
    score = scorer(task)
    right = ["True", "False", "True", "True", "False"]
    assert score(right) == {"f1": 100, "exact_match": 100}
    wrong = ["False", "True", "False", "False", "True"]
    assert score(wrong) == {"f1": 0, "exact_match": 0}
    # One answer of the first of three questions is wrong, or is no answer at all.
    for word in ("False", "perhaps"):
        found = score([word, *right[1:]])
        assert found == {
            "f1": pytest.approx(80),
            "exact_match": pytest.approx(200 / 3),
        }


def renumbered(name: str, data_dir: Path, **numbers: int) -> Path:
    """Writes the rows with questions, queries or passages numbered alike."""
    rows = copy.deepcopy(ROWS[name])
    for row in rows:
        parts = row["passage"]["questions"] if name == "multirc" else row["qas"]
        for place, part in enumerate(parts):
            part["idx"] = numbers.get("within", place)
    folder = data_dir / FOLDERS[name]
    folder.mkdir()
    lines = [json.dumps({"idx": i, **row}) for i, row in enumerate(rows)]
    for file in ("train", "val", "test"):
        (folder / f"{file}.jsonl").write_text("\n".join(lines) + "\n")
    return data_dir


def test_questions_that_are_numbered_anew_in_each_paragraph(tmp_path, vocabulary):
    data_dir = renumbered("multirc", tmp_path)
    task = load_task("multirc", data_dir=data_dir, vocabulary=vocabulary)
    score = scorer(task)
    right = ["True", "False", "True", "True", "False"]
    assert score(right) == {"f1": 100, "exact_match": 100}
    # The first question of the second paragraph is wrong, of three questions.
    wrong = score([*right[:3], "False", "False"])
    assert wrong["exact_match"] == pytest.approx(200 / 3)


def test_queries_that_are_numbered_anew_in_each_passage(tmp_path, vocabulary):
    data_dir = renumbered("record", tmp_path)
    task = load_task("record", data_dir=data_dir, vocabulary=vocabulary)
    assert scorer(task)(["Bob", "Ann", "Rome"])["em"] == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("multirc", r":1: passage: questions\[1\]: the idx of paragraph and question "
         r"is 0, 7, which .*:1: passage: questions\[0\] has too: give each its own"),
        ("record", r":1: qas\[1\]: the idx of passage and query is 0, 7, which "),
    ],
)  # fmt: skip
def test_ids_that_two_rows_share(name, message, tmp_path: Path, vocabulary):
    task = load_task(
        name, data_dir=renumbered(name, tmp_path, within=7), vocabulary=vocabulary
    )
    with pytest.raises(ValueError, match=message):
        task.num_examples("validation")


def test_multirc_with_other_label_words_scores_the_same(data_dir: Path, vocabulary):
    words = {"False": "no", "True": "yes"}
    task = load_task(
        "multirc", data_dir=data_dir, vocabulary=vocabulary, label_words=words
    )
    assert [t for _, t in texts(task, "validation")] == [
        "yes",
        "no",
        "yes",
        "yes",
        "no",
    ]
    score = scorer(task)
    right = ["yes", "no", "yes", "yes", "no"]
    assert score(right) == {"f1": 100, "exact_match": 100}
    assert score(["True", *right[1:]])["exact_match"] == pytest.approx(200 / 3)


def test_wsc_learns_true_referents_and_is_scored_by_both(data_dir: Path, vocabulary):
    task = load_task("wsc", data_dir=data_dir, vocabulary=vocabulary)
    # The file calls the first referent "The man.": the text itself has the words.
    assert texts(task, "train") == [
        ("Sue thanked the man since *he* helped .", "the man"),
        ("Tom told Sam that *he* won .", "Tom"),
    ]
    assert [t for _, t in texts(task, "validation")] == ["the man", "Sue", "Tom"]
    score = scorer(task)
    assert score(["the man", "the man", "Tom"]) == {"accuracy": 100}
    assert score(["Man", "a man", "tom"]) == {"accuracy": 100}
    assert score(["Sue", "Sue", "Sam"]) == {"accuracy": 0}
    assert score(["", "", "Tom"]) == {"accuracy": pytest.approx(100 / 3)}


@pytest.mark.parametrize("name", ["copa", "wic", "axb"])
def test_the_others_are_scored_by_accuracy(name: str, data_dir: Path, vocabulary):
    task = load_task(name, data_dir=data_dir, vocabulary=vocabulary)
    assert task.labels is not None
    split = "test" if name == "axb" else "validation"
    right = [target for _, target in texts(task, split)]
    score = scorer(task, split)
    assert set(right) == set(task.labels)
    assert score(right) == {"accuracy": 100}
    assert score([right[0]] * 2) == {"accuracy": 50}
    assert score(["perhaps"] * 2) == {"accuracy": 0}


@pytest.mark.parametrize("name", ROWS)
def test_only_the_diagnostics_have_a_labelled_test(name, data_dir: Path, vocabulary):
    task = load_task(name, data_dir=data_dir, vocabulary=vocabulary)
    if name == "axb":
        assert task.splits == ("test",)
        task.check_labelled("test")
        with pytest.raises(ValueError, match="no split 'train' in task axb: it has te"):
            task.num_examples("train")
        return
    task.check_labelled("validation")
    task.check_labelled("train")
    with pytest.raises(ValueError, match=f"split 'test' of task {name} has no labels"):
        task.check_labelled("test")


@pytest.mark.parametrize("name", ["record", "wsc"])
def test_free_text_has_no_label_words(name: str, data_dir: Path, vocabulary):
    task = load_task(name, data_dir=data_dir, vocabulary=vocabulary)
    assert task.labels is None
    assert "commonsense" in task.start_words
    with pytest.raises(ValueError, match=f"task {name} is free text: it has no label"):
        task.label_ids(8)
    with pytest.raises(ValueError, match=f"of task {name}: its answers are free text"):
        load_task(
            name, data_dir=data_dir, vocabulary=vocabulary, label_words={"a": "b"}
        )


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("copa", {key: x for key, x in ROWS["copa"][0].items() if key != "label"}),
        ("wic", {key: x for key, x in ROWS["wic"][0].items() if key != "label"}),
        ("wsc", ROWS["wsc"][0]),
        ("wsc", {"text": ROWS["wsc"][0]["text"], "span2_text": "he", "span2_index": 5}),
        ("axb", ROWS["axb"][0]),
        ("multirc", {"paragraph": "<b>Sent 1: </b>It rained.<br>Ann ran.",
                     "question": "What fell?", "answer": "Rain"}),
        ("record", {"passage": ROWS["record"][0]["passage"]["text"],
                    "query": "@placeholder waved.",
                    "entities": ["Ann", "Bob", "Rome"]}),
    ],
)  # fmt: skip
def test_a_request_is_formatted_as_its_row(name, request_, data_dir: Path, vocabulary):
    task = load_task(name, data_dir=data_dir, vocabulary=vocabulary)
    split = "test" if name == "axb" else "validation"
    ((batch, _),) = request_batches(task, [request_], LENGTHS, NO_PROMPT, 1)
    text, _ = texts(task, split)[0]
    ids = [*vocabulary.encode(text)[: LENGTHS.inputs - 1], 1]
    assert batch.inputs[0, : len(ids)].tolist() == ids
    assert not batch.inputs[0, len(ids) :].any()


PARAGRAPH = ROWS["multirc"][1]["passage"]
QUERIES = ROWS["record"][1]
PRONOUN = ROWS["wsc"][2]


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("copa", {**ROWS["copa"][0], "label": 2}, r":1: label '2' is not one of 0, 1"),
        ("wic", {"sentence1": "a", "sentence2": "b", "label": True},
         r":1: no field 'word'"),
        ("multirc", {"passage": "text"}, r'1: passage is "text": use an object'),
        ("multirc", {"passage": {**PARAGRAPH, "questions": {}}},
         r"train.jsonl:1: passage: questions is {}: use a list"),
        ("multirc", {"passage": {"text": "", "questions": [
            {"question": "?", "idx": 0, "answers": [{"text": "a", "idx": 0}]}]}},
         r"1: passage: questions\[0\]: answers\[0\]: no field 'label'"),
        ("multirc", {"passage": {"text": "", "questions": [
            {"question": "?", "idx": "x", "answers": [
                {"text": "a", "idx": 0, "label": 1}]}]}},
         r"1: passage: questions\[0\]: idx 'x' is not a whole number"),
        ("record", {**QUERIES, "passage": {"text": "A", "entities": [
            {"start": 0, "end": 1}]}},
         r"passage: entities\[0\]: start 0, end 1 lie outside the text of 1 char"),
        ("record", {**QUERIES, "qas": [{"query": "?", "idx": 0}]},
         r"train.jsonl:1: qas\[0\]: no field 'answers'"),
        ("record", {**QUERIES, "qas": [{"query": "?", "idx": 0, "answers": []}]},
         r"train.jsonl:1: qas\[0\]: answers is empty: give one or more"),
        ("wsc", {**PRONOUN, "target": {**PRONOUN["target"], "span2_index": 3}},
         r"train.jsonl:1: span2_text 'he' is not word 3 of 'Tom told Sam that he won"),
        ("wsc", {**PRONOUN, "target": {**PRONOUN["target"], "span1_text": "Max"}},
         r"train.jsonl:1: target: span1_text 'Max' is not in 'Tom told Sam that"),
        ("wsc", {**PRONOUN, "target": {**PRONOUN["target"], "span1_text": "Max",
                                       "span1_index": 99}},
         r"train.jsonl:1: target: span1_text 'Max' is not at word 99"),
        ("wsc", {**PRONOUN, "label": "maybe"}, r":1: label 'maybe' is not one of "),
        ("wsc", {**PRONOUN, "label": False}, r"none of 1 training rows has label true"),
    ],
)  # fmt: skip
def test_malformed_rows(name, row, message, tmp_path: Path, vocabulary):
    folder = tmp_path / FOLDERS[name]
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", [row])
    task = load_task(name, vocabulary=vocabulary, data_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        task.num_examples("train")


def test_malformed_requests(data_dir: Path, vocabulary):
    for name, row, message in [
        ("record", {"passage": "a", "query": "b"}, "3: entities: give a list of texts"),
        ("wsc", {"text": "He won", "span2_text": "He", "span2_index": 0},
         "3: span2_text 'He' is not word 0 .* it may not be word 0 either"),
    ]:  # fmt: skip
        task = load_task(name, data_dir=data_dir, vocabulary=vocabulary)
        rows = [{"inputs": "x"}, {"inputs": "y"}, row]
        with pytest.raises(ValueError, match=message):
            request_batches(task, rows, LENGTHS, NO_PROMPT, 2)
