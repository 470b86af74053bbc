"""The token ids of one example."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Pair(NamedTuple):
    """The token ids of one example, not yet cut or padded.

    Attributes:
        inputs: int32 source ids; they end in end-of-sequence where an encoder reads
            them, and do not where a decoder goes on from them.
        targets: int32 target ids, ending in end-of-sequence.
    """

    inputs: Int[np.ndarray, " T"]
    targets: Int[np.ndarray, " L"]
