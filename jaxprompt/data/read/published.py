"""Published data sets in the layout of their release -> rows of plain fields.

Each release has a layout of its own: lines beside lines, XML, a folder of texts. Their
rows come out as JSON objects of texts, which a task of one's own reads.
"""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.data.read.files import (
    Row,
    check_exists,
    field_text,
    read_lines,
    read_rows,
)
from jaxprompt.files.strict_json import NotJson, parse_json
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.screen.quoting import listed, quoted, quoted_path

Fields = dict[str, str]
Splits = dict[str, list[Fields]]


class Release(NamedTuple):
    """How a data set was released.

    Attributes:
        category: Its type of task; see `transfer.categories`.
        read: From the folder of its files to the rows of each split that is there.
        files: What the folder holds, in words.
        source: Where its files are described.
    """

    category: str
    read: Callable[[Path], Splits]
    files: str
    source: str


def read_published(name: str, folder: Path) -> Splits:
    """Reads a data set.

    Args:
        name: One of `RELEASES`.
        folder: The folder of its files.

    Returns:
        Split ("train", "validation" or "test") -> rows, whose fields are texts.

    Raises:
        ValueError: If the name is unknown, or a row is malformed, which it names.
        FileNotFoundError: If none of its files is there.
    """
    if name not in RELEASES:
        raise ValueError(
            f"unknown data set {quoted(name)}: use one of {list(RELEASES)}"
        )
    release = RELEASES[name]
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {quoted_path(folder)}: check the path")
    found = {split: rows for split, rows in release.read(folder).items() if rows}
    if not found:
        raise FileNotFoundError(
            f"no files of {name} in {quoted_path(folder)}: it holds {release.files}"
        )
    return found


def _themselves(*labels: str) -> Mapping[str, str]:
    """Labels of a release that are kept as they are."""
    return {label: label for label in labels}


_NLI = _themselves("entailment", "neutral", "contradiction")
_TWO = _themselves("entailment", "not_entailment")
_SAME = {"0": "not_duplicate", "1": "duplicate"}


