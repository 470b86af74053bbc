"""The side of heads: rows of prompts of one shape are answered together."""

import dataclasses
import functools
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxprompt.data.tasks.answers.answers import Answers
from jaxprompt.data.tasks.answers.kinds import KINDS
from jaxprompt.heads.head import Scorer
from jaxprompt.heads.labels import LabelsHead, padded
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.prompt import Prompt, lengthen, shape_of, stack
from jaxprompt.prompts.trained import join_heads
from jaxprompt.serve.slots.engine import check_width, lengths_up_to, room_for
from jaxprompt.shapes import Batch, Params, resize

_LABELS = 8
"""Columns of a head are rounded up to these, so that tasks share programs."""


@dataclasses.dataclass(frozen=True, eq=False)
class GroupMember:
    """A prompt and its head, as one of a group: until nothing refers to it.

    Attributes:
        group: Those that it is scored with.
        place: Its number among them.
        labels: The number of its labels; None where its answers are no labels.
    """

    group: "_Group"
    place: int
    labels: int | None


class LabelRow(NamedTuple):
    """A text to answer, or a window of one.

    Attributes:
        member: The prompt behind which it stands.
        batch: NumPy arrays of one row, laid out by the prompt's task.
        width: Tokens of the program that reads it.
    """

    member: GroupMember
    batch: Batch
    width: int


