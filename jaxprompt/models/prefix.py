"""Keys and values that are no text's, at a site: a deep prompt, or a folded one."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
from jaxtyping import Array, Bool, Float, Int

from jaxprompt.models.config import Site, SiteName
from jaxprompt.models.layers.attention import Part


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Prefix:
    """Keys and values of P soft tokens for each layer, of M members.

    Every token of a row attends to all P of its member, whatever its segment; in a
    layer with a sliding window, to those inside it where they have positions.

    Attributes:
        keys: Keys of the soft tokens.
        values: Values of the soft tokens.
        rows: Member that each row of the batch attends to, from 0 to M - 1.
        layers: Layers that attend to them; None for all. A layer that does not computes
            what it computes without a prefix, bit for bit.
        in_front: Whether they stand in front of each text, as a folded prompt does:
            they take the positions from 0 on, and the text those from P on. Otherwise
            they have no position. In cross-attention nothing has one.
    """

    keys: Float[Array, "N M P G K"]
    values: Float[Array, "N M P G K"]
    rows: Int[Array, " B"]
    layers: Bool[Array, " N"] | None = None
    in_front: bool = dataclasses.field(default=True, metadata={"static": True})

    @property
    def length(self) -> int:
        """Soft tokens P of a member; 0 for a prefix of nothing."""
        return self.keys.shape[2]

    @property
    def members(self) -> int:
        """Members M."""
        return self.keys.shape[1]

    @property
    def first_position(self) -> int:
        """Position of the first token of a text."""
        return self.length if self.in_front else 0

    def take(self, rows: Int[Array, " R"]) -> "Prefix":
        """Gathers rows of the batch; the keys and values themselves stay."""
        return dataclasses.replace(self, rows=self.rows[rows])

    def by_layer(self, dtype: str) -> tuple[Array, Array, Array | None]:
        """Returns what differs between layers, for a loop over them."""
        return self.keys.astype(dtype), self.values.astype(dtype), self.layers

    def part(
        self,
        layer: tuple[Array, Array, Array | None],
        *,
        bias: Float[Array, "*B H T P"] | None = None,
        mask: Float[Array, "B T P"] | None = None,
    ) -> Part:
        """Makes the part of one layer; the keys of a single member are not copied.

        Args:
            layer: The layer's share of `by_layer`.
            bias: Added to the scores.
            mask: Added to the scores of all heads; None where all P are attended to.
        """
        keys, values, used = layer
        if self.members == 1:
            return Part(keys[0], values[0], mask, bias, used)
        return Part(keys[self.rows], values[self.rows], mask, bias, used)


Prefixes: TypeAlias = Mapping[SiteName, Prefix]
"""The prefixes that a model reads, at most one at each site."""


def check_prefixes(
    model: str, prefixes: Prefixes | None, sites: Mapping[SiteName, Site]
) -> Prefixes:
    """Returns the prefixes, {} for None, if a model can read them.

    Args:
        model: Its name, for errors.
        prefixes: Any.
        sites: Of the model's config.

    Raises:
        ValueError: If it has no such site, or other layers, heads or widths there.
    """
    for name, prefix in (prefixes or {}).items():
        if name not in sites:
            raise ValueError(
                f"{model} has no site {name!r} for a prefix: use {' or '.join(sites)}"
            )
        layers, _, _, kv_heads, head_width = prefix.keys.shape
        found: Any = Site(layers, kv_heads, head_width)
        if found != sites[name]:
            raise ValueError(
                f"a prefix at {name!r} of {found}, but {model} has {sites[name]}: it "
                "was made for another model"
            )
    return prefixes or {}
