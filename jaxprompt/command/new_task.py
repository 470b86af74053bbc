"""`new`: looks at the columns of own data, and writes the gin file of its task."""

import collections
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.data.read.conversations import Conversation, read_conversation
from jaxprompt.data.read.files import Row, read_rows
from jaxprompt.data.tasks.metrics import number_of
from jaxprompt.files.atomic import write_atomically
from jaxprompt.runs.keep.output import check_output
from jaxprompt.screen.quoting import cut, listed, quoted
from jaxprompt.screen.suggest import did_you_mean
from jaxprompt.screen.terminal import say

SPLITS = ("train", "validation", "test")

_ANSWERS = (
    *("label", "labels", "target", "class", "category", "sentiment", "intent", "topic"),
    *("answer", "answers", "output", "response", "completion", "summary", "stars"),
    *("rating", "score", "y"),
)
"""Names that columns of labels and answers have; the first that is there is taken."""

_MOST_LABELS = 50
"""A column of more different values is free text."""

_WORDS = 3
"""A column of as many words a row, on average, is text."""

_CHARACTERS = 3
"""Of a token, at least, of most vocabularies and languages with spaces."""

_MARKS = 36
"""Characters, as it were, of what a chat template writes around a turn."""

_LENGTHS = (8, 16, 32, 64, 128, 256, 512, 1024)

_SHARE = {"train": 0.8, "validation": 0.1, "test": 0.1}


