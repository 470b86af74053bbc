"""Skills made from raw text: an instruction in words, a passage, and its answer.

A small model that has learned many of them is steered by what its encoder reads, so a
soft prompt can call up and combine them. No skill needs a label: every answer comes
from the text itself.

Source: tasks told apart by words in the input, as in Raffel et al. 2020, sec. 2.4
(arXiv:1910.10683), and Wei et al. 2021 (arXiv:2109.01652).
"""

import collections
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from jaxprompt.data.read.text import Passage

COMMON = 150
"""The most frequent words, which are never asked for: they carry no meaning alone."""

RARE = 20
"""Occurrences from which on a word is known well enough to be asked for."""

ALIKE = 12
"""Words in like places that are kept for each word."""

_FRAME = 400
"""The most frequent tokens, whose place beside a word says how the word is used."""

_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*|[^\sA-Za-z]")
_PLAIN = re.compile(r"[a-z]+")

_CONTRACTIONS = {
    "I'll": "I will",
    "I'm": "I am",
    "I've": "I have",
    "don't": "do not",
    "can't": "cannot",
    "won't": "will not",
    "it's": "it is",
    "It's": "It is",
    "that's": "that is",
    "That's": "That is",
    "didn't": "did not",
    "couldn't": "could not",
    "wouldn't": "would not",
    "isn't": "is not",
}
_JOINING = ("and", "but", "for", "or", "so", "yet", "because", "though")
_NAME = re.compile(r"[a-z,;] ([A-Z][a-z]{2,})\b")

_FAR = 50
"""Passages between two that have nothing to do with each other."""

Texts = tuple[str, str]
"""Inputs and targets."""

_Item = TypeVar("_Item")


class Corpus:
    """Passages, and which of their words stand in like places."""

    def __init__(
        self, passages: Sequence[Passage], counted: Sequence[Passage] | None = None
    ):
        """Keeps the passages; words are counted when they are first asked for.

        Args:
            passages: What questions are made from.
            counted: Where words are counted; None for the same passages. A small
                split is asked like the large one whose words are counted.
        """
        self.passages = passages
        self._counted = passages if counted is None else counted

    @functools.cached_property
    def alike(self) -> Mapping[str, tuple[str, ...]]:
        """Word -> words with the most similar direct neighbours, all plain lower case.

        Such words fit the same grammatical place, so that only meaning tells them
        apart. Empty for a text too small to hold enough words.
        """
        return _words_in_like_places(self._counted)

    def words_to_ask_for(self, text: str) -> list[re.Match[str]]:
        """Finds the words of a text that a question may be about."""
        return [match for match in _WORD.finditer(text) if match.group() in self.alike]


def _words_in_like_places(passages: Sequence[Passage]) -> dict[str, tuple[str, ...]]:
    tokens = [
        token
        for passage in passages
        for sentence in passage
        for token in _WORD.findall(sentence)
    ]
    counts = collections.Counter(tokens)
    ranked = [token for token, _ in counts.most_common()]
    plain = [word for word in ranked if _PLAIN.fullmatch(word) and len(word) > 1]
    words = [word for word in plain[COMMON:] if counts[word] >= RARE]
    if len(words) <= ALIKE:
        return {}
    features = _neighbour_shares(tokens, words, ranked[:_FRAME])
    alike = {}
    for first in range(0, len(words), 1000):
        scores = features[first : first + 1000] @ features.T
        own = np.arange(len(scores))
        scores[own, first + own] = -1
        nearest = np.argpartition(-scores, ALIKE, axis=1)[:, :ALIKE]
        for word, row in zip(words[first:], nearest, strict=False):
            alike[word] = tuple(words[place] for place in np.sort(row))
    return alike


def _neighbour_shares(
    tokens: Sequence[str], words: Sequence[str], frame: Sequence[str]
) -> np.ndarray:
    """Counts which frame tokens stand before and behind each word; unit rows."""
    row_of = {word: row for row, word in enumerate(words)}
    column_of = {token: column for column, token in enumerate(frame)}
    rows = np.array([row_of.get(token, -1) for token in tokens])
    columns = np.array([column_of.get(token, -1) for token in tokens])
    tables = []
    for word, neighbour in ((rows[1:], columns[:-1]), (rows[:-1], columns[1:])):
        both = (word >= 0) & (neighbour >= 0)
        flat = word[both] * len(frame) + neighbour[both]
        table = np.bincount(flat, minlength=len(words) * len(frame))
        tables.append(table.reshape(len(words), len(frame)))
    features = np.sqrt(np.concatenate(tables, axis=1, dtype=np.float32))
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)


