"""Tagged words: column files, their tags in one scheme, and a tag for every word."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxprompt.config import OwnTags
from jaxprompt.data.read.files import Row
from jaxprompt.data.read.tagged_words import read_columns
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.rows.requests import check_request, request_rows
from jaxprompt.data.tasks.answers.tags import Tags
from jaxprompt.data.tasks.tagging.spans import entity_f1
from jaxprompt.data.tasks.tagging.tags import tag_task
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

GOLDEN = Path(__file__).parents[1] / "golden"
REAL = Path(__file__).parents[3] / "shared/data"
IOB1 = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
German JJ I-NP I-LOC
French JJ I-NP B-LOC
lamb NN I-NP I-LOC
. . O O

Peter NNP I-NP I-PER
"""
TABS = "#doc 7\n0\tNew\tB-Loc\n1\tYork\tI-Loc\n#doc 8\n0\tit\tO\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "rows.txt"
    path.write_text(text, "utf-8")
    return path


def test_tags_of_iob1_become_bio(tmp_path):
    found = read_columns(
        write(tmp_path, IOB1),
        kinds=("ORG", "LOC", "PER"),
        scheme="iob1",
        boundaries=("-DOCSTART-",),
    )
    assert [one.words for one in found] == [
        ("EU", "German", "French", "lamb", "."),
        ("Peter",),
    ]
    assert found[0].tags == ("B-ORG", "B-LOC", "B-LOC", "I-LOC", "O")
    assert (found[1].tags, found[1].where) == (("B-PER",), f"{tmp_path}/rows.txt:9")


def test_columns_are_numbered_and_lines_between_are_named(tmp_path):
    columns = {"word_column": 1, "tag_column": 2, "boundaries": ("#doc",)}
    found = read_columns(write(tmp_path, TABS), kinds=("Loc",), **columns)
    assert [one.words for one in found] == [("New", "York"), ("it",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\n", r"rows.txt:2: 1 columns, but the word is in column 0"),
        ("a O\n\nb B-PERS\n", r"rows.txt:3: tag 'B-PERS' is none of O, B-KIND and I-"),
        ("a B-PER\nb I-LOC\n", r"rows.txt:2: tag 'I-LOC' behind 'B-PER' goes on with"),
        ("\t O\n", "rows.txt:1: no word in column 0"),
        ("\n\n", "rows.txt: no sentences: the file is empty"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_columns(write(tmp_path, text), kinds=("PER", "LOC"))


def test_spans_count_as_seqeval_counts_them():
    targets = [["B-A", "I-A", "O", "B-B"], ["O", "O", "I-A", "B-A"]]
    predictions = [["B-A", "I-A", "O", "I-A"], ["B-B", "O", "B-A", "I-A"]]
    # One of 4 true spans is among the 4 that are found.
    assert entity_f1(targets, predictions) == pytest.approx(
        {"precision": 25.0, "recall": 25.0, "f1": 25.0}
    )
    assert entity_f1([["O"]], [["O"]])["f1"] == 0.0


def test_drawn_tags_score_as_in_seqeval():
    cases = json.loads((GOLDEN / "seqeval.json").read_text("utf-8"))["cases"]
    assert len(cases) == 100
    for case in cases:
        targets, predictions = (
            [line.split(" ") for line in case[name]]
            for name in ("targets", "predictions")
        )
        expected = {name: case[name] for name in ("precision", "recall", "f1")}
        assert entity_f1(targets, predictions) == pytest.approx(expected)


def own_task(folder: Path, **settings: Any) -> Task:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "new", "##er", "york"]
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in words))
    (folder / "rows.txt").write_text("Newer B-A\nYork I-A\n\u200d O\nnew O\n")
    return tag_task(
        "own",
        files={"train": folder / "rows.txt"},
        kinds=["A"],
        vocabulary=load_vocabulary(folder, encoder_only=True),
        **settings,
    )


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory):
    return own_task(tmp_path_factory.mktemp("tags"))


def test_a_word_is_read_at_its_first_token_wherever_that_moves(task):
    pairs = task.encode(task.examples("train"))
    assert pairs[0].inputs.tolist() == [2, 5, 6, 7, 5, 3]
    assert pairs[0].places.tolist() == [1, 3, -1, 4]
    layout = layout_of(task, Lengths(4, 6), np.array([20, 21]))
    batch = layout.padded(pairs)  # Cut to [CLS] new ##er [SEP].
    assert batch.inputs[0].tolist() == [20, 21, 2, 5, 6, 3]
    assert batch.target_places[0].tolist() == [3, -1, -1, -1, -1, -1]
    assert batch.targets[0].tolist() == [2, 3, 1, 1, 0, 0]
    assert batch.weights[0].tolist() == [1, 0, 0, 0, 0, 0]


