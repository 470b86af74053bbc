"""Plain text -> passages of whole sentences or rows, to train and to validate."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jaxprompt.data.read.text_rows import read_row_texts, row_passages
from jaxprompt.screen.quoting import quoted_path

Passage = tuple[str, ...]
"""Consecutive sentences, or rows, of one file, each on one line."""

TRAIN, VALIDATION = "train", "validation"

_WRAPPED_WIDTH = 120
"""Longest line of a file whose lines are cut by an editor, and not by paragraphs."""

_BLOCK_SENTENCES = 64
"""Consecutive sentences that go to the same split: about 1,000 words of a novel."""

_ABBREVIATIONS = (
    "Mr Mrs Ms Dr St Mt Messrs Rev Hon Prof Gen Col Maj Capt Lieut Lt Sgt Esq Jr Sr "
    "vs viz cf No Nos Vol vol"
).split()
_NOT_AFTER = "".join(
    # Initials too, as in "E. M. Forster".
    rf"(?<!\b{word}\.)"
    for word in [*_ABBREVIATIONS, "[A-Z]"]
)
_SENTENCE_END = re.compile(
    rf"[.!?…]{_NOT_AFTER}"  # The mark,
    r"[.!?…]*[\"'\u201d\u2019)\]]*"  # more marks and what they close,
    r"\s+(?=[\"'\u201c\u2018(\[]*[^\W_a-z])"  # then a capital or a digit.
)


@dataclasses.dataclass(frozen=True)
class Text:
    """The passages of a folder.

    Attributes:
        passages: Split ("train" or "validation") -> its passages, in order.
        hashes: File, as a path below the folder -> SHA-256 of its bytes.
    """

    passages: Mapping[str, Sequence[Passage]]
    hashes: Mapping[str, str]


def read_text(
    folder: str | Path,
    *,
    validation_share: float = 0.01,
    passage_words: int = 60,
    row_text: str = "{text}",
    passage_rows: int = 1,
) -> Text:
    """Reads every *.txt file below a folder, in the order of their names; or one file.

    A line is a paragraph; in a file without long lines, a paragraph ends at a blank
    line. A passage is as many whole sentences of one file as fit into `passage_words`,
    and a part of a sentence that alone is longer.

    A file of rows (.jsonl) is read only if it is named itself. A passage is as many of
    its rows as asked for.

    Args:
        folder: The folder; or a file, .txt or .jsonl.
        validation_share: Share of the blocks of consecutive sentences that are kept
            for validation, above 0 and below 1. Where a block goes depends on its
            file's name and its place alone, so that no other file, and no other
            length of passages, moves it.
        passage_words: Most words of a passage, 1 or more.
        row_text: Template of the text of a row; see `text_rows.read_row_texts`.
        passage_rows: Rows of a passage, 1 or more.

    Returns:
        The passages of both splits.

    Raises:
        FileNotFoundError: If there is no folder, or no *.txt file in it.
        ValueError: If a file is not UTF-8, a row is malformed, a number is out of
            range, or a split gets no passage.
    """
    if not 0 < validation_share < 1 or passage_words < 1:
        raise ValueError(
            f"validation_share {validation_share}, passage_words {passage_words}: use "
            "a share between 0 and 1, and 1 word or more"
        )
    folder = Path(folder)
    passages: dict[str, list[Passage]] = {TRAIN: [], VALIDATION: []}
    hashes = {}
    for name, path in _files(folder).items():
        content = path.read_bytes()
        hashes[name] = hashlib.sha256(content).hexdigest()
        is_rows = path.suffix == ".jsonl"
        if is_rows:
            found = read_row_texts(path, row_text)
        else:
            found = sentences(_decode(content, path))
        for start in range(0, len(found), _BLOCK_SENTENCES):
            block = found[start : start + _BLOCK_SENTENCES]
            kept = _point(f"{name}:{start}") < validation_share
            passages[VALIDATION if kept else TRAIN] += (
                row_passages(block, passage_rows)
                if is_rows
                else _passages(block, passage_words)
            )
    for split, mine in passages.items():
        if not mine:
            raise ValueError(
                f"{folder}: split {split!r} gets no passage with validation_share "
                f"{validation_share}: use another share, or more text"
            )
    return Text({split: tuple(mine) for split, mine in passages.items()}, hashes)


def _files(folder: Path) -> dict[str, Path]:
    """Finds the files; returns the name of each, as a path below the folder."""
    if folder.is_file() and folder.suffix in (".txt", ".jsonl"):
        return {folder.name: folder}
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder of text at {str(folder)!r}: give one with *.txt files, as "
            "--gin.TEXT=novels, or a .txt or .jsonl file"
        )
    paths = sorted(path for path in folder.rglob("*.txt") if path.is_file())
    if not paths:
        raise FileNotFoundError(
            f"no *.txt file below {quoted_path(folder)}: give another folder, or a "
            ".jsonl file by its name"
        )
    return {path.relative_to(folder).as_posix(): path for path in paths}


def sentences(text: str) -> list[str]:
    """Splits the text of a file into sentences, with one space between words."""
    return [
        sentence
        for paragraph in _paragraphs(text)
        for sentence in _SENTENCE_END.sub(_cut, paragraph).split("\n")
    ]


def _cut(end: re.Match[str]) -> str:
    return end[0].rstrip() + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    lines = text.splitlines()
    wrapped = all(len(line) <= _WRAPPED_WIDTH for line in lines)
    parts = re.split(r"\n\s*\n", "\n".join(lines)) if wrapped else lines
    for part in parts:
        words = part.split()
        if words:
            yield " ".join(words)


def _passages(block: Sequence[str], passage_words: int) -> Iterator[Passage]:
    passage: list[str] = []
    room = passage_words
    for sentence in block:
        for piece in _pieces(sentence, passage_words):
            count = piece.count(" ") + 1
            if count > room:
                yield tuple(passage)
                passage, room = [], passage_words
            passage.append(piece)
            room -= count
    yield tuple(passage)


def _pieces(sentence: str, most: int) -> Iterator[str]:
    words = sentence.split(" ")
    for start in range(0, len(words), most):
        yield " ".join(words[start : start + most])


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(
            f"{path}: byte {err.start} is not UTF-8: convert the file, as with iconv"
        ) from err


def _point(name: str) -> float:
    """Draws a number from 0 to 1 that depends on the name alone."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
