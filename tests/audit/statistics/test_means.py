"""Differences of means against scipy, and coverage of their simultaneous intervals."""

import numpy as np
import pytest
from scipy import stats

from fairwitness.audit.statistics.intervals import FloatArray, critical_value
from fairwitness.audit.statistics.means import (
    difference_degrees,
    difference_deviations,
    equal_estimates,
    equal_means,
    expected_gap,
    gap_interval,
    inverted,
    pair_intervals,
    pooled_variance,
    shared_critical,
    shared_tail,
    student,
    too_skewed,
    widest_gap,
)
from fairwitness.audit.statistics.multiplicity import simultaneous_critical

Z = critical_value(0.95)


def groups(seed: int, k: int) -> list[FloatArray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(rng.normal(), 1 + i, 8 + 5 * i) for i in range(k)]


def moments(samples: list[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means, their covariance and degrees of freedom."""
    means = np.array([s.mean() for s in samples])
    return means, np.diag([s.var(ddof=1) / s.size for s in samples]), np.array([s.size - 1.0 for s in samples])


@pytest.mark.parametrize("seed", range(4))
def test_two_groups_are_welchs_t_test(seed: int) -> None:
    a, b = groups(seed, 2)
    means, covariance, degrees = moments([a, b])
    test = stats.ttest_ind(a, b, equal_var=False)
    deviations, of_pairs = difference_deviations(covariance), difference_degrees(covariance, degrees)
    low, high = pair_intervals(means, deviations, of_pairs, Z)
    expected = test.confidence_interval(0.95)
    assert (low[0, 1], high[0, 1]) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert of_pairs[0, 1] == pytest.approx(test.df, rel=1e-12)
    assert equal_means(means, np.sqrt(np.diag(covariance)), degrees) == pytest.approx(test.pvalue, rel=1e-9)


@pytest.mark.parametrize("k", [3, 5])
def test_several_groups_are_welchs_analysis_of_variance(k: int) -> None:
    samples = groups(7, k)
    means, covariance, degrees = moments(samples)
    expected = stats.f_oneway(*samples, equal_var=False).pvalue
    assert equal_means(means, np.sqrt(np.diag(covariance)), degrees) == pytest.approx(expected, rel=1e-9)


def test_pairs_are_nearly_games_and_howells() -> None:
    """The studentized range has the critical value of equal standard errors, which is never the smaller one."""
    samples = groups(8, 4)
    means, covariance, degrees = moments(samples)
    deviations, of_pairs = difference_deviations(covariance), difference_degrees(covariance, degrees)
    critical = shared_critical(covariance, 0.95, np.random.default_rng(0))
    low, high = pair_intervals(means, deviations, of_pairs, critical)
    half = stats.studentized_range.ppf(0.95, 4, of_pairs[0, 3]) / np.sqrt(2) * deviations[0, 3]
    assert 0.93 < (high - low)[0, 3] / (2 * half) < 1.03


def test_student_has_the_tails_of_the_normal_value() -> None:
    assert student(Z, [4, 30]) == pytest.approx(stats.t.ppf(0.975, [4, 30]), rel=1e-12)
    assert float(student(2.8, np.inf)) == pytest.approx(2.8, rel=1e-12)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_independent_estimates_share_the_critical_value_of_multiplicity(k: int) -> None:
    deviations = np.arange(1.0, k + 1)
    found = shared_critical(np.diag(deviations**2), 0.9, np.random.default_rng(1))
    expected = simultaneous_critical([deviations], 0.9, np.random.default_rng(2))
    assert found == pytest.approx(expected, abs=0.03)


def test_a_part_that_all_estimates_share_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    own = np.diag([1.0, 2.0, 0.5])
    shared = own + 7.0
    assert difference_deviations(shared) == pytest.approx(difference_deviations(own), rel=1e-12)
    assert shared_critical(shared, 0.95, rng) == pytest.approx(shared_critical(own, 0.95, rng), abs=0.04)
    values = [1.0, 3.0, -1.0]
    assert equal_estimates(values, shared) == pytest.approx(equal_estimates(values, own), rel=1e-9)
    assert expected_gap(shared, rng) == pytest.approx(expected_gap(own, rng), rel=0.1)


def test_equal_estimates_is_walds_chi_square() -> None:
    """With variances 1 the statistic is the sum of squares about the mean."""
    values = np.array([0.0, 1.0, 2.5])
    expected = stats.chi2.sf(((values - values.mean()) ** 2).sum(), 2)
    assert equal_estimates(values, np.eye(3)) == pytest.approx(expected, rel=1e-9)


def test_many_groups_have_a_bound_instead_of_a_simulation() -> None:
    rng = np.random.default_rng(4)
    independent = np.eye(61)
    bound = shared_critical(independent, 0.95, rng)
    assert bound == simultaneous_critical([np.ones(61)], 0.95, rng)
    correlated = independent + 0.1 * np.outer(np.arange(61), np.arange(61))
    assert shared_critical(correlated, 0.95, rng) > bound


def test_expected_gap_of_two_is_known() -> None:
    """E|X - Y| = 2 / sqrt(pi) for standard normals."""
    assert expected_gap(np.eye(2), np.random.default_rng(5), 40_000) == pytest.approx(2 / np.sqrt(np.pi), rel=0.02)


def test_limits_of_the_gap_hold_it_even_where_pairs_are_sure() -> None:
    gap, low, high = widest_gap([0.0, 1.0, 5.0], np.zeros((3, 3)), np.zeros((3, 3)))
    assert (gap, low, high) == (5.0, 0.0, 5.0)


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("sizes", [(10, 10), (10, 40, 200), (12, 15, 20, 30, 60)])
def test_coverage(sizes: tuple[int, ...], shift: float) -> None:
    """Unequal variances and sizes; under equality the interval reaches 0 as often as it says, and the test rejects."""
    rng = np.random.default_rng(6)
    truth = np.linspace(0, shift, len(sizes))
    spread = np.linspace(2, 0.5, len(sizes))
    covered, rejected, runs = 0, 0, 400
    n = np.array(sizes, dtype=np.float64)
    for _ in range(runs):
        means = truth + spread * rng.standard_normal(n.size) / np.sqrt(n)
        covariance = np.diag(spread**2 * rng.chisquare(n - 1) / (n - 1) / n)
        critical = shared_critical(covariance, 0.95, rng, 2000)
        deviations, degrees = difference_deviations(covariance), difference_degrees(covariance, n - 1)
        _, low, high = gap_interval(means, deviations, degrees, critical)
        covered += bool(low <= np.ptp(truth) <= high)
        rejected += equal_means(means, np.sqrt(np.diag(covariance)), n - 1) < 0.05
    assert covered >= 0.93 * runs
    if not shift:
        assert rejected <= 0.08 * runs


@pytest.mark.parametrize("degrees", [1.0, 7.5, 400.0, np.inf])
def test_students_quantile_is_scipys(degrees: float) -> None:
    z = np.array([0.3, 1.96, 4.0, 7.9])
    assert student(z, degrees) == pytest.approx(stats.t.isf(stats.norm.sf(z), degrees), rel=1e-8)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_the_tail_of_a_critical_value_is_its_alpha(k: int) -> None:
    """Of equal variances it is the studentized range's."""
    z = 2.3
    expected = stats.studentized_range.sf(z * np.sqrt(2), k, np.inf)
    assert shared_tail(np.eye(k), z, np.random.default_rng(0)) == pytest.approx(expected, rel=0.06)
    assert shared_tail(np.eye(k), 7.0, np.random.default_rng(0)) <= 15 * 2 * stats.norm.sf(7.0)
    assert shared_tail(np.eye(k), 0.0, np.random.default_rng(0)) == 1.0


def test_the_p_value_of_an_interval_is_that_of_its_test() -> None:
    rng = np.random.default_rng(0)
    for apart in (0.5, 2.0, 3.0):
        p_value = inverted(lambda z, a=apart: a - z, [1.0, 2.0], rng, critical=Z, level=0.95)  # type: ignore[misc]
        assert p_value == pytest.approx(2 * stats.norm.sf(apart), rel=1e-4)
        assert (p_value < 0.05) == (apart > Z)
    assert inverted(lambda _: 0.0, [1.0, 1.0, 1.0], rng, critical=2.34, level=0.95) == 1.0
    # Whatever the simulations say, it does not contradict the interval.
    assert inverted(lambda z: 2.0 - z, [1.0, 1.0, 1.0], rng, critical=1.9, level=0.95) < 0.05


def test_skewness_is_that_within_all_groups() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.exponential(1, 80), rng.exponential(1, 5000) + 10
    n = [a.size, b.size]
    variances, thirds = ([float(stats.moment(x, power)) for x in (a, b)] for power in (2, 3))
    skewness = np.dot(n, thirds) / sum(n) / (np.dot(n, variances) / sum(n)) ** 1.5
    assert 80 < 25 * skewness**2 < 5000
    assert too_skewed(n, variances, thirds).tolist() == [True, False]
    assert not too_skewed(n, [0.0, 0.0], [0.0, 0.0]).any()
    assert not too_skewed([0.0, 0.0], variances, thirds).any()
    assert pooled_variance(n, variances) == pytest.approx((79 * a.var(ddof=1) + 4999 * b.var(ddof=1)) / 5078)
    assert pooled_variance([1, 0], [0.0, 0.0]) == 0


def test_cochrans_rule_holds_where_it_says_so() -> None:
    """Intervals of the mean of exponential values (skewness 2) miss in 8 to 10 % of samples of 15, and in 5 of 100."""
    rng = np.random.default_rng(0)
    missed = {}
    for n in (15, 100):
        rows = rng.exponential(1, (4000, n))
        half = stats.t.isf(0.025, n - 1) * rows.std(axis=1, ddof=1) / np.sqrt(n)
        missed[n] = float((np.abs(rows.mean(axis=1) - 1) > half).mean())
    assert missed[15] > 0.08
    assert missed[100] < 0.068