class LabelEngine:
    """Answers texts behind prompts with heads.

    One thread may score, and one may read prompts meanwhile: no row waits for a program
    that a new prompt needs.

    Prompts of one shape make a group, whose programs they share: as many of them as
    there is room for, which doubles where it is not enough. A text is read by a program
    for the next of a few lengths, whoever shares its batch.
    """

    def __init__(
        self,
        backbone: Backbone,
        model: Params,
        *,
        typed: bool,
        rows: int = 8,
    ):
        """Makes no program yet.

        Args:
            backbone: The frozen model's functions.
            model: Its weights, in their places.
            typed: Whether each token of a text has a type.
            rows: Texts that are answered at once.
        """
        # A single row is not split over devices.
        self._backbone = dataclasses.replace(backbone, mesh=None, attention="chunked")
        self._model, self._typed = model, typed
        self._groups: dict[Any, _Group] = {}
        self.rows = rows

    @property
    def compiled(self) -> int:
        """How many programs were compiled so far."""
        groups = [*self._groups.values()]  # Another thread may add one.
        return sum(group.program._cache_size() for group in groups)

    def read(
        self,
        prompt: Prompt,
        head: Params,
        chooser: Scorer,
        answers: Answers,
        *,
        length: int,
        room: int,
    ) -> GroupMember:
        """Takes a prompt and its head into a group, and compiles what is new.

        Args:
            prompt: A bank of one.
            head: Its weights, a bank of one; {} where the model's own words are scored.
            chooser: How answers are scored.
            answers: What they are.
            length: Targets of a row, as of `Answers.targets`.
            room: Tokens of the longest row: soft tokens and text.

        Raises:
            ValueError: If the prompt or the head does not fit the model or the answers.
        """
        check_width(prompt, self._backbone.width)
        if isinstance(chooser, LabelsHead):
            _check_head(head, self._backbone.width, answers.columns)
            if KINDS[answers.kind].chooses:
                most = -(-answers.columns // _LABELS) * _LABELS
                chooser = dataclasses.replace(chooser, count=most)
                head = padded(head, most)
        prompt = lengthen(prompt, room_for(prompt.length) if prompt.length else 0)
        lengths = lengths_up_to(room)
        key = (chooser, length, shape_of(prompt), lengths)
        if key not in self._groups:
            finds = chooser.likely if answers.labels else chooser.find
            self._groups[key] = _Group(
                self._backbone, self._model, finds, length, lengths, self._typed
            )
        group = self._groups[key]
        place = group.add(prompt, head, self.rows)
        member = GroupMember(group, place, len(answers.labels) or None)
        # Not before the last row is scored that waits for it.
        weakref.finalize(member, group.free.append, place)
        return member

    def rows_of(self, member: GroupMember, batch: Batch) -> list[LabelRow]:
        """Makes rows of those of a batch, without the padding behind them."""
        return [
            self._row(member, jax.tree.map(lambda leaf, n=n: leaf[n : n + 1], batch))
            for n in range(len(batch.inputs))
        ]

    def _row(self, member: GroupMember, batch: Batch) -> LabelRow:
        used = int(np.flatnonzero(batch.input_segments[0])[-1]) + 1
        lengths = member.group.lengths
        width = next(length for length in lengths if length >= used)
        return LabelRow(member, resize(batch, width), width)

    def score(self, rows: Sequence[LabelRow]) -> list[Float[np.ndarray, "..."]]:
        """Returns what the heads find in each row.

        That is the probability [L, C] of each label at each target; where answers are
        no labels, what `Scorer.find` gives.

        Args:
            rows: Of one group and width, `rows` at most.
        """
        group, width = rows[0].member.group, rows[0].width
        filled = [_of_member(row) for row in rows]
        missing = self.rows - len(rows)
        if missing:
            filled.append(group.empty(missing, width))
        batch: Batch = jax.tree.map(lambda *leaves: np.concatenate(leaves), *filled)
        found = group.run(batch)
        return [
            found[number, :, : row.member.labels] for number, row in enumerate(rows)
        ]


def _check_head(head: Params, width: int, columns: int) -> None:
    shapes = [np.shape(head.get(name, ())) for name in ("weight", "bias")]
    if shapes != [(1, width, columns), (1, columns)]:
        told = " and ".join(str([*shape[1:]]) for shape in shapes)
        raise ValueError(
            f"a head of weights {told} for a model of width {width} and {columns} "
            "labels: the file is damaged, or made for another model"
        )


def _of_member(row: LabelRow) -> Batch:
    members: Any = np.array([row.member.place], np.int32)
    return dataclasses.replace(row.batch, members=members)


class _Group:
    """Prompts of one shape with heads of one kind.

    Attributes:
        program: From the joined tree and a batch to what the heads find.
        lengths: Tokens that rows are padded to.
        free: Places that prompts have left.
    """

    def __init__(
        self,
        backbone: Backbone,
        model: Params,
        finds: Callable[[Backbone, Params, Batch], Array],
        length: int,
        lengths: tuple[int, ...],
        typed: bool,
    ):
        self.program: Any = jax.jit(functools.partial(finds, backbone))
        self._model, self._length, self._typed = model, length, typed
        self.lengths = lengths
        self._members: list[tuple[Prompt, Params]] = []
        self._params: Params = {}
        self.free: list[int] = []

    def add(self, prompt: Prompt, head: Params, rows: int) -> int:
        """Adds a member, and compiles what scores so many rows; returns its place."""
        if not self.free:
            gc.collect()  # A request that failed may still hold a prompt that has gone.
        place = self.free.pop() if self.free else len(self._members)
        self._members[place : place + 1] = [(prompt, head)]
        count = 1 << (len(self._members) - 1).bit_length()
        filled = [*self._members, *[self._members[-1]] * (count - len(self._members))]
        prompts, heads = zip(*filled, strict=True)
        held = {"prompt": stack(prompts), "head": join_heads(heads)}
        params = {"model": self._model, **jax.block_until_ready(held)}
        for width in self.lengths:
            self.program(params, self.empty(rows, width))
        # Only now: who scores meanwhile goes on with the programs that there were.
        self._params = params
        return place

    def run(self, batch: Batch) -> np.ndarray:
        """Returns what the heads find in the rows of a batch."""
        return np.asarray(self.program(self._params, batch))

    def empty(self, rows: int, width: int) -> Batch:
        """Makes rows without any text."""
        inputs = np.zeros((rows, width), np.int32)
        targets = np.zeros((rows, self._length), np.int32)
        arrays: dict[str, Any] = {
            "inputs": inputs,
            "input_segments": inputs,
            "targets": targets,
            "target_inputs": targets,
            "target_segments": targets,
            "weights": targets.astype(np.float32),
            "members": np.zeros(rows, np.int32),
            "input_types": inputs if self._typed else None,
            "target_places": targets - 1,
        }
        return Batch(**arrays)
