"""How far apart the score distributions and the ROC curves of groups are, from counts by distinct score.

Counts are of rows by ascending score on a grid that all groups share; weighted ones are scaled to effective numbers by
the caller. Kolmogorov-Smirnov's distance is the largest, Wasserstein's and ABROCA the integrated vertical distance of
two curves. All three are norms of a difference of curves, so one argument gives the interval of each, see
`distance_limits`. No distance of two samples is ever below 0, so the naive bootstrap's interval excludes equality
every time.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats
from scipy.spatial.distance import pdist

from fairwitness.audit.statistics.intervals import FloatArray

# Beyond so many groups the pairs of each draw are compared in one call, without arrays of all their differences.
_FEW_GROUPS = 12


def distribution(counts: npt.ArrayLike) -> FloatArray:
    """Share of rows at or below each score.

    Args:
        counts: shape (..., scores), with sums above 0.

    Returns:
        Shape (..., scores), rising to 1.

    >>> distribution([1, 0, 3]).tolist()
    [0.25, 0.25, 1.0]
    """
    total = np.cumsum(counts, axis=-1, dtype=np.float64)
    total /= total[..., -1:].copy()
    return np.asarray(total)


def kolmogorov_smirnov(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Largest difference between two distribution functions: the largest gap in selection rates over all thresholds.

    Source: Smirnov (1939), Bulletin Moscow University 2:3-16.

    Args:
        a: shape (scores,), rows of one group by ascending score.
        b: shape (scores,), rows of the other.

    >>> kolmogorov_smirnov([2, 1, 1], [0, 2, 2])
    0.5
    """
    return float(np.abs(distribution(a) - distribution(b)).max())


