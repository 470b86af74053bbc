"""The decoder's side of a server: rows of different prompts, in one compiled step."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxprompt.models.backbone import Backbone, SlotWriter
from jaxprompt.models.slots import Slots
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.join import embed
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.serve.slots.engine import (
    FREE,
    SHORTEST,
    Chosen,
    Ready,
    Sampling,
    TokenChoices,
    check_room,
    check_width,
    choose,
    lengths_up_to,
    room_for,
    whole_beside,
)
from jaxprompt.serve.slots.front import check_deep, deep_row
from jaxprompt.shapes import Params


class _Front(NamedTuple):
    """A prompt that was read once.

    Attributes:
        slots: What it and the lead left, a single row.
        soft: Its soft tokens, for those that stand in a text's row; padded.
    """

    slots: Slots
    soft: Float[Array, "1 P D"]

    def resize(self, room: int) -> "_Front":
        """Makes room for so many tokens."""
        missing = room - self.soft.shape[1]
        soft = jnp.pad(self.soft, [(0, 0), (0, missing), (0, 0)])
        return _Front(self.slots.resize(room), soft)


class _Text(NamedTuple):
    """A text that is not read to its end yet.

    Attributes:
        front: The prompt in front of it.
        ids: Its row, the last id among them, which the first step reads.
        read: How many of these are read.
    """

    front: _Front
    ids: list[int]
    read: int = 0


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _State:
    """What the devices hold between steps, of each slot.

    Attributes:
        slots: Keys and values.
        soft: What the token to read next is, where that is a soft one.
        ids: Its id; that of a prompt's first soft token for any of them.
    """

    slots: Slots
    soft: Float[Array, "S 1 D"]
    ids: Int[Array, " S"]


class SlotEngine:
    """An `Engine` of a decoder: rows join and leave between any two steps.

    A prompt or a text is read in pieces of a length that follows from itself alone, so
    that its keys and values do not depend on who shares the batch.

    Attributes:
        piece: Tokens of the longest piece.
        grown: How often `prompt_room` was made larger.
    """

    delay = 0.0

    def __init__(
        self,
        backbone: Backbone,
        model: Params,
        *,
        slots: int = 8,
        capacity: int = 1024,
        prompt_room: int = 16,
        piece: int = 64,
        batch_invariant: bool = False,
    ):
        """Makes empty slots; nothing is compiled yet.

        Args:
            backbone: The frozen model's functions, of a decoder.
            model: Its weights, in their places.
            slots: How many answers are written at once.
            capacity: Tokens of a slot, no more than the model has positions.
            prompt_room: Tokens of the longest prompt that is expected.
            piece: Tokens that are read at once.
            batch_invariant: Takes one program for every step, that of all slots, so
                that not even the rounding of a row's numbers depends on the others.
                Else a step is one of the first slots that are busy.

        Raises:
            ValueError: If the model does not write in slots, or a number is too small.
        """
        # A single row is not split over devices.
        backbone = dataclasses.replace(backbone, mesh=None, attention="chunked")
        if not isinstance(backbone, SlotWriter):
            raise ValueError(
                f"{backbone.name} does not write in slots: only decoders do"
            )
        if slots < 1 or capacity < 2 * SHORTEST:
            raise ValueError(
                f"{slots} slots of {capacity} tokens: use 1 or more, of "
                f"{2 * SHORTEST} or more"
            )
        self._backbone, self._model = backbone, model
        self.slots, self.capacity = slots, capacity
        self.prompt_room = room_for(prompt_room)
        self.piece = min(piece, capacity)
        self.lengths = lengths_up_to(self.piece)
        self._sizes = (
            [(slots, capacity)] if batch_invariant else _step_sizes(slots, capacity)
        )
        self._tokens = np.zeros(slots, np.int32)
        self.grown = 0
        self._choices = TokenChoices(slots, backbone.vocab_rows)
        self._texts: dict[int, _Text] = {}
        whole = whole_beside(model)
        self._place = functools.partial(jax.device_put, device=whole)
        self._state = self._empty()
        self._dtype = self._state.slots.keys.dtype
        # Left in another place by one program, a state would compile the next anew.
        placed = functools.partial(jax.jit, out_shardings=whole)
        self._fold: Any = placed(functools.partial(_fold, backbone))
        self._fill: Any = placed(functools.partial(_fill, backbone), donate_argnums=1)
        self._go_on: Any = placed(functools.partial(_go_on, backbone), donate_argnums=1)
        self._step: Any = placed(
            functools.partial(_step, backbone),
            donate_argnums=1,
            static_argnames="columns",
        )

    @property
    def compiled(self) -> int:
        """How many programs were compiled so far."""
        programs = (self._fold, self._fill, self._go_on, self._step)
        return sum(program._cache_size() for program in programs)

    def warm(self) -> None:
        """Compiles all programs, so that no request waits for one."""
        self._compile(self.prompt_room)
        nobody = np.zeros(self.slots, bool)
        for rows, columns in self._sizes:
            self._step_first(rows, columns, nobody, np.full(self.slots, FREE, np.int32))

    def _compile(self, room: int) -> None:
        """Compiles what depends on the room of prompts; no slot is touched."""
        front, state = self._front(self._none, room), self._empty()
        for shorter, length in zip((0, *self.lengths), self.lengths, strict=False):
            none = (np.zeros((1, length), np.int32), np.int32(0))
            if shorter < room:  # Else no lead is as long.
                self._fold_piece(front, *none)
            for program, behind in ((self._fill, front), (self._go_on, front.soft)):
                slot = last = np.int32(0)
                state = program(self._model, state, slot, behind, *none, last)

    @property
    def _none(self) -> Prompt:
        return Prompt(jnp.zeros((1, 0, self._backbone.width)))

    def read(self, prompt: Prompt | None, lead: Sequence[int] = ()) -> Ready:
        """Reads a prompt once, for any number of answers.

        Args:
            prompt: A bank of one; None for no prompt.
            lead: Ids that all texts behind it begin with, soft ones among them.

        Raises:
            ValueError: If it does not fit the model or the slots.
        """
        prompt = self._none if prompt is None else prompt
        check_width(prompt, self._backbone.width)
        check_deep(self._backbone, prompt)
        deep = prompt.deep.get("decoder")
        columns = 0 if deep is None else deep.length
        tokens = len(lead) + columns
        self._make_room(max(tokens, prompt.length))
        front = self._front(prompt, self.prompt_room)
        for start in range(0, len(lead), self.piece):
            ids, count = self._padded(lead[start : start + self.piece])
            # Steps stand behind no more than one piece.
            front = jax.block_until_ready(self._fold_piece(front, ids, count))
        return Ready(front, tuple(lead), tokens)

    def _front(self, prompt: Prompt, room: int) -> _Front:
        """Lays a prompt out with nothing read behind it yet."""
        # By NumPy: JAX would compile a slice for each length.
        soft: Any = np.zeros((1, room, prompt.width), np.float32)
        soft[:, : prompt.length] = np.asarray(prompt.rows)
        slots = deep_row(self._backbone, prompt, room, self._dtype)
        return self._place(_Front(slots, soft))

    def _fold_piece(
        self, front: _Front, ids: Int[np.ndarray, "1 T"], count: np.int32
    ) -> _Front:
        slots = self._fold(self._model, front, ids, count)
        # The same place as of an empty one: another place would compile anew.
        return front._replace(slots=self._place(slots))

    def _padded(self, ids: Sequence[int]) -> tuple[Int[np.ndarray, "1 T"], np.int32]:
        """Pads a piece to a length that is compiled; returns how many tokens it has."""
        length = next(length for length in self.lengths if length >= len(ids))
        padded = np.zeros((1, length), np.int32)
        padded[0, : len(ids)] = ids
        return padded, np.int32(len(ids))

    def room(self, ready: Ready, ids: list[int]) -> int:
        """Returns how many tokens an answer behind these may have; below 1 for none."""
        # The last chosen token is not read.
        return self.capacity - ready.tokens - len(ids) + 1

    def takes(self, ids: list[int], *, busy: bool) -> bool:
        """Always: rows join between any two steps."""
        del ids, busy
        return True

    def fill(self, slot: int, ready: Ready, ids: list[int], how: Sampling) -> None:
        """Keeps a text until it is read; see `Engine.fill`."""
        front: _Front = ready.held
        if front.slots.capacity < self.prompt_room:  # It was read before this grew.
            front = front.resize(self.prompt_room)
        self._texts[slot] = _Text(front, ids)
        self._tokens[slot] = ready.tokens
        self._choices.start(slot, how)

    def is_read(self, slot: int) -> bool:
        """Whether all of a text is read but its last token; see `Engine.is_read`."""
        return slot not in self._texts

    def read_piece(self, slot: int) -> int:
        """Reads a piece of a text, but not its last token; see `Engine.read_piece`."""
        front, ids, read = self._texts.pop(slot)
        end = min(read + self.piece, len(ids) - 1)
        padded, count = self._padded(ids[read:end])
        program, behind = (self._go_on, front.soft) if read else (self._fill, front)
        self._state = program(
            self._model,
            self._state,
            np.int32(slot),
            behind,
            padded,
            count,
            np.int32(ids[end]),
        )
        self._tokens[slot] += count
        if end < len(ids) - 1:
            self._texts[slot] = _Text(front, ids, end)
        return padded.shape[1]

    def step(
        self,
        active: Bool[np.ndarray, " S"],
        forced: Int[np.ndarray, " S"] | None = None,
    ) -> Chosen:
        """Chooses the next token of each active slot; see `Engine.step`."""
        for slot in np.flatnonzero(active).tolist():
            while not self.is_read(slot):
                self.read_piece(slot)
        if forced is None:
            forced = np.full(self.slots, FREE, np.int32)
        busy = np.flatnonzero(active)
        rows, columns = (
            (busy[-1] + 1, self._tokens[busy].max()) if busy.size else (1, 1)
        )
        smallest = next(
            size for size in self._sizes if size[0] >= rows and size[1] >= columns
        )
        chosen = self._step_first(*smallest, active, forced)
        self._tokens += active
        self._choices.count(active)
        return chosen

    def _step_first(
        self,
        rows: int,
        columns: int,
        active: Bool[np.ndarray, " S"],
        forced: Int[np.ndarray, " S"],
    ) -> Chosen:
        """Steps the first slots, whose tokens stand in so many columns."""
        choices = tuple(x[:rows] for x in self._choices.arrays)
        self._state, found = self._step(
            self._model,
            self._state,
            active[:rows],
            forced[:rows],
            choices,
            columns=columns,
        )
        missing = self.slots - rows
        return Chosen(
            *(
                np.pad(x, [(0, missing), *[(0, 0)] * (x.ndim - 1)])
                for x in map(np.asarray, found)
            )
        )

    def _make_room(self, tokens: int) -> None:
        check_room(tokens, self.capacity)
        if tokens > self.prompt_room:
            room = room_for(tokens)
            self._compile(room)
            # Only now: texts that are read meanwhile use the programs that there were.
            self.prompt_room = room
            self.grown += 1

    def _empty(self) -> _State:
        backbone, count = self._backbone, self.slots
        return self._place(
            _State(
                backbone.start_slots(count, self.capacity),
                jnp.zeros((count, 1, backbone.width), jnp.float32),
                jnp.zeros(count, jnp.int32),
            )
        )


def _fold(
    backbone: SlotWriter, model: Params, front: _Front, ids: Array, count: Array
) -> Slots:
    """Reads a piece of what all texts begin with, behind what is read of a prompt."""
    return _extend(backbone, model, front.slots, front.soft, ids, count)


def _fill(
    backbone: SlotWriter,
    model: Params,
    state: _State,
    slot: Array,
    front: _Front,
    ids: Array,
    count: Array,
    last: Array,
) -> _State:
    """Reads the first piece of a text behind a prompt, in place of what a slot held.

    Args:
        backbone: The model's functions.
        model: Its weights.
        state: Of all slots.
        slot: The slot's number.
        front: The prompt.
        ids: The piece, padding behind it.
        count: How many of these are its tokens.
        last: The id behind them, which is read next.
    """
    wide = front.slots.resize(front.slots.capacity + ids.shape[1])
    row = _extend(backbone, model, wide, front.soft, ids, count)
    row = row.resize(state.slots.capacity)
    return _put(backbone, state, slot, row, front.soft, last)


def _go_on(
    backbone: SlotWriter,
    model: Params,
    state: _State,
    slot: Array,
    soft: Float[Array, "1 P D"],
    ids: Array,
    count: Array,
    last: Array,
) -> _State:
    """Reads another piece of a text, behind what its slot holds; see `_fill`."""
    row = _extend(backbone, model, state.slots.take(slot), soft, ids, count)
    return _put(backbone, state, slot, row, soft, last)


def _extend(
    backbone: SlotWriter,
    model: Params,
    row: Slots,
    soft: Float[Array, "1 P D"],
    ids: Array,
    count: Array,
) -> Slots:
    one = jnp.zeros(1, jnp.int32)
    x = embed(backbone.table(model), Prompt(soft), ids, one)
    return backbone.extend_slots(model, row, Tokens(x, _first(ids.shape[1], count)))


def _put(
    backbone: SlotWriter,
    state: _State,
    slot: Array,
    row: Slots,
    soft: Float[Array, "1 P D"],
    last: Array,
) -> _State:
    first = backbone.vocab_rows
    place = jnp.clip(last - first, 0, soft.shape[1] - 1)
    return _State(
        state.slots.put(slot, row),
        state.soft.at[slot].set(soft[0, place][None]),
        state.ids.at[slot].set(jnp.minimum(last, first)),
    )


def _step(
    backbone: SlotWriter,
    model: Params,
    state: _State,
    active: Array,
    forced: Array,
    choices: tuple[Array, ...],
    *,
    columns: int,
) -> tuple[_State, tuple[Array, ...]]:
    """Reads a token of each active slot among the first R, and chooses the next."""
    rows = len(active)
    members, ids = jnp.arange(rows, dtype=jnp.int32), state.ids[:rows]
    soft = Prompt(state.soft[:rows])
    y = embed(backbone.table(model), soft, ids[:, None], members)[:, 0]
    logits, slots = backbone.step_slots(model, state.slots, y, active, columns=columns)
    chosen = choose(logits, ids, active, forced, choices)
    ids = state.ids.at[:rows].set(chosen[0])
    return dataclasses.replace(state, slots=slots, ids=ids), chosen


def _step_sizes(slots: int, capacity: int) -> list[tuple[int, int]]:
    """Returns how many rows and columns the steps read that are compiled.

    A step computes each row, and reads the keys and values of each column. A server at
    its limits needs all of them; for a single client with a short text they would take
    many times as long as its own.
    """
    rows = dict.fromkeys((1, max(slots // 4, 1), slots))
    columns = dict.fromkeys((max(capacity // 4, SHORTEST), capacity))
    return sorted(itertools.product(rows, columns))


def _first(length: int, count: Array) -> Int[Array, "1 T"]:
    """Returns the segments of a row whose first `count` tokens are real."""
    return (jnp.arange(length)[None] < count).astype(jnp.int32)
