"""What any engine offers: it reads prompts and texts, and chooses tokens of rows."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxprompt.evaluate.draw import draw
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.shapes import Params

TOP = 5
"""How many of the likeliest tokens are told with each chosen one."""

SHORTEST = 16
"""Tokens of the shortest text that has a compiled program of its own."""

FREE = -1
"""In the place of a token that is not forced."""


class Sampling(NamedTuple):
    """How the tokens of one answer are chosen.

    Attributes:
        temperature: 0 for the likeliest token; above, what logits are divided by.
        top_p: Probability of the nucleus, above 0, up to 1.
        top_k: How many tokens may be drawn; 0 for no limit.
        seed: From which the draws follow, from 0 to 2**32 - 1.
        choice: Number of the answer among those to one question, from 0; each has
            draws of its own.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    choice: int = 0


GREEDY = Sampling()
"""Always the likeliest token."""


class Ready(NamedTuple):
    """A prompt that was read once, for any number of texts behind it.

    Attributes:
        held: What the engine made of it: its own.
        lead: Ids that were read with it, and stand in no row.
        tokens: Those, and keys and values in each layer: what is in front of a row.
    """

    held: Any
    lead: tuple[int, ...]
    tokens: int


class Chosen(NamedTuple):
    """The next token of each slot.

    Attributes:
        ids: The tokens.
        log_probs: Of each, in nats, before temperature and nucleus.
        top_ids: The `TOP` likeliest tokens.
        top_log_probs: Of these.
    """

    ids: Int[np.ndarray, " S"]
    log_probs: Float[np.ndarray, " S"]
    top_ids: Int[np.ndarray, "S 5"]
    top_log_probs: Float[np.ndarray, "S 5"]


class Engine(Protocol):
    """Slots for answers, and what is compiled for them.

    One thread may let it write, and one may let it read prompts meanwhile.

    Attributes:
        slots: How many answers are written at once, S.
        capacity: Tokens of a slot: prompt, text and answer.
        prompt_room: Tokens that a prompt may have until it is made larger.
        lengths: Texts, or their pieces, are read by a program for the next of these
            lengths.
        delay: Seconds that a first answer waits for others to share its batch.
    """

    slots: int
    capacity: int
    prompt_room: int
    lengths: tuple[int, ...]
    delay: float

    @property
    def compiled(self) -> int:
        """How many programs were compiled so far."""
        ...

    def warm(self) -> None:
        """Compiles all programs, so that no request waits for one."""
        ...

    def read(self, prompt: Prompt | None, lead: Sequence[int] = ()) -> Ready:
        """Reads a prompt once, for any number of answers.

        Args:
            prompt: A bank of one; None for no prompt.
            lead: Ids that all texts behind it begin with, soft ones among them.

        Raises:
            ValueError: If it cannot be served.
        """
        ...

    def room(self, ready: Ready, ids: list[int]) -> int:
        """Returns how many tokens an answer may have; below 1 for none.

        Args:
            ready: The prompt.
            ids: The text's row: one id or more.
        """
        ...

    def takes(self, ids: list[int], *, busy: bool) -> bool:
        """Whether a text can be read now.

        Args:
            ids: Its row.
            busy: Whether other slots write already.
        """
        ...

    def fill(self, slot: int, ready: Ready, ids: list[int], how: Sampling) -> None:
        """Takes a text behind a prompt into a slot that is free.

        It is read by `read_piece`; what is left of it by the step in which its slot is
        active.

        Args:
            slot: Its number.
            ready: The prompt.
            ids: Its row, soft tokens among them, without the lead; there is room.
            how: How the answer's tokens are chosen.
        """
        ...

    def is_read(self, slot: int) -> bool:
        """Whether no piece of a slot's text is left to read."""
        ...

    def read_piece(self, slot: int) -> int:
        """Reads the next piece of a slot's text, of which some is left.

        Returns:
            The tokens that it took the time of: padding counts.
        """
        ...

    def step(
        self,
        active: Bool[np.ndarray, " S"],
        forced: Int[np.ndarray, " S"] | None = None,
    ) -> Chosen:
        """Chooses the next token of each active slot; the others' say nothing.

        Args:
            active: Slots that write.
            forced: The token that a slot shall write, `FREE` where it chooses; None
                where all do.
        """
        ...


class NoEngine:
    """The `Engine` of a model that writes no words."""

    slots = capacity = prompt_room = compiled = 0
    lengths: tuple[int, ...] = ()
    delay = 0.0

    def __init__(self, name: str):
        """Takes the model's name."""
        self._name = name

    def warm(self) -> None:
        """Compiles nothing."""

    def read(self, prompt: Prompt | None, lead: Sequence[int] = ()) -> Ready:
        """Refuses a prompt that answers in words."""
        del prompt, lead
        raise ValueError(
            f"{self._name} writes no words, so that prompts answer by heads alone: "
            "train one with --gin.HEAD and --gin.TRAINS=\"'prompt+head'\""
        )

    def room(self, ready: Ready, ids: list[int]) -> int:
        """Has none."""
        del ready, ids
        return 0

    def takes(self, ids: list[int], *, busy: bool) -> bool:
        """Takes none."""
        del ids, busy
        return False

    def fill(self, slot: int, ready: Ready, ids: list[int], how: Sampling) -> None:
        """Is never asked."""
        raise NotImplementedError

    def is_read(self, slot: int) -> bool:
        """Is never asked."""
        raise NotImplementedError

    def read_piece(self, slot: int) -> int:
        """Is never asked."""
        raise NotImplementedError

    def step(
        self,
        active: Bool[np.ndarray, " S"],
        forced: Int[np.ndarray, " S"] | None = None,
    ) -> Chosen:
        """Is never asked."""
        raise NotImplementedError


