"""Predictions become the files that the leaderboards take, row by row."""

import json
from pathlib import Path

import numpy as np
import pytest
from official_rows import ROWS, TABLES, write_jsonl, write_official

from jaxprompt.data.official.names import task_names
from jaxprompt.data.official.submission import (
    LEADERBOARDS,
    Submission,
    split_readings,
    submission,
    submission_file,
)
from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.requests import request_batches
from jaxprompt.data.rows.row_batches import sorted_batches


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA_DIR with a few rows of each task."""
    folder = tmp_path_factory.mktemp("official")
    for name in (*ROWS, *TABLES):
        write_official(name, folder)
    return folder


def submit(name: str, data_dir: Path, vocabulary, *texts: str, **options) -> Submission:
    split = options.pop("split", "test")
    task = load_task(name, vocabulary=vocabulary, data_dir=data_dir, **options)
    return submission(name, task, split, texts)


def lines(made: Submission) -> list[dict]:
    assert made.text.endswith("\n")
    return [json.loads(line) for line in made.text.splitlines()]


def test_every_task_of_the_benchmarks_has_a_file():
    others = {name for name in task_names() if name.startswith(("mrqa_", "squad"))}
    assert set(LEADERBOARDS) == set(task_names()) - others


@pytest.mark.parametrize(
    ("name", "file", "texts", "labels"),
    [
        ("copa", "COPA.jsonl", ("choice2", "choice1"), [1, 0]),
        ("wic", "WiC.jsonl", ("True", "False"), ["true", "false"]),
        ("axb", "AX-b.jsonl", ("entailment", "not_entailment"),
         ["entailment", "not_entailment"]),
        # "man" names "the man", and "Ann" does not name "Sue".
        ("wsc", "WSC.jsonl", ("a man", "Ann", "Tom"), ["True", "False", "True"]),
    ],
)  # fmt: skip
def test_a_label_for_each_row(name, file, texts, labels, data_dir: Path, vocabulary):
    made = submit(name, data_dir, vocabulary, *texts)
    assert (made.file, made.illegal) == (file, 0)
    assert lines(made) == [{"idx": i, "label": x} for i, x in enumerate(labels)]


def test_multirc_nests_answers_in_questions_in_paragraphs(data_dir: Path, vocabulary):
    texts = ("True", "False", "perhaps", "True", "True")
    made = submit("multirc", data_dir, vocabulary, *texts)
    assert (made.file, made.illegal) == ("MultiRC.jsonl", 1)

    def question(number: int, **labels: int) -> dict:
        answers = [{"idx": int(key[1:]), "label": x} for key, x in labels.items()]
        return {"idx": number, "answers": answers}

    questions = [question(0, a0=1, a1=0), question(1, a2=0)]
    assert lines(made) == [
        {"idx": 0, "passage": {"questions": questions}},
        {"idx": 1, "passage": {"questions": [question(2, a3=1, a4=1)]}},
    ]


def test_record_is_the_text_for_each_query(data_dir: Path, vocabulary):
    made = submit("record", data_dir, vocabulary, "Bob", "Zoë", "")
    assert (made.file, made.illegal) == ("ReCoRD.jsonl", 0)
    assert lines(made) == [
        {"idx": 0, "label": "Bob"},
        {"idx": 1, "label": "Zoë"},
        {"idx": 2, "label": ""},
    ]


def test_glue_is_a_table(data_dir: Path, vocabulary):
    assert submit("cola", data_dir, vocabulary, "acceptable") == Submission(
        "CoLA.tsv", "index\tprediction\n0\t1\n", 0
    )
    words = ("contradiction", "neutral", "entailment")
    table = "index\tprediction\n0\tcontradiction\n1\tneutral\n2\tentailment\n"
    assert submit("mnli", data_dir, vocabulary, *words) == ("MNLI-m.tsv", table, 0)
    split = "test_mismatched"
    mismatched = submit("mnli", data_dir, vocabulary, *words[1:], split=split)
    table = "index\tprediction\n0\tneutral\n1\tentailment\n"
    assert mismatched == ("MNLI-mm.tsv", table, 0)


def test_stsb_is_a_number_from_0_to_5(data_dir: Path, vocabulary):
    made = submit("stsb", data_dir, vocabulary, "3.8", "7")
    assert made == ("STS-B.tsv", "index\tprediction\n0\t3.800\n1\t5.000\n", 0)
    made = submit("stsb", data_dir, vocabulary, "very", "nan")
    assert made == ("STS-B.tsv", "index\tprediction\n0\t0.000\n1\t0.000\n", 2)


def test_what_is_no_answer_gets_the_first_label(data_dir: Path, vocabulary):
    made = submit("wic", data_dir, vocabulary, "perhaps", "True")
    assert made.illegal == 1
    assert [row["label"] for row in lines(made)] == ["false", "true"]
    made = submit("wsc", data_dir, vocabulary, "", "Sue", "the")
    assert made.illegal == 2
    assert [row["label"] for row in lines(made)] == ["False", "True", "False"]


def test_label_words_stand_for_the_labels(data_dir: Path, vocabulary):
    words = {"False": "no", "True": "yes"}
    made = submit("wic", data_dir, vocabulary, "yes", "True", label_words=words)
    assert made.illegal == 1
    assert [row["label"] for row in lines(made)] == ["true", "false"]


def test_mistakes(data_dir: Path, vocabulary):
    with pytest.raises(
        ValueError, match="1 predictions for the 2 rows of split 'test'"
    ):
        submit("wic", data_dir, vocabulary, "True")
    task = load_task("wic", vocabulary=vocabulary, data_dir=data_dir)
    with pytest.raises(ValueError, match="task reviews has no leaderboard: these"):
        submission("reviews", task, "test", ["True", "True"])
    with pytest.raises(ValueError, match="task squad has no leaderboard"):
        submission_file("squad", "test")


def test_rows_that_the_leaderboard_could_not_tell_apart(tmp_path, vocabulary):
    for folder in ("WiC", "ReCoRD"):
        (tmp_path / folder).mkdir()
    row = {"word": "run", "sentence1": "We run.", "sentence2": "They ran.", "idx": 3}
    queries = [{"query": "@placeholder", "idx": 3}]
    passage = {"text": "Ann.", "entities": [{"start": 0, "end": 2}]}
    rows = {
        "WiC": [row, row],
        "ReCoRD": [{"passage": passage, "qas": queries, "idx": i} for i in range(2)],
    }
    for folder, some in rows.items():
        text = "".join(json.dumps(one) + "\n" for one in some)
        (tmp_path / folder / "test.jsonl").write_text(text)
        with pytest.raises(
            ValueError, match=r"2 rows of split 'test' .* the idx 3, by"
        ):
            submit(folder.lower(), tmp_path, vocabulary, "True", "True")


def test_real_rows_keep_their_numbers(shared: Path, vocabulary):
    data = shared / "data"
    task = load_task("multirc", vocabulary=vocabulary, data_dir=data)
    made = submission("multirc", task, "test", ["True"] * 9693)
    official = (data / "superglue" / "MultiRC" / "test.jsonl").read_text("utf-8")
    for line, row in zip(official.splitlines(), lines(made), strict=True):
        expected = json.loads(line)
        questions = [
            {
                "idx": question["idx"],
                "answers": [{"idx": x["idx"], "label": 1} for x in question["answers"]],
            }
            for question in expected["passage"]["questions"]
        ]
        assert row == {"idx": expected["idx"], "passage": {"questions": questions}}


def test_an_unlabelled_split_is_tokenised_like_requests(tmp_path: Path, vocabulary):
    rows = [
        {"premise": "rain " * i, "hypothesis": f"wet {i}", "label": "neutral"}
        for i in range(5)
    ]
    (tmp_path / "CB").mkdir()
    unlabelled = [{k: x for k, x in row.items() if k != "label"} for row in rows]
    write_jsonl(tmp_path / "CB" / "test.jsonl", unlabelled)
    task = load_task("cb", vocabulary=vocabulary, data_dir=tmp_path)
    lengths, soft_ids = Lengths(inputs=24, targets=4), np.arange(900, 903)
    (reading,) = split_readings(task, "test", lengths, soft_ids)
    made = list(sorted_batches(reading.batch, 2))
    asked = list(request_batches(task, rows, lengths, soft_ids, 2))
    assert [some.num_examples for some in made] == [2, 2, 1]
    for (ours, _), (theirs, _) in zip(made, asked, strict=True):
        np.testing.assert_array_equal(ours.inputs, theirs.inputs)
        np.testing.assert_array_equal(ours.input_segments, theirs.input_segments)
