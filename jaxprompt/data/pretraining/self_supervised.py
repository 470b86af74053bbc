"""Text -> a self-supervised task, whose questions are made as they are asked for.

A question is a function of the seed, the document and the sentence alone, so it is the
same in every epoch and process. Nothing of the text is kept in memory but places.
"""

import bisect
import collections
import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.data.pretraining.forms import Anchor, BuiltQuestion, QuestionForm
from jaxprompt.data.read.documents import Documents, Whole, text_files
from jaxprompt.data.read.files import Row
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.text import TRAIN, VALIDATION
from jaxprompt.data.tasks.own import file_task, words_as_written
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

ANSWER = "answer"
"""Field of a question that holds its label."""

_TRIES = 64
"""Draws of one question before its text is given up."""

_KEPT = 64
"""Documents whose places of questions stay in memory."""

_SAMPLE = 500
"""Questions that statistics look at."""


@dataclasses.dataclass(frozen=True)
class Units:
    """Which sentences may stand in questions, and which documents are asked about.

    Attributes:
        least_characters: Fewest characters of a sentence.
        least_words: Fewest words of a sentence.
        most_words: Most words of a sentence; 0 for no bound.
        per_document: Most questions about a document, so that a long one does not
            outweigh all others; 0 for one about each sentence.
        validation_share: Share of the documents that are kept for validation.

    Source: of the first two, the builders of thu-coai/PPT, which count tokens in the
    place of words, and leave out whole documents.
    """

    least_characters: int = 5
    least_words: int = 5
    most_words: int = 0
    per_document: int = 0
    validation_share: float = 0.05

    def __post_init__(self) -> None:
        counts = (self.least_characters, self.least_words, self.most_words)
        if min(*counts, self.per_document) < 0 or not 0 < self.validation_share < 1:
            raise ValueError(
                f"least_characters {self.least_characters}, least_words "
                f"{self.least_words}, most_words {self.most_words}, per_document "
                f"{self.per_document}, validation_share {self.validation_share}: use "
                "numbers of 0 or more, and a share between 0 and 1"
            )

    def usable(self, sentence: str) -> bool:
        """Whether a sentence may stand in a question."""
        words = sentence.count(" ") + 1
        return (
            len(sentence) >= self.least_characters
            and words >= self.least_words
            and (not self.most_words or words <= self.most_words)
        )


class _Asked(NamedTuple):
    """A document, and how many questions are asked about those before it."""

    document: int
    before: int


