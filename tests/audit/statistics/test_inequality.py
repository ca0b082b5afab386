"""Inequality indices against their definitions over rows, and their intervals by simulation."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fairwitness.audit.statistics.inequality import (
    _noncentrality,
    between_groups,
    entropy_interval,
    generalized_entropy,
)

VALUES = np.array([0.0, 1.0, 2.0])


def over_rows(benefits: Any, alpha: float) -> float:
    """Speicher et al. (2018), equation 1, and as AIF360 computes it."""
    relative = np.asarray(benefits, dtype=float) / np.mean(benefits)
    if alpha == 1:
        return float(np.mean([0.0 if r == 0 else r * math.log(r) for r in relative]))
    return float(np.mean(relative**alpha - 1) / (alpha * (alpha - 1)))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("counts", [(5, 80, 15), (0, 10, 3), (40, 1, 0), (0, 9, 0)])
def test_counts_give_what_rows_give(counts: tuple[int, int, int], alpha: float) -> None:
    benefits = np.repeat(VALUES, counts)
    found = generalized_entropy(VALUES, np.array(counts) / sum(counts), alpha)
    assert found == pytest.approx(over_rows(benefits, alpha), abs=1e-12)
    if alpha == 2.0:
        assert found == pytest.approx((benefits.std() / benefits.mean()) ** 2 / 2, abs=1e-12)


def test_without_any_benefit_the_index_is_undefined() -> None:
    assert np.isnan(generalized_entropy(VALUES, [1.0, 0.0, 0.0], 2.0))
    assert math.isnan(between_groups(VALUES, [[5, 0, 0], [6, 0, 0]], 2.0, 0.95)[0])


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_the_index_is_its_parts_between_and_within_groups(alpha: float) -> None:
    counts = np.array([[5, 80, 15], [20, 30, 1], [2, 7, 3]])
    rows, means = counts.sum(axis=1), counts @ VALUES / counts.sum(axis=1)
    between = between_groups(VALUES, counts, alpha, 0.95)[0]
    assert between == pytest.approx(over_rows(np.repeat(means, rows), alpha), abs=1e-12)
    share, relative = rows / rows.sum(), means / (rows @ means / rows.sum())
    within = (share * relative**alpha) @ generalized_entropy(VALUES, counts / rows[:, None], alpha)
    whole = over_rows(np.repeat(VALUES, counts.sum(axis=0)), alpha)
    assert between + within == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(("n", "shares"), [(60, (0.1, 0.8, 0.1)), (200, (0.02, 0.95, 0.03)), (400, (0.2, 0.7, 0.1))])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_the_interval_of_the_index_covers(n: int, shares: Any, alpha: float) -> None:
    rng = np.random.default_rng(0)
    truth = float(generalized_entropy(VALUES, shares, alpha))
    covered = 0
    for counts in rng.multinomial(n, shares, size=200):
        value, low, high = entropy_interval(VALUES, counts, alpha, 0.95, rng)
        assert low <= value <= high
        covered += low <= truth <= high
    assert 0.9 <= covered / 200 <= 0.99


def test_no_interval_has_no_width() -> None:
    rng = np.random.default_rng(0)
    value, low, high = entropy_interval(VALUES, [0, 30, 0], 2.0, 0.95, rng)
    assert (value, low) == (0.0, 0.0)
    assert high > 0.005
    for counts in ([[0, 30, 0], [0, 20, 0]], [[1, 98, 1], [2, 196, 2]]):
        value, low, high, p_value = between_groups(VALUES, counts, 1.0, 0.95)
        assert (value, low) == pytest.approx((0.0, 0.0), abs=1e-15)
        assert high > 1e-5
        assert p_value > 0.9


EQUAL = (0.1, 0.8, 0.1)
DESIGNS = [
    ([EQUAL, EQUAL], [100, 300]),
    ([EQUAL] * 6, [30, 60, 100, 200, 400, 50]),
    ([(0.3, 0.4, 0.3), (0.05, 0.9, 0.05), EQUAL], [30, 300, 100]),
    ([(0.2, 0.75, 0.05), EQUAL, (0.05, 0.75, 0.2)], [100, 300, 50]),
    ([(0.02, 0.97, 0.01), (0.1, 0.88, 0.02), (0.3, 0.65, 0.05), (0.1, 0.85, 0.05)], [100, 300, 50, 20]),
]


@pytest.mark.parametrize(("shares", "rows"), DESIGNS)
def test_the_interval_between_groups_covers_and_reaches_0(shares: Any, rows: Any) -> None:
    """The third design has equal means and unequal variances: no difference either. Nominal .95."""
    rng = np.random.default_rng(0)
    size = np.array(rows) / sum(rows)
    truth = float(generalized_entropy(np.array(shares) @ VALUES, size, 2.0))
    draws = [rng.multinomial(n, share, size=400) for n, share in zip(rows, shares, strict=True)]
    found = [between_groups(VALUES, counts, 2.0, 0.95) for counts in np.stack(draws, axis=1)]
    assert all(low <= value <= high for value, low, high, _ in found)
    covered = np.mean([low <= truth + 1e-15 <= high + 1e-15 for _, low, high, _ in found])
    assert covered >= 0.925
    if truth < 1e-15:
        assert np.mean([p < 0.05 for *_, p in found]) <= 0.085
    assert np.mean([(low > 0) == (p < 0.025) for _, low, _, p in found]) == 1.0


@pytest.mark.parametrize("statistic", [9_000.0, 11_000.0])
def test_the_noncentrality_is_the_same_on_both_sides_of_the_approximation(statistic: float) -> None:
    low, high = _noncentrality(statistic, 3.0, 0.95)
    assert stats.ncx2.sf(statistic, 3.0, low) == pytest.approx(0.025, rel=0.02)
    assert stats.ncx2.cdf(statistic, 3.0, high) == pytest.approx(0.025, rel=0.02)
