"""Files of words and their tags: columns as CoNLL's, and lines of semantic roles."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from jaxprompt.data.read.files import check_exists, read_lines
from jaxprompt.screen.quoting import quoted

Scheme: TypeAlias = Literal["bio", "iob1"]
"""How tags begin a span: always with "B-"; or as CoNLL-2003 has it, only where the span
before it is of the same kind."""


class Sentence(NamedTuple):
    """The words of a sentence and their tags, as "B-PER", "I-PER" and "O".

    Attributes:
        where: "file:line" of its first word, for error messages.
        words: The words.
        tags: Of each, its tag, in the scheme "bio".
        behind: What is read behind them, as the predicate whose roles are asked for.
    """

    where: str
    words: tuple[str, ...]
    tags: tuple[str, ...]
    behind: str = ""


def read_columns(
    path: str | Path,
    *,
    kinds: Sequence[str],
    word_column: int = 0,
    tag_column: int = -1,
    scheme: Scheme = "bio",
    boundaries: Sequence[str] = (),
) -> list[Sentence]:
    """Reads the sentences of a column file.

    Args:
        path: The file; UTF-8, with tabs between columns, or else spaces.
        kinds: Of the spans, as "PER".
        word_column: Column of the word, from 0; from the last one if negative.
        tag_column: Column of the tag.
        scheme: Of the tags in the file.
        boundaries: What lines begin with that stand between sentences, as "-DOCSTART-".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is malformed, which it names, or there is no sentence.

    Source: Tjong Kim Sang and Veenstra 1999, sec. 2 (arXiv:cs/9907006), for IOB1 and
    IOB2, which is "bio" here.
    """
    path = Path(path)
    check_exists(path)
    found: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    first = 0

    def end() -> None:
        if words:
            found.append(Sentence(f"{path}:{first}", tuple(words), tuple(tags)))
        words.clear()
        tags.clear()

    for number, line in enumerate(read_lines(path), start=1):
        line = line.rstrip("\n")
        if not line.strip() or line.startswith(tuple(boundaries)):
            end()
            continue
        where = f"{path}:{number}"
        word, tag = _cells(line, where, word_column, tag_column)
        first = first if words else number
        words.append(word)
        tags.append(to_bio(tag, tags[-1] if tags else "O", kinds, scheme, where))
    end()
    if not found:
        raise ValueError(f"{path}: no sentences: the file is empty")
    return found


def _cells(line: str, where: str, word_column: int, tag_column: int) -> tuple[str, str]:
    # A no-break space is no end of a word, as in a number.
    cells = line.split("\t") if "\t" in line else re.split(" +", line.strip(" \r\n"))
    columns = [at % len(cells) if at < 0 else at for at in (word_column, tag_column)]
    if max(columns) >= len(cells) or columns[0] == columns[1]:
        raise ValueError(
            f"{where}: {len(cells)} columns, but the word is in column {word_column} "
            f"and the tag in column {tag_column}: mend the line, or set word_column "
            "and tag_column"
        )
    word, tag = (cells[at].strip() for at in columns)
    if not word:
        raise ValueError(f"{where}: no word in column {word_column}: mend the line")
    return word, tag


def to_bio(
    tag: str, before: str, kinds: Sequence[str], scheme: Scheme, where: str
) -> str:
    """Returns a tag in the scheme "bio".

    Args:
        tag: As the file has it.
        before: The one in front, in "bio"; "O" for none.
        kinds: Of the spans.
        scheme: Of the file.
        where: "file:line", for error messages.

    Raises:
        ValueError: If it is no tag of these kinds, or goes on with nothing.
    """
    if tag == "O":
        return tag
    begins, _, kind = tag.partition("-")
    if begins not in ("B", "I") or kind not in kinds:
        raise ValueError(
            f"{where}: tag {quoted(tag)} is none of O, B-KIND and I-KIND of the kinds "
            f"{', '.join(kinds)}: mend the line, or name the kinds"
        )
    goes_on = before.partition("-")[2] == kind
    if begins == "I" and not goes_on:
        if scheme == "bio":
            raise ValueError(
                f"{where}: tag {quoted(tag)} behind {quoted(before)} goes on with "
                "nothing: begin it with B-, or set scheme 'iob1' if spans of the file "
                "begin with I-"
            )
        return f"B-{kind}"
    return tag


def read_roles(path: str | Path, *, kinds: Sequence[str]) -> list[Sentence]:
    """Reads a file of lines such as "1 He sleeps ||| B-A0 B-V".

    Args:
        path: The file; UTF-8, an empty line is passed over.
        kinds: Of the spans, as "A0" and "V".

    Returns:
        Of each line its words, its tags, and the predicate as what stands behind.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is malformed, which it names, or there is none.

    Source: the layout of CoNLL-2005 and 2012 in Zhou and Xu 2015's data, which
    THUDM/P-tuning-v2 reads, tasks/srl/dataset.py.
    """
    path = Path(path)
    check_exists(path)
    found = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            found.append(_read_role_line(line, f"{path}:{number}", kinds))
    if not found:
        raise ValueError(f"{path}: no sentences: the file is empty")
    return found


def _read_role_line(line: str, where: str, kinds: Sequence[str]) -> Sentence:
    left, bar, right = line.partition("|||")
    predicate, *words = left.split() or [""]
    tags = right.split()
    if not bar or len(words) != len(tags) or not words:
        raise ValueError(
            f"{where}: {len(words)} words and {len(tags)} tags: a line has the "
            "predicate's number, words, ||| and a tag for each word"
        )
    place = int(predicate) if predicate.isdecimal() else len(words)
    if place >= len(words):
        raise ValueError(
            f"{where}: predicate {quoted(predicate)} of {len(words)} words: it must be "
            "the number of one of them, from 0"
        )
    read: list[str] = []
    for tag in tags:
        read.append(to_bio(tag, read[-1] if read else "O", kinds, "bio", where))
    return Sentence(where, tuple(words), tuple(read), words[place])