class Column(NamedTuple):
    """What is seen of a column.

    Attributes:
        name: Its name.
        values: Its value in each row, as text; "" where it has none.
    """

    name: str
    values: Sequence[str]

    @property
    def counts(self) -> "collections.Counter[str]":
        """How often each value is there, the most frequent first."""
        return collections.Counter(self.values)

    @property
    def words(self) -> float:
        """Mean number of words."""
        return sum(len(value.split()) for value in self.values) / len(self.values)

    @property
    def most(self) -> int:
        """Characters of the longest value, but for one in a hundred."""
        lengths = sorted(map(len, self.values))
        return lengths[math.ceil(0.99 * len(lengths)) - 1]

    @property
    def are_numbers(self) -> bool:
        """Whether its values are numbers, and not all of them whole."""
        found = [number_of(value) for value in self.values]
        return all(map(math.isfinite, found)) and any(x % 1 for x in found)

    @property
    def may_be_labels(self) -> bool:
        """Whether its values come again and again."""
        few = min(_MOST_LABELS, len(self.values) // 2)
        return 1 < len(self.counts) <= few and not self.are_numbers


def write_task(
    files: Sequence[str],
    output: Path | None = None,
    *,
    text: str | None = None,
    label: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the gin file of a task, and says what was seen.

    Args:
        files: One file of rows, which is divided; or those of the splits, in order.
        output: The gin file; None for the first file's name with ".gin".
        text: Column of the text; None to find it.
        label: Column of the label or answer; None to find it.
        overwrite: Whether `output` may exist.

    Returns:
        The gin file.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a row is malformed, no column is a label or a text, or the gin
            file exists.
    """
    if len(files) > len(SPLITS):
        raise ValueError(
            f"{len(files)} files: give one, which is divided, or those of "
            f"{', '.join(SPLITS)}"
        )
    output = output or Path(f"{Path(files[0]).stem}.gin")
    check_output(output, overwrite)
    rows = [read_rows(file) for file in files]
    every = [row for part in rows for row in part]
    to_train = len(rows[0]) * (1 if len(files) > 1 else _SHARE["train"])
    turns = _field_of_turns(every[0])
    if turns is None:
        columns = _columns(files[0], [row.fields for row in every])
        answer = _answer(columns, label)
        texts = _texts(columns, answer, text)
        lines = _gin(files, columns, texts, answer, to_train)
        seen = _seen(files, columns, texts, answer)
    else:
        chats = [read_conversation(row, turns) for row in every]
        lines = _gin_of_chats(files, turns, chats, to_train)
        seen = _seen_of_chats(files, chats)
    content = "".join(f"{line}\n" for line in lines)
    write_atomically(
        output, content.encode(), every_host=True
    )  # It looks for no device.
    for line in seen:
        say(line)
    say(f"wrote {output}; look at it, then at what the model will read, and train:")
    file, workdir = shlex.quote(str(output)), shlex.quote(f"runs/{output.stem}")
    say(f"  jaxprompt show --gin_file={file}")
    say(f"  jaxprompt train --gin_file={file} --workdir={workdir}")
    return output


def _columns(file: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Returns the columns that every row has a text or a number in."""
    names = list(dict.fromkeys(name for fields in rows for name in fields))
    columns = {}
    for name in names:
        values = [_first(fields.get(name)) for fields in rows]
        if all(isinstance(value, str | int | float) for value in values):
            columns[name] = Column(name, [_text(value) for value in values])
    if len(columns) < 2:
        between = "; are its columns parted by ;? A .csv has commas, a .tsv tabs"
        raise ValueError(
            f"{file}: columns with a text or a number in every row: {listed(columns)}: "
            "a task needs two, a text and its label or answer"
            f"{between if any(';' in name for name in columns) else ''}"
        )
    return columns


def _first(value: object) -> object:
    """Returns a value, and of several right answers the first."""
    return value[0] if isinstance(value, list) and value else value


def _text(value: object) -> str:
    # As `data.read.files.field_text`, by which the task reads it.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _named(columns: Mapping[str, Column], name: str, flag: str) -> Column:
    if name not in columns:
        meant = did_you_mean(name, columns) or f"there are {listed(columns)}"
        raise ValueError(f"no column {quoted(name)} for --{flag}: {meant}")
    return columns[name]


def _answer(columns: Mapping[str, Column], name: str | None) -> Column:
    """Returns the column of labels or answers."""
    if name is not None:
        return _named(columns, name, "label")
    by_letters = {key.lower(): column for key, column in columns.items()}
    for known in _ANSWERS:
        if known in by_letters and len(by_letters[known].counts) > 1:
            return by_letters[known]
    may_be = [column for column in columns.values() if column.may_be_labels]
    if not may_be:
        raise ValueError(
            f"no column is called as a label is, or has values that come again: name "
            f"it by --label, out of {listed(columns)}"
        )
    # The last of those with the fewest values: labels stand behind what they are of.
    fewest = min(len(column.counts) for column in may_be)
    return [column for column in may_be if len(column.counts) == fewest][-1]


def _texts(
    columns: Mapping[str, Column], answer: Column, name: str | None
) -> list[Column]:
    """Returns the columns that the model reads."""
    if name is not None:
        return [_named(columns, name, "text")]
    others = [column for column in columns.values() if column is not answer]
    texts = [column for column in others if column.words >= _WORDS]
    return texts or [max(others, key=lambda column: column.most)]


def _gin(
    files: Sequence[str],
    columns: Mapping[str, Column],
    texts: Sequence[Column],
    answer: Column,
    rows: float,
) -> Iterator[str]:
    left_out = [x.name for x in columns.values() if x is not answer and x not in texts]
    is_free = not answer.may_be_labels
    yield from _beginning(files)
    yield "MODEL = 'bundled:nano'  # Or a Hub name, a folder or a GGUF file."
    yield from _files_of("OwnTask", files)
    if len(files) == 1 and not is_free:
        yield "OwnTask.stratify = True  # Each split has its share of every label."
    if left_out:
        yield f"# Columns that are left out: {listed(left_out)}."
    yield f"OwnTask.inputs = {_template(texts)!r}"
    yield f"OwnTask.target = {answer.name!r}"
    if is_free:
        yield "OwnTask.labels = None    # Free text."
        metrics = ("rouge",) if answer.words >= _WORDS else ("exact_match",)
        if answer.are_numbers:
            metrics = ("pearson", "spearman")
        yield f"OwnTask.metrics = {metrics!r}   # See `jaxprompt list metrics`."
        yield "PROMPT_INIT = 'vocabulary'"
    else:
        yield "# Label in the file -> the word that the model says. Short, common words"
        yield "# are best: each should be one or two tokens."
        yield "OwnTask.labels = {"
        for value in answer.counts:
            yield f"    {value!r}: {_word(value)!r},"
        yield "}"
        yield "OwnTask.metrics = ('accuracy',)  # See `jaxprompt list metrics`."
        yield "METHOD = 'rank'         # Chooses among the label words."
    length = _tokens(sum(column.most + len(column.name) for column in texts))
    yield ""
    yield f"INPUT_LENGTH = {length}       # Tokens; about what 99 of 100 rows need."
    yield f"TARGET_LENGTH = {_tokens(answer.most)}"
    yield f"PROMPT_LENGTH = {max(20, 2 * len(answer.counts) * (not is_free))}"
    yield from _pace(rows)


def _beginning(files: Sequence[str]) -> Iterator[str]:
    yield f"# The task of {files[0]}, as `jaxprompt new` saw it: change what is not so."
    yield "include 'gin/runs/prompt_tuning.gin'"
    yield ""


def _files_of(kind: str, files: Sequence[str]) -> Iterator[str]:
    """Yields the name and the files of a task of this kind."""
    name = re.sub(r"[^\w.:]", "_", Path(files[0]).stem, flags=re.ASCII)
    yield f"TASK = @{kind}()"
    yield f"{kind}.name = {name!r}"
    if len(files) == 1:
        yield f"{kind}.files = {files[0]!r}"
        yield f"{kind}.share = {_SHARE!r}"
    else:
        yield f"{kind}.files = {dict(zip(SPLITS, files, strict=False))!r}"
    if len(files) in (1, len(SPLITS)):
        yield "Data.test_split = 'test'"


def _pace(rows: float) -> Iterator[str]:
    yield f"BATCH_SIZE = {_batch_size(rows)}"
    yield "STEPS = 1000"
    yield "SCHEDULE = 'linear'"
    yield "EVALUATE_EVERY = 100"
    yield "CHECKPOINT_EVERY = 100"


def _seen(
    files: Sequence[str],
    columns: Mapping[str, Column],
    texts: Sequence[Column],
    answer: Column,
) -> Iterator[str]:
    """Yields what was seen of the data."""
    rows = len(answer.values)
    yield f"{', '.join(files)}: {rows:,} rows, columns {listed(columns)}"
    for text in texts:
        longest = max(map(len, text.values))
        yield f"text: {text.name}, up to {longest:,} characters, {text.words:.0f} words"
    counts = answer.counts
    if answer.may_be_labels:
        shares = (
            f"{cut(quoted(x), 30)} {n / rows:.0%}" for x, n in counts.most_common()
        )
        told = listed(shares, longest=40)
        yield f"label: {answer.name}, {len(counts)} different ones: {told}"
        return
    kind = "numbers" if answer.are_numbers else "free text"
    yield f"answer: {answer.name}, {kind}, {len(counts):,} different ones"
    empty = counts.get("", 0)
    if empty:
        yield f"{empty} of the answers are empty"


def _field_of_turns(row: Row) -> str | None:
    """Returns the field that holds a conversation's turns; None if there is none."""
    for name, value in row.fields.items():
        first = value[0] if isinstance(value, list) and value else None
        if isinstance(first, dict) and ("role" in first or "from" in first):
            return name
    return None


def _gin_of_chats(
    files: Sequence[str], turns: str, chats: Sequence[Conversation], rows: float
) -> Iterator[str]:
    yield from _beginning(files)
    yield "# An instruct model, by its Hub name, its folder or its GGUF file."
    yield "MODEL = 'HuggingFaceTB/SmolLM2-135M-Instruct'"
    yield from _files_of("OwnChats", files)
    if turns != "messages":
        yield f"OwnChats.messages = {turns!r}"
    yield "OwnChats.metrics = ('rouge',)   # See `jaxprompt list metrics`."
    yield "PROMPT_INIT = 'vocabulary'"
    marked = [
        "".join(chat.texts) + "-" * _MARKS * (1 + len(chat.texts)) for chat in chats
    ]
    asked = Column("asked", marked)
    yield ""
    yield f"INPUT_LENGTH = {_tokens(asked.most)}       # Tokens of a conversation."
    yield f"TARGET_LENGTH = {_tokens(Column('said', _said(chats)).most)}"
    yield "PROMPT_LENGTH = 20"
    yield "Optimizer.kind = 'adamw'"
    yield "Optimizer.weight_decay = 0.0"
    yield "LEARNING_RATE = 0.01"
    yield from _pace(rows)


def _said(chats: Sequence[Conversation]) -> list[str]:
    """Returns the answers that are learned."""
    answers = [
        text
        for chat in chats
        for text, learned in zip(chat.texts, chat.learned, strict=True)
        if learned
    ]
    if not answers:
        raise ValueError("no turn of the assistant to learn: add the answers")
    return answers


def _seen_of_chats(
    files: Sequence[str], chats: Sequence[Conversation]
) -> Iterator[str]:
    """Yields what was seen of conversations."""
    turns, answers = sum(len(chat.texts) for chat in chats), _said(chats)
    yield (
        f"{', '.join(files)}: {len(chats):,} conversations of {turns / len(chats):.1f} "
        f"turns, {len(answers):,} answers to learn"
    )
    yield f"answers: up to {max(map(len, answers)):,} characters"


def _template(texts: Sequence[Column]) -> str:
    """Writes the texts one behind the other, each behind its column's name."""
    for text in texts:
        if re.search(r"[{}!:\[\].]", text.name):
            raise ValueError(
                f"column {quoted(text.name)}: a template cannot name it: give it a "
                "name of letters, digits, spaces and _"
            )
    if len(texts) == 1:
        return f"{{{texts[0].name}}}"
    return " ".join(f"{text.name}: {{{text.name}}}" for text in texts)


def _word(label: str) -> str:
    """Proposes a word for a label."""
    words = re.sub(r"[_\W]+", " ", label).strip()
    return words.lower() or label


def _tokens(characters: int) -> int:
    """Returns a length that most texts of so many characters fit into."""
    needed = characters / _CHARACTERS + 2
    return next((length for length in _LENGTHS if length >= needed), _LENGTHS[-1])


def _batch_size(rows: float) -> int:
    """Returns the largest power of two up to 32 that leaves a few batches."""
    return next((size for size in (32, 16, 8, 4, 2) if 4 * size <= rows), 1)
