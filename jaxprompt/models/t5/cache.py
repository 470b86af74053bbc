"""What T5's decoder reads: an encoded source, and the cache of its own steps."""

import dataclasses

import jax
from jaxtyping import Array, Bool, Float, Int

from jaxprompt.models.prefix import Prefixes


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class T5Encoded:
    """What the decoder reads of a source.

    Attributes:
        states: The encoder's output, in the dtype to compute in.
        segments: Example of each source token within its row, from 1; 0 on padding.
        prefix: Those of the sites "decoder" and "cross".
    """

    states: Float[Array, "B T D"]
    segments: Int[Array, "B T"]
    prefix: Prefixes = dataclasses.field(default_factory=dict)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class T5Cache:
    """What the decoder remembers between steps.

    Attributes:
        keys: Keys of the target tokens so far; rows from the next index on are unread.
        values: Values of the target tokens so far.
        source: The encoder's output, where the cache is for a few tokens; otherwise
            the keys and the values of it in every layer.
        cross_mask: Which of the source tokens are no padding.
        prefix: What the target attends to besides.
    """

    keys: Float[Array, "N B L H K"]
    values: Float[Array, "N B L H K"]
    source: (
        Float[Array, "B T D"]
        | tuple[Float[Array, "N B T H K"], Float[Array, "N B T H K"]]
    )
    cross_mask: Bool[Array, "B 1 T"]
    prefix: Prefixes

    def take(self, rows: Int[Array, " R"]) -> "T5Cache":
        """Gathers rows of the batch: repeats them for beams, or picks some."""
        source = self.source
        return T5Cache(
            self.keys[:, rows],
            self.values[:, rows],
            (source[0][:, rows], source[1][:, rows])
            if isinstance(source, tuple)
            else source[rows],
            self.cross_mask[rows],
            {site: prefix.take(rows) for site, prefix in self.prefix.items()},
        )

    def reorder(self, rows: Int[Array, " B"]) -> "T5Cache":
        """Like `take`, cheaper, for rows that share a source, as one example's beams.

        Only what the decoder has written moves; the source's keys and values stay.
        """
        return dataclasses.replace(
            self, keys=self.keys[:, rows], values=self.values[:, rows]
        )
