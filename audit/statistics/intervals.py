"""Confidence intervals of one rate, of a difference and a ratio of two rates, and of a mean.

`x` is a number of successes and `n` of trials, both effective numbers where rows are weighted. `critical` is the
two-sided normal critical value: 1.96 for one interval at 95 %, larger for simultaneous ones (see `multiplicity`).
Arguments broadcast against each other; results have the broadcast shape.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special, stats

FloatArray = npt.NDArray[np.float64]
Limits = tuple[FloatArray, FloatArray]

# Ratios of rates lie within exp(-60) to exp(60) for any n below 1e25; 64 halvings of that leave 1e-17.
_LARGEST_LOG_RATIO = 60.0
_BISECTIONS = 64
_RARE = 3.0  # successes up to which Wilson's limit is too sure


def critical_value(level: float) -> float:
    """Two-sided critical value of the standard normal distribution.

    Args:
        level: confidence level, between 0 and 1.

    Returns:
        The 1 - (1 - level) / 2 quantile.

    >>> round(critical_value(0.95), 4)
    1.96
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    # The lower tail keeps its digits where 1 - alpha / 2 would round to 1.
    return float(-special.ndtri((1 - level) / 2))


def wilson(x: npt.ArrayLike, n: npt.ArrayLike, critical: npt.ArrayLike) -> Limits:
    """Score interval of a rate: the rates that a normal test with their own variance does not reject.

    Source: Wilson (1927), JASA 22:209-212; Newcombe (1998), Statistics in Medicine 17:857-872, method 3.

    Args:
        x: successes, 0 to n.
        n: trials; 0 gives the interval [0, 1].
        critical: two-sided normal critical value.

    Returns:
        Lower and upper limits in [0, 1], around x / n; exactly 0 at x = 0 and exactly 1 at x = n.

    Newcombe (1998), table I, 81 of 263 and 0 of 20:

    >>> low, high = wilson([81, 0], [263, 20], critical_value(0.95))
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.2553, 0.0], [0.3662, 0.1611])
    """
    x, n, z = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x, n, critical)))
    some = n > 0
    trials = np.where(some, n, 1.0)
    rate = np.clip(x / trials, 0.0, 1.0)
    shrink = 1 + z**2 / trials
    centre = (rate + z**2 / (2 * trials)) / shrink
    half_width = z / shrink * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    low = np.where(some & (x > 0), np.clip(centre - half_width, 0.0, rate), 0.0)
    high = np.where(some & (x < n), np.clip(centre + half_width, rate, 1.0), 1.0)
    return low, high


def modified_wilson(x: npt.ArrayLike, n: npt.ArrayLike, critical: float) -> Limits:
    """Wilson's interval, wider where next to no success (or next to nothing else) was seen.

    Wilson's limits are too sure there: one success in ten trials excludes a rate of .01, where one in ten thousand
    draws of such groups does not. Where x is 3 or less the lower limit is at most Poisson's, and where n - x is the
    upper one likewise. By itself it is hardly worth it; between a few rows and many it is.
    Source: Brown, Cai & DasGupta (2001), Statistical Science 16:101-133, section 4.1.1.

    Args:
        x: successes.
        n: trials.
        critical: two-sided normal critical value.

    Returns:
        Lower and upper limits, around x / n.

    >>> low, high = modified_wilson(1, 10, critical_value(0.95))
    >>> round(float(low), 4), round(float(high), 4)
    (0.0051, 0.4042)
    """
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    low, high = wilson(x, n, critical)
    alpha = 2 * special.ndtr(-critical)
    for count, upper in ((x, False), (n - x, True)):
        rare = (count > 0) & (count <= _RARE)
        limit = special.chdtri(2 * np.where(rare, count, 1.0), 1 - alpha) / 2 / np.maximum(n, 1e-300)
        if upper:
            high = np.where(rare, np.maximum(high, 1 - limit), high)
        else:
            low = np.where(rare, np.minimum(low, limit), low)
    return np.asarray(low), np.asarray(high)


