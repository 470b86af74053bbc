"""Templates: the text of a row, with places for soft tokens, masks and separators."""

import copy
import re
import string
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jaxprompt.data.read.files import Row, field_text
from jaxprompt.screen.quoting import listed

_SLOTS = "slots"

_MASK = "mask"

BOS = "bos"

MARKS = (_MASK, "sep", BOS)
"""What stands for text that each vocabulary writes in its own way."""

_WORD = re.compile(r"[^\W\d_]{2,}")

_COUNT = re.compile(r"[1-9][0-9]{0,5}")


class Piece(NamedTuple):
    """Some of a text that is filled in: words, or places for soft tokens.

    Attributes:
        text: The words; "" for soft tokens.
        slots: How many soft tokens stand here; 0 for words.
        cut: Place in the order of truncation, from 0; None for what is never cut.
        balanced: Whether it is shortened together with all of this place, each in
            proportion to its length.
        mark: Which of `MARKS` the template has here; "" for words and soft tokens.
    """

    text: str
    slots: int = 0
    cut: int | None = None
    balanced: bool = False
    mark: str = ""


class _Part(NamedTuple):
    """Words, then a field, soft tokens or marks; see `string.Formatter`."""

    words: str
    name: str | None
    number: str


class Template:
    """The text of a row: its words, fields, soft tokens, marks and what is cut first.

    "{field}" stands for the value of a row's field, "{slots:20}" for 20 soft tokens,
    "{mask:1}" for the vocabulary's mask, "{sep:1}" for what an encoder-only model reads
    between two texts, "{bos:1}" for a decoder's beginning-of-sequence, and "{{" for a
    brace. Spaces behind soft tokens that lead are left out, so that the text begins as
    it does without them.

    Attributes:
        text: As it was written.
        fields: Names of the fields, in order, each once.
    """

    def __init__(self, text: str, cut: Sequence[str] = ()):
        """Parses a template.

        Args:
            text: The template.
            cut: Fields in the order in which they are shortened where a text is too
                long, each from its end. "premise+hypothesis" shortens both at once, in
                proportion to their lengths. Fields that are not named are left whole
                while there is anything else to cut. Without it the text is cut at its
                end; where soft tokens or a mask stand in it, its fields are, the last
                one first.

        Raises:
            ValueError: If braces do not match, or name no field, or `cut` names one
                that is not there.
        """
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as err:
            raise ValueError(f"template {text!r}: {err}: write {{field}}") from err
        self._parts = []
        for words, name, count, conversion in parsed:
            if name is not None:
                counted = name in (_SLOTS, *MARKS) and _COUNT.fullmatch(count or "")
                if not name or conversion or (count and not counted):
                    raise ValueError(
                        f"template {text!r}: braces hold a field's name and nothing "
                        "else, or {slots:20}, {mask:1}, {sep:1} or {bos:1}: write "
                        "{field}, and {{ for a brace"
                    )
            self._parts.append(_Part(words, name, count or ""))
        self.text = text
        names = (part.name for part in self._parts if part.name and not part.number)
        self.fields = tuple(dict.fromkeys(names))
        groups = [tuple(names.split("+")) for names in cut]
        named = [name for names in groups for name in names]
        unknown = [name for name in named if name not in self.fields]
        if unknown or len({*named}) < len(named):
            raise ValueError(
                f"the order of truncation is {listed(cut)}, but template {text!r} has "
                f"the fields {listed(self.fields)}: name some of them, each once"
            )
        if not cut and (not self.is_behind_slots or _MASK in self.marks):
            groups = [(name,) for name in reversed(self.fields)]
        self._cut = tuple(groups)
        self._place = {name: n for n, names in enumerate(groups) for name in names}

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its own text, each once: of two letters or more."""
        found = (_WORD.findall(part.words) for part in self._parts)
        return tuple(dict.fromkeys(word for words in found for word in words))

    @property
    def soft_slots(self) -> int:
        """Soft tokens in all; 0 where the template leaves them to the run."""
        return sum(int(p.number) for p in self._parts if p.name == _SLOTS and p.number)

    @property
    def leading_slots(self) -> int:
        """Soft tokens of the run that the text begins with: what may fold."""
        found = 0
        for part in self._parts:
            if part.words.strip(" ") or part.name != _SLOTS or not part.number:
                break
            found += int(part.number)
        return found

    @property
    def is_behind_slots(self) -> bool:
        """Whether all soft tokens lead, so that the text is one whole behind them."""
        return self.leading_slots == self.soft_slots

    @property
    def is_plain(self) -> bool:
        """Whether a row's text alone says how it is tokenised and cut."""
        return not self._cut and self.is_behind_slots

    @property
    def marks(self) -> tuple[str, ...]:
        """Names out of `MARKS` of what stands in it."""
        used = {part.name for part in self._parts if part.number}
        return tuple(name for name in MARKS if name in used)

    @property
    def has_space_before_mask(self) -> bool:
        """Whether a space stands before the first mask, which its answer takes.

        One is taken to stand before a mask that the text begins with.
        """
        if _MASK not in self.marks:
            return False
        words = self._parts[self._first_mask].words
        return words.endswith(" ") or (not words and self._first_mask == 0)

    def without_mask(self) -> "Template":
        """Returns the template of a model that writes its answer behind the text.

        The mask is left out, and the spaces before it. So are words behind it, if no
        field and no soft token stands there: they would part the answer from its text.
        """
        ends = all(p.name in (None, _MASK) for p in self._parts[self._first_mask + 1 :])
        parts = []
        for number, (words, name, count) in enumerate(self._parts):
            if name == _MASK and count:
                words, name, count = words.rstrip(" "), None, ""
            elif ends and number > self._first_mask:
                continue
            if number and not any(part.words or part.name for part in parts):
                words = words.lstrip(" ")  # Behind a mask that the text began with.
            parts.append(_Part(words, name, count))
        made = copy.copy(self)
        made._parts = parts
        return made

    @property
    def _first_mask(self) -> int:
        return next(
            number
            for number, part in enumerate(self._parts)
            if part.name == _MASK and part.number
        )

    def fill(self, row: Row, marks: Mapping[str, str] = MappingProxyType({})) -> str:
        """Returns the text of a row, without soft tokens.

        Args:
            row: The row.
            marks: How the vocabulary writes each of `self.marks`.

        Raises:
            ValueError: If a field is missing.
        """
        texts = {name: field_text(row, name) for name in self.fields}
        return "".join(piece.text for piece in self.pieces(texts, marks))

    def pieces(
        self,
        texts: Mapping[str, str],
        marks: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Piece]:
        """Returns what a row becomes, in order.

        Args:
            texts: Field -> its text.
            marks: As of `fill`.
        """
        found: list[Piece] = []
        leads = True  # Whether soft tokens alone stand before this part.
        for words, name, count in self._parts:
            is_soft = name == _SLOTS and bool(count)
            if leads and (found or (is_soft and not words.strip(" "))):
                words = words.lstrip(" ")
            if words:
                found.append(Piece(words))
            leads = leads and not words and (is_soft or name is None)
            if is_soft:
                found.append(Piece("", slots=int(count)))
            elif count:
                found.append(Piece(marks[str(name)] * int(count), mark=str(name)))
            elif name is not None:
                place = self._place.get(name)
                balanced = place is not None and len(self._cut[place]) > 1
                found.append(Piece(texts[name], cut=place, balanced=balanced))
        return found
