"""Adverse impact: the rates of categories against the highest of them, as selection law and practice count it.

Which category has the highest rate is itself seen on the data. An interval of a ratio to "the highest" that takes the
one seen as given is too narrow, and can say that the others fall short where all are equal. Here every pair of
categories has an interval at one critical value (see `multiplicity`); if all of these hold, the ratio of a category to
whichever is truly the highest lies between the smallest lower and the smallest upper limit of its ratios to the others.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from fairwitness.audit.statistics.intervals import FloatArray, modified_wilson, mover_difference, mover_ratio

FOUR_FIFTHS = 0.8
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class AgainstHighest:
    """Every category against the one with the highest rate; arrays of shape (categories,).

    Attributes:
        highest: place of the category with the highest rate seen, the first of several.
        ratio: rate over the highest rate, at most 1; NaN where all rates are 0.
        ratio_low: lower limit of the ratio to the category that is truly the highest.
        ratio_high: its upper limit, at most 1.
        gap: the highest rate less the rate, at least 0.
        gap_low: lower limit of the gap to the category that is truly the highest, at least 0.
        gap_high: its upper limit.
    """

    highest: int
    ratio: FloatArray
    ratio_low: FloatArray
    ratio_high: FloatArray
    gap: FloatArray
    gap_low: FloatArray
    gap_high: FloatArray


def against_highest(x: npt.ArrayLike, n: npt.ArrayLike, critical: float) -> AgainstHighest:
    """Compare each category with the one that has the highest rate, as the impact ratio and the shortfall do.

    The smallest ratio and its limits are those of `multiplicity.ratio_interval`, the largest gap and its limits those
    of `multiplicity.spread_interval`: the same intervals of all pairs, read category by category.

    Args:
        x: shape (categories,), successes, at least two categories.
        n: shape (categories,), trials, more than 0.
        critical: simultaneous critical value of all pairs.

    Returns:
        Ratios and gaps with their limits, which hold for all categories at once.

    >>> compared = against_highest([48, 12], [80, 40], critical=1.96)
    >>> compared.ratio.round(3).tolist(), compared.gap.round(3).tolist()
    ([1.0, 0.5], [0.0, 0.3])
    >>> float(compared.ratio_low[1].round(3)), float(compared.ratio_high[1].round(3))
    (0.295, 0.795)
    """
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if x.size < 2:
        raise ValueError("a comparison needs at least two categories")
    rates = x / n
    low, high = modified_wilson(x, n, critical)
    # Rows are the categories, columns those that they are held against; against itself a ratio is 1 and a gap 0.
    own, other = (rates[:, None], (low[:, None], high[:, None])), (rates[None, :], (low[None, :], high[None, :]))
    itself = np.eye(x.size, dtype=bool)
    ratios = [np.where(itself, 1.0, limit) for limit in mover_ratio(*own, *other)]
    gaps = [np.where(itself, 0.0, limit) for limit in mover_difference(*other, *own)]
    largest = float(rates.max())
    ratio = rates / largest if largest else np.full_like(rates, np.nan)
    gap = largest - rates
    # Only rounding can put the value outside.
    return AgainstHighest(
        highest=int(rates.argmax()),
        ratio=ratio,
        ratio_low=np.fmin(ratios[0].min(axis=1), ratio),
        ratio_high=np.fmax(ratios[1].min(axis=1), ratio),
        gap=gap,
        gap_low=np.minimum(gaps[0].max(axis=1), gap),
        gap_high=np.maximum(gaps[1].max(axis=1), gap),
    )


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Fisher's exact test of two rates, two-sided.

    Attributes:
        p_value: chance of a table that is no likelier than the one seen, if the rates were equal.
        mid_p: the same with half of the chance of the table seen: less conservative, and not exact.
    """

    p_value: float
    mid_p: float


def fisher_exact(x1: float, n1: float, x2: float, n2: float) -> Exact:
    """Test that two rates are equal, given how many were selected in all.

    Source: Fisher (1935), The Design of Experiments; for the mid-p Lancaster (1961), JASA 56:223-234, as used by
    Biddle & Morris (2011), Journal of Applied Psychology 96:956-965.

    Args:
        x1: successes of the first group; it and the others are rounded to integers.
        n1: its trials.
        x2: successes of the second group.
        n2: its trials.

    Returns:
        Both p-values.

    >>> test = fisher_exact(9, 10, 5, 10)
    >>> round(test.p_value, 4), round(test.mid_p, 4)
    (0.1409, 0.1084)
    """
    trials1, trials2 = round(n1), round(n2)
    hits1, hits2 = min(round(x1), trials1), min(round(x2), trials2)
    table = np.array([[hits1, trials1 - hits1], [hits2, trials2 - hits2]])
    p = float(stats.fisher_exact(table).pvalue)
    seen = float(stats.hypergeom.pmf(hits1, trials1 + trials2, hits1 + hits2, trials1))
    return Exact(p_value=min(p, 1.0), mid_p=max(0.0, min(p, 1.0) - seen / 2))


