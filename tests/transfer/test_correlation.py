"""Rank correlation by named variants: as SciPy has it, ties, gaps, the interval."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from jaxprompt.transfer.correlation import spearman


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    similarity = draw.normal(size=(6, 6))
    # Rounded, so that some scores are tied.
    return similarity, (similarity + draw.normal(size=(6, 6))).round(1)


def test_variants_are_those_of_scipy():
    similarity, transfer = drawn()
    off = ~np.eye(6, dtype=bool)
    rows = [spearmanr(similarity[i], transfer[i]).statistic for i in range(6)]
    others = [
        spearmanr(similarity[i][off[i]], transfer[i][off[i]]).statistic
        for i in range(6)
    ]
    pooled = spearmanr(similarity[off], transfer[off]).statistic
    wanted = {
        "per_target_incl_self": np.mean(rows),
        "per_target_excl_self": np.mean(others),
        "pooled_excl_self": pooled,
    }
    for variant, value in wanted.items():
        found = spearman(similarity, transfer, variant, draws=200)
        assert found.value == pytest.approx(value, abs=1e-12)
        assert found.low < found.value < found.high
        assert found == spearman(similarity, transfer, variant, draws=200)
        wider = spearman(similarity, transfer, variant, draws=200, level=0.99)
        assert wider.low <= found.low
        assert wider.high >= found.high


def test_what_was_not_measured_and_what_has_no_rank():
    similarity, transfer = drawn()
    gaps = transfer.copy()
    gaps[0, 3] = np.nan
    kept = [1, 2, 4, 5]
    first = spearmanr(similarity[0][kept], gaps[0][kept]).statistic
    others = [
        spearman(similarity[i : i + 1], transfer[i : i + 1], "per_target_incl_self")
        for i in range(1, 6)
    ]
    assert others[0].targets == 1
    found = spearman(similarity, gaps, "per_target_excl_self")
    whole = spearman(similarity, transfer, "per_target_excl_self")
    own = spearmanr(similarity[0][1:], transfer[0][1:]).statistic
    assert found.value - whole.value == pytest.approx((first - own) / 6)
    gaps[0] = 0.5  # Every source scores alike.
    assert spearman(similarity, gaps, "per_target_excl_self").targets == 5
    nothing = np.full((6, 6), np.nan)
    for variant in ("per_target_excl_self", "pooled_excl_self"):
        none = spearman(similarity, nothing, variant)
        assert none.targets == 0
        assert np.isnan([none.value, none.low, none.high]).all()


def test_refusals():
    similarity, transfer = drawn()
    with pytest.raises(ValueError, match=r"unknown variant 'mean': use one of \['per_"):
        spearman(similarity, transfer, "mean")
    with pytest.raises(ValueError, match=r"similarities \[6, 6\] and scores \[5, 6\]"):
        spearman(similarity, transfer[1:], "pooled_excl_self")
