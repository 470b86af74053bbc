"""Answers that a head chooses: the numbers of labels, in the place of words."""

from collections.abc import Iterable
from typing import NamedTuple

from jaxprompt.data.tasks.verbalizer import Score


class Choice(NamedTuple):
    """Labels that a head chooses from; as target ids they are numbers from 1.

    Attributes:
        labels: In class order. Where each word gets one, the first is that of a word
            that the model does not read: of no token, or cut off.
        of_words: Whether each word of the input gets a label, and not the whole. An
            answer is then the labels of all words, with spaces between.
        mask: Id of the vocabulary's mask, where the model itself scores the label words
            in its place; None where a layer is trained for them.
        word_ids: Then the ids of the words of each label; else empty.
        word_score: Then what a label with several words has; see `Verbalizer.score`.
    """

    labels: tuple[str, ...]
    of_words: bool = False
    mask: int | None = None
    word_ids: tuple[tuple[int, ...], ...] = ()
    word_score: Score = "sum"

    @property
    def kind(self) -> str:
        """What prompt files call such answers."""
        if self.mask is not None:
            return "mask"
        return "tags" if self.of_words else "classes"

    def encode(self, answer: str) -> list[int]:
        """Turns an answer into target ids.

        Raises:
            ValueError: If it is none of the labels.
        """
        names = answer.split(" ") if self.of_words else [answer]
        return [1 + self.labels.index(name) for name in names]

    def decode(self, ids: Iterable[int]) -> str:
        """Turns target ids into an answer, which ends at the first 0."""
        names = []
        for number in ids:
            if number == 0:
                break
            names.append(self.labels[number - 1])
        return " ".join(names)