def clopper_pearson(x: npt.ArrayLike, n: npt.ArrayLike, level: float) -> Limits:
    """Exact interval of a rate: covers with at least the level at every rate.

    Source: Clopper & Pearson (1934), Biometrika 26:404-413, in its beta form.

    Args:
        x: successes, 0 to n.
        n: trials; 0 gives the interval [0, 1].
        level: confidence level, between 0 and 1.

    Returns:
        Lower and upper limits in [0, 1].

    Newcombe (1998), table I, 15 of 148:

    >>> low, high = clopper_pearson(15, 148, 0.95)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0578, 0.1617)
    """
    x, n = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x, n)))
    tail = (1 - level) / 2
    # A beta distribution needs positive parameters; the limits where they are 0 are known.
    low = np.where(x > 0, stats.beta.ppf(tail, np.where(x > 0, x, 1.0), n - x + 1), 0.0)
    high = np.where(x < n, stats.beta.isf(tail, x + 1, np.where(x < n, n - x, 1.0)), 1.0)
    return low, high


def mover_difference(p1: npt.ArrayLike, limits1: Limits, p2: npt.ArrayLike, limits2: Limits) -> Limits:
    """Interval of p1 - p2 by the method of variance estimates recovery (MOVER) from an interval of each.

    With Wilson limits this is Newcombe's hybrid score interval. Its exact coverage of a nominal .95 is .94 to .97 in
    most designs and falls to .91 where a group expects far less than one success (30 and 1,000 rows at a rate of .005).
    Source: Newcombe (1998), Statistics in Medicine 17:873-890, method 10; Zou & Donner (2008), ibid. 27:1693-1702.

    Args:
        p1: first estimate.
        limits1: its lower and upper limits.
        p2: second estimate, independent of the first.
        limits2: its lower and upper limits.

    Returns:
        Lower and upper limits, around p1 - p2.

    Newcombe (1998), table II, 56/70 - 48/80:

    >>> z = critical_value(0.95)
    >>> low, high = mover_difference(56 / 70, wilson(56, 70, z), 48 / 80, wilson(48, 80, z))
    >>> round(float(low), 4), round(float(high), 4)
    (0.0524, 0.3339)
    """
    p1, low1, high1 = (np.asarray(a, dtype=np.float64) for a in (p1, *limits1))
    p2, low2, high2 = (np.asarray(a, dtype=np.float64) for a in (p2, *limits2))
    difference = p1 - p2
    low = np.asarray(difference - np.hypot(p1 - low1, high2 - p2))
    high = np.asarray(difference + np.hypot(high1 - p1, p2 - low2))
    return low, high


def mover_ratio(p1: npt.ArrayLike, limits1: Limits, p2: npt.ArrayLike, limits2: Limits) -> Limits:
    """Interval of p1 / p2 by the method of variance estimates recovery, from an interval of each.

    The limits are the ratios r at which a limit of `mover_difference` for p1 - r p2 is 0, so that the interval of the
    ratio excludes 1 exactly if that of the difference excludes 0.
    Source: Donner & Zou (2012), Statistical Methods in Medical Research 21:347-359.

    Args:
        p1: first estimate, at least 0.
        limits1: its lower and upper limits, at least 0.
        p2: second estimate, at least 0 and independent of the first.
        limits2: its lower and upper limits, at least 0.

    Returns:
        Lower and upper limits in [0, inf], around p1 / p2; the upper one is infinite where the lower limit of p2 is 0.

    >>> z = critical_value(0.95)
    >>> low, high = mover_ratio(56 / 70, wilson(56, 70, z), 48 / 80, wilson(48, 80, z))
    >>> round(float(low), 4), round(float(high), 4)
    (1.0783, 1.6629)
    """
    p1, low1, high1 = (np.asarray(a, dtype=np.float64) for a in (p1, *limits1))
    p2, low2, high2 = (np.asarray(a, dtype=np.float64) for a in (p2, *limits2))
    product = np.asarray(p1 * p2)
    # The roots of r^2 b - 2 r p1 p2 + a = 0, the first in the form that also holds at b = 0.
    a, b = low1 * (2 * p1 - low1), high2 * (2 * p2 - high2)
    divisor = np.asarray(product + np.sqrt(np.maximum(product**2 - a * b, 0.0)))
    low = np.divide(a, divisor, out=np.zeros_like(divisor), where=divisor > 0)
    a, b = high1 * (2 * p1 - high1), np.asarray(low2 * (2 * p2 - low2))
    numerator = np.asarray(product + np.sqrt(np.maximum(product**2 - a * b, 0.0)))
    high = np.divide(numerator, b, out=np.full_like(numerator, np.inf), where=b > 0)
    return low, high


