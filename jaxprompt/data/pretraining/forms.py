"""Forms of self-supervised tasks: what is asked about a sentence of a document.

Source: Gu et al. 2022, sec. 3 (arXiv:2109.04332), and the builders of thu-coai/PPT.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

OTHER, SAME, NEXT = "other", "same", "next"
"""What a second sentence is to the first: of another document, of the same one but not
beside it, or beside it."""


class BuiltQuestion(NamedTuple):
    """A question.

    Attributes:
        fields: Names for a template -> texts.
        label: The answer.
    """

    fields: Mapping[str, str]
    label: str


@dataclasses.dataclass(frozen=True)
class Anchor:
    """A sentence that a question is made of, and where other sentences come from.

    Attributes:
        sentences: Of its document.
        number: Which of them it is.
        usable: Whether a sentence may stand in a question.
        draw: The random numbers of this question alone.
        other: Draws a document that this question has none of yet, and returns its
            sentences.
    """

    sentences: Sequence[str]
    number: int
    usable: Callable[[str], bool]
    draw: np.random.Generator
    other: Callable[[], Sequence[str]]

    @property
    def text(self) -> str:
        """The sentence itself."""
        return self.sentences[self.number]

    def beside(self) -> Sequence[str]:
        """The sentences before and behind it."""
        before, behind = max(self.number - 1, 0), self.number + 1
        near = [
            self.sentences[before : self.number],
            self.sentences[behind : behind + 1],
        ]
        return [sentence for some in near for sentence in some]

    def apart(self) -> Sequence[str]:
        """The sentences of its document that are not beside it."""
        far = [
            self.sentences[: max(self.number - 1, 0)],
            self.sentences[self.number + 2 :],
        ]
        return [sentence for some in far for sentence in some]

    def some(
        self,
        sentences: Sequence[str],
        count: int,
        *,
        unlike: Sequence[str],
        words: int | None = None,
    ) -> list[str]:
        """Draws usable sentences, all different; fewer where there are fewer.

        Args:
            sentences: To draw from.
            count: How many.
            unlike: What none of them may equal, or be the beginning of.
            words: Most words, behind which they are cut; None for whole ones.
        """
        found: list[str] = []
        for place in map(int, self.draw.permutation(len(sentences))):
            text = _first_words(sentences[place], words)
            if len(found) == count:
                break
            taken = any(other.startswith(text) for other in (*unlike, *found))
            if self.usable(sentences[place]) and not taken:
                found.append(text)
        return found


class QuestionForm(Protocol):
    """A way to ask about a sentence."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The answers, in class order."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """What a template may name."""
        ...

    @property
    def sentences(self) -> int:
        """Fewest sentences of a document."""
        ...

    @property
    def apart(self) -> int:
        """Most sentences of its document that a question has but does not stand by."""
        ...

    @property
    def others(self) -> int:
        """Most other documents that a question takes sentences from."""
        ...

    def ask(self, anchor: Anchor) -> BuiltQuestion | None:
        """Makes a question; None where this draw gives none."""
        ...


@dataclasses.dataclass(frozen=True)
class NextSentence:
    """Is a second sentence beside the first, apart in its document, or of another?

    Attributes:
        other_below: A number from 0 to 1 is drawn; below this one the second sentence
            is of another document,
        same_below: and below this one of the same document but not beside the first.
        length_ratio: How many times as long as the other one of the two may be, in
            characters.

    Source: Gu et al. 2022, sec. 3.2: thirds, and 100.
    """

    other_below: float = 1 / 3
    same_below: float = 2 / 3
    length_ratio: float = 100.0

    fields = ("first", "second")
    sentences = 5
    apart = 1
    others = 1

    def __post_init__(self) -> None:
        if not 0 <= self.other_below <= self.same_below <= 1:
            raise ValueError(
                f"other_below {self.other_below}, same_below {self.same_below}: use "
                "numbers from 0 to 1, the second no smaller than the first"
            )
        if self.length_ratio < 1:
            raise ValueError(f"length_ratio {self.length_ratio}: use 1 or more")

    @property
    def labels(self) -> tuple[str, ...]:
        """The answers that some question has, in class order."""
        shares = {
            OTHER: self.other_below,
            SAME: self.same_below - self.other_below,
            NEXT: 1 - self.same_below,
        }
        return tuple(label for label, share in shares.items() if share > 0)

    def ask(self, anchor: Anchor) -> BuiltQuestion | None:
        """Draws the label, then a sentence for it."""
        point = anchor.draw.random()
        if point < self.other_below:
            label, among = OTHER, anchor.other()
        elif point < self.same_below:
            label, among = SAME, anchor.apart()
        else:
            label, among = NEXT, anchor.beside()
        found = anchor.some(among, 1, unlike=[anchor.text])
        if not found:
            return None
        sizes = sorted((len(anchor.text), len(found[0])))
        if sizes[1] > self.length_ratio * sizes[0]:
            return None
        return BuiltQuestion({"first": anchor.text, "second": found[0]}, label)