def _there(folder: Path, names: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """Returns the file of each split that is there, by any of its names."""
    return {
        split: folder / name
        for split, options in names.items()
        for name in options
        if (folder / name).is_file()
    }


def _checked(where: str, label: Any, labels: Mapping[str, str]) -> str:
    if label not in labels:
        raise ValueError(
            f"{where}: label {quoted(label)} is not one of {listed(labels)}"
        )
    return labels[label]


def _imdb(folder: Path) -> Splits:
    found: Splits = {}
    for split in ("train", "test"):
        rows = []
        for label, name in (("negative", "neg"), ("positive", "pos")):
            for file in sorted((folder / split / name).glob("*.txt"), key=_number):
                text = read_utf8(file).replace("<br />", " ")
                rows.append({"text": " ".join(text.split()), "label": label})
        found[split] = rows
    return found


def _number(file: Path) -> tuple[int, str]:
    number = file.stem.split("_")[0]
    return (int(number), file.name) if number.isdecimal() else (-1, file.name)


def _rotten_tomatoes(folder: Path) -> Splits:
    """Reads the two files; every tenth sentence of each is for validation."""
    found: Splits = {"train": [], "validation": []}
    for label, name in (
        ("negative", "rt-polarity.neg"),
        ("positive", "rt-polarity.pos"),
    ):
        path = folder / name
        if not path.is_file():
            continue
        # The release is in Windows-1252, and says so nowhere.
        lines = path.read_bytes().decode("windows-1252").split("\n")
        for number, line in enumerate(filter(None, map(str.strip, lines))):
            split = "validation" if number % 10 == 9 else "train"
            found[split].append({"text": line, "label": label})
    return found


def _aspects(names: Mapping[str, Sequence[str]]) -> Callable[[Path], Splits]:
    """Makes the reader of a SemEval file: a row for each aspect of a sentence."""

    def read(folder: Path) -> Splits:
        return {
            split: list(_read_aspects(path))
            for split, path in _there(folder, names).items()
        }

    return read


def _read_aspects(path: Path) -> Iterator[Fields]:
    kinds = _themselves("negative", "neutral", "positive", "conflict")
    try:
        # No entity of one's own: the text of the file is all that it holds.
        text = read_utf8(path)
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError(f"{path}: it declares entities, which no release does")
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: not XML: {error}") from error
    for sentence in root.iter("sentence"):
        where = f"{path}: sentence {sentence.get('id')}"
        words = sentence.findtext("text")
        if words is None:
            raise ValueError(f"{where}: it has no <text>")
        for aspect in sentence.iter("aspectTerm"):
            label = _checked(where, aspect.get("polarity"), kinds)
            yield {"text": words, "aspect": aspect.get("term", ""), "label": label}


def _movie_rationales(folder: Path) -> Splits:
    names = {"train": ["train.jsonl"], "validation": ["val.jsonl"]}
    labels = {"NEG": "negative", "POS": "positive"}
    found: Splits = {}
    for split, path in _there(folder, {**names, "test": ["test.jsonl"]}).items():
        rows = []
        for row in read_rows(path):
            document = folder / "docs" / field_text(row, "annotation_id")
            if document.resolve().parent != (folder / "docs").resolve():
                raise ValueError(f"{row.where}: {quoted_path(document)} is no document")
            check_exists(document)
            label = _checked(row.where, field_text(row, "classification"), labels)
            rows.append({"text": " ".join(read_utf8(document).split()), "label": label})
        found[split] = rows
    return found


def _tweets(folder: Path) -> Splits:
    labels = {"0": "negative", "1": "neutral", "2": "positive"}
    found: Splits = {}
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        text, label = folder / f"{name}_text.txt", folder / f"{name}_labels.txt"
        if text.is_file():
            found[split] = [
                {"text": words, "label": _checked(where, number, labels)}
                for where, words, number in _beside(text, label)
            ]
    return found


def _beside(one: Path, other: Path) -> Iterator[tuple[str, str, str]]:
    """Reads two files whose lines belong together: (place, line, line)."""
    check_exists(other)
    lines = [[line.strip() for line in read_lines(path)] for path in (one, other)]
    if len(lines[0]) != len(lines[1]):
        raise ValueError(
            f"{one} has {len(lines[0])} lines, and {other} has {len(lines[1])}: their "
            "lines belong together, so take both files of one release"
        )
    for number, (a, b) in enumerate(zip(*lines, strict=True), start=1):
        yield f"{one}:{number}", a, b


def _snli(folder: Path) -> Splits:
    names = {"train": "train", "validation": "dev", "test": "test"}
    kinds = _NLI
    paths = {split: [f"snli_1.0_{name}.jsonl"] for split, name in names.items()}
    return {
        split: [
            {
                "text": field_text(row, "sentence1"),
                "other": field_text(row, "sentence2"),
                "label": _checked(row.where, gold, kinds),
            }
            for row in read_rows(path)
            # Its annotators agreed on no label for some rows, which count for nothing.
            if (gold := field_text(row, "gold_label")) != "-"
        ]
        for split, path in _there(folder, paths).items()
    }


def _ethics(part: str, fields: Mapping[str, str]) -> Callable[[Path], Splits]:
    """Makes the reader of a part of ETHICS: our field -> its column."""
    labels = {"0": "unacceptable", "1": "acceptable"}
    names = {
        "train": [f"{part}_train.csv"],
        "validation": [f"{part}_test.csv"],
        "test": [f"{part}_test_hard.csv"],
    }

    def read(folder: Path) -> Splits:
        return {
            split: [
                {
                    **{ours: field_text(row, own) for ours, own in fields.items()},
                    "label": _checked(row.where, field_text(row, "label"), labels),
                }
                for row in read_rows(path)
            ]
            for split, path in _there(folder, names).items()
        }

    return read


def _nq_open(folder: Path) -> Splits:
    names = {"train": ["NQ-open.train.jsonl"], "validation": ["NQ-open.dev.jsonl"]}
    return {
        split: [
            {"question": field_text(row, "question"), "answer": _first_answer(row)}
            for row in read_rows(path)
        ]
        for split, path in _there(folder, names).items()
    }


def _first_answer(row: Row) -> str:
    answers = row.fields.get("answer")
    if not isinstance(answers, list) or not answers or not isinstance(answers[0], str):
        raise ValueError(f"{row.where}: answer is no list of texts")
    return answers[0]


def _multi_news(folder: Path) -> Splits:
    found: Splits = {}
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        for source in (f"{name}.src.cleaned", f"{name}.src.txt", f"{name}.src"):
            path = folder / source
            target = folder / f"{name}.tgt{'.txt' if source.endswith('.txt') else ''}"
            if path.is_file():
                found[split] = [
                    {
                        "text": " ".join(text.replace("NEWLINE_CHAR", " ").split()),
                        "summary": summary.removeprefix("\u2013").strip(),
                    }
                    for _, text, summary in _beside(path, target)
                ]
                break
    return found


def _samsum(folder: Path) -> Splits:
    names = {"train": ["train.json"], "validation": ["val.json"], "test": ["test.json"]}
    found: Splits = {}
    for split, path in _there(folder, names).items():
        rows = [
            Row(f"{path}: row {number}", row)
            for number, row in enumerate(_objects(path), start=1)
        ]
        found[split] = [
            {"text": field_text(row, "dialogue"), "summary": field_text(row, "summary")}
            for row in rows
        ]
    return found


def _pairs(labels: Mapping[str, str]) -> Callable[[Path], Splits]:
    """Makes the reader of pairs in one JSON object: number -> text_a, text_b, label."""
    names = {
        "train": ["train.json"],
        "validation": ["dev.json", "valid.json", "validation.json"],
        "test": ["test.json"],
    }

    def read(folder: Path) -> Splits:
        return {
            split: [
                {
                    "text": field_text(row, "text_a"),
                    "other": field_text(row, "text_b"),
                    "label": _checked(row.where, field_text(row, "label"), labels),
                }
                for number, fields in enumerate(_objects(path), start=1)
                for row in [Row(f"{path}: row {number}", fields)]
            ]
            for split, path in _there(folder, names).items()
        }

    return read


def _objects(path: Path) -> list[dict[str, Any]]:
    """Reads a JSON file of objects: a list of them, or number -> each."""
    try:
        value = parse_json(read_utf8(path), several_lines=True)
    except NotJson as error:
        raise ValueError(f"{path}: not JSON: {error.reason}") from error
    rows = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: it holds no list of JSON objects")
    return rows


RELEASES: Mapping[str, Release] = {
    "imdb": Release(
        "sentiment",
        _imdb,
        "train/pos/*.txt, train/neg/*.txt and the same of test",
        "Maas et al. 2011, aclImdb_v1",
    ),
    "rotten_tomatoes": Release(
        "sentiment",
        _rotten_tomatoes,
        "rt-polarity.pos and rt-polarity.neg",
        "Pang and Lee 2005, sentence polarity v1.0",
    ),
    "laptop": Release(
        "sentiment",
        _aspects(
            {
                "train": ["Laptop_Train_v2.xml", "Laptops_Train_v2.xml"],
                "test": ["Laptops_Test_Gold.xml"],
            }
        ),
        "Laptop_Train_v2.xml and Laptops_Test_Gold.xml",
        "Pontiki et al. 2014, SemEval task 4",
    ),
    "restaurant": Release(
        "sentiment",
        _aspects(
            {
                "train": ["Restaurants_Train_v2.xml"],
                "test": ["Restaurants_Test_Gold.xml"],
            }
        ),
        "Restaurants_Train_v2.xml and Restaurants_Test_Gold.xml",
        "Pontiki et al. 2014, SemEval task 4",
    ),
    "movie_rationales": Release(
        "sentiment",
        _movie_rationales,
        "train.jsonl, val.jsonl, test.jsonl and docs/",
        "DeYoung et al. 2020, ERASER",
    ),
    "tweeteval_sentiment": Release(
        "sentiment",
        _tweets,
        "train_text.txt, train_labels.txt and the same of val and test",
        "Barbieri et al. 2020, TweetEval",
    ),
    "snli": Release(
        "inference",
        _snli,
        "snli_1.0_train.jsonl, snli_1.0_dev.jsonl and snli_1.0_test.jsonl",
        "Bowman et al. 2015",
    ),
    "ethics_deontology": Release(
        "ethics",
        _ethics("deontology", {"text": "scenario", "other": "excuse"}),
        "deontology_train.csv, deontology_test.csv and deontology_test_hard.csv",
        "Hendrycks et al. 2021, ETHICS",
    ),
    "ethics_justice": Release(
        "ethics",
        _ethics("justice", {"text": "scenario"}),
        "justice_train.csv, justice_test.csv and justice_test_hard.csv",
        "Hendrycks et al. 2021, ETHICS",
    ),
    "nq_open": Release(
        "question answering",
        _nq_open,
        "NQ-open.train.jsonl and NQ-open.dev.jsonl",
        "Lee et al. 2019",
    ),
    "multi_news": Release(
        "summarisation",
        _multi_news,
        "train.src.cleaned, train.tgt and the same of val and test",
        "Fabbri et al. 2019",
    ),
    "samsum": Release(
        "summarisation",
        _samsum,
        "train.json, val.json and test.json",
        "Gliwa et al. 2019",
    ),
    "pairs_mnli": Release("inference", _pairs(_NLI), "train.json and dev.json", ""),
    "pairs_snli": Release("inference", _pairs(_NLI), "train.json and dev.json", ""),
    "pairs_qnli": Release("inference", _pairs(_TWO), "train.json and dev.json", ""),
    "pairs_qqp": Release("paraphrase", _pairs(_SAME), "train.json and dev.json", ""),
}
"""Name -> layout. SST-2, MNLI, QNLI, QQP, MRPC and SQuAD are official tasks already;
"pairs_..." is the layout in which *Powerful Prompt Fine-Tuning* shares some of them."""


def to_jsonl(rows: Sequence[Fields]) -> str:
    """Writes rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
