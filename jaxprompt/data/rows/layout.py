"""Examples -> rows of a batch: cut, behind soft ids, padded or packed."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxprompt.data.rows.lead import common_beginning, made_up_pairs, same_beginning
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.tokens import Pair, Span, soft_place
from jaxprompt.shapes import Batch


@dataclasses.dataclass(frozen=True)
class Layout:
    """How examples become rows.

    Attributes:
        lengths: Longest texts, and with packing the room of a row.
        soft_ids: int32 ids of the prompt [P], put before the inputs of every example;
            empty for no prompt.
        continues: Whether the target goes on where the inputs end, as a decoder-only
            model writes it.
        end: Id of end-of-sequence.
        separator: Id behind which an encoder-only model reads a second text, of token
            type 1; None for models without types.
        lead: Ids that examples begin with, behind which at least one of them follows.
            Where all examples of a batch begin with them, its rows are without them;
            where some do not, without those that all begin with. So any ids are right
            here; the best are those by which every batch has the same lead.
        texts: Texts of an example, each of which is read by itself.
    """

    lengths: Lengths
    soft_ids: Int[np.ndarray, " P"]
    continues: bool
    end: int
    separator: int | None = None
    lead: tuple[int, ...] = ()
    texts: int = 1

    @property
    def width(self) -> int:
        """Source tokens T of a row, where the whole lead is left out of it."""
        one = len(self.soft_ids) + self.lengths.inputs - len(self.lead)
        return self.texts * one

    def together(self, pair: Pair) -> list[Pair]:
        """Returns the texts of an example, which share a row, each `prompted`."""
        return [self.prompted(one) for one in (pair, *pair.beside)]

    def prompted(self, pair: Pair) -> Pair:
        """Cuts an example, then puts the soft ids before it.

        In this order, truncation cuts neither a soft token nor the last id of a text:
        end-of-sequence, or of a decoder's input what its target follows on. A decoder
        has to start from something: inputs without any token become end-of-sequence,
        which parts one text from the next in pre-training.

        Where a text has places for soft tokens, they stand there; without a prompt
        these places are left out.

        Raises:
            ValueError: If there is another number of them.
        """
        kept = kept_tokens(pair, self.lengths.inputs)
        inputs, kept = self._with_soft_tokens(pair.inputs[kept], kept)
        if self.continues and not inputs.size:
            inputs = np.array([self.end], np.int32)
        if pair.learned is not None:  # Several answers, for which there is room.
            return Pair(inputs, pair.targets, learned=pair.learned)
        if pair.places is None:
            most = self.lengths.longest_target or self.lengths.targets
            return Pair(inputs, _cut(pair.targets, most))
        # Where each token of the example has come to stand; the last is for no token.
        moved = np.full(len(pair.inputs) + 1, -1, np.int32)
        moved[kept[kept >= 0]] = np.flatnonzero(kept >= 0)
        return Pair(inputs, pair.targets, places=moved[pair.places])

    def _with_soft_tokens(
        self, text: Int[np.ndarray, " T"], kept: Int[np.ndarray, " T"]
    ) -> tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"]]:
        """Returns the tokens of a row, and where each stood in the example, or -1."""
        soft_ids, is_place = self.soft_ids, text < 0
        count = int(is_place.sum())
        if not count:
            before = np.full(len(soft_ids), -1)
            inputs = np.concatenate([soft_ids, text], dtype=np.int32)
            return inputs, np.concatenate([before, kept])
        if not len(soft_ids):
            return text[~is_place], kept[~is_place]
        if count != len(soft_ids):
            raise ValueError(
                f"the template has places for {count} soft tokens, but "
                f"{len(soft_ids)} stand in a row: give the prompt this length"
            )
        filled = text.copy()
        filled[is_place] = soft_ids[soft_place(0) - text[is_place]]
        return filled, kept

    def rows(self, rows: Sequence[Sequence[Pair]]) -> Batch:
        """Lays the examples of each row one behind the other, padding behind them.

        An encoder-decoder model reads the inputs, and starts each target from id 0. A
        decoder-only model has no start id: the first target is predicted by the last
        input token, which moves to the front of the target's inputs and leaves padding
        behind. Where a head reads the targets, each says at which token.

        Args:
            rows: Of each row, its examples, prompted.

        Returns:
            NumPy arrays of the first member of a bank.
        """
        count, lead = len(rows), self._common_lead(rows)
        left, out = len(self.lead) - len(lead), len(lead)
        width = self.width + left * max(map(len, rows), default=0)
        inputs = np.zeros((count, width), np.int32)
        targets = np.zeros((count, self.lengths.targets), np.int32)
        input_segments, target_inputs, target_segments = (
            np.zeros_like(x) for x in (inputs, targets, targets)
        )
        types = None if self.separator is None else np.zeros_like(inputs)
        places = np.full_like(targets, -1)
        weights = np.zeros(targets.shape, np.float32)
        by_head = any(pair.places is not None for row in rows for pair in row)
        for b, examples in enumerate(rows):
            t = last = 0
            for segment, pair in enumerate(examples, start=1):
                size, length = len(pair.inputs) - out, len(pair.targets)
                read = size - 1 if self.continues else size
                inputs[b, t : t + read] = pair.inputs[out : out + read]
                input_segments[b, t : t + read] = segment
                targets[b, last : last + length] = pair.targets
                target_segments[b, last : last + length] = segment
                learned = True if pair.learned is None else pair.learned
                weights[b, last : last + length] = learned
                target_inputs[b, last + 1 : last + length] = pair.targets[:-1]
                if self.continues:
                    target_inputs[b, last] = pair.inputs[-1]
                if types is not None:
                    ended = np.cumsum(pair.inputs == self.separator)
                    # The separator itself belongs to the text that it ends.
                    types[b, t + 1 : t + size] = np.minimum(ended, 1)[:-1]
                if pair.places is not None:
                    found = np.where(pair.places < 0, -1, pair.places - out + t)
                    places[b, last : last + length] = found
                t, last = t + size, last + length
        arrays: dict[str, Any] = {
            "inputs": inputs,
            "input_segments": input_segments,
            "targets": targets,
            "target_inputs": target_inputs,
            "target_segments": target_segments,
            "weights": weights,
            "members": np.zeros(count, np.int32),
            "input_types": types,
            "lead": lead,
        }
        if by_head:
            # A place that is told to the head is no target.
            arrays["weights"] = ((places >= 0) & (targets > 0)).astype(np.float32)
            arrays["target_places"] = places
        return Batch(**arrays)

    def _common_lead(self, rows: Sequence[Sequence[Pair]]) -> tuple[int, ...]:
        """Returns those ids of the lead that all examples begin with.

        What is in no row is no target's input, and no head reads it.
        """
        if not self.lead:
            return ()
        lead, count = np.array(self.lead, np.int32), len(self.lead)
        for pair in itertools.chain.from_iterable(rows):
            ids = pair.inputs[:-1] if self.continues else pair.inputs
            count = same_beginning(lead[:count], ids)
            if pair.places is not None and (pair.places >= 0).any():
                count = min(count, int(pair.places[pair.places >= 0].min()))
        return self.lead[:count]

    def padded(
        self, pairs: Iterable[Pair], numbers: Int[np.ndarray, " rows"] | None = None
    ) -> Batch:
        """Gives each example a row of its own.

        Args:
            pairs: The examples.
            numbers: Where each stands in its split or file; None if nothing is drawn.
        """
        rows = self.rows([self.together(pair) for pair in pairs])
        drawn: Any = None if numbers is None else numbers.astype(np.int32)
        return dataclasses.replace(rows, row_numbers=drawn)

    def packed(self, pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
        """Yields rows that hold as many examples as fit, in the order of the stream.

        Source: the rows of `seqio.utils.trim_and_pack_dataset`, which begins a new row
        where an example does not fit, and after every so many examples as a row has
        tokens.
        """
        chunk = max(self.width, self.lengths.targets)
        row: list[Pair] = []
        room = (self.width, self.lengths.targets)
        for number, pair in enumerate(map(self.prompted, pairs)):
            sizes = (len(pair.inputs) - len(self.lead), len(pair.targets))
            if row and (
                number % chunk == 0 or sizes[0] > room[0] or sizes[1] > room[1]
            ):
                yield row
                row, room = [], (self.width, self.lengths.targets)
            row.append(pair)
            room = (room[0] - sizes[0], room[1] - sizes[1])
        if row:
            yield row


def layout_of(task: Task, lengths: Lengths, soft_ids: Int[np.ndarray, " P"]) -> Layout:
    """Returns how a task's examples become rows behind soft ids."""
    soft_ids = np.asarray(soft_ids, np.int32)
    continues = task.causal and task.answers is None
    inputs = lengths.inputs + len(task.before_ids)
    lengths = dataclasses.replace(lengths, inputs=inputs)
    texts = 1 if task.answers is None else task.answers.texts
    layout = Layout(
        lengths,
        soft_ids,
        continues,
        task.end,
        task.vocabulary.separator,
        texts=texts,
    )
    if not (lengths.folds and task.causal):
        return layout
    begun = common_beginning(
        layout.prompted(pair).inputs for pair in made_up_pairs(task)
    )
    # Words are never cut as far as this, but by the few tokens that a row may have.
    is_soft = np.isin(begun, soft_ids)
    fits = np.cumsum(~is_soft) < lengths.inputs
    # One token of each example stays in its row, so that even an empty text has one.
    return dataclasses.replace(layout, lead=begun[: int(fits.sum())][:-1])


