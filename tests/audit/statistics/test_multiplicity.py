"""Simultaneous inference against closed forms, scipy, hand examples and simulation."""

import math
from collections.abc import Callable
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fairwitness.audit.statistics.intervals import critical_value, mover_difference, mover_ratio, wilson
from fairwitness.audit.statistics.multiplicity import (
    benjamini_hochberg,
    holm,
    homogeneity,
    ratio_interval,
    shrunken_deviation,
    simultaneous_critical,
    spread_interval,
)

Z = critical_value(0.95)
group_counts = st.lists(
    st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=8
)
p_value_lists = st.lists(st.floats(0, 1), min_size=1, max_size=30)
Rates = list[float] | npt.NDArray[np.float64]


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_shrunken_deviation_by_hand() -> None:
    assert shrunken_deviation([0, 5], [9, 9]) == pytest.approx([math.sqrt(0.05 * 0.95 / 9), math.sqrt(0.55 * 0.45 / 9)])
    assert np.all(shrunken_deviation([0, 1e6], [1e6, 1e6]) > 0)


def test_one_pair_needs_no_simulation() -> None:
    rng = generator()
    before = rng.bit_generator.state
    assert simultaneous_critical([np.array([1.0, 7.0])], 0.95, rng) == Z
    assert simultaneous_critical([np.array([1.0, 7.0]), np.array([2.0])], 0.95, rng) == Z
    assert simultaneous_critical([np.array([2.0])], 0.95, rng) == Z
    assert simultaneous_critical([], 0.95, rng) == Z
    assert rng.bit_generator.state == before


# Percentage points of the studentized range at infinite degrees of freedom (Pearson & Hartley 1966, table 29).
@pytest.mark.parametrize(("k", "q"), [(3, 3.314), (5, 3.858), (10, 4.474), (20, 5.012)])
def test_equal_deviations_give_tukeys_value(k: int, q: float) -> None:
    assert simultaneous_critical([np.ones(k)], 0.95, generator()) == pytest.approx(q / math.sqrt(2), abs=0.03)


def test_many_groups_take_the_tukey_kramer_bound() -> None:
    simulated = simultaneous_critical([np.ones(60)], 0.95, generator())
    bound = simultaneous_critical([np.ones(61)], 0.95, generator())
    assert bound == pytest.approx(float(stats.studentized_range.ppf(0.95, 61, np.inf)) / math.sqrt(2), rel=1e-6)
    assert simulated == pytest.approx(bound, abs=0.05)
    # Two equal families: each holds with sqrt(.95).
    both = simultaneous_critical([np.ones(61), np.full(61, 3.0)], 0.95, generator())
    assert both == pytest.approx(
        float(stats.studentized_range.ppf(math.sqrt(0.95), 61, np.inf)) / math.sqrt(2), rel=1e-6
    )


def test_unequal_deviations_need_less_than_tukey_kramer() -> None:
    uneven = np.array([1.0, 0.01, 0.01, 0.01, 0.01])
    simulated = simultaneous_critical([uneven], 0.95, generator())
    assert Z < simulated < float(stats.studentized_range.ppf(0.95, 5, np.inf)) / math.sqrt(2)


def test_two_families_of_one_pair_multiply() -> None:
    pair = np.array([1.0, 2.0])
    expected = critical_value(math.sqrt(0.95))
    assert simultaneous_critical([pair, pair], 0.95, generator()) == pytest.approx(expected, abs=0.03)


def test_the_critical_value_is_reproducible_and_grows_with_the_level() -> None:
    families = [np.array([0.1, 0.2, 0.3]), np.array([0.05, 0.2, 0.1])]
    values = [simultaneous_critical(families, level, generator()) for level in (0.8, 0.95, 0.99)]
    assert values == sorted(values)
    assert simultaneous_critical(families, 0.95, generator()) == values[1]
    assert simultaneous_critical([s * 1e-6 for s in families], 0.95, generator()) == pytest.approx(values[1])


def test_two_groups_are_newcombes_and_donner_and_zous_interval() -> None:
    low, high = (float(v) for v in mover_difference(0.8, wilson(56, 70, Z), 0.6, wilson(48, 80, Z)))
    assert spread_interval([56, 48], [70, 80], Z) == pytest.approx((0.2, low, high))
    assert spread_interval([48, 56], [80, 70], Z) == pytest.approx((0.2, low, high))
    low, high = (float(v) for v in mover_ratio(0.6, wilson(48, 80, Z), 0.8, wilson(56, 70, Z)))
    assert ratio_interval([56, 48], [70, 80], Z) == pytest.approx((0.75, low, high))
    assert ratio_interval([48, 56], [80, 70], Z) == pytest.approx((0.75, low, high))


def test_equal_groups_reach_no_disparity() -> None:
    gap, low, high = spread_interval([30, 30, 30], [100, 100, 100], Z)
    assert gap == low == 0
    assert high > 0.1
    ratio, low, high = ratio_interval([30, 30, 30], [100, 100, 100], Z)
    assert ratio == high == 1
    assert low < 0.7


