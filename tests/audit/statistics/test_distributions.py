"""Distances of distributions and ROC curves against scipy, scikit-learn, brute force and simulation."""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from fairwitness.audit.statistics.distributions import (
    abroca,
    areas,
    distance_limits,
    distribution,
    expected_range,
    kolmogorov_smirnov,
    largest_gap,
    pair_distances,
    reached,
    roc_at,
    wasserstein,
    welch,
)
from fairwitness.audit.statistics.intervals import critical_value, modified_wilson
from fairwitness.audit.statistics.multiplicity import spread_interval
from fairwitness.audit.statistics.ranking import roc_auc
from fairwitness.audit.statistics.resampling import permuted_tables, redrawn, widened

Floats = npt.NDArray[np.float64]

some_scores = st.lists(st.integers(0, 8).map(lambda i: i / 8), min_size=1, max_size=30)
GRID = np.arange(9) / 8


def counts(scores: npt.ArrayLike, grid: npt.ArrayLike = GRID) -> Floats:
    return np.bincount(np.searchsorted(grid, scores), minlength=np.size(grid)).astype(np.float64)


@given(some_scores, some_scores)
def test_distances_of_distributions_are_those_of_scipy(a: list[float], b: list[float]) -> None:
    x, y = counts(a), counts(b)
    with np.errstate(divide="ignore"):  # in the p-value of scipy's, of one row each
        expected = stats.ks_2samp(a, b, method="asymp").statistic
    assert kolmogorov_smirnov(x, y) == pytest.approx(expected, abs=1e-12)
    assert wasserstein(x, y, GRID) == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-12)


def brute_abroca(a: tuple[list[float], list[float]], b: tuple[list[float], list[float]]) -> float:
    """Midpoint sum over scikit-learn's curves, on a grid that no corner of theirs falls on."""
    at = (np.arange(60_000) + 0.5) / 60_000 * (1 - 1e-9)
    heights = []
    for positives, negatives in (a, b):
        label = np.repeat([1, 0], [len(positives), len(negatives)])
        x, y, _ = roc_curve(label, [*positives, *negatives], drop_intermediate=False)
        heights.append(np.interp(at, x, y))
    return float(np.abs(heights[0] - heights[1]).mean())


@given(some_scores, some_scores, some_scores, some_scores)
def test_abroca_is_the_area_between_the_curves(p: list[float], q: list[float], r: list[float], s: list[float]) -> None:
    found = abroca(counts(p), counts(q), counts(r), counts(s))
    assert found == pytest.approx(brute_abroca((p, q), (r, s)), abs=1e-4)
    assert abroca(counts(r), counts(s), counts(p), counts(q)) == pytest.approx(found, abs=1e-12)
    difference = abs(roc_auc(counts(p), counts(q)) - roc_auc(counts(r), counts(s)))
    assert difference - 1e-12 <= found <= 1
    assert abroca(counts(p), counts(q), counts(p), counts(q)) == 0


def test_abroca_by_hand() -> None:
    # The diagonal against a curve through (1/4, 1/2) and (3/4, 1/2), which crosses it at one half: four triangles of
    # 1/32 and no difference of areas.
    diagonal = [1.0], [1.0]
    crossing = [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]
    assert roc_auc(*crossing) == 0.5
    assert abroca(*diagonal, *crossing) == pytest.approx(1 / 8)
    # One curve everywhere above the other: the difference of areas, though grids differ.
    assert abroca([0.0, 1.0], [1.0, 0.0], *diagonal) == 0.5
    assert abroca([0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]) == 1.0


@given(some_scores, some_scores)
def test_many_curves_at_once_are_each_one_alone(positives: list[float], negatives: list[float]) -> None:
    m, n = counts(positives), counts(negatives)
    # Doubled, reversed and as they are: three curves in one array.
    both = np.array([[m, n], [2 * m, 3 * n], [n[::-1], m[::-1]]])
    label = np.repeat([1, 0], [len(positives), len(negatives)])
    area = roc_auc_score(label, [*positives, *negatives])
    assert areas(both[:, 0], both[:, 1]) == pytest.approx([area] * 3, abs=1e-12)
    rates = np.linspace(0.0387, 0.9127, 11, dtype=np.float64)
    x, y, _ = roc_curve(label, [*positives, *negatives], drop_intermediate=False)
    found = roc_at(both[:, 0], both[:, 1], rates)
    assert found[0] == pytest.approx(np.interp(rates, x, y), abs=1e-9)
    assert found[1] == pytest.approx(found[0], abs=1e-9)


@pytest.mark.parametrize("groups", [4, 40])  # in one array, and draw by draw
def test_distances_of_pairs_are_in_order(groups: int) -> None:
    curves = np.random.default_rng(0).random((3, groups, 5))
    first, second = np.triu_indices(groups, k=1)
    apart = np.abs(curves[:, first] - curves[:, second])
    widths = np.arange(5.0)
    assert pair_distances(curves, None) == pytest.approx(apart.max(axis=-1))
    assert pair_distances(curves, widths) == pytest.approx(apart @ widths)


