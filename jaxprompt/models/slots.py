"""Rows that hold different prompts and texts, each filled to a length of its own."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_NEVER_FAR = 2**30
"""Position of keys that have none: no sliding window leaves them behind."""


class DeepColumns(NamedTuple):
    """How one layer reads the columns of deep prompts, or all layers N in front of it.

    Attributes:
        hidden: How many columns of each row, the first ones, it does not attend to.
        gate: The logit of each head's gate; see `Slots.gated`.
    """

    hidden: Int[Array, "*N S"]
    gate: Float[Array, "*N S H"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Slots:
    """Keys and values of every token that each of S rows has read so far.

    A row is filled from its first column on; what stands behind is not read. All rows
    have one capacity C, so that one compiled program serves any mixture of them.

    Attributes:
        keys: Keys, in the dtype that the model computes in.
        values: Values.
        filled: Columns of each row that hold a token, int32.
        placeless: How many of these, the first ones, have no position: the keys and
            values of a deep prompt. The text behind them begins at position 0.
        hidden: How many, the first ones, a layer does not attend to, int32: those of a
            deep prompt that is for other layers.
        gated: How many, the first ones, are read by a softmax of their own: those of a
            deep prompt with gates, int32. 0 for a row whose prompt has none.
        gate: What each head reads of these counts tanh(gate) times, float32; 0 where
            there are none.
    """

    keys: Float[Array, "N S C G K"]
    values: Float[Array, "N S C G K"]
    filled: Int[Array, " S"]
    placeless: Int[Array, " S"]
    hidden: Int[Array, "N S"]
    gated: Int[Array, " S"]
    gate: Float[Array, "N S H"]

    @property
    def by_layer(self) -> DeepColumns:
        """What differs between layers, for a loop over them."""
        return DeepColumns(self.hidden, self.gate)

    @property
    def capacity(self) -> int:
        """Columns C of a row."""
        return self.keys.shape[2]

    @property
    def next_position(self) -> Int[Array, " S"]:
        """Position of the next token of each row."""
        return self.filled - self.placeless

    @property
    def positions(self) -> Int[Array, "S C"]:
        """Position of each column; behind the filled ones, that of a token to come."""
        columns = jnp.arange(self.capacity, dtype=jnp.int32)[None]
        placeless = self.placeless[:, None]
        return jnp.where(columns < placeless, _NEVER_FAR, columns - placeless)

    def holding(self, more: int = 0) -> Int[Array, "S C"]:
        """Returns 1 for each filled column, and for so many behind them, else 0."""
        columns = jnp.arange(self.capacity, dtype=jnp.int32)[None]
        return (columns < self.filled[:, None] + more).astype(jnp.int32)

    def resize(self, capacity: int) -> "Slots":
        """Adds empty columns at the end, or cuts the last ones off."""

        def to_capacity(x: Array) -> Array:
            missing = max(capacity - self.capacity, 0)
            widths = [(0, 0), (0, 0), (0, missing), (0, 0), (0, 0)]
            return jnp.pad(x, widths)[:, :, :capacity]

        return dataclasses.replace(
            self, keys=to_capacity(self.keys), values=to_capacity(self.values)
        )

    def first(self, rows: int, columns: int) -> "Slots":
        """Returns the first rows, and the first columns of these."""
        return Slots(
            self.keys[:, :rows, :columns],
            self.values[:, :rows, :columns],
            self.filled[:rows],
            self.placeless[:rows],
            self.hidden[:, :rows],
            self.gated[:rows],
            self.gate[:, :rows],
        )

    def append(
        self,
        keys: Float[Array, "N S T G K"],
        values: Float[Array, "N S T G K"],
        counts: Int[Array, " S"],
    ) -> "Slots":
        """Writes tokens behind the filled columns of each row.

        Args:
            keys: Of T tokens of each row. There must be T columns behind the filled
                ones.
            values: Of the same tokens.
            counts: How many of the T, the first ones, are tokens.
        """

        def write(old: Array, new: Array) -> Array:
            update = jax.lax.dynamic_update_slice_in_dim
            rows = jax.vmap(lambda x, y, at: update(x, y, at, axis=1), (1, 1, 0), 1)
            return rows(old, new.astype(old.dtype), self.filled)

        return dataclasses.replace(
            self,
            keys=write(self.keys, keys),
            values=write(self.values, values),
            filled=self.filled + counts,
        )

    def append_one(
        self,
        keys: Float[Array, "N R 1 G K"],
        values: Float[Array, "N R 1 G K"],
        active: Bool[Array, " R"],
    ) -> "Slots":
        """Writes a token behind the filled columns of the first rows, in their place.

        Args:
            keys: Of a token of each of these rows.
            values: Of the same tokens.
            active: Rows that the token is of; in the others the next one replaces it.
        """
        count = len(active)
        rows, at = jnp.arange(count), self.filled[:count]

        def write(old: Array, new: Array) -> Array:
            return old.at[:, rows, at].set(new[:, :, 0].astype(old.dtype), mode="drop")

        return dataclasses.replace(
            self,
            keys=write(self.keys, keys),
            values=write(self.values, values),
            filled=self.filled.at[:count].add(active.astype(jnp.int32)),
        )

    def take(self, slot: Int[Array, ""]) -> "Slots":
        """Returns one row, of its number."""

        def read(x: Array, axis: int) -> Array:
            return jax.lax.dynamic_slice_in_dim(x, slot, 1, axis=axis)

        return Slots(
            read(self.keys, 1),
            read(self.values, 1),
            read(self.filled, 0),
            read(self.placeless, 0),
            read(self.hidden, 1),
            read(self.gated, 0),
            read(self.gate, 1),
        )

    def put(self, slot: Int[Array, ""], row: "Slots") -> "Slots":
        """Replaces one row, all of its columns, so that nothing of the old one stays.

        Args:
            slot: Its number.
            row: A single row of the same capacity.
        """

        def write(old: Array, new: Array, axis: int) -> Array:
            return jax.lax.dynamic_update_slice_in_dim(old, new, slot, axis=axis)

        return Slots(
            write(self.keys, row.keys, 1),
            write(self.values, row.values, 1),
            write(self.filled, row.filled, 0),
            write(self.placeless, row.placeless, 0),
            write(self.hidden, row.hidden, 1),
            write(self.gated, row.gated, 0),
            write(self.gate, row.gate, 1),
        )
