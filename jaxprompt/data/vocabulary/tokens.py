"""The token ids of one example, and where soft tokens stand among them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int


class Span(NamedTuple):
    """Ids from `start` up to `stop`, which is left out.

    Attributes:
        start: Index of the first.
        stop: Index behind the last.
        joined: Whether they are shortened together with the span before this one, each
            in proportion to its length.
    """

    start: int
    stop: int
    joined: bool = False


class Pair(NamedTuple):
    """The token ids of one example, not yet cut or padded.

    Attributes:
        inputs: int32 source ids, among them `soft_place`s; they end in end-of-sequence
            where an encoder reads them, and do not where a decoder goes on from them.
        targets: int32 target ids, ending in end-of-sequence.
        cut: Spans of the inputs that are shortened from their ends where there is no
            room, in this order; empty where the whole text is cut at its end.
        places: int32 index among the inputs of the token that each target is read at,
            by a head; -1 where no token stands for it. None where a model writes the
            targets.
        beside: Other texts that are read in the same row, each by itself.
        learned: Which targets have a loss; None for all of them.
    """

    inputs: Int[np.ndarray, " T"]
    targets: Int[np.ndarray, " L"]
    cut: tuple[Span, ...] = ()
    places: Int[np.ndarray, " L"] | None = None
    beside: tuple["Pair", ...] = ()
    learned: Bool[np.ndarray, " L"] | None = None


def soft_place(number: int) -> int:
    """Returns what stands for a soft token, the first being 0: no id is negative."""
    return -1 - number
