"""Inequality of a benefit that takes a few values: generalised entropy, its part between groups, and intervals.

A benefit of 0, 1 or 2 (Speicher et al. 2018: 1 + decision - label) makes every index a function of counts, so nothing
depends on the number of rows. `shares` sum to 1.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from fairwitness.audit.statistics.intervals import FloatArray, critical_value
from fairwitness.audit.statistics.resampling import dirichlet_draws

# Beyond, the square root of a noncentral chi-square is normal to four digits, and its distribution slow to compute.
_NORMAL_FROM = 1e4


def generalized_entropy(values: npt.ArrayLike, shares: npt.ArrayLike, alpha: float) -> FloatArray:
    """Generalised entropy index of a distribution: 0 where all have the same, at 1 Theil's index.

    Source: Shorrocks (1980), Econometrica 48:613-625; Speicher et al. (2018), KDD, equation 1:
    sum_i s_i ((b_i / mu)^alpha - 1) / (alpha (alpha - 1)), and sum_i s_i (b_i / mu) ln(b_i / mu) at alpha = 1.
    At 2 it is half the squared coefficient of variation. Large `alpha` looks at the top.

    Args:
        values: shape (..., values), at least 0.
        shares: shape (..., values), share of rows that have each.
        alpha: more than 0, since a benefit may be 0.

    Returns:
        Shape (...,), at least 0; NaN where the mean is 0.

    >>> float(generalized_entropy([0.0, 1.0, 2.0], [0.25, 0.5, 0.25], 2.0))
    0.25
    """
    values, shares = np.asarray(values, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    mean = (values * shares).sum(axis=-1, keepdims=True)
    some = mean > 0
    relative = np.where(some, values / np.where(some, mean, 1.0), np.nan)
    terms = special.xlogy(relative, relative) if alpha == 1 else (relative**alpha - 1) / (alpha * (alpha - 1))
    # Only rounding can make it negative.
    return np.asarray(np.maximum((shares * terms).sum(axis=-1), 0.0))


def entropy_interval(
    values: npt.ArrayLike, counts: npt.ArrayLike, alpha: float, level: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Generalised entropy of a distribution of a few values, with the interval of its posterior.

    Source: Dirichlet(count + 1/2) draws, as for every composite of a confusion matrix.

    Args:
        values: shape (values,), at least 0.
        counts: shape (values,), effective rows that have each.
        alpha: more than 0.
        level: confidence level.
        rng: source of randomness.

    Returns:
        The index and its limits around it.
    """
    counts = np.asarray(counts, dtype=np.float64)
    value = float(generalized_entropy(values, counts / counts.sum(), alpha))
    draws = generalized_entropy(values, dirichlet_draws(counts, 4_000, rng), alpha)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    # At an index of 0 every draw is larger: the interval reaches 0.
    return value, min(float(low), value), max(float(high), value)


def between_groups(
    values: npt.ArrayLike, counts: npt.ArrayLike, alpha: float, level: float
) -> tuple[float, float, float, float]:
    """The part of a generalised entropy that is between groups, with an interval that reaches 0 where none differ.

    It is the index of a population in which everybody has their group's mean (Shorrocks 1980). The interval is that of
    D = sum_g s_g (mu_g - mu)^2, a quadratic form in independent means: D / c is noncentral chi-square with nu degrees
    of freedom, c and nu taken from the means' variances (Box 1954, Annals of Mathematical Statistics 25:290-302; exact
    for two groups, and for any number with equal variances), and is inverted for the noncentrality (Steiger 2004,
    Psychological Methods 9:164-182). To second order the part is D / (2 mu^2) at every alpha; the limits are scaled by
    its ratio to that. Quantiles of draws or of a bootstrap would exclude 0 every time, as the index cannot be negative.

    Args:
        values: shape (values,), at least 0.
        counts: shape (groups, values), effective rows, more than 0 in every group.
        alpha: more than 0.
        level: confidence level.

    Returns:
        The part between groups, its limits, and the p-value of no difference between the means.
    """
    values, counts = np.asarray(values, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    rows = counts.sum(axis=1)
    means, shares = counts @ values / rows, rows / rows.sum()
    mean = float(shares @ means)
    if mean <= 0:
        return math.nan, math.nan, math.nan, math.nan
    part = float(generalized_entropy(means, shares, alpha))
    spread = float(shares @ (means - mean) ** 2)
    # Shrunken shares, so that a group in which all have the same still has a variance.
    shrunken = (counts + 0.5) / (rows + 0.5 * values.size)[:, None]
    variance = (shrunken @ values**2 - (shrunken @ values) ** 2) / rows
    # tr(MV) and tr(MVMV) for M = diag(s) - s s' and V = diag(variance).
    trace = float((shares * (1 - shares)) @ variance)
    form = (np.diag(shares) - np.outer(shares, shares)) * variance
    square = float(np.trace(form @ form))
    if trace <= 0 or square <= 0:
        return part, part, part, 1.0
    scale, degrees = square / trace, trace**2 / square
    low, high = (scale * limit for limit in _noncentrality(spread / scale, degrees, level))
    ratio = part / (spread / (2 * mean**2)) if spread > 0 else 1.0
    limits = [ratio * limit / (2 * mean**2) for limit in (low, high)]
    p_value = float(stats.chi2.sf(spread / scale, degrees))
    return part, min(limits[0], part), max(limits[1], part), p_value


def _noncentrality(statistic: float, degrees: float, level: float) -> tuple[float, float]:
    """Interval of the noncentrality of a chi-square statistic.

    The lower limit is 0 where the statistic is no larger than chance. Of a statistic smaller than chance the inversion
    would say that the upper one is 0 too; it is held at what a single contrast of 0 leaves open, z^2.
    """
    tail, z = (1 - level) / 2, critical_value(level)
    if statistic > _NORMAL_FROM:
        root = math.sqrt(statistic - degrees + 1)
        return max(root - z, 0.0) ** 2, (root + z) ** 2
    limits = []
    for probability in (1 - tail, tail):

        def excess(noncentrality: float, probability: float = probability) -> float:
            return float(special.chndtr(statistic, degrees, noncentrality)) - probability

        if excess(0.0) <= 0:
            limits.append(0.0)
            continue
        top = (math.sqrt(statistic) + 2 * z + 2) ** 2
        limits.append(float(optimize.brentq(excess, 0.0, top)))
    return limits[0], max(limits[1], z**2)
