"""What a decoder's tokens attend to in front of themselves, and its decoding cache."""

import dataclasses
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, Int

from jaxprompt.models.layers.attention import Part
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.sight import Places, Sight


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DecoderEncoded:
    """What targets attend to: a source, and what is in front of that.

    Attributes:
        keys: Keys of the source tokens; rows and tokens behind those that have a place
            are not read.
        values: Values of the source tokens.
        places: Where the source tokens stand.
        prefix: What every token attends to; None for nothing.
    """

    keys: Float[Array, "N B T G K"]
    values: Float[Array, "N B T G K"]
    places: Places
    prefix: Prefix | None = None

    @property
    def segments(self) -> Int[Array, "B T"]:
        """Example of each source token within its row, from 1; 0 on padding."""
        return self.places.segments

    def take(self, rows: Int[Array, " R"]) -> "DecoderEncoded":
        """Gathers rows of the batch."""
        return DecoderEncoded(
            self.keys[:, rows],
            self.values[:, rows],
            Places(self.segments[rows], self.places.positions[rows]),
            None if self.prefix is None else self.prefix.take(rows),
        )


class Front(NamedTuple):
    """What stands in front of the tokens that a pass over the layers transforms.

    Attributes:
        prefix: What every token attends to; None for nothing.
        source: The source, where the pass is over targets alone.
    """

    prefix: Prefix | None = None
    source: DecoderEncoded | None = None

    @property
    def source_places(self) -> Places | None:
        """Where the source's tokens stand."""
        return None if self.source is None else self.source.places

    def by_layer(self, dtype: str) -> tuple[Any, Any]:
        """Returns all keys and values, layers first, for a loop over them."""
        prefix = source = None
        if self.prefix is not None:
            prefix = self.prefix.by_layer(dtype)
        if self.source is not None:
            source = (self.source.keys, self.source.values)
        return prefix, source

    def parts(self, prefix: Any, source: Any, sight: Sight) -> list[Part]:
        """Returns what one layer attends to.

        Args:
            prefix: The layer's share of the prefix; None where it does not read it.
            source: The layer's share of the source.
            sight: What the tokens of the pass see in layers of its kind.
        """
        parts = []
        if self.prefix is not None and prefix is not None:
            parts.append(self.prefix.part(prefix, mask=sight.prefix))
        if source is not None:
            assert sight.source is not None
            rows, _, columns = sight.source.shape
            keys, values = (x[:rows, :columns] for x in source)
            parts.append(Part(keys, values, sight.source, gate=sight.gate))
        return parts


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DecoderCache:
    """What the model remembers between steps, of one example in each row.

    Attributes:
        keys: Keys of the target tokens so far; rows from the next index on are unread.
        values: Values of the target tokens so far.
        encoded: What stands in front of the target.
        first: Position of the first target token.
    """

    keys: Float[Array, "N B L G K"]
    values: Float[Array, "N B L G K"]
    encoded: DecoderEncoded
    first: Int[Array, " B"]

    def take(self, rows: Int[Array, " R"]) -> "DecoderCache":
        """Gathers rows of the batch: repeats them for beams, or picks some."""
        return dataclasses.replace(
            self.reorder(rows), encoded=self.encoded.take(rows), first=self.first[rows]
        )

    def reorder(self, rows: Int[Array, " B"]) -> "DecoderCache":
        """Like `take`, cheaper, for rows that share a source, as one example's beams.

        Only what the target has written moves; the source's keys and values stay.
        """
        return dataclasses.replace(
            self, keys=self.keys[:, rows], values=self.values[:, rows]
        )