def wasserstein(a: npt.ArrayLike, b: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area between two distribution functions: how far scores must move, on average, to make one the other.

    Source: Vallender (1974), Theory of Probability and its Applications 18:784-786.

    Args:
        a: shape (scores,), rows of one group.
        b: shape (scores,), rows of the other.
        scores: shape (scores,), rising.

    >>> wasserstein([1, 0, 0], [0, 0, 1], [0.0, 0.5, 1.0])
    1.0
    """
    apart = np.abs(distribution(a) - distribution(b))
    return float(apart[:-1] @ np.diff(np.asarray(scores, dtype=np.float64)))


def abroca(
    positives_a: npt.ArrayLike, negatives_a: npt.ArrayLike, positives_b: npt.ArrayLike, negatives_b: npt.ArrayLike
) -> float:
    """Absolute between-ROC area: the integral of |ROC_a - ROC_b| over the false positive rate.

    Integrated exactly between the corners of both piecewise linear curves, crossings included. It is at least the
    difference of the areas under the curves, and more where they cross.
    Source: Gardner, Brooks & Baker (2019), Evaluating the fairness of predictive student models through slicing
    analysis, LAK, 225-234.

    Args:
        positives_a: shape (scores,), positives of one group by ascending score, with a sum above 0.
        negatives_a: shape (scores,), its negatives likewise.
        positives_b: shape (scores,), of the other group; its grid may be another.
        negatives_b: shape (scores,), likewise.

    Crossing curves with equal areas:

    >>> abroca([0, 2, 0], [1, 0, 1], [1, 0, 1], [0, 2, 0])
    0.5
    """
    a, b = _corners(positives_a, negatives_a), _corners(positives_b, negatives_b)
    at = np.union1d(a[0], b[0])
    from_a, to_a = _along(a, at)
    from_b, to_b = _along(b, at)
    first, last = np.abs(from_a - from_b), np.abs(to_a - to_b)
    ends = first + last
    # Where the difference changes its sign it leaves two triangles.
    crosses = (from_a - from_b) * (to_a - to_b) < 0
    height = np.where(crosses, (first**2 + last**2) / np.where(ends > 0, ends, 1.0), ends) / 2
    return float(height @ np.diff(at))


def _corners(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """False positive rates at which a ROC curve bends, and the rates at which it arrives and leaves there."""
    m, n = (np.asarray(values, dtype=np.float64) for values in (positives, negatives))
    there = m + n > 0
    y, x = (np.concatenate([[0.0], np.cumsum(values[there][::-1])]) for values in (m, n))
    x, y = x / x[-1], y / y[-1]
    first = np.flatnonzero(np.diff(x, prepend=-1.0) > 0)
    last = np.append(first[1:] - 1, x.size - 1)
    return x[first], y[first], y[last]


def _along(curve: tuple[FloatArray, FloatArray, FloatArray], at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Heights of a curve just right of `at[:-1]` and just left of `at[1:]`, all of its corners being in `at`."""
    x, arrives, leaves = curve
    piece = np.searchsorted(x, at[:-1], side="right") - 1
    slope = (arrives[1:] - leaves[:-1]) / np.diff(x)
    start, begin = x[piece], leaves[piece]
    return begin + slope[piece] * (at[:-1] - start), begin + slope[piece] * (at[1:] - start)


def roc_at(positives: FloatArray, negatives: FloatArray, rates: FloatArray) -> FloatArray:
    """Heights of many ROC curves at the same false positive rates.

    Args:
        positives: shape (..., scores), positives by ascending score, with sums above 0.
        negatives: shape (..., scores), negatives likewise.
        rates: shape (rates,), rising, strictly between 0 and 1.

    Returns:
        Shape (..., rates).
    """
    shape = (*positives.shape[:-1], positives.shape[-1] + 1)
    x, y = np.zeros(shape), np.zeros(shape)
    np.cumsum(positives[..., ::-1], axis=-1, out=y[..., 1:])
    np.cumsum(negatives[..., ::-1], axis=-1, out=x[..., 1:])
    x, y = x / x[..., -1:], y / y[..., -1:]
    # All curves end to end, each two further right than the last, make one interpolation.
    shift = 2.0 * np.arange(math.prod(shape[:-1])).reshape(*shape[:-1], 1)
    return np.interp((rates + shift).ravel(), (x + shift).ravel(), y.ravel()).reshape(*shape[:-1], rates.size)


def areas(positives: FloatArray, negatives: FloatArray) -> FloatArray:
    """Areas under many ROC curves, ties counting half.

    Args:
        positives: shape (..., scores), with sums above 0.
        negatives: shape (..., scores), likewise.

    Returns:
        Shape (...,).
    """
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    return np.asarray(np.einsum("...s,...s->...", positives, below) / pairs)


def pair_distances(curves: FloatArray, widths: FloatArray | None) -> FloatArray:
    """Distances of all pairs of curves.

    Args:
        curves: shape (draws, groups, points).
        widths: shape (points,), what each point stands for in the integral of the vertical distance; None for the
            largest vertical distance instead.

    Returns:
        Shape (draws, pairs), pairs i < j in the order of `numpy.triu_indices`.
    """
    draws, groups, _ = curves.shape
    found, start = np.empty((draws, math.comb(groups, 2))), 0
    if groups > _FEW_GROUPS:
        for draw, each in zip(found, curves, strict=True):
            draw[:] = pdist(each, "chebyshev") if widths is None else pdist(each * widths, "cityblock")
        return found
    for i in range(groups - 1):
        apart = np.abs(curves[:, i + 1 :] - curves[:, i, None])
        found[:, start : start + groups - 1 - i] = apart.max(axis=-1) if widths is None else apart @ widths
        start += groups - 1 - i
    return found


def distance_limits(
    curves: FloatArray,
    drawn: FloatArray,
    widths: FloatArray | None,
    n: FloatArray,
    level: float,
    extent: float = 1.0,
) -> tuple[float, float]:
    """Limits of the largest true distance between any two of the groups' curves.

    The distance is a norm of the difference D of two curves. By the triangle inequality the observed one is off by no
    more than the norm of the error of D, ||D^|| - ||D|| <= ||D^ - D||, whatever D is. The distribution of that error
    is the one around D^ of the curves drawn anew, so ||D^|| - q is a lower limit, q being its 1 - alpha / 2
    quantile. The same would hold for the upper limit, but that is taken from the quantile of the drawn distances
    ||D*||, which are biased upwards (a norm is convex) and so err to the safe side, and are closer far from equality.
    Over several pairs the errors are divided by their mean for each pair, and the quantile is that of the largest.

    A group whose draws never differ (all of its scores are equal, say) hides that others exist: no more than 1 -
    (alpha / 2)^(1 / n) of its population can be unlike the rows seen, and both limits are moved by as much.

    Simulated 200 to 300 times each (2 to 5 groups of 10 to 300 rows a class; equal, shifted, crossing, rounded), limits
    at .95 miss ABROCA and the other two distances below in 0 to 4 % of samples and above in 0 to 3 %; above in 5 % for
    ABROCA of nearly perfect rankings, for which the caller adds the limits of the areas.

    Source: Dudley (1999), Uniform Central Limit Theorems, for the norms; Rubin (1981), Annals of Statistics
    9:130-134, for draws; Westfall & Young (1993), Resampling-based Multiple Testing, for the largest of several.

    Args:
        curves: shape (groups, points), the observed curves.
        drawn: shape (draws, groups, points), curves drawn around them; more than 8 draws.
        widths: see `pair_distances`.
        n: shape (groups,), effective rows behind each curve (the smaller of both classes for a ROC curve).
        level: confidence level.
        extent: how far a share that moves can move the distance.

    Returns:
        Lower limit (0 where no pair differs) and upper limit.
    """
    tail = (1 - level) / 2
    # Quantiles that the draws do not reach are stretched by the normal ones: norms have lighter tails than that.
    within = max(tail, 4 / len(drawn))
    stretch = float(special.ndtri(tail) / special.ndtri(within))
    errors = drawn - curves
    distance = pair_distances(curves[None], widths)[0]
    error, moved = pair_distances(errors, widths), pair_distances(drawn, widths)
    scale = error.mean(axis=0)
    divisor = np.where(scale > 0, scale, 1.0)
    error /= divisor
    moved -= distance
    moved /= divisor
    below = float(np.quantile(error.max(axis=1), 1 - within)) * stretch
    above = max(float(np.quantile(moved.max(axis=1), 1 - within)), 0.0) * stretch
    still = np.abs(errors).max(axis=(0, 2)) < 1e-9
    hidden = np.where(still, -np.expm1(np.log(tail) / n), 0.0) * extent
    first, second = np.triu_indices(len(n), k=1)
    unseen = np.hypot(hidden[first], hidden[second])
    low, high = distance - below * scale - unseen, distance + above * scale + unseen
    return max(float(low.max()), 0.0), float(high.max())


def reached(observed: float, under_equality: FloatArray) -> float:
    """Monte Carlo p-value, (1 + #{T* >= T}) / (draws + 1).

    Source: Phipson & Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9:39.

    Args:
        observed: the statistic.
        under_equality: shape (draws,), what it is under permutation.

    >>> reached(2.0, np.array([0.5, 1.0, 3.0]))
    0.5
    """
    # Equal statistics differ in their last digits, by the order of sums.
    return (1 + int(np.count_nonzero(under_equality >= observed * (1 - 1e-9) - 1e-12))) / (under_equality.size + 1)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The largest difference between the estimates of several groups.

    Attributes:
        value: max - min.
        low: lower limit, 0 where no pair differs.
        high: upper limit.
    """

    value: float
    low: float
    high: float


def largest_gap(estimates: FloatArray, lows: FloatArray, highs: FloatArray) -> Gap:
    """Bound max - min of estimates that are independent of each other, from simultaneous limits of each.

    Each pair has its MOVER interval; the largest true difference lies between their largest lower and upper limits.
    Source: Zou & Donner (2008), Statistics in Medicine 27:1693-1702; see `multiplicity.spread_interval`.

    Args:
        estimates: shape (groups,), two or more.
        lows: shape (groups,), lower limits at the simultaneous critical value of all pairs.
        highs: shape (groups,), upper limits likewise.

    >>> gap = largest_gap(np.array([0.5, 0.9]), np.array([0.4, 0.8]), np.array([0.6, 1.0]))
    >>> round(gap.value, 3), round(gap.low, 3), round(gap.high, 3)
    (0.4, 0.259, 0.541)
    """
    first, second = np.triu_indices(estimates.size, k=1)
    apart = estimates[first] - estimates[second]
    down, up = estimates - lows, highs - estimates
    below, above = apart - np.hypot(down[first], up[second]), apart + np.hypot(up[first], down[second])
    value = float(np.ptp(estimates))
    low = float(np.max(np.maximum(0.0, np.maximum(below, -above))))
    return Gap(value=value, low=min(low, value), high=max(float(np.max(np.maximum(above, -below))), value))


def welch(n: FloatArray, means: FloatArray, variances: FloatArray) -> float:
    """Test that the means of several groups are equal, whatever their variances.

    Source: Welch (1951), On the comparison of several mean values: an alternative approach, Biometrika 38:330-336.

    Args:
        n: shape (groups,), rows of each, more than 1.
        means: shape (groups,).
        variances: shape (groups,), sample variances; 0 where a group's values do not vary.

    Returns:
        The p-value: 1 where nothing differs, and 0 where means differ and nothing varies.
    """
    if not variances.any() or np.ptp(means) == 0:
        return float(np.ptp(means) == 0)
    k = n.size
    # A group without variance is one whose mean is known, as far as these rows say.
    weights = n / np.maximum(variances, variances.max() * 1e-12)
    centre = weights @ means / weights.sum()
    spread = float((1 - weights / weights.sum()) ** 2 @ (1 / (n - 1)))
    f = (weights @ (means - centre) ** 2 / (k - 1)) / (1 + 2 * (k - 2) / (k**2 - 1) * spread)
    return float(stats.f.sf(f, k - 1, (k**2 - 1) / (3 * spread)))


def expected_range(deviations: FloatArray, rng: np.random.Generator, draws: int = 2000) -> float:
    """Largest difference to be expected between independent normal estimates of one and the same number.

    Args:
        deviations: shape (groups,), their standard errors.
        rng: source of randomness.
        draws: number of simulated sets.
    """
    return float(np.ptp(rng.standard_normal((draws, deviations.size)) * deviations, axis=1).mean())
