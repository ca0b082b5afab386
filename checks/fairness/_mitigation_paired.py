"""The change of a rate on the same rows, with its paired interval."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.statistics.intervals import critical_value, wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A difference of two rates on the same rows: its value and limits, the rows, and the effective ones."""

    value: float
    low: float
    high: float
    rows: int


def change(after: Floats, before: Floats, weight: Floats | None, level: float) -> Change:
    """Rate after less rate before.

    Answers between 0 and 1 are chances: the interval is that of one draw of lots, which is the wider one.

    Args:
        after: shape (rows,), 0 or 1 or a chance of 1.
        before: likewise, independent of it given the row.
        weight: shape (rows,), more than 0; None for equal weights.
        level: confidence level.
    """
    w = np.ones(len(after)) if weight is None else weight
    # Effective rows (Kish): weighted rows tell less than their number.
    w = w * (w.sum() / (w * w).sum())
    both, gained, lost = (w * after * before).sum(), (w * after * (1 - before)).sum(), (w * (1 - after) * before).sum()
    neither = (w * (1 - after) * (1 - before)).sum()
    low, high = paired_interval(float(both), float(gained), float(lost), float(neither), level)
    value = float((gained - lost) / w.sum())
    return Change(value, min(low, value), max(high, value), len(after))


def paired_interval(both: float, first: float, second: float, neither: float, level: float) -> tuple[float, float]:
    """Interval of the difference of two rates on the same rows.

    Source: Newcombe (1998), Improved confidence intervals for the difference between binomial proportions based on
    paired data, Statistics in Medicine 17:2635-2650, method 10: square and add on Wilson limits, with the correlation
    of the two answers, corrected towards 0 where it is positive.

    Args:
        both: rows (or effective rows) with both.
        first: with the first only.
        second: with the second only.
        neither: with none.
        level: confidence level.

    Returns:
        Limits of the first rate less the second.

    59, 6, 16 and 80 patients (Cavo et al. 2012), as R's contingencytables has it:

    >>> low, high = paired_interval(59, 6, 16, 80, 0.95)
    >>> round(low, 4), round(high, 4)
    (-0.1186, -0.0046)
    """
    n = both + first + second + neither
    one, other = both + first, both + second
    low, high = wilson([one, other], [n, n], critical_value(level))
    p, q = one / n, other / n
    product = one * (n - one) * other * (n - other)
    excess = both * neither - first * second
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    correlation = excess / math.sqrt(product) if product > 0 else 0.0

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * correlation * a * b + b * b, 0.0))

    below, above = distance(p - low[0], high[1] - q), distance(high[0] - p, q - low[1])
    return p - q - below, p - q + above