def with_one_lead(layouts: Sequence[Layout]) -> list[Layout]:
    """Gives layouts whose rows share batches the lead that all of them have."""
    lead = common_beginning(layout.lead for layout in layouts)
    return [dataclasses.replace(layout, lead=lead) for layout in layouts]


def with_sure_lead(layout: Layout) -> Layout:
    """Takes words behind the last soft token out of a lead: only made-up rows had them.

    Where several hosts lay out rows, all must have one lead, though none sees the rows
    of the others. Words in front of soft tokens are tokenised by themselves, so that
    every row has them.
    """
    is_soft = np.flatnonzero(np.isin(layout.lead, layout.soft_ids))
    sure = int(is_soft[-1]) + 1 if is_soft.size else 0
    return dataclasses.replace(layout, lead=layout.lead[:sure])


def sample_rows(num_rows: int, limit: int | None) -> Int[np.ndarray, " rows"]:
    """Picks at most `limit` row numbers at random, always the same, in order."""
    if limit is None or limit >= num_rows:
        return np.arange(num_rows)
    if limit < 1:
        raise ValueError(f"{limit} examples: use 1 or more, or None for all")
    rows = np.random.default_rng(0).choice(num_rows, limit, replace=False)
    return np.sort(rows)


def kept_tokens(pair: Pair, length: int) -> Int[np.ndarray, " T"]:
    """Picks the inputs of an example that stay, where only so many tokens have room.

    Soft ones are not counted.

    Args:
        pair: The example.
        length: Most tokens of its text.

    Returns:
        Their indices: without what was cut of the example's spans, and of the whole
        text where that was not enough, but never without the last id.
    """
    inputs = pair.inputs
    over = int((inputs >= 0).sum()) - length
    everything = np.arange(len(inputs))
    if over <= 0:
        return everything
    if not pair.cut and not (inputs < 0).any():
        return _cut(everything, length)
    kept = np.ones(len(inputs), bool)
    last = int(np.flatnonzero(inputs >= 0)[-1])
    for spans in _together((*pair.cut, Span(0, last))):
        found = [
            np.flatnonzero(kept[a:b] & (inputs[a:b] >= 0)) + a for a, b, _ in spans
        ]
        sizes = [len(places) for places in found]
        left = _in_proportion(max(sum(sizes) - over, 0), sizes)
        for places, count in zip(found, left, strict=True):
            kept[places[count:]] = False
        over -= sum(sizes) - sum(left)
    return everything[kept]


def _together(spans: Iterable[Span]) -> list[list[Span]]:
    """Groups spans that are shortened at once."""
    groups: list[list[Span]] = []
    for span in spans:
        if span.joined:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _in_proportion(total: int, sizes: Sequence[int]) -> list[int]:
    """Shares a total out by sizes, of which it is no more than the sum."""
    whole = max(sum(sizes), 1)
    shares = [total * size // whole for size in sizes]
    rest = total - sum(shares)
    # What rounding leaves goes to those that lost most by it.
    lost = sorted(range(len(sizes)), key=lambda n: -(total * sizes[n] % whole))
    for number in lost[:rest]:
        shares[number] += 1
    return shares


def _cut(ids: Int[np.ndarray, " T"], length: int) -> Int[np.ndarray, " T"]:
    if len(ids) <= length:
        return ids
    return np.concatenate([ids[: length - 1], ids[-1:]])
