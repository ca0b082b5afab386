"""Differences of means, and of whatever else has a standard error: simultaneous intervals and a test over k groups.

The estimates of k groups come with their covariance matrix (diagonal where groups are disjoint samples) and their
degrees of freedom. An estimate on a log scale makes differences to ratios.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from fairwitness.audit.statistics.intervals import FloatArray, critical_value
from fairwitness.audit.statistics.multiplicity import simultaneous_critical

# 60 groups. Beyond, simulation would take seconds, and the bound is close.
_MOST_SIMULATED_PAIRS = 1770
_DRAWS_AT_ONCE = 2000
# Rows per squared skewness, see `too_skewed`.
_COCHRAN = 25.0
# Beyond, the level of an interval rounds to 1.
_FARTHEST = 8.0
_HALVINGS = 20


def student(critical: npt.ArrayLike, degrees: npt.ArrayLike) -> FloatArray:
    """Quantile of Student's t with the tails of a normal critical value.

    Args:
        critical: two-sided normal critical value, simultaneous or not.
        degrees: degrees of freedom, more than 0; infinite for the normal distribution.

    Returns:
        Two-sided critical values, of the arguments' broadcast shape.

    >>> student(1.959964, [9, np.inf]).round(3).tolist()
    [2.262, 1.96]
    """
    tail = special.ndtr(-np.asarray(critical, dtype=np.float64))
    return np.asarray(-special.stdtrit(np.asarray(degrees, dtype=np.float64), tail))


def difference_degrees(covariance: npt.ArrayLike, degrees: npt.ArrayLike) -> FloatArray:
    """Degrees of freedom of all differences of two estimates.

    Source: Welch (1938), Biometrika 29:350-362; Satterthwaite (1946), Biometrics Bulletin 2:110-114:
    (v_i + v_j)^2 / (v_i^2 / f_i + v_j^2 / f_j) for variances v with f degrees of freedom.

    Args:
        covariance: shape (k, k), of the estimates; only the variances count.
        degrees: shape (k,), degrees of freedom of each variance.

    Returns:
        Shape (k, k); 1 where both variances are 0.

    >>> difference_degrees(np.diag([0.4, 0.1]), [9, 19]).round(2).tolist()[0]
    [18.0, 13.66]
    """
    v, f = np.diag(np.asarray(covariance, dtype=np.float64)), np.asarray(degrees, dtype=np.float64)
    part = v**2 / f
    both = part[:, None] + part[None, :]
    return np.asarray(np.divide((v[:, None] + v) ** 2, both, out=np.ones(both.shape), where=both > 0))


def difference_deviations(covariance: npt.ArrayLike) -> FloatArray:
    """Standard errors of all differences of two estimates, shape (k, k), from their covariance."""
    c = np.asarray(covariance, dtype=np.float64)
    v = np.diag(c)
    return np.sqrt(np.maximum(v[:, None] + v - 2 * c, 0.0))


def shared_critical(covariance: npt.ArrayLike, level: float, rng: np.random.Generator, draws: int = 20_000) -> float:
    """Normal critical value that all pairwise differences share, so that all their intervals hold together.

    The `level` quantile of max |T| over the pairs of correlated normals, by simulation. Beyond 1770 pairs: for
    independent estimates that of `multiplicity.simultaneous_critical`, for others Bonferroni's bound.
    Source: Hothorn, Bretz & Westfall (2008), Biometrical Journal 50:346-363.

    Args:
        covariance: shape (k, k), of the estimates, with variances above 0.
        level: confidence level of all intervals together.
        rng: source of randomness; not used for a single pair, nor for a bound.
        draws: number of simulated sets of estimates.

    Returns:
        The two-sided critical value: of the normal distribution for one pair (or none), larger otherwise.
    """
    c = np.asarray(covariance, dtype=np.float64)
    v = np.diag(c)
    k = v.size
    single, pairs = critical_value(level), math.comb(k, 2)
    if pairs <= 1:
        return single
    if pairs > _MOST_SIMULATED_PAIRS:
        independent = np.array_equal(c, np.diag(v))
        return (
            simultaneous_critical([np.sqrt(v)], level, rng) if independent else critical_value(1 - (1 - level) / pairs)
        )
    return max(single, float(np.quantile(_largest(c, rng, draws), level)))


def shared_tail(covariance: npt.ArrayLike, critical: float, rng: np.random.Generator, draws: int = 20_000) -> float:
    """Chance that some pairwise difference of equal estimates is beyond a critical value: that value's own alpha.

    The converse of `shared_critical`; beyond 1770 pairs, and far in the tail, Bonferroni's bound.

    Args:
        covariance: shape (k, k), of the estimates, with variances above 0.
        critical: two-sided normal critical value.
        rng: source of randomness; not used for a single pair, nor for a bound.
        draws: number of simulated sets of estimates.

    >>> round(shared_tail(np.eye(2), 1.959964, np.random.default_rng(0)), 4)
    0.05
    """
    c = np.asarray(covariance, dtype=np.float64)
    pairs = math.comb(len(c), 2)
    single = 2 * float(special.ndtr(-critical))
    bound = min(1.0, max(pairs, 1) * single)
    # Fewer than ten draws out there would say less than the bound does.
    if pairs <= 1 or pairs > _MOST_SIMULATED_PAIRS or bound * draws < 10:
        return bound
    return float(np.clip((np.count_nonzero(_largest(c, rng, draws) >= critical) + 1) / (draws + 1), single, bound))


def _largest(covariance: FloatArray, rng: np.random.Generator, draws: int) -> FloatArray:
    """Draws of max |T| over all pairs of estimates that are equal, shape (draws,)."""
    k = len(covariance)
    first, second = np.triu_indices(k, k=1)
    between = difference_deviations(covariance)[first, second]
    root = _root(covariance)
    # Each row makes one pair's T of k independent normals; a pair that cannot differ has T = 0.
    apart = between[:, None]
    contrasts = np.divide(root[first] - root[second], apart, where=apart > 0, out=np.zeros((first.size, k)))
    largest = np.empty(draws)
    for start in range(0, draws, _DRAWS_AT_ONCE):
        drawn = contrasts @ rng.standard_normal((k, min(_DRAWS_AT_ONCE, draws - start)))
        largest[start : start + drawn.shape[1]] = np.maximum(drawn.max(axis=0), -drawn.min(axis=0))
    return largest


def inverted(
    low: Callable[[float], float],
    deviations: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    critical: float,
    level: float,
    draws: int = 20_000,
) -> float:
    """P-value of the test that goes with an interval: the alpha at which its lower limit reaches 0.

    It never contradicts the interval, which a test on other standard errors can.

    Args:
        low: lower limit of the gap at a simultaneous critical value; it falls as that rises.
        deviations: shape (k,), standard errors of the estimates.
        rng: source of randomness.
        critical: simultaneous critical value of the interval that is shown.
        level: its confidence level.
        draws: number of simulated sets of estimates.

    >>> round(inverted(lambda z: 3.0 - z, [1.0, 1.0], np.random.default_rng(0), critical=1.96, level=0.95), 4)
    0.0027
    """
    inside, outside = 0.0, _FARTHEST
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if low(middle) > 0 else (inside, middle)
    p_value = shared_tail(np.diag(np.asarray(deviations, dtype=np.float64) ** 2), inside, rng, draws)
    # Critical value and tail are simulated apart.
    return min(p_value, (1 - level) * (1 - 1e-9)) if low(critical) > 0 else max(p_value, 1 - level)


def too_skewed(n: npt.ArrayLike, variances: npt.ArrayLike, thirds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which groups have too few rows to tell the variance of values as skewed as these are.

    In a small sample of rare large values there often is none: its mean is then too low and its variance far too low,
    so that intervals exclude what they should hold. n > 25 G^2 keeps a nominal 5 % below 6 %, G being the skewness,
    here that within all groups together.
    Source: Cochran (1977), Sampling Techniques, 3rd edition, section 2.15.

    Args:
        n: shape (groups,), effective rows of each.
        variances: shape (groups,), mean squares about the group's mean.
        thirds: shape (groups,), mean cubes about it.

    Returns:
        Shape (groups,).

    >>> too_skewed([90, 900], [1.0, 1.0], [2.0, 2.0]).tolist()
    [True, False]
    """
    rows = np.asarray(n, dtype=np.float64)
    total = float(rows.sum())
    variance = float(rows @ np.asarray(variances, dtype=np.float64)) / total if total > 0 else 0.0
    if not variance > 0:
        return np.zeros(rows.shape, dtype=np.bool_)
    skewness = float(rows @ np.asarray(thirds, dtype=np.float64)) / total / variance**1.5
    return np.asarray(rows < _COCHRAN * skewness**2)