def test_a_word_may_be_read_at_its_last_token(tmp_path):
    task = own_task(tmp_path, read_at="last")
    pairs = task.encode(task.examples("train"))
    assert pairs[0].places.tolist() == [2, 3, -1, 4]
    # Cut to [CLS] new [SEP]: the first word's last token is not read, so it has no tag.
    batch = layout_of(task, Lengths(3, 6), np.array([20, 21])).padded(pairs)
    assert batch.inputs[0].tolist() == [20, 21, 2, 5, 3]
    assert batch.weights[0].tolist() == [0, 0, 0, 0, 0, 0]


def test_the_setting_reaches_the_task():
    settings = OwnTags(name="own", kinds=["A"], read_at="last")
    assert settings.load(vocabulary=None).answers == Tags(("O", "B-A", "I-A"), "last")
    with pytest.raises(
        ValueError, match=r"OwnTags.read_at 'end': use one of \['first'"
    ):
        OwnTags(read_at="end")


def test_an_answer_has_a_tag_for_every_word(task):
    assert task.decode(np.array([[2, 3, 1, 1, 0, 0]])) == ["B-A I-A O O"]
    row = {"words": ["a", "b", "c"]}
    assert task.compare("B-A", example=row) == ["B-A", "O", "O"]
    asked = task.read_request(Row("here:1", {"words": "new york"}), 0)
    (pair,) = task.encode(task.write([asked]))
    assert pair.targets.tolist() == [0, 0]


def test_a_field_that_the_task_does_not_have_is_not_read(task):
    """Rows may say more than a task asks, as the predicate of semantic roles."""
    plain = {"words": "new york"}
    requests = [plain, {**plain, "predicate": "york"}, {**plain, "predicate": 7}]
    rows = [task.read_request(Row("here:1", one), 0) for one in requests]
    alone, *others = task.encode(task.write(rows))
    for other in others:
        np.testing.assert_array_equal(other.inputs, alone.inputs)


@pytest.mark.parametrize("words", [None, [], [1], "", ["a", " "]])
def test_a_request_without_words_is_refused(task, words):
    with pytest.raises(
        ValueError, match=r"here:1: words is .* must be a list of words"
    ):
        task.read_request(Row("here:1", {"words": words}), 0)


def test_a_row_with_more_words_than_there_is_room_for_is_named(task):
    with pytest.raises(ValueError, match=r"rows.txt:1: 4 words, but the target len"):
        task.check_targets("train", 3)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data of ../shared")
def test_real_files_of_conll_are_read():
    found = read_columns(
        REAL / "conll2003/eng.testb",
        kinds=("PER", "ORG", "LOC", "MISC"),
        scheme="iob1",
        boundaries=("-DOCSTART-",),
    )
    spans = sum(tag.startswith("B-") for one in found for tag in one.tags)
    assert (len(found), spans) == (3453, 5648)
    counts = {}
    for split in ("train", "dev", "test"):
        found = read_columns(
            REAL / f"conll04/{split}.txt",
            kinds=("Loc", "Peop", "Org", "Other"),
            word_column=1,
            tag_column=2,
            scheme="iob1",
            boundaries=("#doc",),
        )
        spans = sum(tag.startswith("B-") for one in found for tag in one.tags)
        counts[split] = (len(found), spans)
    # Two spans of the training file begin with I-.
    assert counts == {"train": (910, 3393), "dev": (243, 877), "test": (288, 1079)}


def test_a_request_has_room_for_a_tag_of_each_word(tmp_path: Path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    vocabulary = load_vocabulary(str(tmp_path / "vocab.txt"), encoder_only=True)
    task = tag_task("ner", files={}, kinds=("LOC",), vocabulary=vocabulary)
    told = r"here:1: 5 words, but the target length is 4: set it to as many words as"
    for fields in ({"words": ["a"] * 5}, {"words": "a a a a a"}, {"inputs": "a " * 5}):
        row = Row("here:1", fields)
        check_request(task, row, 0, 5)
        with pytest.raises(ValueError, match=told):
            check_request(task, row, 0, 4)
        with pytest.raises(ValueError, match=told):
            request_rows(task, {0: row}, Lengths(16, 4), np.zeros(0, np.int32))


def test_a_no_break_space_is_part_of_its_word(tmp_path: Path):
    text = "10\u00a0000 B-N\nmen   O\n"
    (sentence,) = read_columns(write(tmp_path, text), kinds=("N",))
    assert sentence.words == ("10\u00a0000", "men")
    assert sentence.tags == ("B-N", "O")
