"""What the answers of a head must offer: from a row to its targets, and back."""

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jaxprompt.data.tasks.answers.kinds import KINDS
from jaxprompt.data.tasks.verbalizer import Score
from jaxprompt.data.vocabulary.tokens import Pair

if TYPE_CHECKING:
    from jaxprompt.data.tasks.task import Example, Task


class Answers(abc.ABC):
    """What a head answers to the rows of a task: a frozen value.

    Attributes:
        kind: Its name in `kinds.KINDS`.
        labels: Those that answers are made of, in class order; empty where they are no
            labels.
        of_words: Whether each word of a text gets one of these, and not the whole.
        word_ids: Where the model itself scores words at a mask, the ids of those of
            each label; else empty.
        word_score: Then what a label with several words has; see `Verbalizer.score`.
    """

    kind: ClassVar[str]
    of_words: ClassVar[bool] = False
    labels: tuple[str, ...] = ()
    word_ids: tuple[tuple[int, ...], ...] = ()
    word_score: Score = "sum"

    @property
    @abc.abstractmethod
    def columns(self) -> int:
        """Columns C of a layer that is trained for them, as one for each label."""

    @property
    def texts(self) -> int:
        """Texts that share a row, each read by itself."""
        return 1

    @classmethod
    @abc.abstractmethod
    def made_up(cls) -> "Answers":
        """Returns answers of a task that is not there, with two labels."""

    @abc.abstractmethod
    def encode(self, task: "Task", examples: "Sequence[Example]") -> list[Pair]:
        """Tokenises examples, with the places that a head reads."""

    @abc.abstractmethod
    def decode(self, found: np.ndarray, read: "Sequence[Example]") -> str:
        """Turns what a head found in a row into its answer.

        Args:
            found: Of each example that the row was read as, what `Head.find` gives.
            read: These examples: one, or several windows.
        """

    @abc.abstractmethod
    def likelihoods(
        self, found: np.ndarray, likely: np.ndarray, read: "Sequence[Example]"
    ) -> Any:
        """Returns how likely the answers to a row are, for JSON.

        Args:
            found: As of `decode`.
            likely: Of each example, what `Head.likely` gives.
            read: As of `decode`.
        """

    def place(
        self, found: np.ndarray, read: "Sequence[Example]"
    ) -> tuple[int, int] | None:
        """Returns where in its text the answer to a row stands.

        That is its first character and the one behind it; None where it stands in no
        text.

        Args:
            found: As of `decode`.
            read: As of `decode`.
        """
        del found, read
        return None

    def targets(self, longest: int) -> int:
        """Returns the targets L of a row, where the run's target length is given."""
        return self.texts * (KINDS[self.kind].targets or longest)

    def check(self, task: "Task", split: str, longest: int) -> None:
        """Checks that there is room for the targets of every row of a split.

        Args:
            task: The task that has these answers.
            split: Its split.
            longest: The run's target length.

        Raises:
            ValueError: If a row has more of them; names it.
        """
        del task, split, longest

    def check_room(self, example: "Example", where: str, longest: int) -> None:
        """Checks that there is room for the targets of an example.

        Args:
            example: The example.
            where: What it is called in errors.
            longest: The run's target length.

        Raises:
            ValueError: If it has more of them.
        """
        del example, where, longest
