"""What the tokens of a pass see, and by how much they turn, in each kind of layer."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxprompt.models.layers.attention import Gate
from jaxprompt.models.layers.kinds import LayerKind
from jaxprompt.models.layers.masks import (
    hide_far,
    hide_first,
    number_seen,
    segment_mask,
)
from jaxprompt.models.layers.turn import Rotation, turn_at
from jaxprompt.models.prefix import Prefix


class Places(NamedTuple):
    """Where tokens stand.

    Attributes:
        segments: Example of each token within its row, from 1; 0 on padding.
        positions: Of each token within its example, what is in front of it counted;
            on padding, any.
    """

    segments: Int[Array, "B T"]
    positions: Int[Array, "B T"]


class Sight(NamedTuple):
    """What the tokens of a pass see in the layers of one kind.

    Attributes:
        own: Which of the pass's own tokens are seen.
        source: Which of the source in front; None where there is none.
        prefix: Which of the prefix; None where all of it is seen.
        turn: By how much queries and keys turn; None for not at all.
        gate: Of the source's first columns; None where no column has any.
    """

    own: Bool[Array, "B T S"]
    source: Bool[Array, "B T S"] | None
    prefix: Bool[Array, "B T P"] | None
    turn: Rotation | None
    gate: Gate | None = None

    def of_rows(self, counts: Int[Array, " B"], gate: Gate) -> "Sight":
        """Returns what is seen of a source that begins with deep prompts.

        Args:
            counts: How many of the source's first columns each row does not see.
            gate: Of the first columns.
        """
        assert self.source is not None
        return self._replace(source=hide_first(self.source, counts), gate=gate)


def places_of(segments: Int[Array, "B T"], first: int) -> Places:
    """Counts the tokens of each segment, the first of which stands at `first`."""
    seen = number_seen(segment_mask(segments, segments, causal=True))
    return Places(segments, first + seen - 1)


def sights(
    kinds: Sequence[LayerKind],
    places: Places,
    own: Places,
    *,
    causal: bool,
    both_ways: bool = False,
    source: Places | None = None,
    prefix: Prefix | None,
    dtype: str,
) -> list[Sight]:
    """Returns what is seen in layers of each kind, all of one structure.

    Args:
        kinds: Distinct kinds of layers.
        places: Of the attending tokens.
        own: Of the pass's own tokens, those of earlier steps among them.
        causal: Whether a token sees only the rows of `own` up to its own.
        both_ways: Whether it is an encoder, whose windows end behind a token too.
        source: Of the source, all of which is in front; None for no source.
        prefix: What is in front of that.
        dtype: Dtype to compute in.
    """
    at, windows = places.positions, [kind.window for kind in kinds]
    ages = prefix is not None and prefix.in_front and any(windows)

    def see(kind: LayerKind) -> Sight:
        mask = segment_mask(places.segments, own.segments, causal=causal)
        own_seen = hide_far(mask, at, own.positions, kind.window, both_ways=both_ways)
        source_seen = prefix_seen = None
        if source is not None:
            mask = segment_mask(places.segments, source.segments)
            source_seen = hide_far(mask, at, source.positions, kind.window)
        if prefix is not None and ages:
            mask = jnp.ones((*at.shape, prefix.length), bool)
            in_front = jnp.arange(prefix.length)[None]
            prefix_seen = hide_far(mask, at, in_front, kind.window)
        turn = _turn(kinds, kind, at, dtype)
        return Sight(own_seen, source_seen, prefix_seen, turn)

    return [see(kind) for kind in kinds]


def _turn(
    kinds: Sequence[LayerKind],
    kind: LayerKind,
    positions: Int[Array, "B T"],
    dtype: str,
) -> Rotation | None:
    """Returns the turn of one kind: by no angle where only other kinds turn."""
    if kind.rotary is not None:
        return turn_at(kind.rotary, positions, dtype)
    others = [other.rotary for other in kinds if other.rotary is not None]
    if not others:
        return None
    shape = (*positions.shape, others[0].width // 2)
    return Rotation(jnp.ones(shape, dtype), jnp.zeros(shape, dtype))


def stacked(found: Sequence[Sight]) -> Sight:
    """Stacks what is seen in each kind, for a loop over layers that picks one."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def numbered(
    layers: Sequence[LayerKind], count: int
) -> tuple[tuple[LayerKind, ...], np.ndarray]:
    """Returns the distinct kinds, and the number of each layer's kind, int32 [N].

    Args:
        layers: The kind of each layer, or a single one for all.
        count: Layers N.
    """
    kinds = tuple(dict.fromkeys(layers))
    numbers = [kinds.index(kind) for kind in layers]
    return kinds, np.broadcast_to(np.array(numbers, np.int32), count)
