"""One thread that owns the engine: answers join and leave its slots between steps."""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.serve.slots.engine import FREE, Engine, Ready, Sampling
from jaxprompt.serve.slots.label_engine import LabelEngine, LabelRow
from jaxprompt.serve.slots.metrics import Metrics
from jaxprompt.serve.slots.writing import Writing

_DELAY = 0.003
"""Seconds that a first text waits for others to be scored with."""

_READ_AT_ONCE = 128
"""Tokens of texts that are read between two steps, if answers wait for the next."""


class Full(Exception):
    """As many answers wait as may."""


class Token(NamedTuple):
    """A token of an answer, and how likely it was.

    Attributes:
        id: The token.
        log_prob: In nats, before temperature and nucleus.
        top: The likeliest tokens, with theirs.
    """

    id: int
    log_prob: float
    top: Sequence[tuple[int, float]]


class AnswerPiece(NamedTuple):
    """What is told of an answer at once.

    Attributes:
        text: More of its text; may be empty.
        token: The token that was written; None where the answer ends without one.
        finish: "stop" or "length" at the end; "deadline" if there was no time for
            more, "failed" if the engine failed; None while it goes on.
    """

    text: str
    token: Token | None
    finish: str | None


@dataclasses.dataclass(eq=False)
class Asked:
    """An answer that is asked for.

    Attributes:
        name: The prompt's, for metrics.
        ready: The prompt.
        ids: What stands in the text's row.
        words: Tokens of the text, as its client is told; of an encoder-decoder the row
            holds soft tokens too.
        vocabulary: Turns ids into text, and says which end an answer.
        opening: Ids that an answer may begin with, which are no part of its text.
        most: Tokens that it may have.
        how: How they are chosen.
        tell: Told of each piece, on the engine's thread; must return at once.
        stops: Texts in front of which it ends.
        forced: The tokens that it shall have, to tell how likely they are; empty where
            it is written freely.
        deadline: When it has to end, on `time.monotonic`; None for never.
        cancelled: Set, on any thread, where nobody wants it any more.
    """

    name: str
    ready: Ready
    ids: list[int]
    words: int
    vocabulary: Vocabulary
    opening: Sequence[int]
    most: int
    how: Sampling
    tell: Callable[[AnswerPiece], None]
    stops: Sequence[str] = ()
    forced: Sequence[int] = ()
    deadline: float | None = None
    cancelled: bool = False
    arrived: float = dataclasses.field(default_factory=time.monotonic)


@dataclasses.dataclass(eq=False)
class Scoring:
    """A text, or a window of one, that a head is to answer.

    Attributes:
        name: The prompt's, for metrics.
        row: The text.
        tell: Told of what the head finds, or why it finds nothing, "deadline" or
            "failed", on the engine's thread; must return at once.
        deadline: When that has to be, on `time.monotonic`.
        cancelled: Set, on any thread, where nobody wants it any more.
    """

    name: str
    row: LabelRow
    tell: Callable[[np.ndarray | str], None]
    deadline: float | None = None
    cancelled: bool = False
    arrived: float = dataclasses.field(default_factory=time.monotonic)


@dataclasses.dataclass(eq=False)
class _Running:
    """An answer that has a slot."""

    asked: Asked
    writing: Writing
    told: float | None = None


