"""Dirichlet draws and permutations against their exact moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fairwitness.audit.statistics.resampling import dirichlet_draws, permuted_counts


def test_dirichlet_draws_have_the_moments_of_the_jeffreys_posterior() -> None:
    counts = np.array([0.0, 3.0, 17.0, 80.0])
    draws = dirichlet_draws(counts, 40_000, np.random.default_rng(0))
    posterior = stats.dirichlet(counts + 0.5)
    assert draws.shape == (40_000, 4)
    np.testing.assert_allclose(draws.sum(axis=1), 1.0)
    np.testing.assert_allclose(draws.mean(axis=0), posterior.mean(), atol=5e-4)
    np.testing.assert_allclose(draws.var(axis=0), posterior.var(), rtol=0.05)


def test_jeffreys_quantiles_of_a_single_rate_cover() -> None:
    # Brown, Cai & DasGupta (2001): the Jeffreys interval of a rate covers about its level.
    rng = np.random.default_rng(1)
    covered = 0
    for successes in rng.binomial(50, 0.2, size=600):
        low, high = np.quantile(dirichlet_draws([successes, 50 - successes], 1000, rng)[:, 0], [0.025, 0.975])
        covered += bool(low <= 0.2 <= high)
    assert covered / 600 >= 0.92


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6), st.integers(0, 2**32))
def test_permutations_keep_the_margins(cells: list[tuple[int, int]], seed: int) -> None:
    x = np.array([a for a, _ in cells])
    n = np.array([a + b for a, b in cells])
    counts = permuted_counts(x, n, 5, np.random.default_rng(seed))
    assert counts.dtype == np.int64
    assert np.all(counts.sum(axis=1) == x.sum())
    assert np.all((counts >= 0) & (counts <= n))


def test_permutations_shuffle_rows() -> None:
    x, n = np.array([2, 9, 4]), np.array([10, 20, 6])
    counts = permuted_counts(x, n, 40_000, np.random.default_rng(2))
    exact = stats.multivariate_hypergeom(n, x.sum())
    np.testing.assert_allclose(counts.mean(axis=0), exact.mean(), atol=0.03)
    np.testing.assert_allclose(np.cov(counts.T), exact.cov(), atol=0.07)


def test_effective_counts_are_rounded() -> None:
    counts = permuted_counts([2.4, 9.6], [10.4, 19.5], 50, np.random.default_rng(3))
    assert np.all(counts.sum(axis=1) == 12)
    assert np.all(counts <= [10, 20])


@pytest.mark.parametrize("rate", [0.3, 2e-6])
def test_huge_tables_keep_moments_and_nearly_the_total(rate: float) -> None:
    n = np.array([3_000_000_000, 2_000_000_000, 500_000, 12])
    x = np.floor(n * rate)
    counts = permuted_counts(x, n, 20_000, np.random.default_rng(4))
    assert np.all((counts >= 0) & (counts <= n))
    assert np.abs(counts.sum(axis=1) - x.sum()).max() <= n.size
    pooled = x.sum() / n.sum()
    share = n / n.sum()
    np.testing.assert_allclose(counts.mean(axis=0), n * pooled, rtol=1e-3, atol=0.05)
    exact = n * pooled * (1 - pooled) * (1 - share)
    np.testing.assert_allclose(counts.var(axis=0), exact, rtol=0.05, atol=0.1)
    pairs = n.sum() * pooled * (1 - pooled)
    covariance = np.cov(counts[:, 0], counts[:, 1])[0, 1]
    assert covariance == pytest.approx(-share[0] * share[1] * pairs, rel=0.05)
