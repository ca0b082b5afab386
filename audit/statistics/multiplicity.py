"""Many groups, many comparisons: simultaneous intervals of spreads, tests of homogeneity, adjusted p-values.

The bootstrap of a max - min gap is not used: over two equal groups its percentile interval excludes 0 every time.
A gap is bounded by simultaneous intervals of all pairwise differences instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from fairwitness.audit.statistics.intervals import (
    FloatArray,
    critical_value,
    modified_wilson,
    mover_difference,
    mover_ratio,
)
from fairwitness.audit.statistics.resampling import permuted_counts

# 20 groups in one family. Beyond, every simulation would take a tenth of a second and more, and the bound is at most
# 2 % too large: with 21 groups of 15 to 405 rows 3.57 for 3.51, with 48 such 3.97 for 3.92.
_MOST_SIMULATED_PAIRS = 190
_DRAWS_AT_ONCE = 2000
_SMALLEST_EXPECTED = 5.0


def shrunken_deviation(x: npt.ArrayLike, n: npt.ArrayLike) -> FloatArray:
    """Standard error of a rate that is not 0 where no success (or nothing else) was seen.

    Source: the rate under the Jeffreys prior, (x + 1/2) / (n + 1).

    Args:
        x: successes.
        n: trials, more than 0.

    Returns:
        sqrt(p (1 - p) / n) at the shrunken rate p, more than 0.
    """
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    rate = (x + 0.5) / (n + 1)
    return np.asarray(np.sqrt(rate * (1 - rate) / n))


def simultaneous_critical(
    deviations: Sequence[npt.ArrayLike], level: float, rng: np.random.Generator, draws: int = 20_000
) -> float:
    """Critical value that all pairwise differences share, so that all their intervals hold together.

    The `level` quantile of max |T|, T = (Z_i s_i - Z_j s_j) / sqrt(s_i^2 + s_j^2) over the pairs i < j of each
    family, for independent standard normal Z.
    Source: Hothorn, Bretz & Westfall (2008), Biometrical Journal 50:346-363, by simulation. From 191
    pairs on the Tukey-Kramer value, the studentized range over sqrt(2), is taken, which is never too small (Hayter
    1984, Annals of Statistics 12:61-75); independent families multiply.

    Args:
        deviations: one array, shape (groups,), per family of independent estimates: their standard errors, all
            more than 0. The families are independent of each other.
        level: confidence level of all intervals together.
        rng: source of randomness; not used for a single pair, nor for the bound.
        draws: number of simulated sets of estimates.

    Returns:
        The two-sided critical value: of the normal distribution for one pair (or none), larger otherwise.
    """
    families = [s for s in (np.asarray(family, dtype=np.float64) for family in deviations) if s.size > 1]
    pairs = sum(math.comb(s.size, 2) for s in families)
    single = critical_value(level)
    if pairs <= 1:
        return single
    if pairs > _MOST_SIMULATED_PAIRS:
        return _tukey_kramer([s.size for s in families], level)
    largest = np.zeros(draws)
    for start in range(0, draws, _DRAWS_AT_ONCE):
        chunk = largest[start : start + _DRAWS_AT_ONCE]
        for s in families:
            estimates = rng.standard_normal((chunk.size, s.size)) * s
            for i in range(s.size - 1):
                distance = np.abs(estimates[:, i + 1 :] - estimates[:, i, None]) / np.hypot(s[i], s[i + 1 :])
                np.maximum(chunk, distance.max(axis=1), out=chunk)
    return max(single, float(np.quantile(largest, level)))


def _tukey_kramer(sizes: list[int], level: float) -> float:
    """Solve prod_f P(range of sizes[f] standard normals < c sqrt(2)) = level for c."""

    def excess(critical: float) -> float:
        inside = (float(stats.studentized_range.cdf(critical * math.sqrt(2), k, np.inf)) for k in sizes)
        return math.prod(inside) - level

    pairs = sum(math.comb(k, 2) for k in sizes)
    # One pair alone is a lower bound and Bonferroni's inequality an upper one.
    return float(optimize.brentq(excess, critical_value(level), critical_value(1 - (1 - level) / pairs)))


def shrunken_rates(x: npt.ArrayLike, n: npt.ArrayLike) -> FloatArray:
    """Rates of k groups drawn towards their common mean by as much as chance alone spreads them.

    A normal random-effects model: rates vary about a mean by tau^2, and each estimate about its rate by v_i =
    p (1 - p) / n_i, at the pooled rate p: a variance at each group's own rate would give groups without a success too
    much say. tau^2 is the moment estimate of DerSimonian & Laird (1986),
    Controlled Clinical Trials 7:177-188, and each rate its empirical Bayes estimate, (tau^2 p_i + v_i mean) / (tau^2 +
    v_i) (Morris 1983, JASA 78:47-55). Small groups, whose rates are extreme by chance, move most.

    Args:
        x: shape (k,), successes by group.
        n: shape (k,), trials by group, more than 0.

    Returns:
        Shape (k,), each between its own rate and the mean.

    >>> shrunken_rates([30, 200, 3], [100, 1000, 4]).round(3).tolist()
    [0.299, 0.202, 0.375]
    """
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    rates, variances = x / n, shrunken_deviation(x.sum(), n.sum()) ** 2 * n.sum() / n
    weights = 1 / variances
    fixed = weights @ rates / weights.sum()
    spare = weights.sum() - (weights**2).sum() / weights.sum()
    between = max(float(weights @ (rates - fixed) ** 2) - (x.size - 1), 0.0) / spare if x.size > 1 else 0.0
    weights = 1 / (variances + between)
    mean = weights @ rates / weights.sum()
    return np.asarray((between * rates + variances * mean) / (between + variances))


def spread_interval(x: npt.ArrayLike, n: npt.ArrayLike, critical: float) -> tuple[float, float, float]:
    """Largest difference between the rates of k groups, with its interval.

    Each pair's |p_i - p_j| has an interval (MOVER on modified Wilson limits); if all of these hold, the largest true
    difference lies between their largest lower and their largest upper limit. Both bracket the observed gap, since
    every lower limit is at most its pair's difference, and the widest pair's upper limit at least the gap. Over
    several families (equalized odds) take the largest of each of the three, at a critical value of all families.

    Args:
        x: shape (k,), successes by group, k at least 2.
        n: shape (k,), trials by group, more than 0.
        critical: simultaneous critical value of all pairs.

    Returns:
        The gap max - min, its lower limit (0 where no pair differs) and its upper limit.
    """
    x, n, first, second = _pairs(x, n)
    rates = x / n
    low, high = modified_wilson(x, n, critical)
    below, above = mover_difference(rates[first], (low[first], high[first]), rates[second], (low[second], high[second]))
    gap = float(np.ptp(rates))
    # The interval of |d| given [below, above] of d. Only rounding can put the gap outside of it.
    smallest = float(np.max(np.maximum(0.0, np.maximum(below, -above))))
    largest = float(np.max(np.maximum(above, -below)))
    return gap, min(smallest, gap), min(max(largest, gap), 1.0)


def ratio_interval(x: npt.ArrayLike, n: npt.ArrayLike, critical: float) -> tuple[float, float, float]:
    """Smallest ratio between the rates of k groups (min / max), with its interval.

    Each pair's ratio, the smaller rate over the larger, has an interval (MOVER on modified Wilson limits); if all of
    these hold, the smallest true ratio lies between their smallest lower and their smallest upper limit. Both bracket
    the observed ratio, since every upper limit is at least its pair's ratio, and the widest pair's lower limit at most
    the smallest ratio. Over several families take the smallest of each of the three, at a critical value of all of
    them.

    Pairs of score intervals (Koopman 1984) are not used: far in the tails, where simultaneous critical values lie,
    Pearson's statistic is too large on rare successes. With five equal groups of 15 to 400 rows at a rate of .01 they
    cover .88 and these .96, at a rate of .3 both .95, with the same width; and these reach 1 exactly when the gap
    reaches 0.

    Args:
        x: shape (k,), successes by group, k at least 2.
        n: shape (k,), trials by group, more than 0.
        critical: simultaneous critical value of all pairs.

    Returns:
        The ratio min / max, its lower limit and its upper limit (1 where no pair differs).

    Raises:
        ValueError: all rates are 0, and no ratio is defined.
    """
    x, n, first, second = _pairs(x, n)
    rates = x / n
    if not rates.any():
        raise ValueError("the ratio of rates that are all 0 is not defined")
    lows, highs = modified_wilson(x, n, critical)
    low, high = mover_ratio(rates[first], (lows[first], highs[first]), rates[second], (lows[second], highs[second]))
    inverse_low, inverse_high = (1 / np.maximum(limit, np.finfo(np.float64).tiny) for limit in (high, low))
    # The ratio folded to [0, 1] is min(r, 1/r): an interval around 1 reaches 1.
    folded_low = np.minimum(low, inverse_low)
    folded_high = np.where(high < 1, high, np.where(low > 1, inverse_high, 1.0))
    ratio = float(rates.min() / rates.max())
    return ratio, min(float(folded_low.min()), ratio), max(float(folded_high.min()), ratio)


def _pairs(
    x: npt.ArrayLike, n: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Give the counts as arrays, and the indices i < j of all pairs of groups."""
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if x.size < 2:
        raise ValueError("a comparison needs at least two groups")
    first, second = np.triu_indices(x.size, k=1)
    return x, n, first, second