def pooled_variance(n: npt.ArrayLike, variances: npt.ArrayLike) -> float:
    """Variance within all groups, with as many degrees of freedom as rows less groups; 0 where there are none.

    Args:
        n: shape (groups,), effective rows of each.
        variances: shape (groups,), mean squares about the group's mean.

    >>> pooled_variance([2, 3], [1.0, 2.0])
    2.6666666666666665
    """
    rows = np.asarray(n, dtype=np.float64)
    free = float(np.maximum(rows - 1, 0.0).sum())
    return float(rows @ np.asarray(variances, dtype=np.float64)) / free if free > 0 else 0.0


def _root(covariance: FloatArray) -> FloatArray:
    """A matrix R with R R' = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def pair_intervals(
    values: npt.ArrayLike, deviations: npt.ArrayLike, degrees: npt.ArrayLike, critical: float
) -> tuple[FloatArray, FloatArray]:
    """Welch intervals of all differences v_i - v_j, each with Student's t of its own degrees of freedom.

    That is the Games-Howell procedure with the simultaneous value in place of the studentized range.
    Source: Games & Howell (1976), Journal of Educational Statistics 1:113-125.

    Args:
        values: shape (k,), the estimates.
        deviations: shape (k, k), standard errors of their differences, see `difference_deviations`.
        degrees: shape (k, k), degrees of freedom of these, see `difference_degrees`.
        critical: two-sided normal critical value of all pairs.

    Returns:
        Lower and upper limits, each of shape (k, k).

    Of two groups with the usual critical value it is Welch's interval:

    >>> v, z = np.diag([0.4, 0.1]), critical_value(0.95)
    >>> low, high = pair_intervals([3.0, 1.0], difference_deviations(v), difference_degrees(v, [9, 19]), z)
    >>> low[0, 1].round(4).tolist(), high[0, 1].round(4).tolist()
    (0.4798, 3.5202)
    """
    v = np.asarray(values, dtype=np.float64)
    difference = v[:, None] - v
    half = student(critical, degrees) * np.asarray(deviations, dtype=np.float64)
    return difference - half, difference + half


def gap_interval(
    values: npt.ArrayLike, deviations: npt.ArrayLike, degrees: npt.ArrayLike, critical: float
) -> tuple[float, float, float]:
    """Largest difference between the estimates of k groups, with its interval.

    If the intervals of all pairs hold, the largest true difference lies between their largest lower and their largest
    upper limit (see `multiplicity.spread_interval`).

    Args:
        values: shape (k,), k at least 2.
        deviations: shape (k, k), see `pair_intervals`.
        degrees: shape (k, k), likewise.
        critical: simultaneous normal critical value of all pairs.

    Returns:
        The gap max - min, its lower limit (0 where no pair differs) and its upper limit. Of logarithms, exp(-gap) is
        the ratio min / max, and exp(-high) to exp(-low) its interval.
    """
    v = np.asarray(values, dtype=np.float64)
    low, high = pair_intervals(v, deviations, degrees, critical)
    return widest_gap(v, low, high)


def widest_gap(values: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> tuple[float, float, float]:
    """Largest difference between k estimates, from limits of all differences v_i - v_j that hold together.

    Args:
        values: shape (k,), k at least 2.
        low: shape (k, k), lower limits.
        high: shape (k, k), upper limits.

    Returns:
        The gap max - min, its lower and its upper limit.
    """
    first, second = np.triu_indices(np.size(values), k=1)
    below, above = np.asarray(low)[first, second], np.asarray(high)[first, second]
    gap = float(np.ptp(np.asarray(values)))
    smallest = float(np.max(np.maximum(0.0, np.maximum(below, -above))))
    # Only rounding can put the gap outside.
    return gap, min(smallest, gap), max(float(np.max(np.maximum(above, -below))), gap)


def equal_means(values: npt.ArrayLike, deviations: npt.ArrayLike, degrees: npt.ArrayLike) -> float:
    """P-value of the test that k independent means are equal, variances being what they are.

    Source: Welch (1951), Biometrika 38:330-336; of two groups it is Welch's t test. For other estimates than means
    it is the same statistic on their standard errors.

    Args:
        values: shape (k,), k at least 2.
        deviations: shape (k,), standard errors, more than 0.
        degrees: shape (k,), their degrees of freedom.

    >>> round(equal_means([3.0, 1.0], [0.4**0.5, 0.1**0.5], [9, 19]), 4)
    0.0137
    """
    v, f = np.asarray(values, dtype=np.float64), np.asarray(degrees, dtype=np.float64)
    weight = 1 / np.asarray(deviations, dtype=np.float64) ** 2
    share = weight / weight.sum()
    k = v.size
    between = float(weight @ (v - share @ v) ** 2) / (k - 1)
    inflation = float(((1 - share) ** 2 / f).sum())
    statistic = between / (1 + 2 * (k - 2) / (k**2 - 1) * inflation)
    return float(stats.f.sf(statistic, k - 1, (k**2 - 1) / (3 * inflation)))


def equal_estimates(values: npt.ArrayLike, covariance: npt.ArrayLike) -> float:
    """P-value of Wald's chi-square test that k correlated estimates are equal.

    Args:
        values: shape (k,), k at least 2.
        covariance: shape (k, k), which may be singular.
    """
    v, c = np.asarray(values, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    contrast = np.eye(v.size)[1:] - np.eye(v.size)[:1]
    difference = contrast @ v
    # Directions of variance 0 beside the others are rounding error.
    inverse = np.linalg.pinv(contrast @ c @ contrast.T, rcond=1e-9, hermitian=True)
    return float(stats.chi2.sf(max(float(difference @ inverse @ difference), 0.0), v.size - 1))


def expected_gap(covariance: npt.ArrayLike, rng: np.random.Generator, draws: int = 2000) -> float:
    """Largest difference to be expected between k estimates of the same thing, by simulation of normals.

    Args:
        covariance: shape (k, k), of the estimates.
        rng: source of randomness.
        draws: number of simulated sets of estimates.
    """
    root = _root(np.asarray(covariance, dtype=np.float64))
    return float(np.ptp(root @ rng.standard_normal((len(root), draws)), axis=0).mean())
