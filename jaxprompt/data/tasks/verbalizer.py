"""A verbalizer: which words stand for each class, and how several of one are scored."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.screen.quoting import listed

Score: TypeAlias = Literal["sum", "mean"]
"""What a class with several words has: the sum of their probabilities, or the mean."""

SCORES = ("sum", "mean")


@dataclasses.dataclass(frozen=True)
class Verbalizer:
    """The words of each class; the first is its label, which training writes.

    Attributes:
        words: Of each class in order, one word or more.
        score: What a class with several words has; see `Score`.

    Source: several words, and their mean: Schick et al. 2020 (arXiv:2010.13641).
    """

    words: tuple[tuple[str, ...], ...]
    score: Score = "sum"

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise ValueError(
                f"verbalizer with score {self.score!r}: use one of {[*SCORES]}"
            )
        empty = [number for number, words in enumerate(self.words) if not words]
        if empty:
            raise ValueError(
                f"class {empty[0]} of a verbalizer has no words: give it one or more"
            )
        every = [word for words in self.words for word in words]
        twice = sorted({word for word in every if every.count(word) > 1})
        if twice:
            raise ValueError(
                f"word {twice[0]!r} stands twice in a verbalizer: each word stands for "
                "one class, once"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The first word of each class."""
        return tuple(words[0] for words in self.words)

    @property
    def flat(self) -> tuple[str, ...]:
        """All words, class by class."""
        return tuple(word for words in self.words for word in words)

    @property
    def classes(self) -> tuple[int, ...]:
        """The class of each of `flat`."""
        return tuple(c for c, words in enumerate(self.words) for _ in words)

    def check_single(self, vocabulary: Vocabulary, task: str) -> None:
        """Checks that each word is one token.

        Args:
            vocabulary: The backbone's vocabulary.
            task: Name of the task, for the error.

        Raises:
            ValueError: If some are more; names them and their tokens.
        """
        found = {word: vocabulary.encode(word) for word in self.flat}
        wrong = [
            f"{word!r} is {len(ids)} ({listed(vocabulary.decode([x]) for x in ids)})"
            for word, ids in found.items()
            if len(ids) != 1
        ]
        if wrong:
            raise ValueError(
                f"label words of task {task} are to be one token each, but "
                f"{'; '.join(wrong)}: use other words"
            )


def make_verbalizer(
    labels: Mapping[str, str | Sequence[str]], score: Score = "sum"
) -> Verbalizer:
    """Makes the verbalizer of labels as settings have them.

    Args:
        labels: Label as in a file -> its word or words; two may stand for one class.
        score: As of `Verbalizer`.

    Raises:
        ValueError: As `Verbalizer`; or if two labels share a first word alone.
    """
    every = [words_of(words) for words in labels.values()]
    return Verbalizer(tuple(dict.fromkeys(every)), score)


def words_of(words: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the words of a class, which may be given as one."""
    return (words,) if isinstance(words, str) else tuple(words)
