"""Training on conversations: answers that go on from others are learned in their row.

Behind the same tokens a decoder says the same, so that one pass over a conversation
teaches all of its answers what a pass over each alone would.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxprompt.data.read.sources import Features, SplitRows
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.tokens import Pair, Span

_PADDED_TOGETHER = 8
"""Rows that are padded to one length: those of a batch, or of a part of one."""


class _Answer(NamedTuple):
    """One of a chain's answers.

    Attributes:
        number: Of its example.
        start: Its first token in the chain, in front of which its inputs stand.
        stop: One behind its last.
        cut: What of its inputs is cut first where they are too long.
    """

    number: int
    start: int
    stop: int
    cut: tuple[Span, ...]


class _Chain(NamedTuple):
    """Examples each of which begins with all tokens of the one before it.

    Attributes:
        ids: The tokens of the last one, its answer among them.
        answers: Where the answer of each stands.
    """

    ids: Int[np.ndarray, " T"]
    answers: list[_Answer]

    def shared(self, inputs: int, targets: int) -> Iterator[list[_Answer]]:
        """Yields the answers that share a row, in order; see `Threads`."""
        row: list[_Answer] = []
        for answer in self.answers:
            if row and (row[0].start > inputs or answer.stop - row[0].start > targets):
                yield row
                row = []
            row.append(answer)
        yield row

    def pair(self, row: list[_Answer]) -> Pair:
        """Lays out answers that share a row."""
        start, stop = row[0].start, row[-1].stop
        inputs, targets = self.ids[:start], self.ids[start:stop]
        if len(row) == 1:
            return Pair(inputs, targets, row[0].cut)
        learned = np.zeros(len(targets), bool)
        for answer in row:
            learned[answer.start - start : answer.stop - start] = True
        return Pair(inputs, targets, learned=learned)


@dataclasses.dataclass(frozen=True)
class Threads:
    """A split of a decoder's task, whose rows may be answers of one conversation.

    Two answers share a row if the second one's inputs begin with all tokens of the
    first example. Where a template writes an answer otherwise once others follow, or a
    text has other tokens in its middle than at its end, they do not.

    Attributes:
        task: The task.
        split: The split that training reads.
    """

    task: Task
    split: str

    def best_room(self, inputs: int, targets: int, most: int) -> int:
        """Returns the target tokens of a row with which training computes least.

        Args:
            inputs: Most tokens of an input.
            targets: Most tokens of an answer.
            most: Most target tokens of a row.

        Returns:
            `targets`, or twice, four times, ... as much.
        """
        rooms = [targets]
        while 2 * rooms[-1] <= most:
            rooms.append(2 * rooms[-1])

        def computed(room: int) -> float:
            rows = [row for chain in self._chains for row in chain.shared(inputs, room)]
            starts = np.array([min(row[0].start, inputs) for row in rows])
            # A batch is padded to its longest input.
            drawn = np.random.default_rng(0).permutation(starts)
            longest = np.maximum.reduceat(drawn, range(0, len(drawn), _PADDED_TOGETHER))
            return len(rows) * (float(longest.mean()) + room)

        return min(rooms, key=computed)

    def in_shared_rows(self, inputs: int, targets: int) -> Task:
        """Returns the task with answers of a conversation in one row where they fit.

        Args:
            inputs: Most tokens of an input: where more stand in front of an answer, it
                has a row of its own, which is cut.
            targets: Most tokens of a row behind its inputs.
        """
        found = [
            (chain, row)
            for chain in self._chains
            for row in chain.shared(inputs, targets)
        ]
        first = [row[0].number for _, row in found]
        if len(found) == self.task.num_examples(self.split):
            return self.task

        def read() -> list[Features]:
            rows = self.task.source.rows(self.split)
            return [rows[number] for number in first]

        def places() -> list[str]:
            return self.task.source.places(self.split, first)

        note = (
            f"{self.task.num_examples(self.split):,} answers are learned in "
            f"{len(found):,} row{'s' * (len(found) != 1)}: those of a conversation "
            f"share one of up to {targets} target tokens"
        )
        return self.task.with_rows(
            {self.split: SplitRows(read, places=places, note=lambda: note)},
            {self.split: [chain.pair(row) for chain, row in found]},
        )

    @functools.cached_property
    def _chains(self) -> list[_Chain]:
        chains: list[_Chain] = []
        thread: Any = None
        rows = self.task.source.rows(self.split)
        pairs = self.task.pairs(self.split, range(len(rows)))
        for number, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
            ids = np.concatenate([pair.inputs, pair.targets])
            answer = _Answer(number, len(pair.inputs), len(ids), pair.cut)
            if row[self.task.thread] == thread and _goes_on(pair, chains[-1].ids):
                chains[-1] = _Chain(ids, [*chains[-1].answers, answer])
            else:
                chains.append(_Chain(ids, [answer]))
            thread = row[self.task.thread]
        return chains


def _goes_on(pair: Pair, before: Int[np.ndarray, " T"]) -> bool:
    """Whether an example begins with all tokens of the one before it."""
    return np.array_equal(pair.inputs[: len(before)], before)
