"""Keys and values that are no text's, at a site: a deep prompt, or a folded one."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxprompt.models.config import Site, SiteName
from jaxprompt.models.layers.attention import Gate, Part
from jaxprompt.models.layers.dropout import drop, split_key

KeysValues: TypeAlias = tuple[Float[Array, "N M P G K"], Float[Array, "N M P G K"]]
"""Keys and values of P tokens of M members in each layer of a site."""


class PrefixLayer(NamedTuple):
    """What one layer has of a prefix, or all layers N in front of it; see `Prefix`."""

    keys: Float[Array, "*N M P G K"]
    values: Float[Array, "*N M P G K"]
    used: Bool[Array, "*N"] | None
    gate: Float[Array, "*N M H"] | None


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
        layers: For each layer, whether it attends to them; None where all do. A layer
            that does not computes what it computes without a prefix, bit for bit.
        gate: What each head multiplies what it reads of them by is the tanh of this,
            and it reads them by a softmax of their own; None where one softmax is over
            them and all else. At 0 the model computes what it computes without them.
        in_front: Whether they stand in front of each text, as a folded prompt does:
            they take the positions from 0 on, and the text those from P on. Otherwise
            they have no position. In cross-attention nothing has one.
    """

    keys: Float[Array, "N M P G K"]
    values: Float[Array, "N M P G K"]
    rows: Int[Array, " B"]
    gate: Float[Array, "N M H"] | None = None
    layers: tuple[bool, ...] | None = dataclasses.field(
        default=None, metadata={"static": True}
    )
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

    def by_layer(self, dtype: str) -> PrefixLayer:
        """Returns what differs between layers, for a loop over them."""
        used = None if self.layers is None else jnp.array(self.layers)
        return PrefixLayer(
            self.keys.astype(dtype), self.values.astype(dtype), used, self.gate
        )

    def part(
        self,
        layer: PrefixLayer,
        *,
        bias: Float[Array, "*B H T P"] | None = None,
        mask: Bool[Array, "B T P"] | None = None,
    ) -> Part:
        """Makes the part of one layer.

        Args:
            layer: The layer's share of `by_layer`.
            bias: Added to the scores.
            mask: Which of them each token attends to; None for all P.
        """
        # The keys of a single member are not copied.
        rows = 0 if self.members == 1 else self.rows
        gate = None if layer.gate is None else Gate(layer.gate[rows])
        keys, values = layer.keys[rows], layer.values[rows]
        return Part(keys, values, mask, bias, layer.used, gate)


Prefixes: TypeAlias = Mapping[SiteName, Prefix]
"""The prefixes that a model reads, at most one at each site."""


def layers_below(*prefixes: Prefix | None, without: int = 0) -> int:
    """Returns how many layers lie below the first that attends to one of these.

    Args:
        *prefixes: At sites of one stack of layers; None for a site that has none.
        without: What is returned where there is no prefix.
    """
    lowest: list[int] = []
    for prefix in prefixes:
        if prefix is not None:
            layers = prefix.layers or (True,)
            lowest.append(layers.index(True) if any(layers) else len(layers))
    return min(lowest, default=without)


def dropped(
    prefixes: Prefixes, rates: Mapping[SiteName, float], key: Key[Array, "*M"]
) -> Prefixes:
    """Zeroes some of the keys and values, others for each row of the batch.

    Args:
        prefixes: Any.
        rates: Share that is zeroed at each site; 0 for none.
        key: One key, or M of them for M equal groups of rows.

    Returns:
        Prefixes in which each row has a member of its own, where any is zeroed.

    Source: THUDM/P-tuning-v2, model/sequence_classification.py (get_prompt).
    """
    fold_in = (
        jax.vmap(jax.random.fold_in, (0, None)) if key.ndim else jax.random.fold_in
    )
    # The backbone splits this key for its own dropout.
    keys = split_key(fold_in(key, 1), 2 * len(prefixes))
    found: dict[SiteName, Prefix] = {}
    for place, (site, prefix) in enumerate(sorted(prefixes.items())):
        if not rates[site]:
            found[site] = prefix
            continue
        parts = [
            drop(part[:, prefix.rows].swapaxes(0, 1), rates[site], own, shared=False)
            for part, own in zip(
                (prefix.keys, prefix.values), keys[2 * place :], strict=False
            )
        ]
        found[site] = dataclasses.replace(
            prefix,
            keys=parts[0].swapaxes(0, 1),
            values=parts[1].swapaxes(0, 1),
            rows=jnp.arange(len(prefix.rows), dtype=prefix.rows.dtype),
            gate=None if prefix.gate is None else prefix.gate[:, prefix.rows],
        )
    return found


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