def pooled_z(x1: float, n1: float, x2: float, n2: float) -> float | None:
    """Difference of two rates in standard deviations under equal rates: the courts' "two or three".

    z = (p1 - p2) / sqrt(p (1 - p) (1/n1 + 1/n2)), p pooled; z squared is Pearson's chi-square of the 2 x 2 table.
    Source: Hazelwood School District v. United States, 433 U.S. 299 (1977), note 14; Castaneda v. Partida,
    430 U.S. 482 (1977), note 17; Morris & Lobsenz (2000), Personnel Psychology 53:89-111.

    Args:
        x1: successes of the first group.
        n1: its trials.
        x2: successes of the second group.
        n2: its trials.

    Returns:
        The number of standard deviations, negative where the first rate is the lower one; None where both rates are
        0, or both are 1, and there is no deviation.

    >>> round(pooled_z(30, 100, 50, 100), 4)
    -2.8868
    """
    pooled = (x1 + x2) / (n1 + n2)
    variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2)
    return float((x1 / n1 - x2 / n2) / math.sqrt(variance)) if variance > 0 else None


def selections_to_reach(x: float, n: float, highest: float, share: float = FOUR_FIFTHS) -> int:
    """How many more persons of a category would have to be selected for it to reach a share of the highest rate.

    Args:
        x: selected.
        n: persons.
        highest: the highest rate, which stays as it is.
        share: of that rate, by default four fifths.

    >>> selections_to_reach(12, 40, 0.6), selections_to_reach(20, 40, 0.6)
    (8, 0)
    """
    # Four fifths of 25 persons at a rate of .6 are 12, and 12.000000000000002 in binary.
    return max(0, math.ceil(share * highest * n - x - _ROUNDING))


@dataclass(frozen=True, kw_only=True)
class OneMoved:
    """What remains of a ratio after one selection went to the other group.

    Attributes:
        ratio: rate of the lower group over that of the highest; None where that is 0 then.
        reversed: whether the lower group has the higher rate then.
    """

    ratio: float | None
    reversed: bool


def one_moved(x: float, n: float, x_highest: float, n_highest: float) -> OneMoved | None:
    """Select one more person of the lower group, and one fewer of the highest ("flip-flop", or N of one).

    Where that would give the lower group the higher rate, the numbers are too small to say that there is adverse
    impact: UGESP questions and answers, question 21 (44 Fed. Reg. 11996, 1979).

    Args:
        x: selected of the lower group.
        n: its persons.
        x_highest: selected of the group with the highest rate.
        n_highest: its persons.

    Returns:
        What remains; None where all of the lower group are selected, or fewer than one of the other.

    >>> one_moved(1, 10, 3, 10)
    OneMoved(ratio=1.0, reversed=False)
    """
    if x + 1 > n + _ROUNDING or x_highest < 1 - _ROUNDING:
        return None
    rate, highest = (x + 1) / n, max(x_highest - 1, 0.0) / n_highest
    if highest <= _ROUNDING:
        return OneMoved(ratio=None, reversed=True)
    return OneMoved(ratio=float(rate / highest), reversed=bool(rate > highest * (1 + _ROUNDING)))


def median_of_counts(values: npt.ArrayLike, counts: npt.ArrayLike) -> float:
    """Median of values that occur so many times each.

    The mean of the two middle values where their number is even, as `numpy.median` has it; with weights for counts,
    the value at which half of the weight is reached, or the mean of it and the next where it is met exactly.

    Args:
        values: shape (values,), ascending and distinct.
        counts: shape (values,), at least 0; at least one is more than 0.

    >>> median_of_counts([1.0, 2.0, 5.0], [1, 1, 2])
    3.5
    """
    values, counts = np.asarray(values, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    values, counts = values[counts > 0], counts[counts > 0]
    if not values.size:
        raise ValueError("there is no median of nothing")
    reached = np.cumsum(counts)
    half, slack = reached[-1] / 2, reached[-1] * _ROUNDING
    middle = int(np.searchsorted(reached, half - slack))
    if abs(reached[middle] - half) <= slack and middle + 1 < values.size:
        return float((values[middle] + values[middle + 1]) / 2)
    return float(values[middle])
