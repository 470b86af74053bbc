"""Where soft tokens stand: a prompt's rows as ids behind the vocabulary."""

import numpy as np


def prefix(num_rows: int, length: int) -> np.ndarray:
    """Returns the ids of a prompt's tokens, in order.

    They are the same for every member of a bank: which member's prompt stands in a row
    is said by `Batch.members`, and nowhere else.

    Args:
        num_rows: Rows V of the frozen embedding table, padded rows included.
        length: Prompt length P in tokens; 0 for no prompt.

    Returns:
        int32 ids V .. V+P-1, [P].

    Raises:
        ValueError: If the length is negative.
    """
    if length < 0:
        raise ValueError(f"prompt length {length}: it must be 0 or more")
    return np.arange(num_rows, num_rows + length, dtype=np.int32)
