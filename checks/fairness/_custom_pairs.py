"""The largest difference and the smallest ratio of any two groups, from an estimate and limits of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Reason
from fairwitness.audit.statistics.intervals import mover_difference, mover_ratio

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Values of groups with limits at a critical value that all pairs share, each of shape (groups,), two or more."""

    value: Floats
    low: Floats
    high: Floats


def difference(groups: Pairs) -> tuple[float, float, float]:
    """Largest value less the smallest, with its interval: the largest of the pairs' lower and upper limits.

    Args:
        groups: values and limits.

    Returns:
        The difference, its lower limit (0 where no pair differs) and its upper limit.
    """
    i, j = np.triu_indices(len(groups.value), k=1)
    low, high = mover_difference(
        groups.value[i], (groups.low[i], groups.high[i]), groups.value[j], (groups.low[j], groups.high[j])
    )
    found = float(np.ptp(groups.value))
    smallest = float(np.max(np.maximum(0.0, np.maximum(low, -high))))
    largest = float(np.max(np.maximum(high, -low)))
    return found, min(smallest, found), max(largest, found)


def ratio(groups: Pairs) -> tuple[float, float, float] | Reason:
    """Smallest value over the largest, with its interval: the smallest of the pairs' lower and upper limits.

    Limits below 0 are taken as 0. A ratio of numbers that may be negative has no meaning.

    Args:
        groups: values and limits.

    Returns:
        The ratio, its lower limit and its upper limit (1 where no pair differs); or why there is none.
    """
    if (groups.value < 0).any():
        return Reason(code="negative_values")
    if not groups.value.any():
        return Reason(code="all_rates_zero")
    i, j = np.triu_indices(len(groups.value), k=1)
    lows = np.maximum(groups.low, 0.0)
    low, high = mover_ratio(
        groups.value[i], (lows[i], groups.high[i]), groups.value[j], (lows[j], groups.high[j])
    )  # fmt: skip
    inverse_low, inverse_high = (1 / np.maximum(limit, np.finfo(np.float64).tiny) for limit in (high, low))
    # The ratio folded to [0, 1] is min(r, 1/r): an interval around 1 reaches 1.
    folded_low = np.minimum(low, inverse_low)
    folded_high = np.where(high < 1, high, np.where(low > 1, inverse_high, 1.0))
    found = float(groups.value.min() / groups.value.max())
    return found, min(float(folded_low.min()), found), min(max(float(folded_high.min()), found), 1.0)