@dataclass(frozen=True, kw_only=True)
class Homogeneity:
    """Omnibus test that the rates of all groups are equal, in each of one or more families.

    Attributes:
        statistic: Pearson's chi-square, summed over the families.
        degrees: its degrees of freedom, the number of groups less one in each family whose rates can differ.
        p_value: of the statistic.
        method: `chi-square` (asymptotic) or `permutation` (Monte Carlo, exact in level).
        expected_spread: the largest max - min gap over the families to be expected if all rates are equal.
    """

    statistic: float
    degrees: int
    p_value: float
    method: Literal["chi-square", "permutation"]
    expected_spread: float


def homogeneity(
    tables: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], rng: np.random.Generator, draws: int = 2000
) -> Homogeneity:
    """Test that the rates of the groups are equal, in all independent families at once.

    For equalized odds the families are the true and the false positive rates. Where every expected cell is 5 or
    more (Cochran 1954, Biometrics 10:417-451) the chi-square approximation is used, otherwise permutations of the
    group labels within each family, p = (1 + #{T* >= T}) / (draws + 1) (Phipson & Smyth 2010, Statistical
    Applications in Genetics and Molecular Biology 9:39), for which counts are rounded to integers.

    Args:
        tables: successes and trials by group, each of shape (groups,), for each family. Groups without trials are
            left out.
        rng: source of randomness.
        draws: number of permutations.

    Returns:
        The test. Where no rate can differ (all are 0, all are 1, or there is one group) the statistic is 0 and p is 1.
    """
    occupied = [_occupied(x, n) for x, n in tables]
    families = [(x, n) for x, n in occupied if n.size > 1 and 0 < x.sum() < n.sum()]
    rounded = [(x, n) for x, n in (_occupied(np.rint(x), np.rint(n)) for x, n in families) if n.size > 1]
    permuted = [(permuted_counts(x, n, draws, rng), n) for x, n in rounded]
    spreads = np.zeros(draws)
    for counts, n in permuted:
        np.maximum(spreads, np.ptp(counts / n, axis=1), out=spreads)
    degrees = sum(n.size - 1 for _, n in families)
    expected_cells = (n.min() * min(x.sum(), n.sum() - x.sum()) / n.sum() for x, n in families)
    method: Literal["chi-square", "permutation"]
    if min(expected_cells, default=math.inf) >= _SMALLEST_EXPECTED:
        method = "chi-square"
        statistic = math.fsum(_pearson(x, n) for x, n in families)
        p_value = float(stats.chi2.sf(statistic, degrees)) if degrees else 1.0
    else:
        method = "permutation"
        statistic = math.fsum(_pearson(x, n) for x, n in rounded)
        under_equality = sum((_pearson(counts, n) for counts, n in permuted), np.zeros(draws))
        # Tables of the same statistic differ in its last digits, by the order of the groups.
        reached = int(np.count_nonzero(under_equality >= statistic * (1 - 1e-9)))
        p_value = (1 + reached) / (draws + 1)
    return Homogeneity(
        statistic=statistic,
        degrees=degrees,
        p_value=p_value,
        method=method,
        expected_spread=float(spreads.mean()),
    )


