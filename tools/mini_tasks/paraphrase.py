"""Paraphrases: two sentences that state one fact in other words, or two facts.

A frame is a list of wordings of the same statement, with slots; a fact fills every
slot by a set of synonyms. Two rows of either class are reworded in the same way, by
another wording and by synonyms, but in class 0 one slot is another fact, or the frame
is another one. So only the meaning of the words tells the classes apart.
"""

import random
import re
from collections.abc import Mapping, Sequence

from mini_tasks.words import Draw, divide, sentence

Frame = Sequence[str]
"""Wordings. "{verb}" is a slot; "{verb.past}" is the second form of its word."""

Fact = dict[str, tuple[str, ...]]
"""Slot -> words of the same meaning; the forms of a word are parted by "/"."""


def parse_words(text: str) -> list[tuple[str, ...]]:
    """Reads sets of synonyms: "house=dwelling room=chamber"; "_" is a space."""
    return [
        tuple(word.replace("_", " ") for word in synonyms.split("="))
        for synonyms in text.split()
    ]


def make_grammar(
    frames: Sequence[Frame], words: Mapping[str, str], held_out: bool
) -> Draw:
    """Returns the grammar with the words of one side; class 1 is a paraphrase."""
    lexicon = {
        slot: divide(parse_words(text), held_out) for slot, text in words.items()
    }

    def draw(rng: random.Random, label: int) -> tuple[str, ...]:
        while True:
            frame = rng.choice(frames)
            fact = {slot: rng.choice(lexicon[slot]) for slot in _slots(frame)}
            said = _say(rng, frame, fact)
            if label == 0:
                frame, fact = _change(rng, frame, fact, frames, lexicon)
            again = _say(rng, frame, fact)
            if said != again:
                return said, again

    return draw


def _slots(frame: Frame) -> list[str]:
    return sorted(set(re.findall(r"{(\w+)", frame[0])))


def _say(rng: random.Random, frame: Frame, fact: Fact) -> str:
    chosen = {slot: rng.choice(words) for slot, words in fact.items()}

    def fill(slot: re.Match[str]) -> str:
        forms = chosen[slot[1]].split("/")
        return forms[-1] if slot[2] else forms[0]

    return sentence(re.sub(r"{(\w+)(\.past)?}", fill, rng.choice(frame)))


def _change(
    rng: random.Random,
    frame: Frame,
    fact: Fact,
    frames: Sequence[Frame],
    lexicon: Mapping[str, list[tuple[str, ...]]],
) -> tuple[Frame, Fact]:
    """Changes one thing: what fills a slot, or what is said of the same words."""
    others = [f for f in frames if f is not frame and _slots(f) == _slots(frame)]
    changes: list[str | None] = [*fact]
    if others:
        changes.append(None)
    slot = rng.choice(changes)
    if slot is None:
        return rng.choice(others), fact
    return frame, {
        **fact,
        slot: rng.choice([words for words in lexicon[slot] if words != fact[slot]]),
    }
