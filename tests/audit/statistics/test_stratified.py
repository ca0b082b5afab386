"""Comparisons within strata against R, SAS, scipy's hypergeometric distributions and simulation."""

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from fairwitness.audit.statistics.intervals import critical_value, mover_difference, wilson
from fairwitness.audit.statistics.stratified import (
    breslow_day,
    cochran_mantel_haenszel,
    mantel_haenszel,
    rate_variance,
    standardised_difference,
    standardised_rate,
)

Z = critical_value(0.95)

# Graduate admissions at Berkeley in 1973 by department (Bickel, Hammel & O'Connell 1975; UCBAdmissions in R): men and
# women by admitted and rejected.
BERKELEY = np.array(
    [
        [[512, 313], [89, 19]],
        [[353, 207], [17, 8]],
        [[120, 205], [202, 391]],
        [[138, 279], [131, 244]],
        [[53, 138], [94, 299]],
        [[22, 351], [24, 317]],
    ]
)
# Penicillin in rabbits (Agresti 1990, page 231): none or 1.5 h delay by cured and died, at five doses.
RABBITS = np.array([[[0, 6], [0, 5]], [[3, 3], [0, 6]], [[6, 0], [2, 4]], [[5, 1], [6, 0]], [[2, 0], [5, 0]]])


def random_tables(seed: int, strata: int = 7) -> Any:
    return np.random.default_rng(seed).integers(0, 30, (strata, 2, 2))


@pytest.mark.parametrize(
    ("tables", "value", "low", "high", "corrected", "p"),
    [
        (BERKELEY, 0.9046968, 0.7719074, 1.0603298, 1.4269, 0.2323),
        (RABBITS, 7.0, 1.026713, 47.725133, 3.9286, 0.04747),
    ],
)
def test_r_mantelhaen_test(tables: Any, value: float, low: float, high: float, corrected: float, p: float) -> None:
    """R's mantelhaen.test on its own examples."""
    found = mantel_haenszel(tables, Z)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), rel=1e-6)
    test = cochran_mantel_haenszel(tables[:, :, 0], tables.sum(axis=2))
    assert (test.corrected, test.corrected_p) == pytest.approx((corrected, p), abs=6e-5)
    assert test.degrees == 1


def test_one_stratum_is_the_mantel_haenszel_chi_square_of_sas() -> None:
    """SAS, proc freq of sex by admit over all departments: Mantel-Haenszel chi-square 92.1849."""
    whole = BERKELEY.sum(axis=0)
    test = cochran_mantel_haenszel(whole[None, :, 0], whole.sum(axis=1)[None])
    assert test.statistic == pytest.approx(92.1849, abs=5e-5)
    odds = mantel_haenszel(whole[None], Z)
    assert odds is not None
    log_se = np.sqrt((1 / whole).sum())  # of one table the variance is Woolf's
    expected = stats.contingency.odds_ratio(whole, kind="sample").statistic
    assert (odds.value, odds.low) == pytest.approx((expected, expected * np.exp(-Z * log_se)), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_statistic_is_made_of_hypergeometric_moments(seed: int) -> None:
    """Four groups in six strata, one of them without a decision to make."""
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 12, (6, 4))
    x = rng.binomial(n, 0.4)
    x[0] = n[0]
    margins = [stats.multivariate_hypergeom(sizes, int(hits.sum())) for sizes, hits in zip(n, x, strict=True)]
    excess = (x - np.array([margin.mean() for margin in margins])).sum(axis=0)[:3]
    covariance = np.sum([margin.cov() for margin in margins], axis=0)[:3, :3]
    expected = excess @ np.linalg.solve(covariance, excess)
    test = cochran_mantel_haenszel(x, n)
    assert test.statistic == pytest.approx(expected, rel=1e-9)
    assert test.degrees == 3
    assert test.p_value == pytest.approx(stats.chi2.sf(expected, 3), rel=1e-9)
    assert test.corrected is None


