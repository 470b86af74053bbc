"""The side of a model with an encoder: rows that are read together answer together."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxprompt.models.backbone import Backbone, Writer
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
from jaxprompt.shapes import Params

_DELAY = 0.003


class BatchEngine:
    """An `Engine` of an encoder-decoder model.

    All rows of a batch are at the same token of their answers, so no row joins one that
    has begun. The texts of a batch are padded to one of a few lengths, the same one for
    all, so that a text is always read by the same program, whoever shares the batch.

    Attributes:
        grown: How often `prompt_room` was made larger.
    """

    delay = _DELAY

    def __init__(
        self,
        backbone: Backbone,
        model: Params,
        *,
        slots: int = 8,
        capacity: int = 1024,
        prompt_room: int = 16,
        answer: int = 256,
    ):
        """Makes empty slots; nothing is compiled yet.

        Args:
            backbone: The frozen model's functions.
            model: Its weights, in their places.
            slots: Rows of a batch.
            capacity: Tokens of a row: prompt and text.
            prompt_room: Tokens of the longest prompt that is expected.
            answer: Tokens of the longest answer.

        Raises:
            ValueError: If the model writes nothing, or a number is too small.
        """
        backbone = dataclasses.replace(backbone, mesh=None, attention="chunked")
        if not isinstance(backbone, Writer):
            raise ValueError(
                f"{backbone.name} writes no words, so it is not served: "
                "`jaxprompt predict` answers with it and a head"
            )
        if slots < 1 or capacity < 2 * SHORTEST or answer < 1:
            raise ValueError(
                f"{slots} slots of {capacity} tokens: use 1 or more, of "
                f"{2 * SHORTEST} or more"
            )
        self._backbone, self._model, self._answer = backbone, model, answer
        self.slots, self.capacity = slots, capacity
        self.prompt_room = room_for(prompt_room)
        self.lengths = lengths_up_to(capacity)
        self.grown = 0
        self._choices = TokenChoices(slots, backbone.vocab_rows)
        self._filled: dict[int, tuple[Ready, list[int]]] = {}
        self._index = 0
        self._cache: Any = None
        whole = whole_beside(model)
        self._place = functools.partial(jax.device_put, device=whole)
        self._ids: Any = self._no_ids()
        placed = functools.partial(jax.jit, out_shardings=whole)
        self._read_rows: Any = placed(functools.partial(_read, backbone, answer))
        self._step: Any = placed(functools.partial(_step, backbone))

    @property
    def compiled(self) -> int:
        """How many programs were compiled so far."""
        return sum(x._cache_size() for x in (self._read_rows, self._step))

    def warm(self) -> None:
        """Compiles all programs, so that no request waits for one."""
        for length in self.lengths:
            self._start({}, length)
            self.step(np.zeros(self.slots, bool))

    def read(self, prompt: Prompt | None, lead: Sequence[int] = ()) -> Ready:
        """Keeps a prompt's soft tokens; see `Engine.read`.

        An encoder lets every token see every other, so nothing is read before a text.
        """
        if lead:
            raise ValueError(f"a lead of {len(lead)} tokens: an encoder folds none")
        width = self._backbone.width
        if prompt is None:
            prompt = Prompt(jnp.zeros((1, 0, width)))
        if prompt.deep:
            raise ValueError(
                f"a prompt of {prompt.told}: of a model with an encoder, prompts of "
                "soft tokens alone are served; `jaxprompt predict` answers with others"
            )
        check_width(prompt, width)
        tokens = prompt.length
        check_room(tokens, self.capacity)
        if tokens > self.prompt_room:
            room = room_for(tokens)
            for length in self.lengths:
                self._read_rows(self._model, *self._no_texts(length, room))
            # Only now: texts that are read meanwhile use the programs that there were.
            self.prompt_room = room
            self.grown += 1
        return Ready(np.asarray(prompt.rows, np.float32)[0], (), 0)

    def room(self, ready: Ready, ids: list[int]) -> int:
        """Returns the same for every text that fits; see `Engine.room`."""
        del ready
        return self._answer if len(ids) <= self.capacity else 0

    def takes(self, ids: list[int], *, busy: bool) -> bool:
        """Whether a batch begins, for texts of this length."""
        others = {self._length_of(other) for _, other in self._filled.values()}
        return not busy and others <= {self._length_of(ids)}

    def fill(self, slot: int, ready: Ready, ids: list[int], how: Sampling) -> None:
        """Keeps a text until the next step reads it; see `Engine.fill`."""
        self._filled[slot] = (ready, ids)
        self._choices.start(slot, how)

    def is_read(self, slot: int) -> bool:
        """Always: the next step reads all texts of its batch."""
        del slot
        return True

    def read_piece(self, slot: int) -> int:
        """Is never asked."""
        raise NotImplementedError

    def step(
        self,
        active: Bool[np.ndarray, " S"],
        forced: Int[np.ndarray, " S"] | None = None,
    ) -> Chosen:
        """Chooses the next token of each active slot; see `Engine.step`."""
        if forced is None:
            forced = np.full(self.slots, FREE, np.int32)
        if self._filled:
            (length,) = {self._length_of(ids) for _, ids in self._filled.values()}
            self._start(self._filled, length)
            self._filled = {}
        chosen, self._cache = self._step(
            self._model,
            self._cache,
            self._ids,
            np.int32(self._index),
            active,
            forced,
            self._choices.arrays,
        )
        self._ids = chosen[0]
        self._index += 1
        self._choices.count(active)
        return Chosen(*map(np.asarray, chosen))

    def _length_of(self, ids: list[int]) -> int:
        return next(length for length in self.lengths if length >= len(ids))

    def _start(self, filled: dict[int, tuple[Ready, list[int]]], length: int) -> None:
        """Reads a batch of texts, each behind its own prompt."""
        rows, inputs, segments = self._no_texts(length, self.prompt_room)
        for slot, (ready, ids) in filled.items():
            inputs[slot, : len(ids)], segments[slot, : len(ids)] = ids, 1
            rows[slot, : len(ready.held)] = ready.held
        self._cache = self._read_rows(self._model, rows, inputs, segments)
        # Every answer begins behind id 0.
        self._ids, self._index = self._no_ids(), 0

    def _no_texts(self, length: int, room: int) -> tuple[np.ndarray, ...]:
        """Returns prompts' rows, inputs and their segments, without any text."""
        rows = np.zeros((self.slots, room, self._backbone.width), np.float32)
        inputs = np.zeros((self.slots, length), np.int32)
        return rows, inputs, np.zeros_like(inputs)

    def _no_ids(self) -> Array:
        return self._place(np.zeros(self.slots, np.int32))


def _read(
    backbone: Writer,
    answer: int,
    model: Params,
    rows: Float[Array, "S P D"],
    inputs: Int[Array, "S T"],
    segments: Int[Array, "S T"],
) -> Any:
    """Encodes texts, each behind the prompt of its own slot."""
    members = jnp.arange(len(rows), dtype=jnp.int32)
    x = embed(backbone.table(model), Prompt(rows), inputs, members)
    encoded = backbone.encode(model, Tokens(x, segments))
    return backbone.start_cache(model, encoded, answer)


def _step(
    backbone: Writer,
    model: Params,
    cache: Any,
    ids: Int[Array, " S"],
    index: Int[Array, ""],
    active: Bool[Array, " S"],
    forced: Int[Array, " S"],
    choices: tuple[Array, ...],
) -> tuple[tuple[Array, ...], Any]:
    """Reads a token of each row, and chooses the next."""
    members = jnp.arange(len(ids), dtype=jnp.int32)
    none = Prompt(jnp.zeros((len(ids), 0, backbone.width), jnp.float32))
    y = embed(backbone.table(model), none, ids[:, None], members)[:, 0]
    logits, cache = backbone.decode_step(model, cache, y, index)
    return choose(logits, ids, active, forced, choices), cache
