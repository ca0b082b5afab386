"""Intervals against published tables, scipy, independent root finding and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from fairwitness.audit.statistics.intervals import (
    clopper_pearson,
    critical_value,
    logit_interval,
    mean,
    mover_difference,
    mover_ratio,
    score_ratio,
    wilson,
)

Z = critical_value(0.95)
counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.floats(0.5, 0.999)


def test_critical_value() -> None:
    assert critical_value(0.95) == pytest.approx(1.959963984540054)
    assert critical_value(1 - 1e-12) > 6
    for level in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            critical_value(level)


# Newcombe (1998), Statistics in Medicine 17:857-872, table I: methods 3 (score) and 5 (exact).
@pytest.mark.parametrize(
    ("x", "n", "score", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_single_rates_as_published(x: int, n: int, score: tuple[float, float], exact: tuple[float, float]) -> None:
    assert wilson(x, n, Z) == pytest.approx(score, abs=5e-5)
    assert clopper_pearson(x, n, 0.95) == pytest.approx(exact, abs=5e-5)


@given(counts, levels)
def test_single_rates_agree_with_scipy(count: tuple[int, int], level: float) -> None:
    test = stats.binomtest(*count)
    assert wilson(*count, critical_value(level)) == pytest.approx(
        tuple(test.proportion_ci(level, "wilson")), rel=1e-9, abs=1e-12
    )
    assert clopper_pearson(*count, level) == pytest.approx(
        tuple(test.proportion_ci(level, "exact")), rel=1e-7, abs=1e-10
    )


@given(st.floats(0, 1), st.floats(1e-3, 1e12), st.floats(0.1, 8))
def test_wilson_holds_its_rate_for_effective_counts(share: float, n: float, critical: float) -> None:
    x = share * n
    low, high = wilson(x, n, critical)
    assert 0 <= low <= min(x / n, 1) <= high <= 1
    assert (low == 0) == (x == 0) or low < 1e-6
    if x == 0:
        assert low == 0
    if x == n:
        assert high == 1


def test_without_trials_nothing_is_known() -> None:
    assert [float(limit) for limit in wilson(0, 0, Z)] == [0, 1]
    assert [float(limit) for limit in clopper_pearson(0, 0, 0.95)] == [0, 1]
    assert [float(limit) for limit in score_ratio(0, 0, 3, 9, Z)] == [0, math.inf]
    assert [float(limit) for limit in score_ratio(3, 9, 0, 0, Z)] == [0, math.inf]


@given(counts, levels, levels)
def test_a_higher_level_widens(count: tuple[int, int], one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    for inner, outer in (
        (wilson(*count, critical_value(narrow)), wilson(*count, critical_value(wide))),
        (clopper_pearson(*count, narrow), clopper_pearson(*count, wide)),
    ):
        assert outer[0] <= inner[0] + 1e-12
        assert inner[1] <= outer[1] + 1e-12


@given(counts, st.integers(2, 50))
def test_more_rows_narrow(count: tuple[int, int], times: int) -> None:
    x, n = count
    few, many = wilson(x, n, Z), wilson(x * times, n * times, Z)
    assert many[1] - many[0] < few[1] - few[0]
    assert few[0] <= many[0]
    assert many[1] <= few[1]


# Newcombe (1998), Statistics in Medicine 17:873-890, table II: method 10.
@pytest.mark.parametrize(
    ("x1", "n1", "x2", "n2", "limits"),
    [
        (56, 70, 48, 80, (0.0524, 0.3339)),
        (9, 10, 3, 10, (0.1705, 0.8090)),
        (6, 7, 2, 7, (0.0582, 0.8062)),
        (5, 56, 0, 29, (-0.0381, 0.1926)),
        (0, 10, 0, 20, (-0.1611, 0.2775)),
        (0, 10, 0, 10, (-0.2775, 0.2775)),
        (10, 10, 0, 20, (0.6791, 1.0000)),
        (10, 10, 0, 10, (0.6075, 1.0000)),
    ],
)
def test_difference_as_published(x1: int, n1: int, x2: int, n2: int, limits: tuple[float, float]) -> None:
    interval = mover_difference(x1 / n1, wilson(x1, n1, Z), x2 / n2, wilson(x2, n2, Z))
    assert interval == pytest.approx(limits, abs=5e-5)


@given(counts, counts, levels)
def test_a_difference_changes_sign_with_its_groups(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> None:
    z = critical_value(level)
    p1, p2 = first[0] / first[1], second[0] / second[1]
    low, high = mover_difference(p1, wilson(*first, z), p2, wilson(*second, z))
    swapped = mover_difference(p2, wilson(*second, z), p1, wilson(*first, z))
    assert (low, high) == pytest.approx((-swapped[1], -swapped[0]))
    assert -1 <= low <= p1 - p2 <= high <= 1


@given(counts, counts, levels)
def test_a_ratios_limits_are_where_the_difference_vanishes(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> None:
    z = critical_value(level)
    p1, p2 = first[0] / first[1], second[0] / second[1]
    (low1, high1), (low2, high2) = wilson(*first, z), wilson(*second, z)
    low, high = (float(limit) for limit in mover_ratio(p1, (low1, high1), p2, (low2, high2)))
    assert 0 <= low < high
    for ratio, side in ((low, 0), (high, 1)):
        if 0 < ratio < math.inf:
            scaled = (ratio * low2, ratio * high2)
            difference = mover_difference(p1, (low1, high1), ratio * p2, scaled)
            assert difference[side] == pytest.approx(0, abs=1e-9 * (1 + ratio))
    if p2 > 0:
        assert low <= p1 / p2 * (1 + 1e-12)
        assert p1 / p2 <= high * (1 + 1e-12)
    assert (low == 0) == (first[0] == 0)
    assert (high == math.inf) == (second[0] == 0)


def _independent_ratio(x1: int, n1: int, x2: int, n2: int) -> tuple[float, float]:
    """Invert the score test with a numerically maximised likelihood, and none of the closed forms."""

    def deviance(ratio: float) -> float:
        def loss(p2: float) -> float:
            p1 = ratio * p2
            return float(-stats.binom.logpmf(x1, n1, p1) - stats.binom.logpmf(x2, n2, p2))

        top = min(1.0, 1 / ratio)
        p2 = float(optimize.minimize_scalar(loss, bounds=(0, top), method="bounded", options={"xatol": 1e-13}).x)
        p1 = ratio * p2
        # Koopman's chi-square.
        chi = (x1 - n1 * p1) ** 2 / (n1 * p1 * (1 - p1)) + (x2 - n2 * p2) ** 2 / (n2 * p2 * (1 - p2))
        return float(chi - Z**2)

    estimate = (x1 / n1) / (x2 / n2)
    return (
        float(optimize.brentq(deviance, estimate / 100, estimate * 0.999)),
        float(optimize.brentq(deviance, estimate * 1.001, estimate * 100)),
    )


@pytest.mark.parametrize(
    ("x1", "n1", "x2", "n2"), [(36, 40, 16, 80), (7, 34, 1, 34), (2, 60, 3, 500), (18, 20, 9, 20), (400, 900, 380, 900)]
)
def test_ratio_inverts_the_score_test(x1: int, n1: int, x2: int, n2: int) -> None:
    assert score_ratio(x1, n1, x2, n2, Z) == pytest.approx(_independent_ratio(x1, n1, x2, n2), rel=1e-5)


def test_ratio_as_published() -> None:
    # PropCIs::riskscoreci(7, 34, 1, 34, 0.95), as quoted in statsmodels/stats/tests/test_proportion.py.
    assert score_ratio(7, 34, 1, 34, Z) == pytest.approx((1.220853, 42.575718), rel=1e-6)


def test_ratio_at_the_corners() -> None:
    low, high = score_ratio([0, 5, 0, 20, 1], [20, 20, 20, 20, 1], [5, 0, 0, 20, 1], [20, 20, 20, 20, 1], Z)
    assert low[[0, 2]].tolist() == [0, 0]
    assert high[[1, 2]].tolist() == [math.inf, math.inf]
    assert np.all(np.isfinite(high[[0, 3, 4]]))
    # Certain successes on both sides: r = n / (n + z^2) solves T(r)^2 = n (1 - r) / r = z^2.
    assert low[3] == pytest.approx(20 / (20 + Z**2))
    assert high[3] == pytest.approx(1 / low[3])
    low, high = score_ratio(1e9, 1e9, 1e9, 1e9, Z)
    assert 1 - low == pytest.approx(Z**2 / 1e9, rel=1e-5)
    assert high - 1 == pytest.approx(Z**2 / 1e9, rel=1e-5)


@given(counts, counts, levels)
def test_a_ratio_inverts_with_its_groups(first: tuple[int, int], second: tuple[int, int], level: float) -> None:
    z = critical_value(level)
    low, high = (float(limit) for limit in score_ratio(*first, *second, z))
    swapped_low, swapped_high = (float(limit) for limit in score_ratio(*second, *first, z))
    assert 0 <= low < high
    if first[0] and second[0]:
        assert low <= (first[0] / first[1]) / (second[0] / second[1]) * (1 + 1e-12)
        assert high >= (first[0] / first[1]) / (second[0] / second[1]) * (1 - 1e-12)
        assert swapped_low == pytest.approx(1 / high, rel=1e-9)
        assert swapped_high == pytest.approx(1 / low, rel=1e-9)
    if second[0] == 0:
        assert high == math.inf
        assert swapped_low == 0


def test_ratio_excludes_one_when_the_pooled_test_rejects() -> None:
    # At r = 1 the score test is Pearson's chi-square.
    rng = np.random.default_rng(0)
    n1, n2 = rng.integers(5, 200, (2, 300))
    x1, x2 = rng.binomial(n1, 0.4), rng.binomial(n2, 0.55)
    pooled = (x1 + x2) / (n1 + n2)
    keep = (pooled > 0) & (pooled < 1)
    x1, n1, x2, n2, pooled = x1[keep], n1[keep], x2[keep], n2[keep], pooled[keep]
    chi = (x1 / n1 - x2 / n2) ** 2 / (pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    low, high = score_ratio(x1, n1, x2, n2, Z)
    assert np.array_equal((low > 1) | (high < 1), chi > Z**2)


def test_mean_is_students() -> None:
    values = np.random.default_rng(1).normal(3, 2, 40)
    limits = mean(values.sum(), (values**2).sum(), 40, 0.9, (None, None))
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert limits == pytest.approx((oracle.low, oracle.high))
    assert mean(values.sum(), (values**2).sum(), 40, 0.9, (2.9, 3.1)) == (2.9, 3.1)


def test_mean_of_equal_values() -> None:
    # 0 of n is the binomial case: the limit is Clopper & Pearson's. 0.1 is not a binary fraction, so sums cancel badly.
    for successes in (0, 20):
        exact = tuple(float(limit) for limit in clopper_pearson(successes, 20, 0.95))
        assert mean(successes, successes, 20, 0.95, (0, 1)) == pytest.approx(exact, abs=1e-12)
    total, squares = math.fsum([0.1] * 1000), math.fsum([0.1**2] * 1000)
    q = 1 - 0.025 ** (1 / 1000)
    assert mean(total, squares, 1000, 0.95, (-1, 1)) == pytest.approx((0.1 - 1.1 * q, 0.1 + 0.9 * q))
    assert mean(0.3, 0.09, 1, 0.95, (0, 1)) == pytest.approx((0.3 - 0.3 * 0.975, 0.3 + 0.7 * 0.975))
    with pytest.raises(ValueError, match="without variance"):
        mean(total, squares, 1000, 0.95, (0, None))
    with pytest.raises(ValueError, match="at least one"):
        mean(0, 0, 0, 0.95, (0, 1))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), levels)
def test_mean_holds_its_value_and_stays_in_bounds(values: list[float], level: float) -> None:
    n = len(values)
    low, high = mean(math.fsum(values), math.fsum(v * v for v in values), n, level, (0, 1))
    assert 0 <= low <= math.fsum(values) / n + 1e-15
    assert math.fsum(values) / n - 1e-15 <= high <= 1


def test_equal_values_cover_what_was_not_seen() -> None:
    # A Student interval of [0, 0] would miss the mean of rare events in every sample without one.
    rng = np.random.default_rng(2)
    for rate in (0.001, 0.01, 0.03):
        samples = rng.binomial(100, rate, 2000)
        unseen = [mean(0.0, 0.0, 100, 0.95, (0, 1))[1] >= rate for k in samples if k == 0]
        missed = len(unseen) - sum(unseen)
        assert missed / 2000 <= 0.025


@given(st.floats(1e-6, 1 - 1e-6), st.floats(0, 2), st.floats(0.5, 5))
def test_logit_interval(p: float, deviation: float, critical: float) -> None:
    low, high = (float(limit) for limit in logit_interval(p, deviation, critical))
    assert 0 <= low <= p <= high <= 1
    mirrored_low, mirrored_high = (float(limit) for limit in logit_interval(1 - p, deviation, critical))
    assert (1 - mirrored_high, 1 - mirrored_low) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("p", [0.0, 1.0, math.nan])
def test_logit_interval_needs_an_inner_estimate(p: float) -> None:
    with pytest.raises(ValueError, match="strictly between"):
        logit_interval(p, 0.1, Z)


@pytest.mark.parametrize(("n1", "n2", "p1", "p2"), [(15, 100, 0.1, 0.1), (30, 100, 0.24, 0.3), (15, 100, 0.04, 0.05)])
def test_exact_coverage_of_two_rates(n1: int, n2: int, p1: float, p2: float) -> None:
    # Summed over all tables, not simulated. Wald and Katz intervals have .75 to .79 in the first and the last design.
    x1, x2 = (grid.ravel() for grid in np.meshgrid(np.arange(n1 + 1), np.arange(n2 + 1)))
    weight = stats.binom.pmf(x1, n1, p1) * stats.binom.pmf(x2, n2, p2)
    low, high = mover_difference(x1 / n1, wilson(x1, n1, Z), x2 / n2, wilson(x2, n2, Z))
    assert weight @ ((low <= p1 - p2) & (p1 - p2 <= high)) >= 0.945
    for low, high in (
        score_ratio(x1, n1, x2, n2, Z),
        mover_ratio(x1 / n1, wilson(x1, n1, Z), x2 / n2, wilson(x2, n2, Z)),
    ):
        assert weight @ ((low <= p1 / p2) & (p1 / p2 <= high)) >= 0.945