class Mix(NamedTuple):
    """What the options of a question are.

    Attributes:
        query: Most words of the sentence that is asked about.
        option: Most words of an option.
        same: Wrong options of its own document.
        others: Of each other document, its wrong options.
    """

    query: int
    option: int
    same: int
    others: tuple[int, ...]

    @property
    def options(self) -> int:
        """How many there are, the right one included."""
        return 1 + self.same + sum(self.others)


SIX = Mix(389, 86, 1, (1, 1, 1, 1))
"""Next-sentence selection among six."""

MIXES = {
    mix.options: mix
    for mix in (
        Mix(400, 50, 1, ()),
        Mix(400, 50, 1, (1,)),
        Mix(400, 50, 1, (1, 1)),
        Mix(400, 40, 1, (1, 1, 1)),
        Mix(300, 40, 1, (1, 1, 1, 1)),
        Mix(250, 30, 2, (1, 1, 1, 1)),
        Mix(200, 30, 2, (2, 1, 1, 1)),
        Mix(200, 30, 2, (2, 2, 1, 1)),
        Mix(150, 20, 2, (2, 2, 2, 1)),
        Mix(150, 20, 3, (2, 2, 2, 1)),
        Mix(150, 20, 3, (2, 2, 2, 2)),
        Mix(150, 20, 3, (3, 2, 2, 2)),
        Mix(150, 20, 3, (3, 3, 2, 2)),
        Mix(150, 20, 3, (3, 3, 3, 2)),
        Mix(150, 20, 3, (3, 3, 3, 3)),
    )
}
"""Options of a question -> what they are, in unified multiple choice.

Source: the builder of thu-coai/PPT, whose lengths are tokens.
"""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which of the options is beside the sentence?

    Attributes:
        mixes: Number of options -> what they are; each number is as likely.
        names: Names of the options, at least as many as a question has.
        most_words: Most words of a question; longer ones have the query and the options
            cut in the shares of the mix. 0 for the mix's own lengths.
    """

    mixes: Mapping[int, Mix]
    names: tuple[str, ...]
    most_words: int = 0

    fields = ("query", "options")

    @property
    def labels(self) -> tuple[str, ...]:
        """The names that some question has."""
        return self.names[: max(self.mixes)]

    @property
    def sentences(self) -> int:
        """Enough for the sentence, its neighbours and the wrong options."""
        return max(3 + self.apart, 5)

    @property
    def apart(self) -> int:
        """Most wrong options of its own document."""
        return max(mix.same for mix in self.mixes.values())

    @property
    def others(self) -> int:
        """Most documents that a question takes options from."""
        return max(len(mix.others) for mix in self.mixes.values())

    def ask(self, anchor: Anchor) -> BuiltQuestion | None:
        """Draws the number of options, then these."""
        sizes = tuple(self.mixes)
        mix = self._cut(self.mixes[sizes[anchor.draw.integers(len(sizes))]])
        query = _first_words(anchor.text, mix.query)
        wrong = [(anchor.apart, mix.same)]
        wrong += [(anchor.other, count) for count in mix.others]
        options: list[str] = []
        for among, count in ((anchor.beside, 1), *wrong):
            taken = [*options, query, anchor.text]
            options += anchor.some(among(), count, unlike=taken, words=mix.option)
        if len(options) < mix.options:
            return None
        order = anchor.draw.permutation(len(options)).tolist()
        listed = " ".join(
            f"{self.names[place]}. {options[number]}"
            for place, number in enumerate(order)
        )
        label = self.names[order.index(0)]
        return BuiltQuestion({"query": query, "options": listed}, label)

    def _cut(self, mix: Mix) -> Mix:
        words = mix.query + mix.options * mix.option
        if not 0 < self.most_words < words:
            return mix
        share = self.most_words / words
        shorter = {name: max(int(share * getattr(mix, name)), 3) for name in _LENGTHS}
        return mix._replace(**shorter)


_LENGTHS = ("query", "option")


def _first_words(text: str, count: int | None) -> str:
    return " ".join(text.split(" ")[:count])
