"""The share of some columns in all attributions, with its interval over rows."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fairwitness.audit.evidence import Interval
from fairwitness.audit.statistics.intervals import critical_value, logit_interval, wilson

METHOD = "Delta method on the logit"
WITH_WILSON = "Delta method on the logit, joined with Wilson"

_FEW_ROWS = 10  # a variance rests on too few, if the squares behind it are worth fewer equal ones than this
_NOISE = 1e-9  # of a row's total: what is below it is rounding


def share(part: NDArray[np.float64], total: NDArray[np.float64], level: float) -> tuple[float, Interval]:
    """Estimate E[part] / E[total] from rows.

    A ratio of means by the delta method (Cochran 1977, Sampling Techniques, section 6.4), on the logit, at Student's
    critical value. Rows weigh by their totals, so they count as (sum t)^2 / sum t^2 rows (Kish 1965). Where the
    variance rests on few rows it says little; the interval is then joined with Wilson's at that number of rows, whose
    variance is the largest that parts between 0 and their totals can have.

    In 1,500 simulations each, a nominal .95 covers .94 to .96 at 1,000 rows and .92 to .98 at 100 (log-normal,
    half-normal and rarely occurring parts). It falls short where a value seen in 2 % of the rows carries a fifth of
    the whole: .85 at 100 rows, .69 at 30, where such a row is often not seen at all.

    Args:
        part: |attribution| of the columns in question, weighted, shape (rows,), at most `total`.
        total: of all columns, shape (rows,), with a sum above 0.
        level: confidence level.

    Returns:
        The share and its interval, never of zero width.
    """
    n, weight = len(total), float(total.sum())
    value = min(float(part.sum()) / weight, 1.0)
    effective = weight**2 / float((total**2).sum())
    other_low, other_high = (float(limit) for limit in wilson(value * effective, effective, critical_value(level)))
    conservative = Interval(low=min(other_low, value), high=max(other_high, value), level=level, method="Wilson")
    residual = part - value * total
    deviation = math.sqrt(float((residual**2).sum()) * n / max(n - 1, 1)) / weight
    if n < 2 or not _NOISE < value < 1 - _NOISE or deviation <= _NOISE * value:
        return value, conservative
    # logit_interval wants a standard error and a critical value; Student's is the wider one for few rows.
    student = float(stats.t.isf((1 - level) / 2, max(effective - 1, 1)))
    low, high = (float(limit) for limit in logit_interval(value, deviation, student))
    behind = float((residual**2).sum()) ** 2 / float((residual**4).sum())
    if behind >= _FEW_ROWS:
        return value, Interval(low=low, high=high, level=level, method=METHOD)
    low, high = min(low, conservative.low), max(high, conservative.high)
    return value, Interval(low=low, high=high, level=level, method=WITH_WILSON)
