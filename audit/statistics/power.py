"""How fine the audit can see, and how many rows would decide an open gate. Both are approximations.

They take the half-width as the standard error times 1.96 and assume that it shrinks with the square root of n, as
for independent rows of the same mix of groups.
"""

import math

from fairwitness.audit.statistics.intervals import critical_value

# Power .8 of a two-sided test at .05: z.975 + z.8 standard errors from the bound (Cohen 1988).
_Z_TEST = critical_value(0.95)
_Z_POWER = critical_value(0.60)
_MOST_ROWS = 1e12


def minimum_detectable(half_width: float) -> float:
    """Distance from the bound that an audit of this size finds four times in five.

    Args:
        half_width: half the width of the 95 % interval.

    Returns:
        (z.975 + z.8) / z.975 times the half-width.

    >>> round(minimum_detectable(0.1), 4)
    0.1429
    """
    return (_Z_TEST + _Z_POWER) / _Z_TEST * half_width


def rows_to_decide(n: float, half_width: float, distance: float) -> int | None:
    """Rows at which the interval would be short enough to clear the bound, were the estimate to stay.

    Args:
        n: rows the present interval rests on.
        half_width: half the width of the present interval.
        distance: of the estimate from the bound; the sign does not matter.

    Returns:
        n (half_width / distance)^2, rounded up; None where no number of rows would do (an estimate on the bound)
        or more than 1e12.

    >>> rows_to_decide(1000, 0.04, 0.02)
    4000
    >>> rows_to_decide(1000, 0.04, 0.0) is None
    True
    """
    # Compared as a product: a subnormal distance would overflow the quotient.
    if abs(half_width) * math.sqrt(n) > abs(distance) * math.sqrt(_MOST_ROWS) or distance == 0:
        return None
    return math.ceil(n * (half_width / distance) ** 2)
