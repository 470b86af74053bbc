"""How keys and values start: drawn, or what soft tokens become; and in which layers."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.models.config import Site, SiteName
from jaxprompt.models.prefix import KeysValues
from jaxprompt.prompts.prompt import Deep, Prompt, make_deep

DRAWN = "normal"
"""The start that draws keys and values; all others are of soft tokens."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepStart:
    """The keys and values of one prompt, before it is known for which model.

    Attributes:
        lengths: Site -> keys P, and as many values, in each of its layers.
        layers: Which layers attend to them: their numbers, from 0, or "first:K" or
            "last:K" for K of them; empty for all.
        stddev: Standard deviation of what is drawn, around 0; 1 is PEFT's.
        in_front: Whether they take the positions in front of a text.
        gated: Whether each head reads them through a gate, which starts at 0.
        dropout: Share of their numbers that are zeroed in training.
    """

    lengths: Mapping[str, int]
    layers: Sequence[int] | str = ()
    stddev: float = 1.0
    in_front: bool = False
    gated: bool = False
    dropout: float = 0.0


def init_deep(
    key: jax.Array,
    sites: Mapping[SiteName, Site],
    heads: int,
    start: DeepStart,
    read: Callable[[int], Mapping[SiteName, KeysValues]] | None = None,
) -> dict[SiteName, Deep]:
    """Makes the keys and values that the training of one prompt starts from.

    Args:
        key: Typed PRNG key; consumed. What is drawn for a site is the same whatever
            other sites there are.
        sites: Of the model's config.
        heads: Heads H of its queries.
        start: What is to be made.
        read: From a length P to what as many soft tokens become at each site, from
            `Backbone.keys_values`; None draws from N(0, stddev).

    Raises:
        ValueError: As `check_deep`; or if soft tokens become nothing at a site.
    """
    check_deep(sites, start)
    made: dict[SiteName, Deep] = {}
    for number, (site, sizes) in enumerate(sites.items()):
        if site not in start.lengths:
            continue
        length = start.lengths[site]
        keys, values = (
            _draw(jax.random.fold_in(key, number), sizes, length, start.stddev)
            if read is None
            else _become(read(length), site)
        )
        made[site] = make_deep(
            keys,
            values,
            layers_of(start.layers, sizes.layers),
            gate=jnp.zeros((sizes.layers, heads)) if start.gated else None,
            in_front=start.in_front,
            dropout=start.dropout,
        )
    return made


def _draw(
    key: jax.Array, sizes: Site, length: int, stddev: float
) -> Float[Array, "2 N P G K"]:
    shape = (2, sizes.layers, length, sizes.kv_heads, sizes.head_width)
    return stddev * jax.random.normal(key, shape)


def _become(
    found: Mapping[SiteName, KeysValues], site: SiteName
) -> tuple[Float[Array, "N P G K"], Float[Array, "N P G K"]]:
    if site not in found:
        raise ValueError(
            f"soft tokens become keys and values at {' and '.join(found)}, but none at "
            f"{site!r}, where they would need a source too: use PromptStart.deep_init "
            f"{DRAWN!r}, or leave this site out"
        )
    keys, values = found[site]
    return keys[:, 0], values[:, 0]


def with_dropout(prompt: Prompt, rate: float) -> Prompt:
    """Returns a prompt whose keys and values are dropped in training at this rate."""
    deep: dict[SiteName, Deep] = {
        site: dataclasses.replace(own, dropout=rate)
        for site, own in prompt.deep.items()
    }
    return dataclasses.replace(prompt, deep=deep)


def layers_of(layers: Sequence[int] | str, count: int) -> list[bool]:
    """Says of each of a site's layers whether it is among those that are named.

    Args:
        layers: As of `DeepStart`.
        count: Layers N of the site.

    Raises:
        ValueError: If these are no layers of it.
    """
    if isinstance(layers, str) and layers:
        end, _, number = layers.partition(":")
        known = end in ("first", "last") and number.isascii() and number.isdigit()
        if not known or int(number) < 1:
            raise ValueError(
                f"layers {layers!r}: use 'first:K' or 'last:K' of 1 or more, or a list "
                "of their numbers, from 0"
            )
        used = int(number)
        if used > count:
            raise ValueError(f"layers {layers!r} of a site that has {count}")
        return [
            (n < used) if end == "first" else (n >= count - used) for n in range(count)
        ]
    return [not layers or number in layers for number in range(count)]


def check_deep(sites: Mapping[SiteName, Site], start: DeepStart) -> None:
    """Refuses keys and values that a model has no place for.

    Raises:
        ValueError: If there is no such site, or no such layer at one of them.
    """
    known: Mapping[str, Site] = {**sites}
    for site in start.lengths:
        if site not in known:
            raise ValueError(
                f"keys and values at {site!r}, where this model reads none: use "
                f"{' or '.join(known)}"
            )
        count = known[site].layers
        if isinstance(start.layers, str):
            layers_of(start.layers, count)
            continue
        beyond = [layer for layer in start.layers if not 0 <= layer < count]
        if beyond:
            raise ValueError(
                f"keys and values in layer {beyond[0]} at {site!r}, which has layers 0 "
                f"to {count - 1}"
            )
