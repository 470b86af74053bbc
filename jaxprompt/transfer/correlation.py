"""Does a similarity predict transfer? Spearman's rank correlation, by named variants.

The published code has no rank correlation, so how targets are put together is not
known; it changes the number and even its sign. Hence each variant has a name here, and
every output says it.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxprompt.transfer.similarity import Pairs


@dataclasses.dataclass(frozen=True)
class Variant:
    """How the rank correlation of a matrix is taken.

    Attributes:
        pooled: Whether all pairs are ranked together. Otherwise the sources of each
            target are, and the mean over the targets is taken.
        with_self: Whether a target's own prompt is among its sources.
    """

    pooled: bool
    with_self: bool


VARIANTS: Mapping[str, Variant] = {
    "per_target_excl_self": Variant(pooled=False, with_self=False),
    "per_target_incl_self": Variant(pooled=False, with_self=True),
    "pooled_excl_self": Variant(pooled=True, with_self=False),
}


@dataclasses.dataclass(frozen=True)
class Correlation:
    """A rank correlation, from -1 to 1.

    Attributes:
        value: Spearman's rho; NaN where no target has one.
        low: Lower end of its confidence interval.
        high: Upper end.
        targets: Targets that have one. Where all sources score alike, or all are
            equally similar, there is nothing to rank, and the target is left out.
    """

    value: float
    low: float
    high: float
    targets: int


def spearman(
    similarity: Pairs,
    transfer: Pairs,
    variant: str,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Correlation:
    """Correlates a similarity of prompts with how well they transfer.

    The confidence interval is the percentile interval of a bootstrap that draws whole
    targets: the sources of one target are not independent of each other.

    Args:
        similarity: Of target i's prompt and source j's.
        transfer: Relative score of source j's prompt on target i; NaN where it was not
            measured, which leaves the pair out.
        variant: One of `VARIANTS`.
        draws: Samples of targets, with replacement.
        level: Share of the samples that the interval holds.
        seed: Of these samples.

    Raises:
        ValueError: If the variant is unknown or the shapes differ.

    Source: Spearman 1904, with mean ranks for ties. Efron and Tibshirani 1993, ch. 13,
    for the percentile interval.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}: use one of {list(VARIANTS)}")
    if similarity.shape != transfer.shape or similarity.ndim != 2:
        raise ValueError(
            f"similarities {list(similarity.shape)} and scores {list(transfer.shape)}: "
            "both must be [targets, sources]"
        )
    way = VARIANTS[variant]
    used = np.isfinite(similarity) & np.isfinite(transfer)
    if not way.with_self:
        used &= ~np.eye(*similarity.shape, dtype=bool)
    if way.pooled:
        return _pooled(similarity, transfer, used, draws, level, seed)
    values = np.array(
        [
            _rho(one[here], other[here])
            for one, other, here in zip(similarity, transfer, used, strict=True)
        ]
    )
    values = values[np.isfinite(values)]
    if not len(values):
        return Correlation(np.nan, np.nan, np.nan, 0)
    samples = values[_drawn(len(values), draws, seed)].mean(axis=1)
    return Correlation(
        float(values.mean()), *_interval(samples, level), targets=len(values)
    )


def _pooled(
    similarity: Pairs,
    transfer: Pairs,
    used: Bool[np.ndarray, "targets sources"],
    draws: int,
    level: float,
    seed: int,
) -> Correlation:
    targets = np.flatnonzero(used.any(axis=1))
    if not len(targets):
        return Correlation(np.nan, np.nan, np.nan, 0)
    samples = []
    for drawn in targets[_drawn(len(targets), draws, seed)]:
        here = used[drawn]
        samples.append(_rho(similarity[drawn][here], transfer[drawn][here]))
    return Correlation(
        _rho(similarity[used], transfer[used]),
        *_interval(np.array(samples), level),
        targets=len(targets),
    )


def _drawn(count: int, draws: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(count, size=(draws, count))


def _interval(samples: Float[np.ndarray, " draws"], level: float) -> Sequence[float]:
    tail = 100 * (1 - level) / 2
    known = samples[np.isfinite(samples)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def _rho(one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"]) -> float:
    """Correlates ranks; NaN of fewer than two values, or where one is constant."""
    from scipy.stats import rankdata

    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
