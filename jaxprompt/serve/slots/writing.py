"""Tokens of an answer -> its text, told piece by piece."""

from collections.abc import Sequence

from jaxprompt.data.vocabulary.vocabulary import Vocabulary

UNFINISHED = "\ufffd"
"""What the bytes of a character decode to until the last of them is there."""


class Writing:
    """The text of one answer as it grows.

    Whatever was told stays: text is held back while it may be part of a character, or
    the beginning of a stop string.

    Attributes:
        ids: The tokens so far, one that ended the answer among them.
        finish: Why the answer has ended: "stop" or "length"; None while it goes on.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        most: int,
        stops: Sequence[str] = (),
        opening: Sequence[int] = (),
    ):
        """Starts an answer.

        Args:
            vocabulary: Turns ids into text.
            most: Tokens that it may have.
            stops: Texts in front of which it ends.
            opening: Ids that it may begin with, which are no part of its text.
        """
        self._vocabulary, self._most, self._stops = vocabulary, most, stops
        self._opening = [*opening]
        self.ids: list[int] = []
        self.finish: str | None = None
        self._told = 0

    def add(self, token: int) -> str:
        """Adds a token, and returns the text that is certain since the last call."""
        self.ids.append(token)
        if token in self._vocabulary.end_ids:
            self.finish = "stop"
        elif len(self.ids) == self._most:
            self.finish = "length"
        ids, opens = self.ids, len(self._opening)
        if ids[:opens] == self._opening[: len(ids)]:
            ids = ids[opens:]
        text = self._vocabulary.decode(ids)
        starts = [text.find(stop) for stop in self._stops if stop in text]
        if starts:
            text, self.finish = text[: min(starts)], "stop"
        certain = len(text) if self.finish else self._certain(text)
        piece = text[self._told : certain]
        self._told = max(self._told, certain)
        return piece

    def _certain(self, text: str) -> int:
        """Counts the characters that no later token changes."""
        count = len(text.rstrip(UNFINISHED))
        for stop in self._stops:
            for size in range(min(len(stop) - 1, count), 0, -1):
                if text.endswith(stop[:size], 0, count):
                    count -= size
                    break
        return count