class SplitQuestions(Sequence[Features]):
    """The questions of a split as rows, each made when it is asked for.

    Attributes:
        documents: Numbers of the documents that are long enough to be asked about.
    """

    def __init__(
        self,
        documents: Documents,
        numbers: Sequence[int],
        form: QuestionForm,
        units: Units,
        seed: int,
        to_row: Callable[[Row, int], Features],
    ):
        """Counts the questions, for which every document is read once.

        Args:
            documents: All documents.
            numbers: Those of the split.
            form: What is asked.
            units: About which sentences.
            seed: Of all that is drawn.
            to_row: From the fields of a question and its number to a row.

        Raises:
            ValueError: If there is no question, or there are too few documents for one.
        """
        self._documents, self._form, self._to_row = documents, form, to_row
        self._units, self._seed = units, seed
        long_enough = [
            number
            for number in numbers
            if documents.places[number].sentences >= form.sentences
        ]
        self._asked: list[_Asked] = []
        self._count = 0
        for number in long_enough:
            count = len(self._anchors(number))
            # A document whose sentences are all unusable has none for others either.
            if count:
                self._asked.append(_Asked(number, self._count))
                self._count += count
        self.documents = [asked.document for asked in self._asked]
        if not self._count or len(self.documents) <= form.others:
            raise ValueError(
                f"{len(numbers)} documents, of which {len(long_enough)} have "
                f"{form.sentences} sentences or more, and {len(self.documents)} have "
                f"some of the {self._count} sentences that can be asked about: a "
                f"question needs {1 + form.others} documents, so give more text, or "
                "another validation_share"
            )

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[place] for place in range(len(self))[number]]
        number = range(len(self))[number]
        asked, _ = self.ask(number)
        row = Row(self.place(number), {**asked.fields, ANSWER: asked.label})
        return self._to_row(row, number)

    def place(self, number: int) -> str:
        """Returns where the sentence of a question stands."""
        document, sentence = self._anchor(number)
        return f"{self._documents.places[document].name}, sentence {sentence + 1}"

    def ask(self, number: int) -> tuple[BuiltQuestion, int]:
        """Makes a question.

        Where no draw gives one, as beside a sentence that stands there twice, it is
        that of the next sentence of the document which can be asked about.

        Args:
            number: Of the question, from 0.

        Returns:
            The question, and how many draws gave none before.

        Raises:
            ValueError: If no draw of the whole document gave one: it repeats itself.
        """
        document, first = self._anchor(number)
        name, anchors = self._documents.places[document].name, self._anchors(document)
        start = anchors.index(first)
        given_up = 0
        for sentence in (*anchors[start:], *anchors[:start]):
            for attempt in range(_TRIES):
                draw = self._draw(name, sentence, attempt)
                asked = self._form.ask(
                    Anchor(
                        sentences=self._documents.sentences(document),
                        number=sentence,
                        usable=self._units.usable,
                        draw=draw,
                        other=self._others(document, draw),
                    )
                )
                if asked is not None:
                    return asked, given_up + attempt
            given_up += _TRIES
        raise ValueError(
            f"{self.place(number)}: {given_up} draws gave no question, as its document "
            "and the others repeat the same sentences: leave the document out"
        )

    def _others(
        self, document: int, draw: np.random.Generator
    ) -> Callable[[], Sequence[str]]:
        taken = {document}

        def other() -> Sequence[str]:
            while True:
                number = self.documents[int(draw.integers(len(self.documents)))]
                if number not in taken:
                    taken.add(number)
                    return self._documents.sentences(number)

        return other

    def _anchor(self, number: int) -> tuple[int, int]:
        """Returns the document and the sentence that a question is about."""
        place = bisect.bisect_right(self._asked, number, key=lambda x: x.before) - 1
        document, before = self._asked[place]
        return document, self._anchors(document)[number - before]

    def _anchors(self, document: int) -> Sequence[int]:
        """Returns which sentences of a document are asked about, in order."""
        return self._cached_anchors(document)

    @functools.cached_property
    def _cached_anchors(self) -> Callable[[int], Sequence[int]]:
        # Of this object, so that its memory goes with it.
        return functools.lru_cache(maxsize=_KEPT)(self._find_anchors)

    def _find_anchors(self, document: int) -> Sequence[int]:
        """Finds the usable sentences that stand by one, and have enough apart."""
        sentences, most = self._documents.sentences(document), self._units.per_document
        usable = [self._units.usable(sentence) for sentence in sentences]
        # What stands twice may be on both sides, and is drawn once.
        enough = len({*itertools.compress(sentences, usable)}) >= 3 + self._form.apart
        found = [
            number
            for number, is_usable in enumerate(usable)
            if is_usable and enough and any(_beside(usable, number))
        ]
        if not most or len(found) <= most:
            return found
        draw = self._draw(self._documents.places[document].name, -1, 0)
        return [found[place] for place in sorted(draw.permutation(len(found))[:most])]

    def _draw(self, name: str, sentence: int, attempt: int) -> np.random.Generator:
        key = f"{self._seed}:{name}:{sentence}:{attempt}".encode()
        digest = hashlib.blake2b(key, digest_size=16).digest()
        return np.random.default_rng(int.from_bytes(digest))


