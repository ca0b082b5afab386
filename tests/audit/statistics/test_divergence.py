"""Oracles: scipy's hypergeometric law and Newcombe's interval, DivExplorer's published t, a simulation of coverage."""

import numpy as np
import pytest
from scipy import stats

from fairwitness.audit.statistics.divergence import Contrast, normal_p, permutation_critical, permutation_p
from fairwitness.audit.statistics.intervals import critical_value, mover_difference, wilson


def test_the_divergence_is_the_rate_inside_less_the_rate_of_all() -> None:
    contrast = Contrast.of_counts([3, 10], [10, 20], (20, 50))
    assert contrast.rate == pytest.approx([0.3, 0.5])
    assert contrast.divergence == pytest.approx([0.3 - 0.4, 0.5 - 0.4])
    assert contrast.at(np.array([1])).divergence == pytest.approx([0.1])


def test_the_interval_is_newcombes_scaled_by_the_rest() -> None:
    z = critical_value(0.95)
    low, high = Contrast.of_counts([3], [10], (20, 50)).interval(z)
    of_difference = mover_difference(0.3, wilson(3, 10, z), 17 / 40, wilson(17, 40, z))
    assert (low[0], high[0]) == pytest.approx([0.8 * float(limit) for limit in of_difference])


def test_the_statistic_is_that_of_the_hypergeometric_law() -> None:
    law = stats.hypergeom(50, 20, 10)
    expected = (3 - law.mean()) / law.std()
    assert Contrast.of_counts([3], [10], (20, 50)).standardised == pytest.approx([expected])


@pytest.mark.parametrize("x", range(11))
def test_the_exact_p_is_twice_the_smaller_tail(x: int) -> None:
    table = np.array([[x, 10 - x], [20 - x, 20 + x]])
    lower = stats.fisher_exact(table, alternative="less").pvalue
    upper = stats.fisher_exact(table, alternative="greater").pvalue
    assert Contrast.of_counts([x], [10], (20, 50)).exact_p == pytest.approx([min(1.0, 2 * min(lower, upper))])


def test_t_as_published() -> None:
    """FPR of age 25-45, more than 3 priors, African-American, male: 69 of 224; 297 of 3,363 in all; DivExplorer's t."""
    contrast = Contrast.of_counts([69], [155 + 69], (297, 3066 + 297))
    assert contrast.divergence == pytest.approx([0.219722], abs=5e-7)
    assert contrast.beta_t == pytest.approx([7.116857], abs=5e-7)


def test_where_nothing_can_differ() -> None:
    """No rows inside, none outside, all outcomes alike."""
    contrast = Contrast.of_counts([0, 20, 0], [0, 50, 10], (20, 50))
    assert contrast.divergence[:2] == pytest.approx([-0.4, 0.0])
    assert contrast.standardised[:2].tolist() == [0.0, 0.0]
    constant = Contrast.of_counts([0], [10], (0, 50))
    assert (constant.divergence[0], constant.standardised[0], constant.exact_p[0]) == (0.0, 0.0, 1.0)
    low, high = constant.interval(1.96)
    assert low[0] < 0 < high[0]
    assert Contrast.of_counts([0], [0], (0, 0)).divergence.tolist() == [0.0]


def test_equal_weights_are_no_weights() -> None:
    x, n = np.array([3.0, 10.0]), np.array([10.0, 20.0])
    weighted = Contrast.of_weights(n.astype(int), 2 * x, 2 * n, 4 * n, (40.0, 100.0, 200.0))
    counted = Contrast.of_counts(x, n, (20, 50))
    for name in ("divergence", "standardised", "beta_t", "rate"):
        assert getattr(weighted, name) == pytest.approx(getattr(counted, name)), name
    assert np.array(weighted.interval(3.0)) == pytest.approx(np.array(counted.interval(3.0)))


def test_unequal_weights_count_for_less() -> None:
    rng = np.random.default_rng(0)
    w, inside, hit = rng.exponential(1, 400), rng.random(400) < 0.3, rng.random(400) < 0.5
    sums = [np.array([(part * inside).sum()]) for part in (w * hit, w, w * w)]
    whole = float((w * hit).sum()), float(w.sum()), float((w * w).sum())
    contrast = Contrast.of_weights(np.array([inside.sum()]), sums[0], sums[1], sums[2], whole)
    expected = np.average(hit[inside], weights=w[inside]) - np.average(hit, weights=w)
    assert contrast.divergence == pytest.approx([expected])
    assert contrast.n[0] < inside.sum()
    assert contrast.n_outside[0] == pytest.approx(w[~inside].sum() ** 2 / (w[~inside] ** 2).sum())


def test_permutation_p_and_its_critical_value_agree() -> None:
    maxima = np.random.default_rng(0).random(199)
    critical = permutation_critical(maxima, 0.95)
    assert permutation_p(critical + 1e-6, maxima) <= 0.05 < permutation_p(critical, maxima)
    assert permutation_p([0.0, 2.0], maxima).tolist() == [1.0, 1 / 200]
    assert permutation_critical(maxima[:18], 0.95) == np.inf


def test_normal_p() -> None:
    assert normal_p([0.0, -critical_value(0.95)]) == pytest.approx([1.0, 0.05])


@pytest.mark.parametrize(("inside", "outside"), [(0.3, 0.3), (0.5, 0.2), (0.05, 0.1)])
def test_coverage(inside: float, outside: float) -> None:
    """The truth given the sizes: (1 - share) (p - q)."""
    rng = np.random.default_rng(1)
    n, n_outside = np.full(4000, 60.0), np.full(4000, 240.0)
    x, x_outside = rng.binomial(60, inside, 4000).astype(float), rng.binomial(240, outside, 4000).astype(float)
    contrast = Contrast(n.astype(int), x, n, x_outside, n_outside, n / 300, (0.0, 300.0))
    low, high = contrast.interval(critical_value(0.95))
    truth = 0.8 * (inside - outside)
    assert np.mean((low <= truth) & (truth <= high)) > 0.94