def test_groups_that_never_meet_share_no_degree_of_freedom() -> None:
    n = np.array([[10, 12, 0, 0], [0, 0, 9, 11], [8, 7, 0, 0]])
    test = cochran_mantel_haenszel(n // 3, n)
    assert test.degrees == 2


@pytest.mark.parametrize("x", [[[0, 0], [0, 0]], [[5, 6], [7, 8]]])
def test_without_a_decision_nothing_differs(x: Any) -> None:
    test = cochran_mantel_haenszel(x, [[5, 6], [7, 8]])
    assert (test.statistic, test.p_value, test.corrected, test.corrected_p) == (0.0, 1.0, 0.0, 1.0)
    assert cochran_mantel_haenszel(np.zeros((0, 2)), np.zeros((0, 2))).p_value == 1.0


def test_breslow_day_at_berkeley() -> None:
    """Chi-square 18.83 with 5 degrees of freedom, p = .0021: department A alone is different."""
    odds = mantel_haenszel(BERKELEY, Z)
    assert odds is not None
    test = breslow_day(BERKELEY, odds.value)
    assert test is not None
    assert (test.breslow_day, test.tarone) == pytest.approx((18.83, 18.83), abs=5e-3)
    assert test.degrees == 5
    assert test.p_value == pytest.approx(0.0021, abs=5e-5)
    without = breslow_day(BERKELEY[1:], 1.0)
    assert without is not None
    assert without.p_value > 0.5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("odds_ratio", [0.2, 1.0, 3.0])
def test_expected_counts_have_the_common_odds_ratio(seed: int, odds_ratio: float) -> None:
    """Breslow and Day's statistic with expected counts found by bisection."""
    tables = random_tables(seed) + 1
    statistic = excess = total = 0.0
    for (a, b), (c, d) in tables.tolist():

        def off(x: float, a: int = a, b: int = b, c: int = c, d: int = d) -> float:
            return x * (d - a + x) - odds_ratio * (a + b - x) * (a + c - x)

        at = optimize.brentq(off, max(0, a - d), min(a + b, a + c), xtol=1e-13)
        variance = 1 / (1 / at + 1 / (a + b - at) + 1 / (a + c - at) + 1 / (d - a + at))
        statistic, excess, total = statistic + (a - at) ** 2 / variance, excess + a - at, total + variance
    test = breslow_day(tables, odds_ratio)
    assert test is not None
    assert test.breslow_day == pytest.approx(statistic, rel=1e-7)
    assert test.tarone == pytest.approx(statistic - excess**2 / total, rel=1e-7)


def test_an_odds_ratio_that_is_no_number_is_none() -> None:
    assert mantel_haenszel([[[5, 5], [0, 10]]], Z) is None  # infinite
    assert mantel_haenszel([[[0, 5], [3, 10]]], Z) is None  # zero
    assert mantel_haenszel(np.zeros((0, 2, 2)), Z) is None
    assert breslow_day([[[5, 5], [4, 10]]], 1.0) is None
    assert breslow_day([[[5, 5], [4, 10]], [[0, 0], [4, 10]]], 1.0) is None


@pytest.mark.parametrize("seed", range(3))
def test_effective_counts_need_not_be_integers(seed: int) -> None:
    """Halved counts have the same odds ratio and half the information."""
    tables = random_tables(seed) + 1.0
    whole, half = mantel_haenszel(tables, Z), mantel_haenszel(tables / 2, Z)
    assert whole is not None
    assert half is not None
    assert half.value == pytest.approx(whole.value, rel=1e-12)
    assert np.log(half.high / half.low) == pytest.approx(np.sqrt(2) * np.log(whole.high / whole.low), rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 50])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5])
def test_the_variance_of_a_rate_is_not_too_small_on_average(n: int, rate: float) -> None:
    x = np.arange(n + 1)
    expected = float(stats.binom.pmf(x, n, rate) @ rate_variance(x, np.full(n + 1, n)))
    assert expected >= rate * (1 - rate) / n * (1 - 1e-9)
    assert expected <= max(0.25 / n, 3 * rate * (1 - rate) / n) + 0.25 / n**1.5


