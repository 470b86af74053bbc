"""A passage as tokens, and the windows in which a long one is read."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data.vocabulary.vocabulary import Vocabulary

MOST_KEPT = 2**22
"""Tokens of texts beyond which the oldest text is tokenised anew: more than those of
SQuAD."""


class Passage(NamedTuple):
    """A question about a text, whose answer stands in the text.

    Attributes:
        question: The question.
        text: The text.
        answer: The character that the answer begins with, and the one behind it; None
            where it is not known, or the text has none.
        window: The token that the model reads first of the text, and the one behind the
            last; None for all tokens.
    """

    question: str
    text: str
    answer: tuple[int, int] | None = None
    window: tuple[int, int] | None = None


class PassageTokens(NamedTuple):
    """The tokens of a text.

    Attributes:
        ids: Of each.
        starts: The character of the text that each begins with.
        stops: The character behind each.
    """

    ids: Int[np.ndarray, " T"]
    starts: Int[np.ndarray, " T"]
    stops: Int[np.ndarray, " T"]


class Passages:
    """How passages are read by one vocabulary.

    An encoder reads a question and a text with its separator between them; any other
    model reads "question: ... context: ...", as T5 does.

    Args:
        vocabulary: The backbone's vocabulary.
        stride: Tokens that a window of a text has in common with the one before it.
        question_length: Most tokens of a question.

    Raises:
        ValueError: If a number is out of range.

    Source: Raffel et al. 2020, app. D.15 (arXiv:1910.10683) for the words.
    """

    def __init__(self, vocabulary: Vocabulary, *, stride: int, question_length: int):
        if stride < 0 or question_length < 1:
            raise ValueError(
                f"stride {stride}, question_length {question_length}: use a stride of "
                "0 or more, and 1 token or more"
            )
        self._vocabulary = vocabulary
        self._stride, self._question_length = stride, question_length
        frame = vocabulary.frame
        # Behind a word a text begins with a space, which some vocabularies tell apart.
        self._space = " " if frame is None else ""
        self._front = vocabulary.encode("question:") if frame is None else []
        self._between = (
            vocabulary.encode(" context:") if frame is None else frame.between
        )
        behind = 1 if frame is None else len(frame.last)
        self._around = len(vocabulary.first) + behind
        self._tokens: dict[str, PassageTokens] = {}
        self._count = 0

    def tokens(self, text: str) -> PassageTokens:
        """Tokenises a text, once while it is kept; see `MOST_KEPT`.

        Raises:
            ValueError: If the vocabulary does not say where its tokens stand.
        """
        if text not in self._tokens:
            while self._count > MOST_KEPT:  # The oldest text is the first one.
                self._count -= len(self._tokens.pop(next(iter(self._tokens))).ids)
            (found,) = self._vocabulary.locate([self._space + text])
            spans = np.array(found.spans, np.int32).reshape(-1, 2) - len(self._space)
            spans = np.maximum(spans, 0)
            ids = np.array(found.ids, np.int32)
            self._tokens[text] = PassageTokens(ids, spans[:, 0], spans[:, 1])
            self._count += len(ids)
        return self._tokens[text]

    def question(self, passage: Passage) -> list[int]:
        """Returns the ids in front of the text; a question that is too long is cut."""
        asked = self._vocabulary.encode(self._space + passage.question.strip())
        return [*self._front, *asked[: self._question_length], *self._between]

    def tell_cut(self, questions: Sequence[str]) -> str:
        """Says how many of some questions are cut; empty for none."""
        asked = [self._space + question.strip() for question in questions]
        sizes = map(len, self._vocabulary.encode_all(asked))
        count = sum(size > self._question_length for size in sizes)
        if not count:
            return ""
        return (
            f"cut to length, of {len(questions)} questions looked at: "
            f"{count / len(questions):.1%} ({self._question_length} tokens, their "
            "question_length)"
        )

    def windows(self, passage: Passage, length: int) -> Iterator[tuple[int, int]]:
        """Yields the windows that a text is read in: its first token, one behind it.

        Args:
            passage: The whole passage.
            length: Tokens that the model reads, those of the question among them.
        """
        count = len(self.tokens(passage.text).ids)
        room = length - self._around - len(self.question(passage))
        for start in range(0, max(count - self._stride, 1), room - self._stride):
            yield start, min(start + room, count)

    def check(self, length: int) -> None:
        """Raises ValueError if a length has no room for windows behind a question."""
        others = self._around + len(self._front) + len(self._between)
        room = length - others - self._question_length
        if room <= self._stride:
            enough = length - room + max(2 * self._stride, 1)
            raise ValueError(
                f"input length {length} has room for {max(room, 0)} tokens of a text "
                f"behind a question of {self._question_length}, but windows have "
                f"{self._stride} in common: use a longer input, as "
                f"--gin.INPUT_LENGTH={enough}, or a smaller OwnSpans.stride"
            )

    def place_of_answer(self, passage: Passage) -> tuple[int, int] | None:
        """Returns the answer's first and last token, counted in the whole text.

        None if there is none, or the window does not hold all of it.
        """
        if passage.answer is None:
            return None
        tokens = self.tokens(passage.text)
        start, stop = passage.answer
        held = np.flatnonzero((tokens.stops > start) & (tokens.starts < stop))
        first, behind = passage.window or (0, len(tokens.ids))
        if not held.size or held[0] < first or held[-1] >= behind:
            return None
        return int(held[0]), int(held[-1])

    def place(self, passage: Passage, first: int, last: int) -> tuple[int, int]:
        """Returns where an answer stands, by its first and last token in the window.

        That is its first character in the whole text and the one behind it, without
        the spaces around it.
        """
        tokens, begun = self.tokens(passage.text), (passage.window or (0, 0))[0]
        start, stop = int(tokens.starts[begun + first]), int(tokens.stops[begun + last])
        # Of "e" and a combining accent, two characters, a vocabulary that drops accents
        # says that the token ends behind the "e".
        next_starts = tokens.starts[begun + last + 1 :]
        behind = int(next_starts[0]) if next_starts.size else len(passage.text)
        while stop < behind and unicodedata.category(passage.text[stop]) == "Mn":
            stop += 1
        answer = passage.text[start:stop]
        start += len(answer) - len(answer.lstrip())
        return start, start + len(answer.strip())

    def cut(self, passage: Passage, first: int, last: int) -> str:
        """Cuts an answer out of the text, by its first and last token in the window."""
        start, stop = self.place(passage, first, last)
        return passage.text[start:stop]
