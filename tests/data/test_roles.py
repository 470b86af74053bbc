"""Semantic roles: the lines of a file, what is read, and the two ways to count."""

from pathlib import Path

import numpy as np
import pytest

from jaxprompt.data.read.files import Row
from jaxprompt.data.read.tagged_words import read_roles
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.rows.requests import check_request
from jaxprompt.data.tasks.tagging.roles import role_f1, role_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

LINES = "1 He sleeps here ||| B-A0 B-V B-AM\n\n0 Sleep now ||| B-V O\n"
KINDS = ("A0", "A1", "C-A1", "AM", "V")


def write(folder: Path, text: str) -> Path:
    path = folder / "roles.txt"
    path.write_text(text, "utf-8")
    return path


def test_a_line_is_its_words_their_tags_and_the_predicate(tmp_path):
    first, second = read_roles(write(tmp_path, LINES), kinds=KINDS)
    assert (first.words, first.behind) == (("He", "sleeps", "here"), "sleeps")
    assert (second.tags, second.behind) == (("B-V", "O"), "Sleep")
    assert second.where.endswith("roles.txt:3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 a b B-V O\n", r"roles.txt:1: 4 words and 0 tags: a line has the"),
        ("0 a b ||| B-V\n", r"roles.txt:1: 2 words and 1 tags"),
        ("2 a b ||| B-V O\n", r"roles.txt:1: predicate '2' of 2 words: it must be"),
        ("x a ||| B-V\n", r"roles.txt:1: predicate 'x' of 1 words"),
        ("0 a ||| B-A9\n", r"roles.txt:1: tag 'B-A9' is none of O, B-KIND"),
        ("\n", "no sentences: the file is empty"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_roles(write(tmp_path, text), kinds=KINDS)


def test_the_predicate_is_read_behind_a_separator_and_gets_no_tag(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "he", "sleeps", "here"]
    (tmp_path / "vocab.txt").write_text("".join(word + "\n" for word in words))
    vocabulary = load_vocabulary(str(tmp_path / "vocab.txt"), encoder_only=True)
    files = {"train": write(tmp_path, "1 he sleeps here ||| B-A0 B-V B-AM\n")}
    task = role_task("srl", files=files, kinds=KINDS, vocabulary=vocabulary)
    (pair,) = task.pairs("train", [0])
    read = [words[number] for number in pair.inputs]
    assert read == ["[CLS]", "he", "sleeps", "here", "[SEP]", "sleeps", "[SEP]"]
    np.testing.assert_array_equal(pair.places, [1, 2, 3])
    assert task.decode(pair.targets[None]) == ["B-A0 B-V B-AM"]
    row = Row("asked:1", {"words": "he sleeps", "predicate": "sleeps"})
    (asked,) = task.write([task.read_request(row, 0)])
    assert (asked.words, asked.behind) == (("he", "sleeps"), "sleeps")
    # Of a sentence that is too long the words are cut, and never the predicate.
    layout = layout_of(task, Lengths(6, 3), np.zeros(0, np.int32))
    cut = layout.prompted(pair)
    read = [words[number] for number in cut.inputs]
    assert read == ["[CLS]", "he", "sleeps", "[SEP]", "sleeps", "[SEP]"]
    np.testing.assert_array_equal(cut.places, [1, 2, -1])
    assert task.request_fields == ("words", "predicate")
    for fields, message in (
        ({"words": "he sleeps"}, "no field 'predicate': the row has words"),
        ({"words": "he sleeps", "predicate": " "}, "predicate is empty"),
        (
            {"words": "he sleeps", "predicate": "he sleeps"},
            "predicate 'he sleeps' is none of the words he, sleeps: name one of them",
        ),
        ({"inputs": "he sleeps"}, "no field 'predicate'"),
    ):
        with pytest.raises(ValueError, match=f"asked:1: {message}"):
            check_request(task, Row("asked:1", fields), 0, 8)


def test_a_task_without_files_names_its_own_setting(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    vocabulary = load_vocabulary(str(tmp_path / "vocab.txt"), encoder_only=True)
    task = role_task("srl", files={}, kinds=KINDS, vocabulary=vocabulary)
    with pytest.raises(ValueError, match=r"files is empty: .*--gin.OwnRoles.files="):
        task.num_examples("validation")


def test_the_official_count_leaves_the_verb_out_and_joins_what_goes_on():
    true = [["B-A1", "B-V", "B-C-A1", "I-C-A1", "B-AM"]]
    half = [["B-A1", "B-V", "O", "O", "B-AM"]]
    found = role_f1(true, half)
    # Of four spans three are found; of two arguments one, as A1 lacks its second part.
    assert found["f1"] == pytest.approx(600 / 7)
    assert found["official_f1"] == pytest.approx(50.0)
    verb = [["O", "B-V", "O", "O", "O"]]
    assert role_f1(true, verb)["official_f1"] == 0.0
    assert role_f1(true, verb)["f1"] == pytest.approx(40.0)
    assert role_f1(true, true)["official_f1"] == 100.0