def test_a_standardised_rate_is_the_weighted_mean() -> None:
    rate, rows = standardised_rate([10, 80, 3], [100, 100, 30], [0.2, 0.3, 0.5])
    assert rate == pytest.approx(0.2 * 0.1 + 0.3 * 0.8 + 0.5 * 0.1)
    variance = (np.array([0.2, 0.3, 0.5]) ** 2) @ np.array([0.09 / 99, 0.16 / 99, 0.09 / 29])
    assert rate * (1 - rate) / rows == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize(("x1", "n1", "x2", "n2"), [(30, 100, 60, 120), (0, 40, 3, 50), (200, 2000, 1500, 2500)])
def test_in_one_stratum_the_interval_is_close_to_newcombes(x1: int, n1: int, x2: int, n2: int) -> None:
    value, low, high = standardised_difference(([x1], [n1]), ([x2], [n2]), [1.0], n1 + n2, Z)
    newcombe = mover_difference(x1 / n1, wilson(x1, n1, Z), x2 / n2, wilson(x2, n2, Z))
    assert value == pytest.approx(x1 / n1 - x2 / n2)
    assert (float(low), float(high)) == pytest.approx(tuple(float(v) for v in newcombe), abs=4e-3)


@pytest.mark.parametrize(
    ("strata", "n", "spread", "share"),
    [(1, 80, 0.0, 0.3), (5, 400, 0.1, 0.1), (40, 300, 0.1, 0.3), (100, 400, 0.0, 0.4)],
)
def test_the_interval_covers_with_few_large_and_many_small_strata(
    strata: int, n: int, spread: float, share: float
) -> None:
    """The share of a group among the rejected less that among the selected, strata drawn too; nominal .95."""
    rng = np.random.default_rng(1)
    size = rng.dirichlet(np.full(strata, 3.0))
    group = np.clip(rng.normal(share, 0.1, strata), 0.03, 0.97)
    rate = np.clip(rng.normal(0.4, 0.15, strata), 0.05, 0.95)
    shifted = np.clip(rate + rng.normal(0, spread, strata), 0.03, 0.97)
    cells = np.stack([group * shifted, group * (1 - shifted), (1 - group) * rate, (1 - group) * (1 - rate)], axis=1)
    truth = size @ (cells[:, 1] / (cells[:, 1] + cells[:, 3]) - cells[:, 0] / (cells[:, 0] + cells[:, 2]))
    covered = 0
    for counts in rng.multinomial(n, (size[:, None] * cells).ravel(), size=400).reshape(400, strata, 4):
        selected, rejected = counts[:, 0] + counts[:, 2], counts[:, 1] + counts[:, 3]
        mixed = (selected > 0) & (rejected > 0)
        _, low, high = standardised_difference(
            (counts[mixed, 1], rejected[mixed]), (counts[mixed, 0], selected[mixed]), counts[mixed].sum(axis=1), n, Z
        )
        covered += bool(low <= truth <= high)
    assert 0.92 <= covered / 400 <= 0.99


@pytest.mark.parametrize(("strata", "size"), [(4, 60), (60, 5)])
def test_the_tests_hold_their_level_and_the_odds_ratio_its_coverage(strata: int, size: int) -> None:
    """A common odds ratio of 1, and of 2.5, in few large and in many small strata."""
    rng = np.random.default_rng(2)
    base = rng.normal(0, 0.8, strata)
    false_alarms = covered = 0
    for odds_ratio in (1.0, 2.5):
        rates = 1 / (1 + np.exp(-np.stack([base + np.log(odds_ratio), base], axis=1)))
        for _ in range(300):
            n = np.full((strata, 2), size)
            x = rng.binomial(n, rates)
            if odds_ratio == 1.0:
                false_alarms += cochran_mantel_haenszel(x, n).p_value < 0.05
            found = mantel_haenszel(np.stack([x, n - x], axis=2), Z)
            assert found is not None
            covered += found.low <= odds_ratio <= found.high
    assert 0.015 <= false_alarms / 300 <= 0.09
    assert covered / 600 >= 0.925
