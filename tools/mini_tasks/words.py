"""Divides word lists between training and test, by a seeded shuffle and never by hand.

Every grammar takes its words from here, so that no word that decides a label of the
test split is ever seen in training.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

Draw = Callable[[random.Random, int], tuple[str, ...]]
"""A grammar: from a source of chance and a class index to the texts of one row."""

SEED = 1928
"""Of every shuffle of words; the year that ends the novels whose words these are."""

HELD_OUT_SHARE = 0.4


def family(word: str) -> str:
    """Returns what a word shares with its kin: 'sad' must not prepare for 'sadness'."""
    return word[:3]


def held_out_families(words: Iterable[str]) -> frozenset[str]:
    """Draws the families whose words only the test split may use."""
    families = sorted({family(word) for word in words})
    random.Random(SEED).shuffle(families)
    return frozenset(families[: round(HELD_OUT_SHARE * len(families))])


def divide(items: Sequence[T], held_out: bool) -> list[T]:
    """Returns the items of the test split, or those of training and validation."""
    shuffled = list(items)
    random.Random(SEED).shuffle(shuffled)
    first = round(HELD_OUT_SHARE * len(shuffled))
    return shuffled[:first] if held_out else shuffled[first:]


def sentence(text: str) -> str:
    """Puts the article before a vowel right, and begins with a capital letter."""
    words = text.split(" ")
    for place, word in enumerate(words[:-1]):
        if word in ("a", "A") and words[place + 1][0] in "aeiou":
            words[place] = f"{word}n"
    joined = " ".join(words)
    return joined[0].upper() + joined[1:]
