"""Ranking areas against scikit-learn, DeLong's definition, jackknife, bootstrap and simulated coverage."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.audit.statistics.ranking import (
    auc_interval,
    average_precision,
    average_precision_interval,
    delong_variance,
    roc_auc,
)

Z = critical_value(0.95)
Floats = npt.NDArray[np.float64]
Counts = tuple[Floats, Floats]


def by_score(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> Counts:
    scores = np.concatenate([positives, negatives])
    label = np.repeat([1.0, 0.0], [np.size(positives), np.size(negatives)])
    _, place = np.unique(scores, return_inverse=True)
    of_label = np.bincount(place, label).astype(np.float64)
    return of_label, np.bincount(place).astype(np.float64) - of_label


def rows(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> tuple[Floats, Floats]:
    label = np.repeat([1.0, 0.0], [np.size(positives), np.size(negatives)])
    return label, np.concatenate([positives, negatives])


some_scores = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=40)


@given(some_scores, some_scores)
def test_areas_agree_with_scikit_learn(positives: list[float], negatives: list[float]) -> None:
    counts = by_score(positives, negatives)
    assert roc_auc(*counts) == pytest.approx(roc_auc_score(*rows(positives, negatives)), abs=1e-12)
    assert average_precision(*counts) == pytest.approx(average_precision_score(*rows(positives, negatives)), abs=1e-12)


@given(some_scores, some_scores)
def test_swapping_the_classes_mirrors_the_area(positives: list[float], negatives: list[float]) -> None:
    m, n = by_score(positives, negatives)
    assert roc_auc(n, m) == pytest.approx(1 - roc_auc(m, n), abs=1e-12)
    if min(m.sum(), n.sum()) > 1:
        assert delong_variance(n, m) == pytest.approx(delong_variance(m, n), abs=1e-12)


@given(some_scores.filter(lambda s: len(s) > 1), some_scores.filter(lambda s: len(s) > 1))
def test_variance_is_delongs(positives: list[float], negatives: list[float]) -> None:
    # The definition of DeLong, DeLong & Clarke-Pearson (1988), row by row.
    x, y = np.array(positives)[:, None], np.array(negatives)
    kernel = (x > y) + (x == y) / 2
    expected = kernel.mean(axis=1).var(ddof=1) / len(positives) + kernel.mean(axis=0).var(ddof=1) / len(negatives)
    assert delong_variance(*by_score(positives, negatives)) == pytest.approx(expected, abs=1e-12)


def test_empty_scores_change_nothing() -> None:
    m, n = np.array([0.0, 2, 5, 4]), np.array([6.0, 3, 4, 0])
    wide_m, wide_n = np.insert(m, [0, 2, 4], 0), np.insert(n, [0, 2, 4], 0)
    assert roc_auc(wide_m, wide_n) == pytest.approx(roc_auc(m, n))
    assert delong_variance(wide_m, wide_n) == pytest.approx(delong_variance(m, n))
    assert average_precision(wide_m, wide_n) == pytest.approx(average_precision(m, n))
    assert average_precision_interval(wide_m, wide_n, Z) == pytest.approx(average_precision_interval(m, n, Z))


def test_variance_needs_two_rows_a_class() -> None:
    assert math.isnan(delong_variance([0, 1], [3, 0]))
    assert math.isnan(delong_variance([0, 3], [1, 0]))
    low, high = auc_interval(1.0, math.nan, 1, 3, Z)
    assert 0 < low < high == 1


def test_a_constant_score_has_an_interval() -> None:
    # 1/2 exactly, whose placement values have no variance: rounding must not become a variance of 1e-33.
    m, n = np.array([333.0]), np.array([777.0])
    assert roc_auc(m, n) == 0.5
    assert delong_variance(m, n) == 0
    low, high = auc_interval(0.5, 0.0, 333, 777, Z)
    assert 0.4 < low < 0.5 < high < 0.6
    low, high = average_precision_interval(m, n, Z)
    assert (low, high) == pytest.approx(tuple(float(limit) for limit in wilson(333, 1110, Z)), abs=2e-3)


def test_newcombes_method_solves_its_equation() -> None:
    m, n, auc = 12.0, 25.0, 0.97
    for theta in auc_interval(auc, 0.0, m, n, Z):
        star = (m + n) / 2 - 1
        inflation = 1 + star * (1 - theta) / (2 - theta) + star * theta / (1 + theta)
        assert abs(auc - theta) == pytest.approx(Z * math.sqrt(theta * (1 - theta) * inflation / (m * n)))


def test_newcombes_method_with_one_row_a_class_is_wilsons() -> None:
    # m = n = 1: the area is one Bernoulli trial.
    expected = tuple(float(limit) for limit in wilson(1, 1, Z))
    assert auc_interval(1.0, math.nan, 1, 1, Z) == pytest.approx(expected)
    expected = tuple(float(limit) for limit in wilson(0, 1, Z))
    assert auc_interval(0.0, math.nan, 1, 1, Z) == pytest.approx(expected, abs=1e-12)


@given(some_scores, some_scores, st.floats(0.5, 0.999))
def test_intervals_hold_their_value_and_have_width(
    positives: list[float], negatives: list[float], level: float
) -> None:
    m, n = by_score(positives, negatives)
    critical = critical_value(level)
    auc, ap = roc_auc(m, n), average_precision(m, n)
    low, high = auc_interval(auc, delong_variance(m, n), m.sum(), n.sum(), critical)
    assert 0 <= low <= auc <= high <= 1
    assert high - low > 1e-3
    low, high = average_precision_interval(m, n, critical)
    assert 0 <= low <= ap <= high <= 1
    assert high - low > 1e-3
    wider = average_precision_interval(m, n, critical_value((1 + level) / 2))
    assert wider[0] <= low
    assert high <= wider[1]


@pytest.mark.parametrize("auc", [0.0, 1.0])
def test_perfect_separation_narrows_with_rows_and_never_vanishes(auc: float) -> None:
    widths = [np.ptp(auc_interval(auc, 0.0, k, 3 * k, Z)) for k in (2, 10, 100, 10_000, 10**8)]
    assert all(wide > narrow > 0 for wide, narrow in pairwise(widths))


def test_influence_function_agrees_with_jackknife_and_bootstrap() -> None:
    rng = np.random.default_rng(0)
    label = rng.random(400) < 0.3
    score = np.round(rng.normal(label, 1), 1)
    m, n = by_score(score[label], score[~label])
    ap, k = average_precision(m, n), m.sum()
    low, high = average_precision_interval(m, n, Z)
    # Undo the logit and Student's quantile (m (1 - AP) is large enough for the plain interval).
    student = stats.t.isf(0.025, k - 1)
    width = math.log(high / (1 - high)) - math.log(low / (1 - low))
    deviation = width / 2 / student * ap * (1 - ap) * math.sqrt((k - 1) / k)

    def left_out(of: int, score_index: int) -> float:
        smaller = [m.copy(), n.copy()]
        smaller[of][score_index] -= 1
        return average_precision(*smaller)

    estimates = np.array(
        [left_out(of, i) for of, c in enumerate((m, n)) for i in range(c.size) for _ in range(int(c[i]))]
    )
    jackknife = math.sqrt(399 * estimates.var())
    resampled = rng.multinomial(400, np.concatenate([m, n]) / 400, size=3000)
    bootstrap = np.std([average_precision(draw[: m.size], draw[m.size :]) for draw in resampled])
    assert deviation == pytest.approx(jackknife, rel=0.05)
    assert deviation == pytest.approx(bootstrap, rel=0.08)


def normal(rng: np.random.Generator, m: int, n: int, auc: float) -> tuple[Floats, Floats]:
    return rng.normal(stats.norm.ppf(auc) * math.sqrt(2), 1, m), rng.normal(0, 1, n)


def exponential(rng: np.random.Generator, m: int, n: int, auc: float) -> tuple[Floats, Floats]:
    return rng.exponential(auc / (1 - auc), m), rng.exponential(1, n)


@pytest.mark.parametrize("draw", [normal, exponential])
@pytest.mark.parametrize("auc", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize(("m", "n"), [(10, 10), (30, 30), (30, 300)])
def test_auc_interval_covers(
    draw: Callable[[np.random.Generator, int, int, float], tuple[Floats, Floats]], auc: float, m: int, n: int
) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        counts = by_score(*draw(rng, m, n, auc))
        low, high = auc_interval(roc_auc(*counts), delong_variance(*counts), m, n, Z)
        covered += low <= auc <= high
    # .93, less two standard errors of 400 simulations.
    assert covered / 400 >= 0.905


@pytest.mark.parametrize(("size", "prevalence"), [(60, 0.5), (400, 0.05), (400, 0.5)])
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_average_precision_interval_covers(size: int, prevalence: float, shift: float) -> None:
    # The population value, from the two normal distributions on a fine grid.
    grid = np.linspace(-8, 10, 40_001)
    middle = (grid[1:] + grid[:-1]) / 2
    hits, alarms = prevalence * stats.norm.sf(middle - shift), (1 - prevalence) * stats.norm.sf(middle)
    truth = float(np.diff(stats.norm.cdf(grid - shift)) @ (hits / (hits + alarms)))
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        m = max(int(rng.binomial(size, prevalence)), 1)
        counts = by_score(rng.normal(shift, 1, m), rng.normal(0, 1, size - m))
        low, high = average_precision_interval(*counts, Z)
        covered += low <= truth <= high
    assert covered / 400 >= 0.905
