"""A label for each word of a text."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from jaxprompt.data.tasks.answers.answers import Answers
from jaxprompt.data.vocabulary.tokens import Pair, Span

if TYPE_CHECKING:
    from jaxprompt.data.tasks.task import Example, Task

Place: TypeAlias = Literal["first", "last"]
"""Which token of a word its tag is read at."""


@dataclasses.dataclass(frozen=True)
class Tags(Answers):
    """Labels of which every word gets one; as target ids they are numbers from 1.

    An answer is the labels of all words, with spaces between.

    Attributes:
        labels: In class order. The first is that of a word that the model does not
            read: of no token, or cut off.
        read_at: Token of a word that its tag is read at. A causal model has seen the
            whole word at its "last" one only.
    """

    kind: ClassVar[str] = "tags"
    of_words: ClassVar[bool] = True
    labels: tuple[str, ...]
    read_at: Place = "first"

    @classmethod
    def made_up(cls) -> "Tags":
        """Returns two labels."""
        return cls(("O", "B"))

    @property
    def columns(self) -> int:
        """One for each label."""
        return len(self.labels)

    def encode(self, task: "Task", examples: "Sequence[Example]") -> list[Pair]:
        """Reads the tag of a word at one of its tokens."""
        vocabulary = task.vocabulary
        words = [_words_of(example) for example in examples]
        # A word reads as it does behind another, the first one too.
        distinct = list(dict.fromkeys(f" {word}" for row in words for word in row))
        ids_of = dict(zip(distinct, vocabulary.encode_all(distinct), strict=True))
        first = len(vocabulary.first)
        found = []
        for example, row in zip(examples, words, strict=True):
            pieces = [ids_of[f" {word}"] for word in row]
            behind: list[int] = []
            if example.behind:
                text = f"{vocabulary.separator_text} {example.behind}"
                behind = vocabulary.encode(text)
            inputs = task.framed([*(n for ids in pieces for n in ids), *behind])
            sizes = np.array([len(ids) for ids in pieces], int)
            ends = first + np.cumsum(sizes)
            read_at = ends - 1 if self.read_at == "last" else ends - sizes
            places = np.where(sizes > 0, read_at, -1).astype(np.int32)
            numbers = self._numbers(example.targets) if example.targets else 0
            targets = np.broadcast_to(np.array(numbers, np.int32), places.shape)
            # What stands behind the words, as a predicate, is not cut with them.
            cut = (Span(first, first + int(sizes.sum())),) if behind else ()
            found.append(Pair(inputs, targets, cut, places))
        return found

    def _numbers(self, answer: str) -> list[int]:
        return [1 + self.labels.index(name) for name in answer.split(" ")]

    def decode(self, found: np.ndarray, read: "Sequence[Example]") -> str:
        """Returns the labels of all words; see `Answers.decode`."""
        del read
        numbers = found[0].tolist()
        stop = numbers.index(0) if 0 in numbers else len(numbers)
        return " ".join(self.labels[number - 1] for number in numbers[:stop])

    def likelihoods(
        self, found: np.ndarray, likely: np.ndarray, read: "Sequence[Example]"
    ) -> list[float]:
        """Returns the probability of the chosen label of each word.

        Of a word that the model does not read, it is that at any token.
        """
        del read
        chosen = found[0][found[0] > 0]
        return [
            round(float(likely[0, place, number - 1]), 6)
            for place, number in enumerate(chosen)
        ]

    def check(self, task: "Task", split: str, longest: int) -> None:
        """Raises ValueError if a row has more words than targets."""
        for number, example in enumerate(task.examples(split)):
            if len(_words_of(example)) > longest:
                place = task.source.place(split, number)
                self.check_room(example, place, longest)

    def check_room(self, example: "Example", where: str, longest: int) -> None:
        """Raises ValueError if an example has more words than targets."""
        count = len(_words_of(example))
        if count > longest:
            raise ValueError(
                f"{where}: {count} words, but the target length is {longest}: set it "
                "to as many words as the longest row has, as --gin.TARGET_LENGTH=128"
            )


def _words_of(example: "Example") -> tuple[str, ...]:
    return example.words or (*example.inputs.split(),)
