"""Rows divided into splits by shares: each row by its number, or each label alike."""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np


def check_share(share: Mapping[str, float]) -> None:
    """Raises ValueError unless these are shares above 0, 1 in sum."""
    if (
        not share
        or min(share.values()) <= 0
        or not math.isclose(sum(share.values()), 1)
    ):
        raise ValueError(f"share {dict(share)}: use shares above 0, 1 in sum")


def split_of_row(number: int, share: Mapping[str, float], seed: int) -> str:
    """Returns the split of a row, which depends on its number and the seed alone.

    Rows that are added move no others; a split has about its share of the rows.

    Args:
        number: Number of the row, from 0.
        share: Split -> share of the rows, 1 in sum.
        seed: Of the division.
    """
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=8).digest()
    point = int.from_bytes(digest) / 2**64
    *others, last = share
    for split in others:
        point -= share[split]
        if point < 0:
            return split
    return last


def splits_by_label(
    labels: Sequence[str], share: Mapping[str, float], seed: int
) -> list[str]:
    """Returns the split of each row, so that every split has its share of each label.

    To a row: the first split takes what rounding leaves. Each split gets a row of every
    label, the first one before the others, as far as there are so many. Rows that are
    added move others.

    Args:
        labels: The label of each row.
        share: Split -> share of the rows, 1 in sum.
        seed: Of the choice, which depends on nothing else.
    """
    groups: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        groups.setdefault(label, []).append(number)
    first, *others = share
    draw, found = np.random.default_rng(seed), [first] * len(labels)
    for numbers in groups.values():
        left = draw.permutation(numbers).tolist()
        for split in others:
            wanted = max(round(share[split] * len(numbers)), 1)
            count = min(wanted, max(len(left) - 1, 0))
            for number in left[:count]:
                found[number] = split
            left = left[count:]
    return found