class SelfSupervisedSource(Source):
    """The questions of both splits; text is read when one is first asked for."""

    streams = True

    def __init__(
        self,
        name: str,
        folder: Path,
        read: Callable[[], Documents],
        form: QuestionForm,
        units: Units,
        seed: int,
        to_row: Callable[[Row, int], Features],
        told: Sequence[str] = (),
    ):
        """Makes a source, and reads nothing.

        Args:
            name: The task's name.
            folder: Of the text.
            read: Reads the documents in it.
            form: What is asked.
            units: About which sentences.
            seed: Of all that is drawn.
            to_row: As of `SplitQuestions`.
            told: What else a run should say.
        """
        self._documents = functools.cache(read)
        self._form, self._told = form, list(told)

        @functools.cache
        def questions(split: str) -> SplitQuestions:
            documents = self._documents()
            numbers = [
                number
                for number, place in enumerate(documents.places)
                if (_point(place.name) < units.validation_share)
                == (split == VALIDATION)
            ]
            try:
                return SplitQuestions(documents, numbers, form, units, seed, to_row)
            except ValueError as err:
                raise ValueError(f"task {name}, split {split!r}: {err}") from err

        self.questions = questions

        def find() -> dict[str, SplitRows]:
            text_files(folder)
            return {
                split: SplitRows(functools.partial(questions, split))
                for split in (TRAIN, VALIDATION)
            }

        super().__init__(name, find)

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of the files of text."""
        return self._documents().hashes

    def place(self, split: str, row: int) -> str:
        """Returns where the sentence of a question stands."""
        return self.questions(split).place(row)

    def notes(self, split: str) -> list[str]:
        """Says what was built: documents, questions, labels, words, draws."""
        documents, questions = self._documents(), self.questions(split)
        looked_at = _sample(len(questions))
        asked = [questions.ask(number) for number in looked_at]
        counts = collections.Counter(found.label for found, _ in asked)
        shares = ", ".join(
            f"{label} {counts[label] / len(asked):.1%}" for label in self._form.labels
        )
        sizes = [len(" ".join(x.fields.values()).split()) for x, _ in asked]
        again = sum(attempts > 0 for _, attempts in asked)
        return [
            f"{len(documents.places)} documents, without {documents.repeated} that "
            f"repeat another; {split}: {len(questions)} questions about "
            f"{len(questions.documents)} of at least {self._form.sentences} sentences",
            f"of {len(asked)} {split} questions looked at: answers {shares}; "
            f"{np.mean(sizes):.0f} words, {max(sizes)} at most; {again} drawn again",
            *self._told,
        ]


def self_supervised_task(
    name: str,
    folder: str | Path,
    *,
    form: QuestionForm,
    inputs: str,
    labels: Mapping[str, str],
    vocabulary: Vocabulary,
    documents: Whole = "line",
    row_text: str = "{text}",
    units: Units = Units(),
    cut: Sequence[str] = (),
    seed: int = 0,
    told: Sequence[str] = (),
) -> Task:
    """Makes a task whose questions and answers the text itself gives.

    Args:
        name: Letters, digits, "_", "." and ":".
        folder: Folder of .txt and .jsonl files, or one such file.
        form: What is asked.
        inputs: Template over the form's fields; see `data.read.template.Template`.
        labels: Label of the form -> its word.
        vocabulary: The backbone's vocabulary.
        documents: What of a .txt file is a document.
        row_text: Template of the text of a .jsonl file's row, each a document.
        units: Which sentences may stand in questions.
        cut: As of `data.tasks.own.file_task`.
        seed: Of all that is drawn.
        told: What else a run should say of it.

    Returns:
        The task, with the splits "train" and "validation", which share no document.
        Text is read when a split is first used.

    Raises:
        ValueError: If the template names another field, or the labels are not those of
            the form.
    """
    if {*labels} != {*form.labels}:
        raise ValueError(
            f"labels {dict(labels)} of task {name}: give each of "
            f"{', '.join(form.labels)} its word"
        )
    task = file_task(
        name,
        files={},
        inputs=inputs,
        target=ANSWER,
        labels=labels,
        vocabulary=vocabulary,
        cut=cut,
    )
    assert task.template is not None
    unknown = [field for field in task.template.fields if field not in form.fields]
    if unknown:
        raise ValueError(
            f"template {inputs!r} of task {name} names {', '.join(unknown)}, but a "
            f"question has {', '.join(form.fields)}"
        )

    # As the task writes them: behind a decoder's text they begin with a space.
    words = words_as_written(task, labels)

    def to_row(row: Row, number: int) -> Features:
        word = words[str(row.fields[ANSWER])]
        return {**task.read_request(row, number), "targets": word}

    read = functools.partial(Documents, folder, whole=documents, row_text=row_text)
    source = SelfSupervisedSource(
        name, Path(folder), read, form, units, seed, to_row, told
    )
    return dataclasses.replace(task, source=source)


def _beside(values: Sequence[bool], number: int) -> Sequence[bool]:
    return [*values[max(number - 1, 0) : number], *values[number + 1 : number + 2]]


def _sample(count: int) -> list[int]:
    draw = np.random.default_rng(0)
    return sorted(draw.permutation(count)[:_SAMPLE].tolist())


def _point(name: str) -> float:
    """Draws a number from 0 to 1 that depends on the name alone."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