def test_a_group_without_successes() -> None:
    ratio, low, high = ratio_interval([0, 40, 50], [20, 100, 100], Z)
    assert ratio == low == 0
    assert 0 < high < 1
    # Two groups without successes: their own ratio is unknown, and the third bounds both.
    assert ratio_interval([0, 0, 50], [20, 20, 100], Z)[:2] == (0, 0)
    with pytest.raises(ValueError, match="not defined"):
        ratio_interval([0, 0], [20, 30], Z)


@pytest.mark.parametrize("interval", [spread_interval, ratio_interval])
def test_one_group_has_no_comparison(interval: Callable[[list[int], list[int], float], object]) -> None:
    with pytest.raises(ValueError, match="two groups"):
        interval([3], [9], Z)


@given(group_counts, st.floats(1, 6), st.randoms(use_true_random=False))
def test_intervals_hold_their_value_whatever_the_order(
    groups: list[tuple[int, int]], critical: float, order: Random
) -> None:
    shuffled = list(groups)
    order.shuffle(shuffled)
    (x, n), (y, m) = (np.array(g, dtype=float).T for g in (groups, shuffled))
    gap, low, high = spread_interval(x, n, critical)
    assert 0 <= low <= gap <= high <= 1
    differs = low > 1e-9
    assert spread_interval(y, m, critical) == pytest.approx((gap, low, high))
    assert spread_interval(n - x, n, critical) == pytest.approx((gap, low, high), abs=1e-12)
    wider = spread_interval(x, n, critical + 0.5)
    assert wider[1] <= low
    assert high <= wider[2]
    narrower = spread_interval(x * 9, n * 9, critical)
    assert narrower[1] >= low - 1e-12
    if x.any():
        ratio, low, high = ratio_interval(x, n, critical)
        assert 0 <= low <= ratio <= high <= 1
        assert (high < 1 - 1e-9) or not differs
        assert ratio_interval(y, m, critical) == pytest.approx((ratio, low, high), rel=1e-9, abs=1e-12)
        assert ratio_interval(x, n, critical + 0.5)[1] <= low + 1e-12


def gap_over(families: list[tuple[Rates, npt.NDArray[np.int64]]], rng: np.random.Generator) -> tuple[float, float]:
    """Interval of the largest gap over the families, as the fairness checks make it."""
    tables = [(rng.binomial(n, rates), n) for rates, n in families]
    critical = simultaneous_critical([shrunken_deviation(x, n) for x, n in tables], 0.95, rng, draws=2000)
    limits = [spread_interval(x, n, critical)[1:] for x, n in tables]
    return max(low for low, _ in limits), max(high for _, high in limits)


@pytest.mark.parametrize("k", [2, 5, 10, 20])
@pytest.mark.parametrize("rate", [0.3, 0.03])
def test_equal_groups_are_not_told_apart(k: int, rate: float) -> None:
    rng, n = generator(), np.linspace(30, 300, k).astype(np.int64)
    alarms = sum(gap_over([(np.full(k, rate), n)], rng)[0] > 0 for _ in range(300))
    # .05, and two standard errors of 300 simulations.
    assert alarms / 300 <= 0.075


@pytest.mark.parametrize("k", [2, 5, 10, 20])
@pytest.mark.parametrize("low_rate", [0.05, 0.2])
def test_planted_gaps_are_covered(k: int, low_rate: float) -> None:
    rng, n = generator(), np.linspace(30, 300, k).astype(np.int64)
    for rates in (np.linspace(low_rate, 0.3, k), np.append(np.full(k - 1, 0.3), low_rate)):
        limits = np.array([gap_over([(rates, n)], rng) for _ in range(200)])
        covered = (limits[:, 0] <= 0.3 - low_rate) & (0.3 - low_rate <= limits[:, 1])
        assert covered.mean() >= 0.92


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.3])
@pytest.mark.parametrize("k", [2, 5, 10])
def test_ratios_of_unequal_groups_are_covered(rate: float, k: int) -> None:
    rng, n = generator(), np.linspace(15, 400, k).astype(np.int64)
    covered = {"equal": 0, "planted": 0}
    for name, rates in (("equal", np.full(k, rate)), ("planted", np.append(np.full(k - 1, rate), rate * 0.6))):
        for _ in range(300):
            x = rng.binomial(n, rates)
            if not x.any():
                covered[name] += 1  # reported as not estimable
                continue
            critical = simultaneous_critical([shrunken_deviation(x, n)], 0.95, rng, draws=1000)
            _, low, high = ratio_interval(x, n, critical)
            covered[name] += low <= rates.min() / rates.max() <= high
    assert min(covered.values()) / 300 >= 0.915


def test_a_planted_gap_is_found() -> None:
    rng, n = generator(), np.full(10, 400)
    found = sum(gap_over([(np.append(np.full(9, 0.3), 0.1), n)], rng)[0] > 0 for _ in range(100))
    assert found >= 95


