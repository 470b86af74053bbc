"""Published data sets in the layout of their release, and rows that are malformed."""

import json
from pathlib import Path

import pytest

from jaxprompt.cli import main
from jaxprompt.data.read.published import RELEASES, read_published
from jaxprompt.transfer.categories import category_of

XML = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<sentences>
  <sentence id="1"><text>I like the battery.</text>
    <aspectTerms><aspectTerm term="battery" polarity="positive" from="11" to="18"/>
    </aspectTerms></sentence>
  <sentence id="2"><text>It came on Monday.</text></sentence>
</sentences>
"""

FILES: dict[str, dict[str, str]] = {
    "imdb": {
        "train/pos/10_9.txt": "Good.<br /><br />Very.",
        "train/pos/9_8.txt": "Fine.",
        "train/neg/0_2.txt": "Bad.",
        "test/neg/0_1.txt": "No.",
    },
    "laptop": {"Laptop_Train_v2.xml": XML},
    "restaurant": {"Restaurants_Test_Gold.xml": XML},
    "movie_rationales": {
        "val.jsonl": '{"annotation_id": "neg_1.txt", "classification": "NEG"}\n',
        "docs/neg_1.txt": "a dull\nfilm",
    },
    "tweeteval_sentiment": {
        "train_text.txt": "what a day\nmeh\n",
        "train_labels.txt": "2\n1\n",
    },
    "snli": {
        "snli_1.0_dev.jsonl": "".join(
            json.dumps({"sentence1": "A", "sentence2": "B", "gold_label": gold}) + "\n"
            for gold in ("neutral", "-")
        )
    },
    "ethics_deontology": {
        "deontology_train.csv": 'label,scenario,excuse\n1,"Should you?",No\n'
    },
    "ethics_justice": {"justice_test.csv": "label,scenario\n0,I deserve it\n"},
    "nq_open": {"NQ-open.dev.jsonl": '{"question": "who", "answer": ["Ann", "Bob"]}\n'},
    "multi_news": {
        "val.src.cleaned": "One. NEWLINE_CHAR Two.\n",
        "val.tgt": "\u2013 Both.\n",
    },
    "samsum": {
        "train.json": '[{"id": "1", "summary": "Hi.", "dialogue": "A: hi\\r\\nB: hi"}]'
    },
    "pairs_qqp": {"dev.json": '{"0": {"text_a": "a", "text_b": "b", "label": "1"}}'},
}

ROWS = {
    "imdb": (
        "train",
        [
            {"text": "Bad.", "label": "negative"},
            {"text": "Fine.", "label": "positive"},
            {"text": "Good. Very.", "label": "positive"},
        ],
    ),
    "laptop": (
        "train",
        [{"text": "I like the battery.", "aspect": "battery", "label": "positive"}],
    ),
    "movie_rationales": ("validation", [{"text": "a dull film", "label": "negative"}]),
    "tweeteval_sentiment": (
        "train",
        [
            {"text": "what a day", "label": "positive"},
            {"text": "meh", "label": "neutral"},
        ],
    ),
    "snli": ("validation", [{"text": "A", "other": "B", "label": "neutral"}]),
    "ethics_deontology": (
        "train",
        [{"text": "Should you?", "other": "No", "label": "acceptable"}],
    ),
    "ethics_justice": (
        "validation",
        [{"text": "I deserve it", "label": "unacceptable"}],
    ),
    "nq_open": ("validation", [{"question": "who", "answer": "Ann"}]),
    "multi_news": ("validation", [{"text": "One. Two.", "summary": "Both."}]),
    "samsum": ("train", [{"text": "A: hi\r\nB: hi", "summary": "Hi."}]),
    "pairs_qqp": ("validation", [{"text": "a", "other": "b", "label": "duplicate"}]),
}


def lay_out(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


@pytest.mark.parametrize("name", FILES)
def test_rows_of_a_release(name: str, tmp_path: Path):
    folder = lay_out(tmp_path / "in", FILES[name])
    found = read_published(name, folder)
    split, rows = ROWS.get(name, ("test", None))
    if rows is not None:
        assert found[split] == rows
    output = tmp_path / "rows" / name
    command = ["transfer", "rows", name, str(folder), f"--output={output}"]
    assert main(command) == 0
    (output / f"{split}.jsonl").write_text("mine")
    assert main(command) == 1
    assert (output / f"{split}.jsonl").read_text() == "mine"
    assert main([*command, "--overwrite"]) == 0
    lines = (output / f"{split}.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == found[split]


def test_every_data_set_has_the_type_of_its_task():
    assert all(category_of(name) == RELEASES[name].category for name in RELEASES)


def test_rotten_tomatoes_is_windows_1252(tmp_path: Path, shared: Path):
    found = read_published("rotten_tomatoes", shared / "data" / "rotten_tomatoes")
    assert sum(map(len, found.values())) == 10_662
    assert len(found["validation"]) == 1066
    assert any("é" in row["text"] for row in found["train"])


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("laptop", {"Laptop_Train_v2.xml": "<a>"}, r"v2.xml: not XML: .* line 1"),
        (
            "laptop",
            {"Laptop_Train_v2.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'},
            r"v2.xml: it declares entities",
        ),
        (
            "laptop",
            {"Laptop_Train_v2.xml": XML.replace("positive", "good")},
            r"sentence 1: label 'good' is not one of negative, neutral",
        ),
        (
            "tweeteval_sentiment",
            {"train_text.txt": "a\nb\n", "train_labels.txt": "1\n"},
            r"train_text.txt has 2 lines, and .*train_labels.txt has 1: their",
        ),
        (
            "tweeteval_sentiment",
            {"train_text.txt": "a\n", "train_labels.txt": "7\n"},
            r"train_text.txt:1: label '7' is not one of 0, 1, 2",
        ),
        (
            "movie_rationales",
            {"val.jsonl": '{"annotation_id": "../x", "classification": "NEG"}\n'},
            r"val.jsonl:1: .* is no document",
        ),
        (
            "nq_open",
            {"NQ-open.dev.jsonl": '{"question": "who", "answer": "Ann"}\n'},
            r"dev.jsonl:1: answer is no list of texts",
        ),
        ("samsum", {"train.json": "[1]"}, r"train.json: it holds no list of JSON obj"),
        ("samsum", {"train.json": "["}, r"train.json: not JSON: "),
        ("samsum", {}, r"no files of samsum in .*: it holds train.json, val.json and"),
        ("unheard_of", {}, r"unknown data set 'unheard_of': use one of \['imdb', "),
    ],
)
def test_malformed_files(name: str, files: dict, message: str, tmp_path: Path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_published(name, lay_out(tmp_path, files))
