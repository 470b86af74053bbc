"""Token ids of many examples in two flat arrays, not yet cut or padded."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Pair(NamedTuple):
    """The token ids of one example.

    Attributes:
        inputs: int32 source ids; they end in end-of-sequence where an encoder reads
            them, and do not where a decoder goes on from them.
        targets: int32 target ids, ending in end-of-sequence.
    """

    inputs: Int[np.ndarray, " T"]
    targets: Int[np.ndarray, " L"]


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one behind the other.

    Attributes:
        ids: int32, of all texts.
        ends: Where each text ends in `ids`.
    """

    ids: Int[np.ndarray, " tokens"]
    ends: Int[np.ndarray, " texts"]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> Int[np.ndarray, " T"]:
        first = self.ends[number - 1] if number else 0
        return self.ids[first : self.ends[number]]

    @property
    def sizes(self) -> Int[np.ndarray, " texts"]:
        """Tokens of each text."""
        return np.diff(self.ends, prepend=0)


def to_tokens(texts: Iterable[Sequence[int]]) -> Tokens:
    """Joins the ids of texts."""
    arrays = [np.asarray(ids, np.int32) for ids in texts]
    ends = np.cumsum([len(ids) for ids in arrays], dtype=np.int64)
    return Tokens(np.concatenate([np.zeros(0, np.int32), *arrays]), ends)