@pytest.mark.parametrize("k", [2, 5, 10])
@pytest.mark.parametrize("planted", [0.0, 0.15])
def test_equalized_odds_is_covered(k: int, planted: float) -> None:
    rng, n = generator(), np.linspace(40, 300, k).astype(np.int64)
    true_positive = np.append(np.full(k - 1, 0.8), 0.8 - planted)
    limits = np.array([gap_over([(true_positive, n // 2), (np.full(k, 0.1), n)], rng) for _ in range(300)])
    assert np.mean((limits[:, 0] <= planted) & (planted <= limits[:, 1])) >= 0.92


@given(group_counts)
def test_chi_square_agrees_with_scipy(groups: list[tuple[int, int]]) -> None:
    # Large enough tables for the asymptotic method.
    x, n = (np.array(column, dtype=float) for column in zip(*((a + 20, b + 40) for a, b in groups), strict=True))
    result = homogeneity([(x, n)], generator(), draws=10)
    expected = stats.contingency.chi2_contingency(np.array([x, n - x]), correction=False)
    assert result.method == "chi-square"
    assert result.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert result.degrees == expected.dof
    assert result.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_families_add_up() -> None:
    first, second = ([40, 60, 55], [100, 110, 90]), ([20, 30, 45], [100, 100, 100])
    one, other = (homogeneity([table], generator()) for table in (first, second))
    both = homogeneity([first, second], generator())
    assert both.statistic == pytest.approx(one.statistic + other.statistic)
    assert both.degrees == 4
    assert both.p_value == pytest.approx(stats.chi2.sf(both.statistic, 4))
    assert both.expected_spread > max(one.expected_spread, other.expected_spread)


def test_small_tables_are_permuted_to_fishers_p() -> None:
    # Fisher's lady tasting tea, 3 of 4 against 1 of 4: p = 34/70 both by |x - 2| and by chi-square.
    result = homogeneity([([3, 1], [4, 4])], generator(), draws=20_000)
    assert result.method == "permutation"
    assert result.p_value == pytest.approx(34 / 70, abs=0.01)
    # The gap is |x - 2| / 2 for hypergeometric x: 0, 1/2 and 1 with probabilities 36, 32 and 2 of 70.
    assert result.expected_spread == pytest.approx((32 / 2 + 2) / 70, abs=0.01)


def test_no_p_value_is_zero() -> None:
    result = homogeneity([([4, 0], [4, 40])], generator(), draws=100)
    assert result.p_value == pytest.approx(1 / 101)


@pytest.mark.parametrize(
    "tables", [[], [([0, 0], [5, 9])], [([5, 9], [5, 9])], [([3], [9])], [([3, 0], [9, 0])], [([], [])]]
)
def test_what_cannot_differ_is_homogeneous(tables: list[tuple[list[int], list[int]]]) -> None:
    result = homogeneity(tables, generator(), draws=50)
    assert (result.statistic, result.degrees, result.p_value, result.expected_spread) == (0, 0, 1, 0)


def test_a_family_that_cannot_differ_changes_nothing() -> None:
    table = ([3, 9, 5], [20, 30, 11])
    assert homogeneity([table, ([0, 0], [7, 8])], generator()) == homogeneity([table], generator())
    assert homogeneity([([3, 9, 5, 0], [20, 30, 11, 0])], generator()) == homogeneity([table], generator())


def test_effective_counts_are_permuted_rounded() -> None:
    result = homogeneity([([1.4, 3.8, 0.3], [7.6, 9.1, 0.4])], generator(), draws=500)
    assert result.method == "permutation"
    assert result.statistic == homogeneity([([1, 4], [8, 9])], generator(), draws=500).statistic
    # Nothing is left of counts below 1/2, and nothing contradicts equality.
    assert homogeneity([([0.2, 0.1], [0.4, 0.4])], generator(), draws=50).p_value == 1


@pytest.mark.parametrize("rate", [0.04, 0.3])
def test_the_test_keeps_its_level(rate: float) -> None:
    rng, n = generator(), np.array([20, 40, 60, 200])
    p_values = [homogeneity([(rng.binomial(n, rate), n)], rng, draws=200).p_value for _ in range(500)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.07


def test_expected_spread_is_the_mean_gap_under_equality() -> None:
    rng, n = generator(), np.array([30, 50, 80, 200])
    expected = homogeneity([(n * 0.3, n)], rng).expected_spread
    assert expected == pytest.approx(np.ptp(rng.binomial(n, 0.3, (5000, 4)) / n, axis=1).mean(), rel=0.05)


@given(p_value_lists)
def test_benjamini_hochberg_agrees_with_scipy(p_values: list[float]) -> None:
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values), abs=1e-12)


@given(p_value_lists, st.floats(0.01, 0.2))
def test_holm_rejects_what_its_steps_reject(p_values: list[float], alpha: float) -> None:
    # The procedure as Holm states it: stop at the first ordered p-value above alpha / (m - i).
    rejected = 0
    for i, p in enumerate(sorted(p_values)):
        if p * (len(p_values) - i) > alpha:
            break
        rejected += 1
    assert np.count_nonzero(holm(p_values) <= alpha) == rejected
    assert np.all(holm(p_values) >= benjamini_hochberg(p_values) - 1e-12)


def test_no_tests_need_no_adjustment() -> None:
    assert holm([]).size == benjamini_hochberg([]).size == 0
