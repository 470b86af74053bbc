"""Prompt: what a model reads besides a text, a bank of one or more members."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxprompt.models.config import SiteName


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Deep:
    """Keys and values that the attention of one site reads in each of its layers.

    Every token of a row may attend to all P of its member. Made by `make_deep`, which
    checks its arguments.

    Attributes:
        keys: Keys, float32.
        values: Values, float32.
        layers: For each layer, whether it attends to them; None where all do. A layer
            that does not computes what it computes without a prompt, bit for bit.
        gate: What each of H heads reads of them counts tanh(gate) times, by a softmax
            of their own; None where one softmax is over them and all else.
        in_front: Whether they stand in front of each text, at the positions from 0 on,
            so that a text's begin at P; otherwise they are of no position.
        dropout: Share of their numbers that are zeroed in training, for each row by
            itself. No file holds it.
    """

    keys: Float[Array, "M N P G K"]
    values: Float[Array, "M N P G K"]
    gate: Float[Array, "M N H"] | None = None
    layers: tuple[bool, ...] | None = dataclasses.field(
        default=None, metadata={"static": True}
    )
    in_front: bool = dataclasses.field(default=False, metadata={"static": True})
    dropout: float = dataclasses.field(default=0.0, metadata={"static": True})

    @property
    def length(self) -> int:
        """Keys P, and as many values, in each layer."""
        return self.keys.shape[2]

    @property
    def depth(self) -> int:
        """How many layers attend to them."""
        return self.keys.shape[1] if self.layers is None else sum(self.layers)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Prompt:
    """A bank of M prompts of one shape; most runs train a bank of one.

    Its rows are more vocabulary behind the frozen table's V rows: in a batch's row of
    member m, the token V + p is row p of this member. Made by `make_prompt`, which
    checks its argument (unflattening a pytree runs the constructor, on masks and
    shardings too).

    Attributes:
        rows: Soft tokens, float32; P = 0 where there are none.
        deep: Keys and values at each site where there are any; {} for soft tokens
            alone.
    """

    rows: Float[Array, "M P D"]
    deep: Mapping[SiteName, Deep] = dataclasses.field(default_factory=dict)

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.rows.shape[0]

    @property
    def length(self) -> int:
        """Soft tokens P; 0 for none."""
        return self.rows.shape[1]

    @property
    def width(self) -> int:
        """Model width D."""
        return self.rows.shape[2]

    @property
    def is_empty(self) -> bool:
        """Whether it is nothing at all: the model alone."""
        return self.length == 0 and not self.deep

    @property
    def told(self) -> str:
        """What a member consists of, in words."""
        parts = [f"{self.length} soft tokens"] if self.length or not self.deep else []
        parts += [
            f"{deep.length} {'gated ' if deep.gate is not None else ''}keys and values "
            f"in each of {deep.depth} layers at {site}"
            for site, deep in sorted(self.deep.items())
        ]
        return " and ".join(parts)

    def expand(self) -> "Prompt":
        """Returns itself: what trains is what the model reads."""
        return self

    def soft_rows(self, *, alone: str = "") -> Float[np.ndarray, "P D"]:
        """Returns the soft tokens of a bank of one, for those who read nothing else.

        Args:
            alone: Who would lose what the prompt has besides, as "form google"; empty
                where it may have keys and values too.

        Returns:
            float32.

        Raises:
            ValueError: If the bank is larger, if there are no soft tokens, or if there
                is more than `alone` can hold.
        """
        if self.members != 1:
            raise ValueError(f"a bank of {self.members} prompts: take one by unstack")
        if not self.length:
            who = f"{alone} takes soft tokens, but this" if alone else "this"
            raise ValueError(f"{who} prompt has none: it is {self.told}")
        if alone and self.deep:
            raise ValueError(
                f"{alone} takes soft tokens alone, but this prompt is {self.told}: "
                "without its keys and values it would be another prompt"
            )
        return np.asarray(self.rows[0], np.float32)


def make_prompt(
    rows: Float[Array, "P D"], deep: Mapping[SiteName, Deep] | None = None
) -> Prompt:
    """Makes a bank of one prompt, as float32.

    Args:
        rows: One vector for each soft token; P = 0 for none.
        deep: Keys and values at sites, from `make_deep`; None for soft tokens alone.

    Returns:
        The prompt, with rows [1, P, D].

    Raises:
        ValueError: If `rows` does not have two axes.
    """
    if rows.ndim != 2:
        raise ValueError(
            f"a prompt has rows [P, D], but this array has shape {rows.shape}: "
            "make one prompt at a time and join them with stack"
        )
    return Prompt(jnp.asarray(rows, jnp.float32)[None], dict(deep or {}))


def make_deep(
    keys: Float[Array, "N P G K"],
    values: Float[Array, "N P G K"],
    layers: Sequence[bool] | None = None,
    *,
    gate: Float[Array, "N H"] | None = None,
    in_front: bool = False,
    dropout: float = 0.0,
) -> Deep:
    """Makes the keys and values of one site and one prompt, as float32.

    Args:
        keys: For each of the site's N layers; P is 1 or more.
        values: Of the same shape.
        layers: For each layer, whether it attends to them; None for all.
        gate: Of each layer's heads H; None for none.
        in_front: Whether they take the positions in front of a text.
        dropout: Share of their numbers that are zeroed in training.

    Raises:
        ValueError: If the shapes differ, lack an axis or hold nothing, or if `layers`
            or gates are not those of N layers.
    """
    if keys.shape != values.shape or keys.ndim != 4 or not keys.size:
        raise ValueError(
            f"keys of shape {keys.shape} and values of shape {values.shape}: both must "
            "be one [N, P, G, K], of 1 or more of each"
        )
    if layers is not None and len(layers) != len(keys):
        raise ValueError(f"a mask of {len(layers)} layers for {len(keys)} layers")
    if gate is not None and (gate.ndim != 2 or len(gate) != len(keys)):
        raise ValueError(
            f"gates of shape {gate.shape} for {len(keys)} layers: they must be [N, H]"
        )
    return Deep(
        jnp.asarray(keys, jnp.float32)[None],
        jnp.asarray(values, jnp.float32)[None],
        None if gate is None else jnp.asarray(gate, jnp.float32)[None],
        None if layers is None or all(layers) else tuple(map(bool, layers)),
        in_front,
        dropout,
    )


def empty_prompt(width: int) -> Prompt:
    """Returns the prompt of nothing: the model alone."""
    return make_prompt(jnp.zeros((0, width)))


def stack(prompts: Sequence[Prompt]) -> Prompt:
    """Joins prompts of one shape into a bank, in order.

    Args:
        prompts: Banks of any number of members, with equal P and D, and with keys and
            values of equal shapes in the same layers.

    Returns:
        One bank with all their members.

    Raises:
        ValueError: If there are none, or if their shapes differ.
    """
    shapes = sorted({prompt.rows.shape[1:] for prompt in prompts})
    if len(shapes) != 1:
        raise ValueError(
            f"prompts of shapes [P, D] = {shapes} make no bank: use prompts of one "
            "length, for one model"
        )
    told = sorted({prompt.told for prompt in prompts})
    if len({shape_of(prompt) for prompt in prompts}) != 1:
        raise ValueError(
            f"prompts of {' and others of '.join(told)} make no bank: use prompts with "
            "keys and values of one shape, at the same sites, in the same layers and "
            "positions, all with gates or none"
        )
    return _joined(prompts)


def _joined(prompts: Sequence[Prompt]) -> Prompt:
    if len(prompts) == 1:
        return jax.tree.map(jnp.asarray, prompts[0])
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *prompts)


def shape_of(prompt: Prompt) -> tuple[Any, ...]:
    """Returns what prompts must have in common to make a bank."""
    deep = (
        (site, deep.keys.shape[1:], deep.layers, deep.gate is None, deep.in_front)
        for site, deep in sorted(prompt.deep.items())
    )
    return (prompt.rows.shape[1:], *deep)


def lengthen(prompt: Prompt, length: int) -> Prompt:
    """Adds zero rows that nothing names, so that prompts of any length make a bank.

    Args:
        prompt: A bank with rows [M, P, D].
        length: Rows that each member is to have, P or more.
    """
    missing = (0, length - prompt.length)
    rows = jnp.pad(prompt.rows, ((0, 0), missing, (0, 0)))
    return dataclasses.replace(prompt, rows=rows)


def unstack(bank: Prompt) -> list[Prompt]:
    """Splits a bank into its M members, each a bank of one."""
    if bank.members == 1:
        return [bank]
    return [
        jax.tree.map(lambda leaf, m=member: leaf[m : m + 1], bank)
        for member in range(bank.members)
    ]
