"""What moments by group estimate: the value, its standard error and its degrees of freedom, for every group at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Reason
from fairwitness.audit.statistics.intervals import Limits
from fairwitness.audit.statistics.means import pooled_variance, student, too_skewed
from fairwitness.audit.tallies.moments import MomentsTable

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Below this share of the mean square, a variance is the rounding error of its sums.
_ROUNDING = 1e-12
# The kurtosis behind the variance of a mean square needs more than three rows.
_FEWEST = 4
# Rows per unit of (kurtosis - 1) from which the relative error of a variance, sqrt((kurtosis - 1) / n), is below .32.
_STEADY = 10.0


@dataclass(frozen=True)
class Estimates:
    """An estimate of every group, each array of shape (groups,).

    Attributes:
        attribute: whose groups these are.
        groups: names.
        what: what the rows counted are called.
        rows: rows behind each estimate.
        n: effective rows.
        value: the estimate; 0 where there is none.
        deviation: its standard error; 0 where nothing varies, so that there is none.
        rest: what is left of the largest possible value: the interval is built on log(rest). None for an interval
            that is symmetric.
        added: how much of the squared deviation was put there as the group has too few rows to tell its own.
        above: a standard error of rest ** power that the upper limit of the rest allows for, too, as the group's own
            few rows may hold none of the rare large errors; 0 where they are many enough.
        power: 2 where the rest is the root of a mean, else 1.
        below: likewise of the divisor of the rest, relative to it, which the lower limit of the rest allows for; or 0.
    """

    attribute: str | None
    groups: tuple[str, ...]
    what: str
    rows: Counts
    n: Floats
    value: Floats
    deviation: Floats
    rest: Floats | None
    added: Floats
    above: Floats
    power: int = 1
    below: Floats | float = 0.0

    def why_not(self, i: int, least: int) -> Reason | None:
        """Why a group has no estimate; None where it has."""
        needed = max(least, _FEWEST)
        if self.rows[i] < needed or self.n[i] < needed - 1e-9:
            found = int(min(self.rows[i], self.n[i] + 1e-9))
            return Reason(code="too_few", params={"needed": needed, "found": found, "what": self.what})
        if not (self.deviation[i] > 0 and np.isfinite(self.value[i]) and np.isfinite(self.deviation[i])):
            return Reason(code="no_variation")
        return None

    @property
    def thin(self) -> NDArray[np.bool_]:
        """Groups with fewer rows than the tails of the errors ask for."""
        return np.asarray((self.added > 0) | (self.above > 0) | (np.asarray(self.below) > 0))

    @property
    def degrees(self) -> Floats:
        """Degrees of freedom of the standard errors."""
        return np.maximum(self.n - 1, 1.0)

    def limits(self, critical: float) -> Limits:
        """Limits of each group's value; those of a rest that is positive by nature are on the log scale."""
        if self.rest is None:
            half = student(critical, self.degrees) * self.deviation
            return self.value - half, self.value + half
        ends = self.rest_limits(critical)
        # The value is the rest itself, or a constant less the rest.
        if np.array_equal(self.value, self.rest):
            return ends
        whole = self.value + self.rest
        return whole - ends[1], whole - ends[0]

    def rest_limits(self, critical: float) -> Limits:
        """Limits of what is positive by nature."""
        rest, t = np.zeros(len(self.groups)) if self.rest is None else self.rest, student(critical, self.degrees)
        half = t * np.divide(self.deviation, rest, out=np.zeros_like(rest), where=rest > 0)
        with np.errstate(over="ignore", invalid="ignore"):
            unseen = (rest**self.power + np.where(self.above > 0, t * self.above, 0.0)) ** (1 / self.power)
            divisor = 1 + np.where(np.asarray(self.below) > 0, t * self.below, 0.0)
            return rest * np.minimum(np.exp(-half), 1 / divisor), np.maximum(rest * np.exp(half), unseen)


