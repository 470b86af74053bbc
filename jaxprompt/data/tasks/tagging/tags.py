"""Sequence labelling of one's own: each word of a sentence gets a tag."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.read.files import Row, field_text
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.tagged_words import Scheme, Sentence, read_columns
from jaxprompt.data.tasks.answers.tags import Place, Tags
from jaxprompt.data.tasks.metrics import Metric
from jaxprompt.data.tasks.tagging.spans import entity_f1
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.files.strict_json import as_json
from jaxprompt.screen.quoting import listed, quoted

OUTSIDE = "O"
"""The tag of a word in no span, and of one that the model does not read."""

WORDS = "words"
"""The field of a row with the words, a list or a text with spaces between."""

BEHIND = "predicate"
"""The field with the word whose roles are asked for, read behind the others."""


def tag_task(
    name: str,
    *,
    files: Mapping[str, str | Path],
    kinds: Sequence[str],
    vocabulary: Vocabulary,
    word_column: int = 0,
    tag_column: int = -1,
    scheme: Scheme = "bio",
    boundaries: Sequence[str] = ("-DOCSTART-",),
    read_at: Place = "first",
) -> Task:
    """Makes a task of column files, such as named entities or chunks.

    An answer is the tags of all words, with spaces between: as many as there are words,
    whatever the vocabulary drops and the input length cuts.

    Args:
        name: Letters, digits, "_", "." and ":".
        files: Split -> column file.
        kinds: Of the spans, as "PER".
        vocabulary: The backbone's vocabulary.
        word_column: As of `data.read.tagged_words.read_columns`.
        tag_column: As there.
        scheme: As there.
        boundaries: As there.
        read_at: As of `data.tasks.answers.tags.Tags`.

    Returns:
        The task. A split's file is looked for, and its rows are validated, when the
        split is first used: without any file the task still answers requests.

    Raises:
        ValueError: If the kinds are none, or one stands twice; later, if a line of a
            file is malformed.
    """
    read = functools.partial(
        read_columns,
        kinds=tuple(kinds),
        word_column=word_column,
        tag_column=tag_column,
        scheme=scheme,
        boundaries=tuple(boundaries),
    )
    return span_task(
        name,
        files,
        read,
        kinds,
        vocabulary,
        metrics=(entity_f1,),
        example="--gin.OwnTags.files=\"{'validation': 'eng.testa'}\"",
        read_at=read_at,
    )


def span_task(
    name: str,
    files: Mapping[str, str | Path],
    read: Callable[[Path], list[Sentence]],
    kinds: Sequence[str],
    vocabulary: Vocabulary,
    *,
    metrics: tuple[Metric, ...],
    example: str,
    read_at: Place = "first",
    has_behind: bool = False,
) -> Task:
    """Makes a task of files with tagged words, whatever their layout.

    Args:
        name: As of `tag_task`.
        files: Split -> file.
        read: From a file to its sentences.
        kinds: As of `tag_task`.
        vocabulary: As there.
        metrics: From tags of all rows, true and answered; "f1" is the score.
        example: How a user names its files, for errors.
        read_at: As of `tag_task`.
        has_behind: Whether every row has a text behind its words.

    Raises:
        ValueError: As `tag_task`.
    """
    if not kinds or len({*kinds}) < len(kinds):
        raise ValueError(
            f"kinds of task {name}: {listed(kinds) or 'none'}: name each kind of span "
            "once, as ['PER', 'LOC']"
        )
    tags = (OUTSIDE, *(f"{part}-{kind}" for kind in kinds for part in ("B", "I")))
    paths = {split: Path(path) for split, path in files.items()}
    tagged = _Tagged(paths, read, example)
    return Task(
        name=name,
        source=Source(name, tagged.find),
        vocabulary=vocabulary,
        read_request=_read_both if has_behind else _read_request,
        write=_write,
        compare=_tags_of,
        metrics=metrics,
        headline=("f1",),
        start_words=tuple(kinds),
        answers=Tags(tags, read_at),
        own_fields=(WORDS, BEHIND) if has_behind else (WORDS,),
    )


@dataclasses.dataclass(frozen=True)
class _Tagged:
    """The files of a task, and how each is read."""

    paths: Mapping[str, Path]
    read: Callable[[Path], list[Sentence]]
    example: str

    def find(self) -> dict[str, SplitRows]:
        if not self.paths:
            raise ValueError(
                f"files is empty: name a file for each split, as {self.example}"
            )
        return {split: self._rows(path) for split, path in self.paths.items()}

    def _rows(self, path: Path) -> SplitRows:
        sentences = functools.cache(lambda: self.read(path))

        def rows() -> list[Features]:
            return [
                {
                    WORDS: [*one.words],
                    BEHIND: one.behind,
                    "targets": " ".join(one.tags),
                    "idx": number,
                }
                for number, one in enumerate(sentences())
            ]

        return SplitRows(rows, path, lambda: [one.where for one in sentences()])


def _read_request(row: Row, number: int) -> Features:
    words = row.fields.get(WORDS)
    if isinstance(words, str):
        words = words.split()
    sound = isinstance(words, list) and all(
        isinstance(word, str) and word.strip() for word in words
    )
    if not words or not sound:
        raise ValueError(
            f"{row.where}: {WORDS} is {as_json(row.fields.get(WORDS))}: it must be a "
            "list of words, or a text with spaces between them"
        )
    # A field BEHIND of such a row is one that the task does not read.
    return {WORDS: words, BEHIND: "", "targets": "", "idx": number}


def _read_both(row: Row, number: int) -> Features:
    """Reads a row that needs what stands behind its words: one of these."""
    behind = field_text(row, BEHIND).strip()
    if not behind:
        raise ValueError(f"{row.where}: {BEHIND} is empty: name that of the sentence")
    found = _read_request(row, number)
    if behind not in found[WORDS]:
        raise ValueError(
            f"{row.where}: {BEHIND} {quoted(behind)} is none of the words "
            f"{listed(found[WORDS])}: name one of them, as it stands there; a sentence "
            "with two predicates is two rows"
        )
    return {**found, BEHIND: behind}


def _write(rows: Sequence[Features]) -> list[Example]:
    return [
        Example(
            " ".join(row[WORDS]),
            row["targets"],
            words=tuple(row[WORDS]),
            behind=row[BEHIND],
        )
        for row in rows
    ]


def _tags_of(text: str, example: Any = None, is_target: bool = False) -> list[str]:
    """Returns one tag for each word of a row: what an answer lacks is in no span."""
    del is_target
    tags = text.split(" ") if text else []
    count = len(example[WORDS])
    return [*tags[:count], *[OUTSIDE] * (count - len(tags))]