def score_ratio(
    x1: npt.ArrayLike, n1: npt.ArrayLike, x2: npt.ArrayLike, n2: npt.ArrayLike, critical: npt.ArrayLike
) -> Limits:
    """Score interval of the ratio p1 / p2 of two independent rates.

    The ratios r at which |x1/n1 - r x2/n2| is at most `critical` standard deviations, the variance being that of
    the maximum likelihood rates under p1 = r p2.
    Source: Koopman (1984), Biometrics 40:513-517; Miettinen & Nurminen (1985), Statistics in Medicine 4:213-226,
    without the factor N / (N - 1); Gart & Nam (1988), Biometrics 44:323-338.

    Args:
        x1: successes of the first group.
        n1: its trials.
        x2: successes of the second group.
        n2: its trials.
        critical: two-sided normal critical value.

    Returns:
        Lower and upper limits in [0, inf], around the ratio of the observed rates; the lower one is 0 where x1 = 0,
        the upper one infinite where x2 = 0. Without trials in either group nothing is known: (0, inf).

    7 of 34 against 1 of 34, as R's PropCIs::riskscoreci and statsmodels' tests give it:

    >>> low, high = score_ratio(7, 34, 1, 34, critical_value(0.95))
    >>> round(float(low), 6), round(float(high), 6)
    (1.220853, 42.575718)
    """
    x1, n1, x2, n2, z = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x1, n1, x2, n2, critical)))
    known = (n1 > 0) & (n2 > 0)
    trials1, trials2 = np.where(known, n1, 1.0), np.where(known, n2, 1.0)
    rate1, rate2 = x1 / trials1, x2 / trials2
    from_zero, to_infinity = ~known | (x1 <= 0), ~known | (x2 <= 0)
    # Each limit lies between the observed ratio and an end of the range, so the interval holds the observed ratio.
    observed = np.where(from_zero, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    both = ~from_zero & ~to_infinity
    observed = np.where(both, np.log(np.where(both, rate1, 1.0) / np.where(both, rate2, 1.0)), observed)

    def deviates(log_ratio: FloatArray, side: float) -> npt.NDArray[np.bool_]:
        ratio = np.exp(log_ratio)
        # The smaller root of (n1+n2) r p2^2 - (r (n1+x2) + x1 + n2) p2 + x1 + x2 = 0, in a form without cancellation.
        left, right = ratio * (trials1 + x2), x1 + trials2
        root = np.sqrt((left - right) ** 2 + 4 * ratio * np.maximum((trials1 - x1) * (trials2 - x2), 0.0))
        fitted2 = np.minimum(2 * (x1 + x2) / (left + right + root), 1.0)
        fitted1 = np.minimum(ratio * fitted2, 1.0)
        variance = fitted1 * (1 - fitted1) / trials1 + ratio**2 * fitted2 * (1 - fitted2) / trials2
        return np.asarray(side * (rate1 - ratio * rate2) > z * np.sqrt(variance))

    end = np.full_like(observed, _LARGEST_LOG_RATIO)
    outside_low, inside_low, inside_high, outside_high = -end, observed, observed, end
    for _ in range(_BISECTIONS):
        low, high = (outside_low + inside_low) / 2, (inside_high + outside_high) / 2
        below, above = deviates(low, 1.0), deviates(high, -1.0)
        outside_low, inside_low = np.where(below, low, outside_low), np.where(below, inside_low, low)
        inside_high, outside_high = np.where(above, inside_high, high), np.where(above, high, outside_high)
    return np.where(from_zero, 0.0, np.exp(inside_low)), np.where(to_infinity, np.inf, np.exp(inside_high))


def mean(
    total: float, total_of_squares: float, n: float, level: float, bounds: tuple[float | None, float | None]
) -> tuple[float, float]:
    """Student's t interval of a mean, from sums.

    Equal values have no variance to build on. If the variable is bounded there is an exact argument instead: would
    a share q or more of the population differ from the value v that all n rows have, then such a sample has
    probability (1 - q)^n at most. So with probability `level` or more that share is below 1 - (alpha/2)^(1/n), and the
    mean is at most that share of the way from v to either bound.

    Args:
        total: sum of the values, scaled to n where rows are weighted (n times the weighted mean).
        total_of_squares: sum of their squares, scaled likewise.
        n: number of rows, or the effective one.
        level: confidence level, between 0 and 1.
        bounds: smallest and largest possible value; None where unbounded.

    Returns:
        Lower and upper limits, within the bounds.

    Raises:
        ValueError: the values show no variance (or there is one only) and the variable is not bounded on both sides.

    >>> low, high = mean(10.0, 30.0, 5, 0.95, (None, None))  # 0, 1, 2, 3, 4: mean 2, standard error sqrt(0.5)
    >>> round(low, 4), round(high, 4)
    (0.0368, 3.9632)
    >>> low, high = mean(0.0, 0.0, 20, 0.95, (0.0, 1.0))  # no success in 20: Clopper & Pearson's limit
    >>> round(low, 4), round(high, 4)
    (0.0, 0.1684)
    """
    if n <= 0:
        raise ValueError("a mean needs at least one value")
    low_bound, high_bound = bounds
    value, square = total / n, total_of_squares / n
    if low_bound is not None:
        value = max(value, low_bound)
    if high_bound is not None:
        value = min(value, high_bound)
    variance = square - value**2
    # Below this, the difference of two nearly equal numbers is rounding error of the sums and no variance.
    if n < 2 or variance <= 64 * np.finfo(np.float64).eps * square:
        if low_bound is None or high_bound is None:
            raise ValueError(
                f"the mean of {n:g} values without variance has no interval, unless the variable has a smallest and "
                "a largest possible value"
            )
        other = -math.expm1(math.log((1 - level) / 2) / n)
        return value - (value - low_bound) * other, value + (high_bound - value) * other
    half_width = float(stats.t.isf((1 - level) / 2, n - 1)) * math.sqrt(variance / (n - 1))
    low, high = value - half_width, value + half_width
    if low_bound is not None:
        low = max(low, low_bound)
    if high_bound is not None:
        high = min(high, high_bound)
    return low, high


def logit_interval(p: npt.ArrayLike, standard_error: npt.ArrayLike, critical: npt.ArrayLike) -> Limits:
    """Interval of a proportion-like estimate, symmetric on the logit: it stays inside (0, 1).

    Source: the delta method, se(logit p) = se(p) / (p (1 - p)); Pepe (2003), The Statistical Evaluation of Medical
    Tests for Classification and Prediction, chapter 5.

    Args:
        p: estimate, strictly between 0 and 1.
        standard_error: its standard error.
        critical: two-sided normal critical value.

    Returns:
        Lower and upper limits in [0, 1], around p.

    Raises:
        ValueError: an estimate is 0 or 1, where the logit is infinite.
    """
    p, deviation, z = (np.asarray(a, dtype=np.float64) for a in (p, standard_error, critical))
    if not np.all((p > 0) & (p < 1)):
        raise ValueError("a logit interval needs estimates strictly between 0 and 1")
    half_width = z * deviation / (p * (1 - p))
    low = np.minimum(special.expit(special.logit(p) - half_width), p)
    high = np.maximum(special.expit(special.logit(p) + half_width), p)
    return np.asarray(low), np.asarray(high)