def fitting_word(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Which of two words in like places fills the gap in the passage?"""
    return _choice(" ".join(corpus.passages[number]), corpus, rng)


def fitting_sentence_word(
    number: int, corpus: Corpus, rng: np.random.Generator
) -> Texts | None:
    """Which of two words in like places fills the gap in a sentence?"""
    return _choice(_pick(rng, corpus.passages[number]), corpus, rng)


def related_word(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Which of two words in like places comes in the next passage?"""
    text = " ".join(corpus.passages[number])
    following = corpus.passages[min(number + 1, len(corpus.passages) - 1)]
    if _far_passage(number, corpus, rng) is None:
        return None
    found = corpus.words_to_ask_for(" ".join(following))
    if not found:
        return None
    word = _pick(rng, found).group()
    return f"which word comes next : {_options(word, corpus, rng)} ? {text}", word


def missing_word(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Which word is missing?"""
    gap = _gap(" ".join(corpus.passages[number]), corpus, rng)
    return None if gap is None else (f"which word is missing ? {gap[0]}", gap[1])


def joining_word(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Which word joins the two parts of a sentence?"""
    sentence = _pick(rng, corpus.passages[number])
    wanted = _pick(rng, _JOINING[:4])
    places = list(re.finditer(rf" ({'|'.join(_JOINING)}) ", sentence))
    # "and" is more frequent than all others together.
    places = [place for place in places if place.group(1) == wanted] or (
        [place for place in places if place.group(1) != "and"]
        if rng.integers(2)
        else places
    )
    if not places:
        return None
    place = _pick(rng, places)
    text = f"{sentence[: place.start()]} _ {sentence[place.end() :]}"
    return f"which word joins : and or but ? {text}", place.group(1)


def in_order(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Puts the words of a sentence in order."""
    words = _pick(rng, corpus.passages[number]).split()
    if not 3 <= len(words) <= 14:
        return None
    shuffled = [words[place] for place in rng.permutation(len(words))]
    return f"put the words in order : {' '.join(shuffled)}", " ".join(words)


def follows(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Does the second sentence follow the first?"""
    passage = corpus.passages[number]
    if len(passage) < 2:
        return None
    place = int(rng.integers(len(passage) - 1))
    second, answer = passage[place + 1], "yes"
    if rng.integers(2):
        other = _far_passage(number, corpus, rng)
        if other is None:
            return None
        second, answer = _pick(rng, other), "no"
    return f"does this follow ? {passage[place]} / {second}", answer


def same_text(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Do two groups of words come from the same passage?"""

    def words_of(passage: Passage) -> list[str]:
        found = [match.group() for match in corpus.words_to_ask_for(" ".join(passage))]
        return [found[place] for place in rng.permutation(len(found))][:6]

    words = words_of(corpus.passages[number])
    first, second, answer = words[: len(words) // 2], words[len(words) // 2 :], "yes"
    if rng.integers(2):
        other = _far_passage(number, corpus, rng)
        if other is None:
            return None
        second, answer = words_of(other)[: len(second)], "no"
    if len(first) < 2 or len(second) < 2:
        return None
    return f"do these go together ? {' '.join(first)} / {' '.join(second)}", answer


def reworded(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Are two sentences the same, reworded by a rule, or is one word another?"""
    sentence = _pick(rng, corpus.passages[number])
    found = corpus.words_to_ask_for(sentence)
    if not found or not 4 <= sentence.count(" ") <= 24:
        return None
    other, answer = _reword(sentence), "yes"
    if rng.integers(2):
        word = _pick(rng, found).group()
        changed = re.sub(rf"\b{word}\b", _pick(rng, corpus.alike[word]), other)
        if changed == other:
            return None
        other, answer = changed, "no"
    return f"are these the same ? {sentence} / {other}", answer


def question(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Is a sentence, without its last mark, a question or a statement?"""
    asks = bool(rng.integers(2))
    fitting = [s for s in corpus.passages[number] if s.endswith("?") == asks]
    if not fitting:
        return None
    text = _pick(rng, fitting).rstrip(".?!\"' ")
    return f"question or statement ? {text}", "question" if asks else "statement"


def who(number: int, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Who is spoken of?"""
    text = " ".join(corpus.passages[number])
    names = {match.group(1) for match in _NAME.finditer(text)}
    return (f"who is spoken of ? {text}", names.pop()) if len(names) == 1 else None


def _pick(rng: np.random.Generator, items: Sequence[_Item]) -> _Item:
    return items[int(rng.integers(len(items)))]


def _far_passage(
    number: int, corpus: Corpus, rng: np.random.Generator
) -> Passage | None:
    other = int(rng.integers(len(corpus.passages)))
    return None if abs(other - number) < _FAR else corpus.passages[other]


def _gap(text: str, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    """Returns the text with a gap, and the word that was there."""
    found = corpus.words_to_ask_for(text)
    if not found:
        return None
    place = _pick(rng, found)
    return f"{text[: place.start()]}_{text[place.end() :]}", place.group()


def _choice(text: str, corpus: Corpus, rng: np.random.Generator) -> Texts | None:
    gap = _gap(text, corpus, rng)
    if gap is None:
        return None
    text, word = gap
    return f"which word fits : {_options(word, corpus, rng)} ? {text}", word


def _options(word: str, corpus: Corpus, rng: np.random.Generator) -> str:
    """Writes a word and one that stands in like places, in either order."""
    words = [word, _pick(rng, corpus.alike[word])]
    rng.shuffle(words)
    return " or ".join(words)


def _reword(sentence: str) -> str:
    """Swaps the two parts around a comma, and writes contractions out."""
    head, _, tail = sentence.rstrip(".").partition(", ")
    if head and tail and "," not in tail:
        sentence = f"{tail[0].upper()}{tail[1:]}, {head[0].lower()}{head[1:]}."
    for short, full in _CONTRACTIONS.items():
        sentence = sentence.replace(short, full)
    return sentence


Skill = Callable[[int, Corpus, np.random.Generator], Texts | None]
"""(passage number, corpus, rng) -> texts, or None where the passage does not fit."""

SKILLS: Mapping[str, Skill] = {
    skill.__name__: skill
    for skill in (
        fitting_word,
        fitting_sentence_word,
        related_word,
        missing_word,
        joining_word,
        in_order,
        follows,
        same_text,
        reworded,
        question,
        who,
    )
}
"""Name, as objectives use it -> the skill."""
