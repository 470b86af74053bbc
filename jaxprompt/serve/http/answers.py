"""The answers to the questions of one request: asked of the scheduler, awaited."""

import asyncio
import contextlib
import functools
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxprompt.serve.bank import Way
from jaxprompt.serve.http.requests import Options, Refused
from jaxprompt.serve.http.served import Served
from jaxprompt.serve.slots.engine import GREEDY, Sampling
from jaxprompt.serve.slots.label_engine import LabelRow
from jaxprompt.serve.slots.scheduler import AnswerPiece, Asked, Full, Scoring, Token
from jaxprompt.serve.texts import LaidForHead, TextLayout


class AskedText(NamedTuple):
    """A text behind a prompt.

    Attributes:
        name: The prompt's, or the model's own.
        way: How texts are put behind it.
        ids: Its row: without the lead, which was read before.
        words: Tokens that are words, those of the template among them.
        soft: Soft tokens, and keys and values in each layer.
        cut: Tokens of the text that were left out for want of room.
    """

    name: str
    way: Way
    ids: list[int]
    words: int
    soft: int
    cut: int


class Whole(NamedTuple):
    """An answer that has ended."""

    text: str
    tokens: list[Token]
    finish: str


class RequestAnswers:
    """The answers to the questions of one request, as they come."""

    def __init__(self, served: Served, questions: list[AskedText]):
        self._served = served
        self._pieces: asyncio.Queue[tuple[int, AnswerPiece]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._deadline = time.monotonic() + served.limits.seconds
        self._asked: list[Asked] = []
        self.questions, self.written = questions, 0

    def ask(self, options: Options) -> None:
        """Asks each question as often as wanted; its answers stand together.

        Raises:
            Refused: If there is no room for an answer.
        """
        for question in self.questions:
            room = room_of(self._served, question)
            most = options.most or min(room, question.way.layout.longest or room)
            if most > room:
                why = self._why_no_more(room)
                raise Refused(f"max_tokens {most}: {why}", field="max_tokens")
            for choice in range(options.choices):
                how = options.how._replace(choice=choice)
                self._add(question, most, how, options.stops)

    def ask_forced(self, answer: str, field: str) -> None:
        """Asks how likely an answer is behind each question; these stand together.

        It counts with what all answers begin with, and with its end.

        Raises:
            Refused: If there is no room for it, or it has a token without a row.
        """
        for question in self.questions:
            ids = answer_ids(question.way.layout, answer, field)
            room = room_of(self._served, question)
            if len(ids) > room:
                why = self._why_no_more(room)
                raise Refused(f"{field} holds {len(ids)} tokens: {why}", field=field)
            self._add(question, len(ids), GREEDY, (), ids)

    def _why_no_more(self, room: int) -> str:
        """Says what bounds an answer to so many tokens."""
        if room == self._served.limits.tokens:
            return f"this server answers in up to {room}, as its --max_tokens says"
        return f"behind this text there is room for {room}"

    def _add(
        self,
        question: AskedText,
        most: int,
        how: Sampling,
        stops: Sequence[str],
        forced: Sequence[int] = (),
    ) -> None:
        number = len(self._asked)

        def tell(piece: AnswerPiece) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                self._loop.call_soon_threadsafe(
                    self._pieces.put_nowait, (number, piece)
                )

        self._asked.append(
            Asked(
                question.name,
                question.way.ready,
                question.ids,
                question.words,
                question.way.layout.vocabulary,
                question.way.layout.opening,
                most,
                how,
                tell,
                stops,
                forced,
                self._deadline,
            )
        )

    @property
    def count(self) -> int:
        """How many answers there are."""
        return len(self._asked)

    async def start(self) -> None:
        """Lets the answers wait for slots.

        Raises:
            Refused: If there are more than may ever wait at once, or than may now; or
                if the engine has failed.
        """
        most = self._served.scheduler.most_asked
        if self.count > most:
            raise Refused(
                f"{self.count} answers (texts, times prompts, times labels, times n), "
                f"but the server takes {most} at once: ask for fewer"
            )
        try:
            self._served.scheduler.submit(*self._asked)
        except Full as error:
            raise too_many() from error
        except RuntimeError as error:
            raise engine_failed() from error

    def cancel(self) -> None:
        """Frees the slots of what nobody waits for any more."""
        for asked in self._asked:
            asked.cancelled = True

    async def pieces(self) -> AsyncIterator[tuple[int, AnswerPiece]]:
        """Yields (number of the answer, piece) until all have ended.

        Raises:
            Refused: If one ends before its time.
        """
        left = self.count
        while left:
            number, piece = await self._pieces.get()
            if piece.finish == "deadline":
                raise too_late(self._served)
            if piece.finish == "failed":
                raise engine_failed()
            self.written += piece.token is not None
            left -= piece.finish is not None
            yield number, piece

    async def whole(self) -> list[Whole]:
        """Waits for all answers."""
        texts, finish = [""] * self.count, [""] * self.count
        tokens: list[list[Token]] = [[] for _ in range(self.count)]
        async for number, piece in self.pieces():
            texts[number] += piece.text
            if piece.token is not None:
                tokens[number].append(piece.token)
            finish[number] = piece.finish or ""
        return [Whole(*parts) for parts in zip(texts, tokens, finish, strict=True)]

    def usage(self) -> dict[str, Any]:
        """Counts tokens; soft ones are not the client's, and stand apart."""
        read = sum(question.words for question in self.questions)
        soft = sum(question.soft for question in self.questions)
        cut = sum(question.cut for question in self.questions)
        return _usage(read, self.written, soft, cut)


class ScoreQuestion(NamedTuple):
    """A text that a head answers.

    Attributes:
        name: The prompt's.
        rows: The text, or its windows.
        laid: What was read of it.
        soft: Soft tokens, and keys and values in each layer.
    """

    name: str
    rows: list[LabelRow]
    laid: LaidForHead
    soft: int


class HeadScores:
    """What heads find in the texts of one request."""

    def __init__(self, served: Served, questions: Sequence[ScoreQuestion]):
        self._served, self.questions = served, questions
        loop = asyncio.get_running_loop()
        rows = [(one.name, row) for one in questions for row in one.rows]
        self._found = [loop.create_future() for _ in rows]
        deadline = time.monotonic() + served.limits.seconds

        def tell(number: int, found: np.ndarray | str) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(_settle, self._found[number], found)

        self._asked = [
            Scoring(name, row, functools.partial(tell, number), deadline)
            for number, (name, row) in enumerate(rows)
        ]

    async def start(self) -> None:
        """Lets the texts wait for their scores."""
        try:
            self._served.scheduler.score(*self._asked)
        except Full as error:
            raise too_many() from error
        except RuntimeError as error:
            raise engine_failed() from error

    def cancel(self) -> None:
        """Leaves out what is not scored yet."""
        for asked in self._asked:
            asked.cancelled = True

    async def whole(self) -> list[Float[np.ndarray, "W ..."]]:
        """Waits for what is found in all texts, in each of their windows W.

        Raises:
            Refused: If one does not come in time.
        """
        found = await asyncio.gather(*self._found)
        if "deadline" in [one for one in found if isinstance(one, str)]:
            raise too_late(self._served)
        if any(isinstance(one, str) for one in found):
            raise engine_failed()
        left = iter(found)
        return [
            np.stack([*itertools.islice(left, len(one.rows))]) for one in self.questions
        ]

    def usage(self) -> dict[str, Any]:
        """Counts tokens; see `RequestAnswers.usage`."""
        return _usage(
            sum(one.laid.kept for one in self.questions),
            0,
            sum(one.soft for one in self.questions),
            sum(one.laid.cut for one in self.questions),
        )


def _settle(future: "asyncio.Future[Any]", found: Any) -> None:
    if not future.done():  # Who asked may have gone.
        future.set_result(found)


def _usage(read: int, written: int, soft: int, cut: int) -> dict[str, Any]:
    """Counts tokens. Soft ones are not the client's: they stand apart."""
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {
            "cached_tokens": 0,
            "soft_tokens": soft,
            "cut_tokens": cut,
        },
    }


