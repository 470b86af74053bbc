"""The kinds of answers, by the names that settings and prompt files have for them."""

from collections.abc import Mapping
from typing import NamedTuple

WORDS = "words"
"""The kind without a head of its own: the model writes the answer."""


class Kind(NamedTuple):
    """What is known of a kind of answer before there is a task.

    Attributes:
        has_weights: Whether its head has weights of its own, which train.
        targets: Targets L of each text of a row; None where the run's target length
            says.
        told: What its head does, in words.
        packs: Whether several examples may share a row of a training batch.
        chooses: Whether it scores each of the task's labels for each target.
    """

    has_weights: bool
    targets: int | None
    told: str
    packs: bool = True
    chooses: bool = True


KINDS: Mapping[str, Kind] = {
    WORDS: Kind(
        has_weights=False,
        targets=None,
        told="the model itself writes the answer; no weights of its own",
        chooses=False,
    ),
    "mask": Kind(
        has_weights=False,
        targets=1,
        told="the label word that an encoder finds likeliest at a mask; no weights",
    ),
    "classes": Kind(
        has_weights=True,
        targets=1,
        told="a linear layer chooses one of the task's labels for each text",
    ),
    "tags": Kind(
        has_weights=True,
        targets=None,
        told="a linear layer chooses a label for each word",
    ),
    "choices": Kind(
        has_weights=True,
        targets=1,
        told="a linear layer chooses one of several texts",
        packs=False,
        chooses=False,
    ),
    "spans": Kind(
        has_weights=True,
        targets=5,
        told="a linear layer finds where the answer stands in a text",
        packs=False,
        chooses=False,
    ),
}
"""Name -> kind. Its answers are a file of this folder, its head one of `heads`."""