class Scheduler(threading.Thread):
    """Fills slots, steps the engine, and tells each answer's pieces.

    Attributes:
        is_ready: Set when all is compiled.
        failure: What the engine failed of; None while it works.
    """

    def __init__(
        self,
        engine: Engine,
        labels: LabelEngine,
        metrics: Metrics,
        *,
        queue: int = 64,
    ):
        """Takes the engine, which nobody else may let write from now on.

        Args:
            engine: Slots.
            labels: Heads; nobody else may let them score either.
            metrics: Counts what happens.
            queue: Answers that may wait for a slot.
        """
        super().__init__(name="engine", daemon=True)
        self._engine, self._labels, self._metrics = engine, labels, metrics
        self._queue = queue
        self._changed = threading.Condition()
        self._waiting: collections.deque[Asked] = collections.deque()
        self._scoring: collections.deque[Scoring] = collections.deque()
        self._running: dict[int, _Running] = {}
        self._closing = False
        self.is_ready = threading.Event()
        self.failure: BaseException | None = None

    def submit(self, *asked: Asked) -> None:
        """Lets answers wait for slots, all of them or none.

        Raises:
            Full: If there is no room to wait.
            RuntimeError: If the engine has failed, or is closed.
        """
        with self._changed:
            if self.failure is not None or self._closing:
                raise RuntimeError("the engine does not run")
            if self._behind() + len(asked) > self._queue + self._free():
                raise Full
            self._waiting.extend(asked)
            self._changed.notify()

    def score(self, *asked: Scoring) -> None:
        """Lets texts wait for their scores, all of them or none.

        Raises:
            Full: If there is no room to wait.
            RuntimeError: If the engine has failed, or is closed.
        """
        with self._changed:
            if self.failure is not None or self._closing:
                raise RuntimeError("the engine does not run")
            if self._behind() + len(asked) > self.most_scored:
                raise Full
            self._scoring.extend(asked)
            self._changed.notify()

    @property
    def most_asked(self) -> int:
        """Answers that an idle server takes at once."""
        return self._queue + self._engine.slots

    @property
    def most_scored(self) -> int:
        """Texts and windows that may wait at once for a head."""
        return self._queue + self._labels.rows

    @property
    def load(self) -> tuple[int, int]:
        """How many answers have a slot, and how many wait; on any thread."""
        return len(self._running), self._behind()

    def _behind(self) -> int:
        return len(self._waiting) + len(self._scoring)

    def close(self) -> None:
        """Ends the thread; what still runs is not answered."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def run(self) -> None:
        """Works until it is closed."""
        try:
            self._engine.warm()
            self.is_ready.set()
            while self._wait():
                self._drop()
                self._admit()
                self._read()
                if self._scoring:
                    self._score()
                if self._running:
                    self._step()
        except BaseException as error:
            with self._changed:
                self.failure = error
                waiting, running = [*self._waiting], [*self._running.values()]
                scoring = [*self._scoring]
            self.is_ready.clear()
            for asked in (*waiting, *(row.asked for row in running)):
                asked.tell(AnswerPiece("", None, "failed"))
            for asked in scoring:
                asked.tell("failed")
            raise

    def _free(self) -> int:
        return self._engine.slots - len(self._running)

    def _wait(self) -> bool:
        with self._changed:
            while not (self._behind() or self._running or self._closing):
                self._changed.wait()
            idle = not self._running
            if idle and self._waiting and self._engine.delay:
                self._changed.wait_for(
                    lambda: len(self._waiting) >= self._engine.slots,
                    timeout=self._engine.delay,
                )
            elif idle and self._scoring:
                self._changed.wait_for(
                    lambda: len(self._scoring) >= self._labels.rows, timeout=_DELAY
                )
            return not self._closing

    def _drop(self) -> None:
        """Takes out what nobody wants any more, or has no time left."""
        now = time.monotonic()

        def stays(asked: Asked | Scoring) -> bool:
            if asked.cancelled:
                self._metrics.finished(asked.name, "abort", now - asked.arrived)
                return False
            if asked.deadline is not None and now > asked.deadline:
                self._metrics.finished(asked.name, "deadline", now - asked.arrived)
                if isinstance(asked, Asked):
                    asked.tell(AnswerPiece("", None, "deadline"))
                else:
                    asked.tell("deadline")
                return False
            return True

        with self._changed:
            kept = [asked for asked in self._waiting if stays(asked)]
            self._waiting = collections.deque(kept)
            self._scoring = collections.deque(filter(stays, self._scoring))
        for slot, row in [*self._running.items()]:
            if not stays(row.asked):
                del self._running[slot]

    def _admit(self) -> None:
        """Fills free slots with what waits longest, of what the engine takes."""
        busy = bool(self._running)
        free = [x for x in range(self._engine.slots) if x not in self._running]
        with self._changed:
            waiting = list(self._waiting)
        for asked in waiting:
            if not free:
                return
            if not self._engine.takes(asked.ids, busy=busy):
                continue
            slot, started = free.pop(0), time.monotonic()
            writing = Writing(asked.vocabulary, asked.most, asked.stops, asked.opening)
            self._running[slot] = _Running(asked, writing)
            with self._changed:
                self._waiting.remove(asked)
            self._engine.fill(slot, asked.ready, asked.ids, asked.how)
            self._metrics.admitted(asked.name, asked.words, started - asked.arrived)

    def _read(self) -> None:
        """Reads texts, those that wait longest first, until others' next step."""
        tokens = 0
        for slot in [*self._running]:
            while not self._engine.is_read(slot):
                if tokens >= _READ_AT_ONCE and self._writing:
                    return
                tokens += self._engine.read_piece(slot)

    @property
    def _writing(self) -> list[int]:
        """The slots whose texts are read."""
        return [slot for slot in self._running if self._engine.is_read(slot)]

    def _score(self) -> None:
        """Scores what waits longest, with all that can share its batch."""
        with self._changed:
            first = self._scoring[0].row
            shared = [
                asked
                for asked in self._scoring
                if (asked.row.member.group, asked.row.width)
                == (first.member.group, first.width)
            ][: self._labels.rows]
        started = time.monotonic()
        for asked in shared:
            tokens = int(np.count_nonzero(asked.row.batch.input_segments))
            self._metrics.admitted(asked.name, tokens, started - asked.arrived)
        found = self._labels.score([asked.row for asked in shared])
        now = time.monotonic()
        # Not before: what is not scored is told so where the engine fails.
        with self._changed:
            for asked in shared:
                self._scoring.remove(asked)
        for asked, probabilities in zip(shared, found, strict=True):
            asked.tell(probabilities)
            self._metrics.finished(asked.name, "stop", now - asked.arrived)

    def _step(self) -> None:
        count = self._engine.slots
        active, forced = np.zeros(count, bool), np.full(count, FREE, np.int32)
        writing = {slot: self._running[slot] for slot in self._writing}
        for slot, row in writing.items():
            active[slot] = True
            if row.asked.forced:
                forced[slot] = row.asked.forced[len(row.writing.ids)]
        chosen = self._engine.step(active, forced)
        now = time.monotonic()
        self._metrics.stepped(len(writing))
        for slot, row in writing.items():
            top = zip(chosen.top_ids[slot], chosen.top_log_probs[slot], strict=True)
            token = Token(
                int(chosen.ids[slot]),
                float(chosen.log_probs[slot]),
                [(int(number), float(log_prob)) for number, log_prob in top],
            )
            asked = row.asked
            text = row.writing.add(token.id)
            finish = row.writing.finish
            if row.told is None:
                self._metrics.first_token(asked.name, now - asked.arrived)
            else:
                self._metrics.next_token(asked.name, now - row.told)
            row.told = now
            asked.tell(AnswerPiece(text, token, finish))
            if finish is not None:
                del self._running[slot]
                self._metrics.finished(asked.name, finish, now - asked.arrived)
