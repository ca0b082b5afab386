"""What a gap between groups could be, were the rows of unknown group known: bounds without any assumption."""

import numpy as np
import numpy.typing as npt

from fairwitness.audit.statistics.intervals import FloatArray

_STEPS = 30  # halvings of a width
_STARTS = 201  # lower ends of bands that are tried, twice
_GRAIN = 1e-4  # more than the distance between two of the second time


def gap_bounds(x: npt.ArrayLike, n: npt.ArrayLike, unknown_x: float, unknown_n: float) -> tuple[float, float]:
    """Smallest and largest max - min gap over all ways to allot rows of unknown group to the groups.

    Largest: of some pair, one group is given all unknown successes and the other all unknown failures; every other
    allotment leaves that pair, or any other, less far apart. Smallest: by bisection over a grid of t, the narrowest
    band [t, t + g] that all rates can be brought into together. For given t and g it is a linear feasibility problem in
    the successes u_i and failures v_i allotted to each group, t (n_i + u_i + v_i) <= x_i + u_i <= (t + g) (n_i + u_i +
    v_i), with rows taken as divisible, so that the bound is never too large.

    Source: Horowitz & Manski (2000), JASA 95:77-84, bounds with missing covariates; Kallus, Mao & Zhou (2022),
    Management Science 68:1959-1981, for disparities.

    Args:
        x: shape (groups,), successes among the rows of known group.
        n: shape (groups,), those rows, more than 0.
        unknown_x: successes among the rows of unknown group.
        unknown_n: those rows.

    Returns:
        The smallest and the largest gap.

    >>> low, high = gap_bounds([5, 5], [10, 10], 5, 10)
    >>> round(low, 6), round(high, 4)
    (0.0, 0.3333)
    """
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    failures = unknown_n - unknown_x
    raised, lowered = (x + unknown_x) / (n + unknown_x), x / (n + failures)
    apart = raised[:, None] - lowered[None, :]
    np.fill_diagonal(apart, 0.0)
    return _narrowest(x, n, unknown_x, failures), float(max(apart.max(), 0.0))


def _narrowest(x: FloatArray, n: FloatArray, successes: float, failures: float) -> float:
    """Least g for which some band [t, t + g] holds all rates, to 1e-4."""
    spread = float(np.ptp(x / n))
    if not successes + failures or not spread:
        return spread
    # The rate of all rows lies in the band, whatever the allotment: t is at most that.
    low, high, best = 0.0, float((x.sum() + successes) / (n.sum() + successes + failures)), spread
    for _ in range(2):
        starts = np.linspace(low, high, _STARTS)
        widths = _widths(x, n, successes, failures, starts)
        best, at, step = min(best, float(widths.min())), starts[int(widths.argmin())], (high - low) / (_STARTS - 1)
        low, high = max(at - step, 0.0), min(at + step, high)
    return max(best - _GRAIN, 0.0)


def _widths(x: FloatArray, n: FloatArray, successes: float, failures: float, starts: FloatArray) -> FloatArray:
    """Least width of a band from each of the lower ends `starts`, shape (starts,), by bisection."""
    narrow, wide = np.zeros(len(starts)), 1.0 - starts
    for _ in range(_STEPS):
        middle = (narrow + wide) / 2
        fits = _fits(x, n, successes, failures, starts[:, None], (starts + middle)[:, None])
        narrow, wide = np.where(fits, narrow, middle), np.where(fits, middle, wide)
    # From some lower ends no band is wide enough: a group cannot be raised to them.
    possible = _fits(x, n, successes, failures, starts[:, None], np.ones((len(starts), 1)))
    return np.where(possible, wide, np.inf)


def _fits(
    x: FloatArray, n: FloatArray, successes: float, failures: float, low: FloatArray, high: FloatArray
) -> npt.NDArray[np.bool_]:
    """Whether all unknown rows can be allotted so that every rate is in a band; bands have shape (bands, 1)."""
    # What each group needs at the least: successes if its rate is below the band, failures if it is above.
    up = np.maximum(low * n - x, 0.0) / np.maximum(1 - low, 1e-300)
    down = np.maximum(x - high * n, 0.0) / np.maximum(high, 1e-300)
    left_up, left_down = successes - up.sum(axis=1), failures - down.sum(axis=1)
    # What is left goes to groups inside the band. Those sets of (u, v) have corners (0, 0), (room above / (1 - high),
    # 0) and (0, room below / low) and the same rays, so their sum is the set of the summed rooms.
    y, m = x + up, n + up + down
    above = np.maximum(high * m - y, 0.0).sum(axis=1)
    below = np.maximum(y - low * m, 0.0).sum(axis=1)
    rows, a, b = left_up + left_down, low[:, 0], high[:, 0]
    inside = (left_up - b * rows <= above + 1e-9) & (a * rows - left_up <= below + 1e-9)
    return np.asarray((left_up >= -1e-9) & (left_down >= -1e-9) & inside)
