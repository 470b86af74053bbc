"""One label for a text: by a layer that is trained, or by the model's own mask."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from jaxprompt.data.tasks.answers.answers import Answers
from jaxprompt.data.tasks.verbalizer import Score
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.data.vocabulary.writing import mask_of
from jaxprompt.screen.quoting import listed

if TYPE_CHECKING:
    from jaxprompt.data.tasks.task import Example, Task


@dataclasses.dataclass(frozen=True)
class Classes(Answers):
    """Labels of which a text gets one; as target ids they are numbers from 1.

    Attributes:
        labels: In class order.
    """

    kind: ClassVar[str] = "classes"
    labels: tuple[str, ...]

    @classmethod
    def of(cls, task: "Task") -> "Classes":
        """Takes the label words of a task."""
        return cls(task.labels or ())

    @classmethod
    def made_up(cls) -> "Classes":
        """Returns two labels."""
        return cls(("0", "1"))

    @property
    def columns(self) -> int:
        """One for each label."""
        return len(self.labels)

    def encode(self, task: "Task", examples: "Sequence[Example]") -> list[Pair]:
        """Reads a class where an encoder reads a text first, any other model last."""
        found = []
        for example, (ids, cut) in zip(examples, task.read(examples), strict=True):
            said = example.targets
            number = 1 + self.labels.index(said) if said else 0
            place = self._place(task, example, ids)
            places, targets = (np.array([x], np.int32) for x in (place, number))
            found.append(Pair(ids, targets, cut, places))
        return found

    def _place(self, task: "Task", example: "Example", ids: np.ndarray) -> int:
        del example
        return task.place_of_text(ids)

    def decode(self, found: np.ndarray, read: "Sequence[Example]") -> str:
        """Returns the label; see `Answers.decode`."""
        del read
        number = int(found[0, 0])
        return self.labels[number - 1] if number else ""

    def likelihoods(
        self, found: np.ndarray, likely: np.ndarray, read: "Sequence[Example]"
    ) -> dict[str, float]:
        """Returns label -> probability; see `Answers.likelihoods`."""
        del found, read
        shares = likely[0, 0].astype(float).round(6).tolist()
        return dict(zip(self.labels, shares, strict=True))


@dataclasses.dataclass(frozen=True)
class AtMask(Classes):
    """Labels of which the model itself scores the words in the place of a mask.

    Attributes:
        mask: Id of the vocabulary's mask.
        word_ids: Ids of the words of each label.
        word_score: What a label with several words has; see `Verbalizer.score`.
    """

    kind: ClassVar[str] = "mask"
    mask: int = 0
    word_ids: tuple[tuple[int, ...], ...] = ()
    word_score: Score = "sum"

    @classmethod
    def of(cls, task: "Task") -> "AtMask":
        """Takes the label words of a task as they may stand in the place of a mask.

        Raises:
            ValueError: If its texts have no mask, or a word is not one token.
        """
        if task.template is None or "mask" not in task.template.marks:
            raise ValueError(
                f"a head of mask for task {task.name}, whose texts have no mask: put "
                "{mask:1} into its inputs"
            )
        verbalizer = task.words
        if verbalizer is None:
            raise ValueError(f"task {task.name} has no label words for its mask")
        space = " " if task.template.has_space_before_mask else ""
        of_word: dict[str, int] = {}
        for word in verbalizer.flat:
            tokens = task.vocabulary.encode(space + word.removeprefix(" "))
            if len(tokens) != 1:
                raise ValueError(
                    f"label word {word!r} of task {task.name} is {len(tokens)} tokens, "
                    "but a mask stands for one: use a word of one token"
                )
            of_word[word] = tokens[0]
        if len({*of_word.values()}) < len(of_word):
            raise ValueError(
                f"label words {listed(of_word)} of task {task.name} are not told apart "
                "by the vocabulary: use other words"
            )
        (mask,) = task.vocabulary.encode(mask_of(task.vocabulary))
        return cls(
            task.labels or (),
            mask,
            tuple(tuple(of_word[w] for w in words) for words in verbalizer.words),
            verbalizer.score,
        )

    @classmethod
    def made_up(cls) -> "AtMask":
        """Returns two labels of a word each."""
        return cls(("0", "1"), word_ids=((1,), (2,)))

    def _place(self, task: "Task", example: "Example", ids: np.ndarray) -> int:
        masks = np.flatnonzero(ids == self.mask)
        # A row's own text may name the mask too, in front of the template's.
        in_front = itertools.takewhile(lambda one: one.mark != "mask", example.pieces)
        mask = mask_of(task.vocabulary)
        number = sum(piece.text.count(mask) for piece in in_front)
        return int(masks[number]) if masks.size > number else -1


OF_LABELS: Mapping[str, Callable[["Task"], Answers]] = {
    AtMask.kind: AtMask.of,
    Classes.kind: Classes.of,
}
"""Kind -> how the answers of a task with label words become answers of that kind."""
