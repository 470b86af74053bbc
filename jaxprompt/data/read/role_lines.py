"""Lines of semantic roles: a predicate's number, words, "|||" and a tag for each."""

from collections.abc import Sequence
from pathlib import Path

from jaxprompt.data.read.columns import Sentence, to_bio
from jaxprompt.data.read.files import check_exists, read_lines
from jaxprompt.screen.quoting import quoted


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
            found.append(_read_line(line, f"{path}:{number}", kinds))
    if not found:
        raise ValueError(f"{path}: no sentences: the file is empty")
    return found


def _read_line(line: str, where: str, kinds: Sequence[str]) -> Sentence:
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
