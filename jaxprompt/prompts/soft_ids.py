"""Where soft tokens stand: a prompt's rows as ids behind the vocabulary."""

import numpy as np


def prefix(num_rows: int, length: int, member: int = 0) -> np.ndarray:
    """Returns the ids of one prompt, in order.

    Member m of a bank of prompts owns the ids V + m*P .. V + (m+1)*P - 1.

    Args:
        num_rows: Rows V of the frozen embedding table, padded rows included.
        length: Prompt length P in tokens; 0 for no prompt.
        member: Member m of the bank, from 0.

    Returns:
        int32 ids, [P].

    Raises:
        ValueError: If the length or the member is negative.
    """
    if length < 0 or member < 0:
        raise ValueError(
            f"prompt length {length}, member {member}: both must be 0 or more"
        )
    first = num_rows + member * length
    return np.arange(first, first + length, dtype=np.int32)
