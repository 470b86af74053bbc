"""One thread that owns the engine: answers join and leave its slots between steps."""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.serve.slots.engine import FREE, Engine, Ready, Sampling
from jaxprompt.serve.slots.label_engine import LabelEngine, Row
from jaxprompt.serve.slots.metrics import Metrics
from jaxprompt.serve.slots.writing import Writing

_DELAY = 0.003
"""Seconds that a first text waits for others to be scored with."""


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


class Piece(NamedTuple):
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
    vocabulary: Vocabulary
    opening: Sequence[int]
    most: int
    how: Sampling
    tell: Callable[[Piece], None]
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
    row: Row
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
        """Takes the engine, which nobody else may use from now on.

        Args:
            engine: Slots.
            labels: Heads; nobody else may use them either.
            metrics: Counts what happens.
            queue: Answers that may wait for a slot.
        """
        super().__init__(name="engine", daemon=True)
        self._engine, self._labels, self._metrics = engine, labels, metrics
        self._queue = queue
        self._changed = threading.Condition()
        self._waiting: collections.deque[Asked] = collections.deque()
        self._scoring: collections.deque[Scoring] = collections.deque()
        self._calls: collections.deque[tuple[Any, Any]] = collections.deque()
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
    def most_scored(self) -> int:
        """Texts and windows that may wait at once for a head."""
        return self._queue + self._labels.rows

    def _behind(self) -> int:
        return len(self._waiting) + len(self._scoring)

    def call(self, function: Callable[[], Any]) -> "concurrent.futures.Future[Any]":
        """Runs a function between two steps, on the thread that owns the engine."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._changed:
            if self.failure is not None or self._closing:
                raise RuntimeError("the engine does not run")
            self._calls.append((function, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Ends the thread; what still runs is not answered."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def run(self) -> None:
        """Works until it is closed."""
        try:
            self._engine.warm()
            self._count_programs()
            self.is_ready.set()
            while self._wait():
                self._do_calls()
                self._drop()
                self._admit()
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
                asked.tell(Piece("", None, "failed"))
            for asked in scoring:
                asked.tell("failed")
            for _, future in self._calls:
                future.set_exception(RuntimeError("the engine does not run"))
            raise

    def _free(self) -> int:
        return self._engine.slots - len(self._running)

    def _wait(self) -> bool:
        with self._changed:
            while not (self._behind() or self._running or self._calls or self._closing):
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
            self._metrics.load(len(self._running), self._behind())
            return not self._closing

    def _do_calls(self) -> None:
        while self._calls:
            function, future = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue  # Who asked has gone.
            try:
                future.set_result(function())
            except Exception as error:  # It is told; answers go on.
                future.set_exception(error)
            self._count_programs()

    def _count_programs(self) -> None:
        self._metrics.compiled(self._engine.compiled + self._labels.compiled)

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
                    asked.tell(Piece("", None, "deadline"))
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
            self._metrics.admitted(asked.name, len(asked.ids), started - asked.arrived)

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
        for slot, row in self._running.items():
            active[slot] = True
            if row.asked.forced:
                forced[slot] = row.asked.forced[len(row.writing.ids)]
        chosen = self._engine.step(active, forced)
        now = time.monotonic()
        self._metrics.stepped(len(self._running))
        for slot, row in [*self._running.items()]:
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
            asked.tell(Piece(text, token, finish))
            if finish is not None:
                del self._running[slot]
                self._metrics.finished(asked.name, finish, now - asked.arrived)
