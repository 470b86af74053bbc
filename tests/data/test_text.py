"""Raw text: files to sentences to passages, and a validation share that never leaks."""

import itertools

import pytest

from jaxprompt.data.read.text import read_text, sentences


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    return folder


def numbered(count, label=""):
    return "".join(f"Sentence {label}{i} stands here alone.\n" for i in range(count))


def words(passages):
    return " ".join(sentence for passage in passages for sentence in passage)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "One came. Two left! Three? Yes.",
            ["One came.", "Two left!", "Three?", "Yes."],
        ),
        ('"Go!" She went.', ['"Go!"', "She went."]),
        ('"Go!" she said.', ['"Go!" she said.']),
        ('He left. "Why?"', ["He left.", '"Why?"']),
        ("“Is it?” “It is.”", ["“Is it?”", "“It is.”"]),
        ("Mr. Hale met Mrs. Hale.", ["Mr. Hale met Mrs. Hale."]),
        ("Dr. Ray of St. Ives came. So.", ["Dr. Ray of St. Ives came.", "So."]),
        ("E. M. Ford wrote it.", ["E. M. Ford wrote it."]),
        ("It cost 3.50 or so. 12 came.", ["It cost 3.50 or so.", "12 came."]),
        ("Well... Perhaps. Émile!", ["Well...", "Perhaps.", "Émile!"]),
        ("no mark at all", ["no mark at all"]),
        (" \n\t\n", []),
    ],
)
def test_sentences_end_where_a_reader_sees_them_end(text, wanted):
    assert sentences(text) == wanted


def test_a_file_of_short_lines_has_paragraphs_between_blank_lines():
    text = "CHAPTER I\n\nShe went\r\nhome with Mr.\nHale.  He\tslept.\n  \nEnd"
    assert sentences(text) == [
        "CHAPTER I",
        "She went home with Mr. Hale.",
        "He slept.",
        "End",
    ]


def test_a_file_with_long_lines_has_a_paragraph_a_line():
    long = " ".join(["word"] * 40) + "."
    assert sentences(f"CHAPTER I\n{long}\nEnd\n") == ["CHAPTER I", long, "End"]


def test_passages_hold_whole_sentences_up_to_the_words_asked_for(tmp_path):
    # Five words each: two fit into twelve.
    text = read_text(
        write(tmp_path, a=numbered(3000)), validation_share=0.2, passage_words=12
    )
    passages = [p for split in text.passages.values() for p in split]
    assert all(len(passage) <= 2 for passage in passages)
    assert sum(len(passage) == 2 for passage in passages) > 0.9 * len(passages)
    # Every sentence is in one passage, and none is lost.
    assert sorted(s for p in passages for s in p) == sorted(sentences(numbered(3000)))


def test_a_sentence_longer_than_a_passage_is_cut(tmp_path):
    long = " ".join(f"word{i}" for i in range(25)) + "."
    folder = write(tmp_path, a=numbered(3000), b=long)
    text = read_text(folder, validation_share=0.2, passage_words=10)
    all_passages = [p for split in text.passages.values() for p in split]
    cut = [p for p in all_passages if p[0].startswith("word")]
    assert [len(p[0].split()) for p in cut] == [10, 10, 5]
    assert words(cut) == long


def test_passages_never_cross_files_and_files_come_in_order(tmp_path):
    folder = write(tmp_path, b=numbered(1000, "b"), a=numbered(1000, "a"))
    text = read_text(folder, validation_share=0.2)
    assert list(text.hashes) == ["a.txt", "b.txt"]
    for split in text.passages.values():
        files = [{s.split()[1][0] for s in passage} for passage in split]
        assert all(len(names) == 1 for names in files)
        assert files == sorted(files, key=min)


def test_validation_is_whole_blocks_that_nothing_else_moves(tmp_path):
    folder = write(tmp_path, a=numbered(10_000))
    first = read_text(folder, validation_share=0.1)
    kept = sorted(
        int(w) for w in words(first.passages["validation"]).split() if w.isdigit()
    )
    assert 0.02 < len(kept) / 10_000 < 0.25
    # Few edges: neighbours stay together.
    edges = sum(b != a + 1 for a, b in itertools.pairwise(kept))
    assert edges < len(kept) / 50
    write(tmp_path, c=numbered(500, "c"))
    again = read_text(folder, validation_share=0.1, passage_words=11)
    assert words(first.passages["validation"]) in words(again.passages["validation"])


def test_the_record_says_what_was_read(tmp_path):
    folder = write(tmp_path / "texts", a=numbered(500))
    (folder / "deep").mkdir()
    (folder / "deep" / "b.txt").write_text("\ufeff" + numbered(500), "utf-8")
    (folder / "notes.md").write_text("no text of ours")
    text = read_text(folder, validation_share=0.3)
    assert list(text.hashes) == ["a.txt", "deep/b.txt"]
    assert all(len(digest) == 64 for digest in text.hashes.values())
    assert "\ufeff" not in words(text.passages["train"] + text.passages["validation"])


def test_a_mistake_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder of text at '.*nowhere'"):
        read_text(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \*\.txt file below .*empty"):
        read_text(tmp_path / "empty")
    with pytest.raises(ValueError, match="split 'validation' gets no passage"):
        read_text(write(tmp_path / "small", a="One. Two."), validation_share=1e-9)
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "a.txt").write_bytes(b"caf\xe9 here")
    with pytest.raises(ValueError, match=r"a\.txt: byte 3 is not UTF-8"):
        read_text(tmp_path / "latin")
    with pytest.raises(ValueError, match=r"validation_share 1\.0"):
        read_text(tmp_path / "small", validation_share=1.0)
    with pytest.raises(ValueError, match="passage_words 0"):
        read_text(tmp_path / "small", passage_words=0)


def test_the_novels_are_read_in_seconds(shared):
    text = read_text(shared / "data" / "text" / "novels")
    passages = text.passages["train"]
    assert len(passages) > 90_000
    lengths = [len(" ".join(p).split()) for p in passages]
    assert max(lengths) == 60
    assert sum(lengths) / len(lengths) > 45
    assert 0.005 < len(text.passages["validation"]) / len(passages) < 0.02
