"""One of several texts, each of which is read by itself: multiple choice."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from jaxprompt.data.tasks.answers.labels import Classes
from jaxprompt.data.vocabulary.tokens import Pair

if TYPE_CHECKING:
    from jaxprompt.data.tasks.task import Example, Task


@dataclasses.dataclass(frozen=True)
class Choices(Classes):
    """Labels each of which stands for a text; those of an example share a row.

    A target of 1 is that of the right text, and 0 of any other.
    """

    kind: ClassVar[str] = "choices"

    @classmethod
    def made_up(cls) -> "Choices":
        """Returns two choices."""
        return cls(("0", "1"))

    @property
    def columns(self) -> int:
        """One: the score of a text."""
        return 1

    @property
    def texts(self) -> int:
        """One for each label."""
        return len(self.labels)

    def encode(self, task: "Task", examples: "Sequence[Example]") -> list[Pair]:
        """Reads every text where a text as a whole is read; see `Answers.encode`."""
        texts = [[*(example.choices or (example,))] for example in examples]
        read = task.read([*itertools.chain.from_iterable(texts)])
        found = []
        for example, own in zip(examples, texts, strict=True):
            pairs = []
            for number, (ids, cut) in enumerate(itertools.islice(read, len(own))):
                said = example.targets
                right = bool(said) and self.labels.index(said) == number
                places = np.array([task.place_of_text(ids)], np.int32)
                pairs.append(Pair(ids, np.array([right], np.int32), cut, places))
            found.append(pairs[0]._replace(beside=tuple(pairs[1:])))
        return found