def estimates(table: MomentsTable) -> dict[str, Estimates]:
    """Every metric of a group.

    A few rows seldom hold any of the large errors that are rare, and then both their mean and its standard error are
    too small. So where the skewness of all asks for more rows than a group has, the variance of its values is at least
    that within all groups. For what is positive, where the kurtosis of all does, the upper limit is at least as far off
    as the variance of all would put it on the plain scale: with rare large errors the logarithm of a mean has a long
    tail downwards. What is left unexplained is divided by the truth's variance, which moves the lower limit likewise.
    """
    e = table.errors
    fewer, fewest = np.maximum(table.n - 1, 1.0), np.maximum(table.n - 3, 1.0)
    labelled: dict[str, Any] = {"what": "labelled rows", "rows": table.rows, "n": table.n}
    nothing = np.zeros(len(table.groups))
    # The kurtosis of few rows is too small by about n / (n - 3), and one group's is taken to be at least that of all.
    share = _over(table.n, np.full_like(table.n, table.n.sum()))
    own_kurtosis = _over(e["e4"], e["e2"] ** 2) * table.n / fewest
    of_all = float(share @ own_kurtosis)
    thin = table.n < _STEADY * (of_all - 1)
    # The same of the truth, whose variance divides the unexplained.
    spread = _centred(e["d2"], e["y"])
    unsteady = table.n < _STEADY * (float(share @ (_over(e["d4"], spread**2) * table.n / fewest)) - 1)
    of_spread = np.sqrt(float(share @ np.maximum(e["d4"] - spread**2, 0.0)) / fewer)

    def said(value: Floats, variance: Floats, rest: Floats | None = None, **more: Any) -> Estimates:
        given = {"added": nothing, "above": nothing, **labelled, **more}
        return Estimates(table.attribute, table.groups, value=value, deviation=np.sqrt(variance), rest=rest, **given)

    def mean(value: Floats, variance: Floats, third: Floats, n: Floats, **more: Any) -> Estimates:
        own = variance / np.maximum(n - 1, 1.0)
        # A group whose own values do not vary at all stays without an interval.
        some = too_skewed(n, variance, third) & (own > 0)
        added = np.where(some, np.maximum(pooled_variance(n, variance) / np.maximum(n, 1.0) - own, 0.0), 0.0)
        return said(value, own + added, n=n, added=added, **more)

    def positive(value: Floats, rest: Floats, variance: Floats, unit: Floats, **more: Any) -> Estimates:
        power = more.get("power", 1)
        # Variance of one row's influence on the rest to this power, in a unit that groups share.
        rows = (power * rest ** (power - 1) * unit) ** 2 * variance * fewer
        above = np.where(thin & (variance > 0), _over(np.sqrt(share @ rows / fewer), unit), 0.0)
        return said(value, variance, rest, above=above, **more)

    answered: dict[str, Any] = {"what": "rows", "rows": table.answered}
    predicted, errors = _central(table, "predictions"), _central(table, "errors")
    kurtosis = np.maximum(own_kurtosis, of_all)
    of_squares = np.where(e["e4"] - e["e2"] ** 2 > _ROUNDING * e["e4"], (kurtosis - 1) / fewest, 0.0)
    root, absolute = np.sqrt(e["e2"]), e["abs_e"]
    rest, influence = _unexplained(e)
    return {
        "mean_prediction": mean(*predicted[:4], **answered),
        "mean_error": mean(*errors[:4]),
        "mean_absolute_error": positive(
            absolute, absolute, _positive(e["e2"] - absolute**2, e["e2"]) / fewer, nothing + 1
        ),
        "root_mean_squared_error": positive(root, root, e["e2"] * of_squares / 4, nothing + 1, power=2),
        "r2": positive(
            1 - rest,
            rest,
            influence * table.n / fewest**2,
            spread,
            below=np.where(unsteady & (influence > 0), _over(of_spread, spread), 0.0),
        ),
    }


def standardized(table: MomentsTable, whole: MomentsTable, *, of: str) -> tuple[Floats, Floats, float]:
    """Means by group in units of the standard deviation of all rows, about the mean of all.

    The variance is that of the influence of one row (van der Vaart 1998, chapter 20). With z_g = (m_g - m) / s a row x
    of group h moves z_g by 1{g = h} (x - m_g) / (share_g s) - z_g ((x - m)^2 - s^2) / (2 s^2), but for a term that all
    groups share, and that differences are free of.

    Args:
        table: moments by group.
        whole: of all rows.
        of: `predictions` or `errors`.

    Returns:
        z, shape (groups,); their covariance up to what all share, shape (groups, groups); and s, 0 where all are alike.
    """
    mean, v2, v3, n, _ = _central(table, of)
    (m,), (s2,), _, (total,), (v4,) = _central(whole, of)
    s = float(np.sqrt(s2))
    if not s > 0:
        return np.zeros_like(mean), np.zeros((mean.size, mean.size)), 0.0
    z = (mean - m) / s
    skew = (v3 + 2 * (mean - m) * v2) / s**3  # E[(x - m_g) (x - m)^2] of each group
    own = np.diag(_over(v2, np.maximum(n - 1, 1.0)) / s2)
    shared = z[:, None] * z * (v4 / s2**2 - 1) / 4 - (z[:, None] * skew + skew[:, None] * z) / 2
    return z, own + shared / total, s


def _central(table: MomentsTable, of: str) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Mean, second and third moment about it, effective rows, and the fourth moment."""
    if of == "predictions":
        p = table.predictions
        return p["p"], _centred(p["p2"], p["p"]), p["p3"], table.m, p["p4"]
    e = table.errors
    m = e["e"]
    third = e["e3"] - 3 * m * e["e2"] + 2 * m**3
    fourth = e["e4"] - 4 * m * e["e3"] + 6 * m**2 * e["e2"] - 3 * m**4
    return m, _positive(e["e2"] - m**2, e["e2"]), third, table.n, np.maximum(fourth, 0.0)


def _unexplained(e: dict[str, Floats]) -> tuple[Floats, Floats]:
    """E[e^2] / Var[y], and the variance of one row's influence on it; 0 where the truth does not vary."""
    a, b = e["e2"], _centred(e["d2"], e["y"])
    spread = _over(e["e4"] - a**2, b**2) - 2 * _over(a * (e["e2d2"] - a * b), b**3)
    spread = spread + _over(a**2 * (e["d4"] - b**2), b**4)
    return _over(a, b), np.maximum(spread, 0.0)


def _positive(variance: Floats, square: Floats) -> Floats:
    """A variance that is no rounding error of a mean square; else 0."""
    return np.where(variance > _ROUNDING * square, variance, 0.0)


def _centred(variance: Floats, mean: Floats) -> Floats:
    """A variance, from sums about the mean of all, that is no rounding error of moving them to each group's; else 0."""
    moved = float(np.max(variance, initial=0.0)) + (float(np.ptp(mean)) ** 2 if mean.size else 0.0)
    return np.where(variance > _ROUNDING * moved + _ROUNDING**2 * mean**2, variance, 0.0)


def _over(values: Floats, divisor: Floats) -> Floats:
    return np.divide(values, divisor, out=np.zeros_like(values), where=divisor > 0)