def _occupied(x: npt.ArrayLike, n: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Leave out groups without trials."""
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return x[n > 0], n[n > 0]


def _pearson(x: npt.NDArray[np.float64 | np.int64], n: FloatArray) -> FloatArray:
    """Pearson's chi-square of successes (..., groups) against their pooled rate; 0 where that is 0 or 1."""
    pooled = x.sum(axis=-1, keepdims=True) / n.sum()
    variance = n * pooled * (1 - pooled)
    terms = np.divide((x - n * pooled) ** 2, variance, out=np.zeros(np.shape(variance)), where=variance > 0)
    return np.asarray(terms.sum(axis=-1))


def benjamini_hochberg(p_values: npt.ArrayLike) -> FloatArray:
    """Adjust p-values so that those below q hold a share of false discoveries of q at most, in expectation.

    Source: Benjamini & Hochberg (1995), JRSS B 57:289-300; valid for independent or positively dependent tests.

    Args:
        p_values: shape (tests,).

    Returns:
        Shape (tests,), adjusted p-values in the given order.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)[::-1]
    ranks = np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(p[order] * p.size / ranks))
    return adjusted


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Adjust p-values so that one false rejection or more has at most the nominal probability.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65-70; valid under any dependence.

    Args:
        p_values: shape (tests,).

    Returns:
        Shape (tests,), adjusted p-values in the given order.

    >>> holm([0.01, 0.04, 0.03, 0.005]).round(4).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted
