"""What every example of a task begins with: found by writing rows that are made up."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from jaxprompt.data.read.files import Row
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.data.vocabulary.tokens import Pair

Ids: TypeAlias = Int[np.ndarray, " T"] | Sequence[int]

_TEXTS = ("", "a", "Z", "1", '"', ".", "\u65e5")
"""What fields of a made-up row may begin with. Of words in front of a field, the last
token can depend on it."""


def made_up_pairs(task: Task) -> list[Pair]:
    """Tokenises rows whose fields differ from the first character on."""
    if task.template is None:
        return task.encode([Example(text, "") for text in _TEXTS])
    fields = task.template.fields
    rows = [Row("a made-up row", dict.fromkeys(fields, text)) for text in _TEXTS]
    features = [task.read_request(row, number) for number, row in enumerate(rows)]
    return task.encode(task.write(features))


def common_beginning(texts: Iterable[Ids]) -> tuple[int, ...]:
    """Returns the ids that all texts begin with; none where there is no text."""
    first, *others = [*texts] or [()]
    ids = tuple(int(number) for number in first)
    for other in others:
        ids = ids[: same_beginning(ids, other)]
    return ids


def same_beginning(ids: Ids, other: Ids) -> int:
    """Counts the ids that two texts begin with alike."""
    length = min(len(ids), len(other))
    differ = np.flatnonzero(np.not_equal(ids[:length], other[:length]))
    return int(differ[0]) if differ.size else length
