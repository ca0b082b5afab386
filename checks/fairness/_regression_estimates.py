"""What moments by group estimate: the value, its standard error and its degrees of freedom, for every group at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Reason
from fairwitness.audit.statistics.intervals import Limits
from fairwitness.audit.statistics.means import student
from fairwitness.audit.tallies.moments import MomentsTable

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Below this share of the mean square, a variance is the rounding error of its sums.
_ROUNDING = 1e-12
# The kurtosis behind the variance of a mean square needs more than three rows.
_FEWEST = 4


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
        unanswered: rows that the model gave no value for.
    """

    attribute: str | None
    groups: tuple[str, ...]
    what: str
    rows: Counts
    n: Floats
    value: Floats
    deviation: Floats
    rest: Floats | None
    unanswered: Counts

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
    def degrees(self) -> Floats:
        """Degrees of freedom of the standard errors."""
        return np.maximum(self.n - 1, 1.0)

    def limits(self, critical: float) -> Limits:
        """Limits of each group's value; those of a rest that is positive by nature are on the log scale."""
        t = student(critical, self.degrees)
        if self.rest is None:
            return self.value - t * self.deviation, self.value + t * self.deviation
        some = self.rest > 0
        half = t * np.divide(self.deviation, self.rest, out=np.zeros_like(self.rest), where=some)
        with np.errstate(over="ignore"):
            ends = self.rest * np.exp(-half), self.rest * np.exp(half)
        # The value is the rest itself, or a constant less the rest.
        if np.array_equal(self.value, self.rest):
            return ends
        whole = self.value + self.rest
        return whole - ends[1], whole - ends[0]


def estimates(table: MomentsTable) -> dict[str, Estimates]:
    """Every metric of a group."""
    e, p = table.errors, table.predictions
    fewer = np.maximum(table.n - 1, 1.0)
    fewest = np.maximum(table.n - 3, 1.0)
    labelled: dict[str, Any] = {"what": "labelled rows", "rows": table.rows, "n": table.n}

    def said(value: Floats, variance: Floats, rest: Floats | None = None, **rows: Any) -> Estimates:
        given = labelled | rows
        return Estimates(
            table.attribute, table.groups, value=value, deviation=np.sqrt(variance), rest=rest,
            unanswered=table.unanswered, **given,
        )  # fmt: skip

    answered: dict[str, Any] = {"what": "rows", "rows": table.answered, "n": table.m}
    root = np.sqrt(e["e2"])
    # The kurtosis of few rows is too small by about n / (n - 3), and one group's is taken to be at least that of all.
    kurtosis = _over(e["e4"], e["e2"] ** 2) * table.n / fewest
    kurtosis = np.maximum(kurtosis, np.average(kurtosis, weights=table.n) if table.n.sum() > 0 else 0.0)
    of_squares = np.where(e["e4"] - e["e2"] ** 2 > _ROUNDING * e["e4"], (kurtosis - 1) / fewest, 0.0)
    rest, influence = _unexplained(e)
    return {
        "mean_prediction": said(p["p"], _centred(p["p2"], p["p"]) / np.maximum(table.m - 1, 1.0), **answered),
        "mean_error": said(e["e"], _positive(e["e2"] - e["e"] ** 2, e["e2"]) / fewer),
        "mean_absolute_error": said(e["abs_e"], _positive(e["e2"] - e["abs_e"] ** 2, e["e2"]) / fewer, e["abs_e"]),
        "root_mean_squared_error": said(root, e["e2"] * of_squares / 4, root),
        "r2": said(1 - rest, influence * table.n / fewest**2, rest),
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
