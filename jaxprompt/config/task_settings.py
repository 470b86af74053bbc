"""What can be asked of the settings of any task."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from jaxprompt.config.tasks import AnyTask, TextTask

DATA_FIELDS = ("data_dir", "files", "folder", "share", "stratify")
"""Settings of tasks that say where data lies, and nothing of how a row is asked."""


class TaskSettings:
    """What can be asked of the settings of any task, whatever its kind."""

    name: str

    @property
    def label(self) -> str:
        """What results call it."""
        return self.name

    @property
    def tasks(self) -> "tuple[AnyTask, ...]":
        """The tasks one by one: the task alone, or those of a group."""
        return (cast("AnyTask", self),)

    @property
    def place(self) -> str:
        """Where its data lies, as in "below DATA_DIR superglue"."""
        raise NotImplementedError

    @property
    def told(self) -> str:
        """What a card says of its data and its texts; empty for nothing."""
        return ""

    @property
    def input_template(self) -> str:
        """The template of its inputs; empty where they are written otherwise."""
        return ""

    @property
    def input_format(self) -> str:
        """How its inputs are written, as in "as T5's task rte"; empty if by none."""
        return ""

    @property
    def writes_bos(self) -> bool:
        """Whether its texts hold beginning-of-sequence where the model reads it."""
        return False

    @property
    def label_words_in_order(self) -> tuple[str, ...]:
        """The words that stand for the classes; none for free text."""
        return ()

    def with_labels(self, words: Sequence[str]) -> "AnyTask | None":
        """The task with other label words; None where its labels are its own."""
        return None

    @property
    def texts(self) -> int:
        """Texts that a row holds, each read by itself: of multiple choice, several."""
        return 1

    @property
    def leaderboard(self) -> str | None:
        """The benchmark's name of the task; None if it is of no benchmark."""
        return None

    @property
    def raw_text(self) -> "TextTask | None":
        """The task itself, where it is raw text, which has no answers."""
        return None


def tell_words(words: Mapping[str, str | Sequence[str]] | None) -> str:
    """Says which words stand for the labels; nothing where these are their own."""
    if not words:
        return ""
    return f"; label words {json.dumps(dict(words), ensure_ascii=False)}"