class TokenChoices:
    """How the tokens of each slot are chosen, and how many were."""

    def __init__(self, slots: int, vocab_rows: int):
        """Starts with the likeliest tokens.

        Args:
            slots: Slots S.
            vocab_rows: Ids V, which stands for no limit.
        """
        self._vocab_rows = vocab_rows
        self._temperature = np.zeros(slots, np.float32)
        self._top_p = np.ones(slots, np.float32)
        self._top_k = np.full(slots, vocab_rows, np.int32)
        self._seed = np.zeros(slots, np.uint32)
        self._choice = np.zeros(slots, np.int32)
        self._drawn = np.zeros(slots, np.int32)

    def start(self, slot: int, how: Sampling) -> None:
        """Begins an answer."""
        self._temperature[slot], self._top_p[slot] = how.temperature, how.top_p
        self._top_k[slot] = min(how.top_k or self._vocab_rows, self._vocab_rows)
        self._seed[slot], self._choice[slot] = how.seed, how.choice
        self._drawn[slot] = 0

    def count(self, active: Bool[np.ndarray, " S"]) -> None:
        """Counts a token of each active slot."""
        self._drawn += active

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What `choose` takes; copies, as a device may read them later."""
        return tuple(
            x.copy()
            for x in (
                self._temperature,
                self._top_p,
                self._top_k,
                self._seed,
                self._choice,
                self._drawn,
            )
        )


def choose(
    logits: Float[Array, "S V"],
    ids: Int[Array, " S"],
    active: Bool[Array, " S"],
    forced: Int[Array, " S"],
    choices: tuple[Array, ...],
) -> tuple[Array, Array, Array, Array]:
    """Chooses the next token of each row, which follows from that row alone.

    Args:
        logits: Unnormalised log probabilities.
        ids: The tokens before, which rows that are not active keep.
        active: Rows that write.
        forced: As of `Engine.step`.
        choices: From `TokenChoices.arrays`.

    Returns:
        The fields of `Chosen`.
    """
    temperature, top_p, top_k, seed, choice, drawn = choices
    log_probs = jax.nn.log_softmax(logits)
    best = jnp.argmax(log_probs, axis=-1).astype(jnp.int32)
    draws = active & (temperature > 0)

    def with_draws() -> Array:
        found = draw(
            log_probs,
            jax.vmap(_key)(seed, choice, drawn),
            top_p=top_p[:, None],
            temperature=jnp.where(draws, temperature, 1.0)[:, None],
            top_k=top_k[:, None],
        )
        return jnp.where(draws, found.astype(jnp.int32), best)

    # Most requests draw nothing, and sorting the vocabulary takes its time.
    found = jax.lax.cond(draws.any(), with_draws, lambda: best)
    found = jnp.where(forced == FREE, found, forced)
    found = jnp.where(active, found, ids)
    places = jnp.minimum(found, log_probs.shape[1] - 1)[:, None]
    chosen = jnp.take_along_axis(log_probs, places, axis=1)[:, 0]
    top_log_probs, top_ids = jax.lax.top_k(log_probs, TOP)
    return found, chosen, top_ids, top_log_probs


def check_width(prompt: Prompt, width: int) -> None:
    """Raises ValueError unless a prompt is as wide as the model."""
    if prompt.width != width:
        raise ValueError(
            f"prompt width {prompt.width} != model width {width}: this prompt was made "
            "for another model"
        )


def check_room(tokens: int, capacity: int) -> None:
    """Raises ValueError unless a prompt leaves room for a text in a slot."""
    if tokens + SHORTEST > capacity:
        raise ValueError(
            f"a prompt of {tokens} tokens for slots of {capacity}: start with "
            f"--slot_tokens={tokens + capacity} or more"
        )


def whole_beside(model: Params) -> jax.sharding.Sharding:
    """Returns the place of arrays that are whole on each device of the weights.

    What one program leaves in another place would compile the next one anew.
    """
    sharding = jax.tree.leaves(model)[0].sharding
    if isinstance(sharding, jax.NamedSharding):
        return jax.NamedSharding(sharding.mesh, jax.P())
    return sharding


def lengths_up_to(most: int) -> tuple[int, ...]:
    """Returns the lengths that texts are padded to: few, as each compiles a program."""
    found = [SHORTEST]
    while found[-1] * 4 < most:
        found.append(found[-1] * 4)
    return tuple(dict.fromkeys((*found, most)))


def room_for(tokens: int) -> int:
    """Returns the room of prompts that may have so many tokens: a power of two."""
    return 1 << max(tokens - 1, SHORTEST - 1).bit_length()


def _key(seed: Array, choice: Array, index: Array) -> Array:
    """Makes the key of one token: no other row has a part in it."""
    of_answer = jax.random.fold_in(jax.random.key(seed), choice)
    return jax.random.fold_in(of_answer, index)
