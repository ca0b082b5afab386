"""Adverse impact against scipy, brute force and the intervals of all pairs; and how often its intervals hold."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from fairwitness.audit.statistics.adverse_impact import (
    AgainstHighest,
    OneMoved,
    against_highest,
    fisher_exact,
    median_of_counts,
    one_moved,
    pooled_z,
    selections_to_reach,
)
from fairwitness.audit.statistics.intervals import (
    critical_value,
    mover_difference,
    mover_ratio,
    score_ratio,
    wilson,
)
from fairwitness.audit.statistics.multiplicity import (
    ratio_interval,
    shrunken_deviation,
    simultaneous_critical,
    spread_interval,
)

Z = critical_value(0.95)
tables = st.lists(st.tuples(st.integers(1, 300), st.floats(0, 1)), min_size=2, max_size=8).map(
    lambda cells: (np.array([round(n * p) for n, p in cells]), np.array([n for n, _ in cells]))
)


@given(tables, st.floats(1.0, 4.0))
def test_the_worst_category_is_the_worst_pair(table: tuple[np.ndarray, np.ndarray], critical: float) -> None:
    x, n = table
    found = against_highest(x, n, critical)
    gap, low, high = spread_interval(x, n, critical)
    assert (found.gap.max(), found.gap_low.max()) == pytest.approx((gap, low), abs=1e-12)
    assert min(found.gap_high.max(), 1.0) == pytest.approx(high, abs=1e-12)
    if x.any():
        ratios = (found.ratio.min(), found.ratio_low.min(), found.ratio_high.min())
        assert ratios == pytest.approx(ratio_interval(x, n, critical), abs=1e-12)


@given(tables, st.floats(1.0, 4.0))
def test_values_lie_within_their_limits(table: tuple[np.ndarray, np.ndarray], critical: float) -> None:
    x, n = table
    found = against_highest(x, n, critical)
    assert (found.gap_low >= 0).all()
    assert (found.gap_low <= found.gap).all()
    assert (found.gap <= found.gap_high).all()
    assert found.gap[found.highest] == 0
    if x.any():
        assert (found.ratio_low >= 0).all()
        assert (found.ratio_low <= found.ratio).all()
        assert (found.ratio <= found.ratio_high).all()
        assert (found.ratio_high <= 1).all()
        assert found.ratio[found.highest] == 1
    else:
        assert np.isnan(found.ratio).all()


def test_two_categories_have_the_interval_of_a_ratio_and_a_difference_of_two_rates() -> None:
    x, n = np.array([30, 60]), np.array([100, 120])
    found = against_highest(x, n, Z)
    limits = [wilson(x[i], n[i], Z) for i in range(2)]
    low, high = mover_ratio(0.3, limits[0], 0.5, limits[1])
    assert (found.ratio_low[0], found.ratio_high[0]) == pytest.approx((float(low), float(high)))
    low, high = mover_difference(0.5, limits[1], 0.3, limits[0])
    assert (found.gap_low[0], found.gap_high[0]) == pytest.approx((float(low), float(high)))
    # Koopman's score interval is the other good one, and close to it away from 0.
    low, high = score_ratio(30, 100, 60, 120, Z)
    assert (found.ratio_low[0], found.ratio_high[0]) == pytest.approx((float(low), float(high)), abs=0.015)


def test_one_category_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="two categories"):
        against_highest([1], [2], Z)


def draw(rates: list[float], sizes: list[int], runs: int, seed: int) -> tuple[list[AgainstHighest], float]:
    rng = np.random.default_rng(seed)
    p, n = np.array(rates), np.array(sizes)
    critical = simultaneous_critical([shrunken_deviation(p * n, n)], 0.95, rng)
    return [against_highest(rng.binomial(n, p), n, critical) for _ in range(runs)], critical


@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        ([0.4] * 5, [60, 150, 300, 80, 40]),  # which is the highest is chance alone
        ([0.5, 0.45, 0.3, 0.48], [200, 60, 150, 90]),
        ([0.1, 0.08, 0.02], [150, 80, 120]),
    ],
)
def test_all_intervals_hold_together(rates: list[float], sizes: list[int]) -> None:
    """At least as often as the level says, in 1,500 draws (binomial error of .95: .0056)."""
    found, _ = draw(rates, sizes, 1500, seed=1)
    truth = np.array(rates) / max(rates)
    gaps = max(rates) - np.array(rates)
    ratios = np.mean([((f.ratio_low <= truth + 1e-12) & (truth <= f.ratio_high + 1e-12)).all() for f in found])
    differences = np.mean([((f.gap_low <= gaps + 1e-12) & (gaps <= f.gap_high + 1e-12)).all() for f in found])
    assert ratios > 0.935
    assert differences > 0.935


def test_the_highest_seen_taken_for_the_highest_alarms_too_often() -> None:
    """Five equal categories: single intervals against the highest seen exclude 1 in most data, these in few."""
    found, _ = draw([0.4] * 5, [150] * 5, 1500, seed=2)
    assert np.mean([(f.ratio_high < 1).any() for f in found]) < 0.06
    rng, n = np.random.default_rng(2), np.full(5, 150)
    naive = []
    for _ in range(1500):
        x = rng.binomial(n, 0.4)
        top = int(x.argmax())
        high = mover_ratio(x / n, wilson(x, n, Z), x[top] / n[top], wilson(x[top], n[top], Z))[1]
        naive.append((np.delete(high, top) < 1).any())
    assert np.mean(naive) > 0.2


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_fisher_is_scipys(n1: int, n2: int, data: st.DataObject) -> None:
    x1, x2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    found = fisher_exact(x1, n1, x2, n2)
    assert found.p_value == pytest.approx(
        stats.fisher_exact(np.array([[x1, n1 - x1], [x2, n2 - x2]])).pvalue, abs=1e-12
    )
    # The same, added up over all tables with these margins.
    support = np.arange(max(0, x1 + x2 - n2), min(n1, x1 + x2) + 1)
    chance = stats.hypergeom.pmf(support, n1 + n2, x1 + x2, n1)
    seen = chance[support == x1][0]
    less = chance[chance <= seen * (1 + 1e-7)].sum()
    assert found.p_value == pytest.approx(less, abs=1e-9)
    assert found.mid_p == pytest.approx(less - seen / 2, abs=1e-9)


def test_effective_counts_are_rounded_for_the_exact_test() -> None:
    assert fisher_exact(9.2, 10.4, 4.8, 9.9) == fisher_exact(9, 10, 5, 10)
    assert fisher_exact(10.4, 10.4, 0.0, 9.9).p_value <= 1


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_z_squared_is_pearsons_chi_square(n1: int, n2: int, data: st.DataObject) -> None:
    x1, x2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    z = pooled_z(x1, n1, x2, n2)
    if not 0 < x1 + x2 < n1 + n2:
        assert z is None
        return
    assert z is not None
    table = [[x1, n1 - x1], [x2, n2 - x2]]
    assert z**2 == pytest.approx(stats.chi2_contingency(table, correction=False).statistic, abs=1e-9)
    assert z == pytest.approx(0, abs=1e-12) or (z > 0) == (x1 / n1 > x2 / n2)


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_selections_to_four_fifths_by_counting(n: int, n_highest: int, data: st.DataObject) -> None:
    """In exact fractions: 0.8 x 15/25 x 25 is 12, and not a little more."""
    x, x_highest = data.draw(st.integers(0, n)), data.draw(st.integers(1, n_highest))
    needed = max(0, ceil(Fraction(4, 5) * Fraction(x_highest, n_highest) * n) - x)
    assert selections_to_reach(x, n, x_highest / n_highest) == needed


@given(st.integers(1, 50), st.integers(1, 50), st.data())
def test_one_selection_the_other_way(n: int, n_highest: int, data: st.DataObject) -> None:
    x, x_highest = data.draw(st.integers(0, n)), data.draw(st.integers(0, n_highest))
    moved = one_moved(x, n, x_highest, n_highest)
    if x == n or x_highest == 0:
        assert moved is None
        return
    assert moved is not None
    rate, highest = Fraction(x + 1, n), Fraction(x_highest - 1, n_highest)
    assert moved.reversed is (rate > highest)
    assert moved.ratio == (pytest.approx(float(rate / highest)) if highest else None)


def test_where_one_selection_decides_it_is_reversed() -> None:
    """20 applicants, 16 men and 4 women, 8 men and 1 woman selected: one more woman for a man, and women lead."""
    assert one_moved(1, 4, 8, 16) == OneMoved(ratio=0.5 / (7 / 16), reversed=True)


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 5)), min_size=1, max_size=20, unique_by=lambda c: c[0]))
def test_the_median_is_numpys(cells: list[tuple[int, int]]) -> None:
    cells = sorted(cells)
    values, counts = np.array([v / 7 for v, _ in cells]), np.array([c for _, c in cells])
    assume(counts.any())
    assert median_of_counts(values, counts) == pytest.approx(float(np.median(np.repeat(values, counts))), abs=1e-12)
    # Weights mean the same as counts, whatever their unit.
    assert median_of_counts(values, counts * 0.37) == pytest.approx(median_of_counts(values, counts), abs=1e-12)


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="nothing"):
        median_of_counts([1.0], [0])
