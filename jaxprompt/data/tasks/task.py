"""A task: rows as text to text for one backbone, and how answers are scored."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data.read.files import Row
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.template import Piece, Template
from jaxprompt.data.tasks.answers.answers import Answers
from jaxprompt.data.tasks.answers.kinds import WORDS
from jaxprompt.data.tasks.answers.labels import OF_LABELS
from jaxprompt.data.tasks.answers.passages import Passage
from jaxprompt.data.tasks.metrics import Metric
from jaxprompt.data.tasks.pieces import encode_pieces
from jaxprompt.data.tasks.verbalizer import Verbalizer
from jaxprompt.data.vocabulary.tokens import Pair, Span
from jaxprompt.data.vocabulary.vocabulary import Vocabulary, decode
from jaxprompt.data.vocabulary.writing import as_written
from jaxprompt.no_token import NO_TOKEN

_AHEAD = 1024
"""Examples that are tokenised in one call: the first batch waits for no whole split."""

UNLABELLED = -1
"""Class index, or score, of a row without a label, as in TFDS."""


class Example(NamedTuple):
    """A row as text to text.

    Attributes:
        inputs: What the model reads.
        targets: What it is to write.
        pieces: The inputs with the soft tokens that stand among them; empty where
            these all lead, and the text is cut at its end.
        words: The words of the inputs, where each gets an answer of its own.
        behind: Then what is read behind a separator, and gets none.
        passage: The question and the text, where the answer stands in a text.
        choices: The texts that an answer is one of, each an example by itself.
    """

    inputs: str
    targets: str
    pieces: tuple[Piece, ...] = ()
    words: tuple[str, ...] = ()
    behind: str = ""
    passage: Passage | None = None
    choices: "tuple[Example, ...]" = ()


Write = Callable[[Sequence[Features]], Sequence[Example]]
"""From rows to their examples, one for each row, in order."""

Compare = Callable[..., Any]
"""From a text, with the keywords `example` (the row's fields) and `is_target`, to what
the metrics compare."""

Windows = Callable[[Sequence[Features], int], Sequence[Sequence[Features]]]
"""From rows and the tokens that a model reads at once to the windows of each row, which
are rows again."""

Draw = Callable[[str, Iterable[int]], Iterator[Pair]]
"""From a split and numbers of examples to their token ids, in order."""


class MixedPart(NamedTuple):
    """One of the tasks that a task mixes.

    Attributes:
        rate: Its share of the examples; 1 in sum.
        task: The part alone.
    """

    rate: float
    task: "Task"


class InWords(NamedTuple):
    """How a task is put to a frozen model in words, where its own texts will not do.

    Attributes:
        task: The same rows: their inputs as a hand-written prompt asks for the answer,
            their targets the answer, and a prediction compared as what is extracted
            from it.
        shot: An example that is shown, over its "inputs" and its "targets".
        joint: Text behind the instruction, and behind each example that is shown.
    """

    task: "Task"
    shot: Template
    joint: str


def texts_as_they_are(rows: Sequence[Features]) -> list[Example]:
    """Writes rows that hold their texts already, as "inputs" and "targets"."""
    return [Example(row["inputs"], row["targets"]) for row in rows]


def text_itself(text: str, example: Any = None, is_target: bool = False) -> str:
    """Compares texts as they are."""
    del example, is_target
    return text


def _rows_themselves(rows: Sequence[Features]) -> Sequence[Features]:
    return rows


@dataclasses.dataclass(frozen=True)
class Task:
    """A task for one backbone, not yet cut to lengths and without soft tokens.

    Attributes:
        name: The task's name.
        source: The rows.
        vocabulary: The backbone's vocabulary.
        read_request: A row to predict, and its number -> features without a label.
        labels: The legal label words (verbalizers) in class order; None for free text.
        write: From rows to examples.
        compare: From a text to what the metrics compare.
        fields: From rows to what `compare` gets as `example`.
        metrics: What scores the answers.
        start_words: Words that a prompt may start from: the labels, or where they are
            free text, words of the task.
        parts: Name -> what the task mixes; empty for a task of one kind.
        headline: Metrics whose mean is the score; empty for all.
        in_words: How a hand-written prompt asks; None if no other way.
        draw: Where token ids are drawn anew in every epoch, as in pre-training; None
            where they are those of the examples.
        targets_are_right: Whether the target of every row is a right answer to it.
        template: How the inputs of own rows are written; None where otherwise.
        answers: What a head answers; None where the model writes words.
        before: Words in front of every input, as an instruction or examples that are
            shown. They are tokenised by themselves, and do not count as text that may
            be cut.
        verbalizer: The words of each label, the first of which is the label itself;
            None where each label is its only word.
        opening: What every answer begins with: the sentinel that stands in the text.
        windows: How a row becomes several that a model reads one by one, where it is
            too long; None where its text is cut.
        own_fields: Fields of a row to predict, where no template names them.
        thread: Feature that names the conversation of a row, whose later rows hold the
            earlier answers in their inputs; empty where rows are apart.
    """

    name: str
    source: Source
    vocabulary: Vocabulary
    read_request: Callable[[Row, int], Features]
    labels: tuple[str, ...] | None = None
    write: Write = texts_as_they_are
    compare: Compare = text_itself
    fields: Callable[[Sequence[Features]], Sequence[Any]] = _rows_themselves
    metrics: tuple[Metric, ...] = ()
    start_words: tuple[str, ...] = ()
    parts: Mapping[str, MixedPart] = dataclasses.field(default_factory=dict)
    headline: tuple[str, ...] = ()
    in_words: InWords | None = None
    draw: Draw | None = None
    targets_are_right: bool = True
    template: Template | None = None
    answers: Answers | None = None
    before: str = ""
    verbalizer: Verbalizer | None = None
    opening: str = ""
    windows: Windows | None = None
    own_fields: tuple[str, ...] = ()
    thread: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.:]+", self.name):
            raise ValueError(
                f'task name {self.name!r}: use letters, digits, "_", "." and ":"'
            )

    @property
    def asked_in_words(self) -> "Task":
        """The task as a hand-written prompt asks it: no soft token is in its texts."""
        if self.in_words:
            return self.in_words.task
        if self.template is None or self.template.is_plain:
            return self
        return dataclasses.replace(self, write=self._write_texts)

    def _write_texts(self, rows: Sequence[Features]) -> Sequence[Example]:
        return [example._replace(pieces=()) for example in self.write(rows)]

    @property
    def request_fields(self) -> tuple[str, ...]:
        """Fields of a row to predict; none where it holds its texts already."""
        return self.own_fields if self.template is None else self.template.fields

    @property
    def takes_text(self) -> bool:
        """Whether a text that is written out already can stand for a row.

        Not where a row is several texts, or is read in windows, or has a part of its
        own behind its words.
        """
        several = self.answers is not None and self.answers.texts > 1
        return not several and self.windows is None and len(self.own_fields) < 2

    @property
    def causal(self) -> bool:
        """Whether it is tokenised for a decoder-only model."""
        return self.vocabulary.causal

    @property
    def has_threads(self) -> bool:
        """Whether answers may share a training row: those that a decoder writes."""
        return bool(self.thread) and self.causal and self.answers is None

    @property
    def end(self) -> int:
        """Id of end-of-sequence."""
        return self.vocabulary.eos_id

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there."""
        return self.source.splits

    def check_split(self, split: str) -> None:
        """Checks that a split is there, and reads no row of it.

        Raises:
            ValueError: If the task has no such split.
            FileNotFoundError: If the split's file is missing.
        """
        self.source.check(split)

    def num_examples(self, split: str) -> int:
        """Returns the rows of a split; reads and validates all of them."""
        return len(self.source.rows(split))

    def check_labelled(self, split: str) -> None:
        """Raises ValueError if rows of the split have no label, as official tests."""
        if self.source.streams:
            return
        for row in self.source.rows(split):
            if row.get("label") == UNLABELLED or row.get("answers") == []:
                raise ValueError(
                    f"split {split!r} of task {self.name} has no labels: train and "
                    "evaluate on another split, or predict"
                )

    def examples(
        self, split: str, numbers: Iterable[int] | None = None
    ) -> Sequence[Example]:
        """Writes rows of a split as text to text.

        Args:
            split: The split.
            numbers: Which rows, in the wanted order; None for all.
        """
        rows = self.source.rows(split)
        return self.write(
            rows if numbers is None else [rows[number] for number in numbers]
        )

    def check_tokens(self, split: str) -> None:
        """Raises ValueError if a text holds a token without a row in the model's table.

        Only where the vocabulary has such tokens are the texts of the split read.
        """
        if not self.vocabulary.rowless or self.draw is not None:
            return
        for number, example in enumerate(self.examples(split)):
            where = f"example {number} of split {split!r} of task {self.name}"
            for text in (example.inputs, example.targets):
                self.check_text(text, where)

    def check_text(self, text: str, where: str) -> None:
        """Raises ValueError, which says where, if a token of the text has no row."""
        try:
            self.vocabulary.encode(text)
        except ValueError as err:
            raise ValueError(f"{where}: {err}") from err

    def with_rows(
        self,
        splits: Mapping[str, SplitRows],
        pairs: Mapping[str, Sequence[Pair]] | None = None,
    ) -> "Task":
        """Returns the task with other rows of some splits, or with further splits.

        Args:
            splits: Split -> its rows.
            pairs: Split -> the token ids of its examples, where they are not those of
                its rows alone.
        """

        def find() -> dict[str, SplitRows]:
            own = {
                name: SplitRows(functools.partial(self.source.rows, name))
                for name in self.splits
            }
            return {**own, **splits}

        made = dataclasses.replace(self, source=Source(self.name, find))
        for split, found in (pairs or {}).items():
            made._encoded[split] = dict(enumerate(found))
        return made

    def read_as(
        self, rows: Sequence[Features], length: int | None
    ) -> list[list[Example]]:
        """Writes rows as the examples that a model reads: of each one, or its windows.

        Args:
            rows: The rows.
            length: Tokens of text that the model reads at once; None for all of them.
        """
        if self.windows is None or length is None:
            return [[example] for example in self.write(rows)]
        windows = self.windows(rows, length)
        written = iter(self.write([*itertools.chain.from_iterable(windows)]))
        return [[*itertools.islice(written, len(part))] for part in windows]

    def check_length(self, length: int) -> None:
        """Raises ValueError if windows of so many tokens have no room for a text."""
        if self.windows is not None:
            self.windows((), length)

    def check_targets(self, split: str, longest: int) -> None:
        """Checks that there is room for what a head answers; see `Answers.check`."""
        if self.answers is not None:
            self.answers.check(self, split, longest)

    def put_to(self, kind: str) -> "Task":
        """Returns the task as a head of this kind is asked it.

        Args:
            kind: One of `data.tasks.answers.kinds.KINDS`.

        Raises:
            ValueError: If the task has no such answers.
        """
        own = WORDS if self.answers is None else self.answers.kind
        if kind == own:
            return self
        has_labels = self.answers is None and self.labels is not None
        if has_labels and kind in OF_LABELS:
            return dataclasses.replace(self, answers=OF_LABELS[kind](self))
        known = [own, *(OF_LABELS if has_labels else ())]
        raise ValueError(
            f"a head of {kind} for task {self.name}, whose answers are "
            f"{_either(known)}: use --gin.HEAD=\"'{known[-1]}'\", or another task"
        )

    def encode(self, examples: Sequence[Example]) -> list[Pair]:
        """Tokenises examples."""
        if self.answers is not None:
            return self.answers.encode(self, examples)
        encode = self.vocabulary.encode_all
        targets = encode([example.targets for example in examples])
        opening = self.opening_ids
        return [
            Pair(inputs, np.array([*opening, *ids, self.end], np.int32), cut)
            for (inputs, cut), ids in zip(self.read(examples), targets, strict=True)
        ]

    def read(
        self, examples: Sequence[Example]
    ) -> Iterator[tuple[Int[np.ndarray, " T"], tuple[Span, ...]]]:
        """Yields the input ids of examples, and what of them is cut first."""
        encode = self.vocabulary.encode_all
        # Those of pieces are tokenised piece by piece.
        inputs = encode(["" if x.pieces else x.inputs for x in examples])
        front = self.before_ids
        before = len(front) + len(self.vocabulary.first)
        for example, ids in zip(examples, inputs, strict=True):
            cut: tuple[Span, ...] = ()
            if example.pieces:
                ids, cut = encode_pieces(example.pieces, self.vocabulary.encode)
                cut = tuple(Span(a + before, b + before, of) for a, b, of in cut)
            yield self.framed([*front, *ids]), cut

    @functools.cached_property
    def before_ids(self) -> list[int]:
        """The tokens of the words in front of every input, as in front of a text.

        Line ends in front of a word are other tokens than at the end of a text.
        """
        if not self.before:
            return []
        encode = self.vocabulary.encode
        whole, word = encode(f"{self.before}x"), encode("x")
        if self.causal and whole[-len(word) :] == word:
            return whole[: -len(word)]
        return encode(self.before)

    def place_of_text(self, ids: Int[np.ndarray, " T"]) -> int:
        """Returns where a text as a whole is read, by its input ids.

        It is an encoder's first token, and of any other model the last one.
        """
        if self.vocabulary.frame is not None:
            return int(np.flatnonzero(ids >= 0)[0])
        return len(ids) - 1

    def framed(self, ids: Iterable[int]) -> Int[np.ndarray, " T"]:
        """Puts around the ids of a text what the model reads there.

        A decoder goes on from its input, which therefore does not end.
        """
        frame = self.vocabulary.frame
        ending = () if self.causal else (self.end,)
        last = ending if frame is None else frame.last
        return np.array([*self.vocabulary.first, *ids, *last], np.int32)

    def ended(self, inputs: Iterable[int], targets: Iterable[int]) -> Pair:
        """Makes the pair of an example's ids, with end-of-sequence behind them."""
        targets = np.array([*targets, self.end], np.int32)
        return Pair(self.framed(inputs), targets)

    def pairs(self, split: str, numbers: Iterable[int]) -> Iterator[Pair]:
        """Yields the token ids of examples.

        Args:
            split: The split.
            numbers: Of the examples, in the wanted order. Epochs count on: of R rows,
                number R is the first one again, in the second epoch.
        """
        if self.draw is not None:
            yield from self.draw(split, numbers)
            return
        count = self.num_examples(split)
        found = self._encoded.setdefault(split, {})
        waiting = iter(numbers)
        while some := [number % count for number in itertools.islice(waiting, _AHEAD)]:
            new = [number for number in dict.fromkeys(some) if number not in found]
            if new:
                encoded = self.encode(self.examples(split, new))
                found.update(zip(new, encoded, strict=True))
            yield from (found[number] for number in some)
            if self.source.streams:
                found.clear()

    def classes(self, split: str) -> Int[np.ndarray, " rows"]:
        """Returns the number of each row's label, int64; computed once for a split.

        Raises:
            ValueError: If the task has no labels, or a row has another answer.
        """
        if split not in self._classes:
            labels = self.labels or ()
            index = {label: number for number, label in enumerate(labels)}
            targets = [example.targets for example in self.examples(split)]
            other = next((text for text in targets if text not in index), None)
            if other is not None:
                raise ValueError(
                    f"split {split!r} of task {self.name} has the answer {other!r}, "
                    f"which is none of its labels {', '.join(labels) or '(none)'}: "
                    "leave the row out"
                )
            self._classes[split] = np.array([index[text] for text in targets], int)
        return self._classes[split]

    @functools.cached_property
    def _classes(self) -> dict[str, Int[np.ndarray, " rows"]]:
        return {}

    @functools.cached_property
    def _encoded(self) -> dict[str, dict[int, Pair]]:
        """Of each split, what was tokenised so far: once each, for all epochs."""
        return {}

    def decode(self, ids: Int[np.ndarray, "B L"]) -> list[str]:
        """Turns target ids into texts.

        The ids of a label word give the label, even where the vocabulary lacks a piece
        of it and would write it otherwise.

        Args:
            ids: Target ids; what follows the first end-of-sequence does not count.

        Returns:
            One text per row.
        """
        if self.answers is not None:
            return [self.answers.decode(row[None], ()) for row in ids]
        opening, said = self.opening_ids, self.words
        answers: list[list[int]] = [
            row[len(opening) :] if row[: len(opening)] == opening else row
            for row in ids.tolist()
        ]
        texts = decode(self.vocabulary, answers)
        if said is None:
            return texts
        written = decode(
            self.vocabulary,
            [self._with_end(word)[len(opening) :] for word in said.flat],
        )
        labels = [said.labels[number] for number in said.classes]
        label_of = dict(zip(written, labels, strict=True))
        return [label_of.get(text, text) for text in texts]

    @property
    def row_labels(self) -> tuple[str, ...]:
        """The labels of which each row gets one; none for any other answers."""
        if self.answers is None:
            return self.labels or ()
        return () if self.answers.of_words else self.answers.labels

    def written(self, text: str) -> str | None:
        """Returns a target as it reads where a model answers every token of it.

        None if the vocabulary lacks some of its characters, so that no answer can
        equal it. A label word is itself, however it is written.
        """
        if self.answers is not None or text in (self.labels or ()):
            return text
        return as_written(self.vocabulary, text)

    def label_ids(self, length: int) -> np.ndarray:
        """Tokenises the label words.

        Args:
            length: Most target tokens.

        Returns:
            int32 [C, L]: each label, end-of-sequence, then `NO_TOKEN`.

        Raises:
            ValueError: If the task has no labels, one does not fit, or the vocabulary
                does not tell two apart.
        """
        rows = self.word_ids(length)
        flat = [] if self.words is None else self.words.flat
        return rows[[flat.index(label) for label in self.labels or ()]]

    def word_ids(self, length: int) -> np.ndarray:
        """Tokenises the words of all labels, in the order of `Verbalizer.flat`.

        Args:
            length: Most target tokens.

        Returns:
            int32 [words, L]: each word, end-of-sequence, then `NO_TOKEN`; the longest
            takes all of them.

        Raises:
            ValueError: As `label_ids`.
        """
        if self.words is None:
            raise ValueError(f"task {self.name} is free text: it has no label words")
        of_words = [self._with_end(label) for label in self.words.flat]
        longest = max(map(len, of_words))
        rows = np.full((len(of_words), longest), NO_TOKEN, np.int32)
        for row, ids, label in zip(rows, of_words, self.words.flat, strict=True):
            if len(ids) > length:
                raise ValueError(
                    f"label {label!r} takes {len(ids)} tokens with end-of-sequence, "
                    f"but the target length is {length}: use at least {len(ids)}"
                )
            row[: len(ids)] = ids
        written = {*decode(self.vocabulary, rows)}
        if min(len(written), len(np.unique(rows, axis=0))) < len(rows):
            raise ValueError(
                f"labels {', '.join(self.words.flat)} of task {self.name} are not told "
                "apart by the vocabulary: use other label words"
            )
        return rows

    @property
    def words(self) -> Verbalizer | None:
        """The words of each label; None for free text."""
        if self.labels is None:
            return None
        return self.verbalizer or Verbalizer(tuple((x,) for x in self.labels))

    def _with_end(self, text: str) -> list[int]:
        return [*self.opening_ids, *self.vocabulary.encode(text), self.end]

    @functools.cached_property
    def opening_ids(self) -> list[int]:
        """The tokens that every answer begins with; none without an opening."""
        return self.vocabulary.encode(self.opening) if self.opening else []


def _either(names: Sequence[str]) -> str:
    """Lists names as in "a, b or c"."""
    *others, last = names
    return " or ".join([*([", ".join(others)] if others else []), last])


def class_index(labels: Sequence[str]) -> Compare:
    """Makes the way from a label word to its class index, which is -1 for any other."""
    index = {label: number for number, label in enumerate(labels)}

    def compare(text: str, example: Any = None, is_target: bool = False) -> int:
        del example, is_target
        return index.get(text, -1)

    return compare