def room_of(served: Served, question: AskedText) -> int:
    """Returns how many tokens an answer may have."""
    room = served.engine.room(question.way.ready, question.ids)
    return min(room, served.limits.tokens)


def answer_ids(layout: TextLayout, answer: str, field: str) -> list[int]:
    """Returns the ids of an answer: what all begin with, the text, its end."""
    vocabulary = layout.vocabulary
    try:
        ids = vocabulary.encode(answer)
    except ValueError as error:
        raise Refused(
            f"{field} holds a token without a row in the model's table", field=field
        ) from error
    ends = [token for token in ids if token in vocabulary.end_ids]
    if ends:
        raise Refused(
            f"{field} holds {vocabulary.pieces.name(ends[0])!r}, which ends an answer: "
            "leave it out",
            field=field,
        )
    return [*layout.opening, *ids, vocabulary.eos_id]


def too_many() -> Refused:
    """Returns what is told where nothing more may wait."""
    return Refused(
        "too many requests wait: ask again later",
        status=429,
        kind="rate_limit_error",
        code="rate_limit_exceeded",
        headers={"Retry-After": "1"},
    )


def too_late(served: Served) -> Refused:
    """Returns what is told where an answer took too long."""
    return Refused(
        f"no answer within {served.limits.seconds:g} s",
        status=504,
        kind="timeout_error",
    )


def engine_failed() -> Refused:
    """Returns what is told where the engine does not run."""
    return Refused("the engine failed", status=500, kind="server_error")