@pytest.mark.parametrize("rows", [40, 6_000])  # shuffled row by row, and drawn score by score
def test_permutations_keep_the_margins_and_are_hypergeometric(rows: int) -> None:
    table = np.array([[1, 0, 3, 4], [2, 5, 1, 0], [0, 4, 0, 4]]) * (rows // 24)
    drawn = permuted_tables(table, 4000, np.random.default_rng(0))
    assert (drawn.sum(axis=1) == table.sum(axis=0)).all()
    assert (drawn.sum(axis=2) == table.sum(axis=1)).all()
    for g, s in ((0, 0), (1, 2), (2, 3)):
        expected = stats.hypergeom(table.sum(), table[:, s].sum(), table[g].sum())
        assert drawn[:, g, s].mean() == pytest.approx(expected.mean(), abs=5 * expected.std() / math.sqrt(4000))
        assert drawn[:, g, s].std() == pytest.approx(expected.std(), rel=0.06)


def test_permutations_of_effective_counts_lose_no_row() -> None:
    table = np.full((2, 50), 0.3)
    drawn = permuted_tables(table, 10, np.random.default_rng(0))
    assert (drawn.sum(axis=2) == 15).all()
    huge = permuted_tables(np.full((2, 3), 1e9), 5, np.random.default_rng(0))
    assert huge.sum(axis=(1, 2)) == pytest.approx([5e8] * 5, abs=2)


def test_draws_are_dirichlet_with_an_unbiased_spread() -> None:
    table = np.array([[0.0, 3.0, 5.0, 4.0], [6.0, 0.0, 4.0, 2.0]])
    drawn = distribution(redrawn(table, 20_000, np.random.default_rng(0)))
    seen = distribution(table)
    assert (drawn[:, 0, 0] == 0).all()
    assert drawn.mean(axis=0) == pytest.approx(seen, abs=0.005)
    spread = widened(drawn, seen, table.sum(axis=1)).std(axis=0)
    assert spread == pytest.approx(np.sqrt(seen * (1 - seen) / 11), rel=0.03)


def test_reached_is_never_zero() -> None:
    assert reached(3.0, np.zeros(99)) == 0.01
    assert reached(0.0, np.zeros(99)) == 1.0


DESIGNS = {  # by name: what the groups' scores are moved by, rows, and the true largest distance
    "two equal": ((0, 0), (40, 60), 0.0),
    "two apart": ((0, 1), (60, 60), 2 * stats.norm.cdf(0.5) - 1),
    "three, one small": ((0, 0, 0.6), (80, 12, 80), 2 * stats.norm.cdf(0.3) - 1),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_limits_hold_the_true_distance(name: str) -> None:
    """At least .95 of the time, and above it in no more than one of 40: 150 samples, so .90 and .06 are allowed."""
    moves, sizes, truth = DESIGNS[name]
    rng = np.random.default_rng(1)
    missed = np.zeros(2)
    for _ in range(150):
        scores = [rng.normal(move, 1, n) for move, n in zip(moves, sizes, strict=True)]
        grid = np.unique(np.concatenate(scores))
        table = np.array([counts(of_group, grid) for of_group in scores])
        n = table.sum(axis=1)
        seen = distribution(table)
        drawn = widened(distribution(redrawn(table, 200, rng)), seen, n)
        low, high = distance_limits(seen, drawn, None, n, 0.95)
        missed += [low > truth, high < truth]
    assert missed.sum() / 150 <= 0.10
    assert missed[0] / 150 <= 0.06


def test_groups_that_show_no_variation_have_no_certain_distance() -> None:
    table = np.array([[20.0, 0.0], [0.0, 20.0], [20.0, 0.0]])
    seen = distribution(table)
    drawn = distribution(redrawn(table, 100, np.random.default_rng(0)))
    low, high = distance_limits(seen, drawn, None, table.sum(axis=1), 0.95)
    hidden = 1 - 0.025 ** (1 / 20)  # Clopper and Pearson's limit of none in twenty
    assert low == pytest.approx(1 - math.hypot(hidden, hidden))
    assert high >= 1


@given(st.lists(st.tuples(st.integers(1, 99), st.just(100)), min_size=2, max_size=6))
def test_the_gap_of_shares_is_that_of_multiplicity(groups: list[tuple[int, int]]) -> None:
    x, n = np.array(groups, dtype=np.float64).T
    z = critical_value(0.95)
    gap = largest_gap(x / n, *modified_wilson(x, n, z))
    assert (gap.value, gap.low, min(gap.high, 1.0)) == pytest.approx(spread_interval(x, n, z), abs=1e-12)


@pytest.mark.parametrize("sizes", [(8, 30), (5, 12, 40), (10, 10, 10, 200)])
def test_welch_is_scipys(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(0.3 * i, 1 + i, n) for i, n in enumerate(sizes)]
    n, means, variances = np.array([(len(g), g.mean(), g.var(ddof=1)) for g in groups]).T
    assert welch(n, means, variances) == pytest.approx(stats.f_oneway(*groups, equal_var=False).pvalue, rel=1e-9)
    if len(groups) == 2:
        test = stats.ttest_ind(*groups, equal_var=False)
        assert welch(n, means, variances) == pytest.approx(test.pvalue, rel=1e-9)


def test_welch_where_nothing_varies() -> None:
    n, still = np.array([5.0, 5.0]), np.zeros(2)
    assert welch(n, np.array([1.0, 1.0]), still) == 1
    assert welch(n, np.array([1.0, 2.0]), still) == 0
    assert 0 <= welch(n, np.array([1.0, 2.0]), np.array([0.0, 4.0])) <= 1


def test_the_expected_range_of_equal_groups() -> None:
    two = expected_range(np.ones(2), np.random.default_rng(0), 20_000)
    assert two == pytest.approx(2 / math.sqrt(math.pi), abs=0.02)
    ranges = [expected_range(np.ones(k), np.random.default_rng(0)) for k in (2, 5, 20)]
    assert all(a < b for a, b in pairwise(ranges))
