"""Means over users, by group, and how far groups of users are apart in them. The unit is the user."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar
from fairwitness.audit.statistics.intervals import critical_value, mean
from fairwitness.audit.statistics.means import (
    difference_degrees,
    difference_deviations,
    equal_means,
    expected_gap,
    gap_interval,
    shared_critical,
)

Floats = NDArray[np.float64]

METHOD = "Student t over users"


@dataclass(frozen=True)
class PerUser:
    """One number for every user.

    Attributes:
        values: shape (users,), NaN where it is undefined.
        bounds: smallest and largest possible value; None where unbounded.
        base: shape (users,), to compare with: what is estimated is mean(values) / mean(base) - 1.
        inflation: of the standard error over users, where users are not independent.
    """

    values: Floats
    bounds: tuple[float | None, float | None]
    base: Floats | None = None
    inflation: float = 1.0


@dataclass(frozen=True)
class Mean:
    """A mean over users of weight w, from sums; `effective` users are (sum w)^2 / sum w^2 (Kish 1965).

    Attributes:
        n: users.
        square: mean of squares of the users' values.
    """

    n: int
    effective: float
    value: float
    square: float
    bounds: tuple[float | None, float | None]
    inflation: float = 1.0

    def limits(self, level: float) -> tuple[float, float]:
        """Student t interval.

        Raises:
            ValueError: the values do not vary, and are not bounded.
        """
        n, value = self.effective, self.value
        # A variance larger by a factor, about the same mean.
        square = value**2 + (self.square - value**2) * self.inflation**2
        return mean(value * n, square * n, n, level, self.bounds)

    def deviation(self) -> float:
        """Standard error, more than 0: where the values do not vary, that of a normal interval as long to one side."""
        variance = self.square - self.value**2
        if self.effective > 1 and variance > 64 * np.finfo(np.float64).eps * self.square:
            return self.inflation * float(np.sqrt(variance / (self.effective - 1)))
        low, high = self.limits(0.95)
        side = max(high - self.value, self.value - low) / critical_value(0.95)
        return max(side, float(np.finfo(np.float64).tiny))

    def varies(self) -> bool:
        """Whether there is an interval."""
        try:
            self.limits(0.95)
        except ValueError:
            return False
        return True


def averaged(of: PerUser, weight: Floats, chosen: NDArray[np.bool_]) -> Mean:
    """Average over chosen users, shape (users,), of positive weight for whom the number is defined.

    A ratio of means R is averaged by pseudo-values whose mean it is: residuals (a - R b) / mean(b), each over 1 less
    the user's share of the sum of b. That is HC3 (MacKinnon & White 1985, Journal of Econometrics 29:305-325), the
    jackknife's standard error times n / (n - 1). Between four equal groups of 10 and one of 200 a gap's interval
    excluded 0 in 7 % of 1,500 simulations; by the jackknife itself in 9 %, by the delta method in 10 %.
    """
    kept = chosen & (weight > 0) & np.isfinite(of.values)
    if of.base is not None:
        kept = kept & np.isfinite(of.base)
    w, values, n = weight[kept], of.values[kept], int(kept.sum())
    if not n:
        return Mean(0, 0.0, 0.0, 0.0, of.bounds)
    w = w / w.sum()
    effective = float(1 / (w * w).sum())
    if of.base is not None:
        base = of.base[kept]
        middle = float(w @ base)
        if middle <= 0:
            return Mean(0, 0.0, 0.0, 0.0, of.bounds)
        ratio = float(w @ values) / middle
        without = np.maximum(1 - w * base / middle, np.finfo(np.float64).eps)
        apart = (values - ratio * base) / middle / without
        values = ratio - 1 + apart - w @ apart
    return Mean(n, effective, float(w @ values), float(w @ values**2), of.bounds, of.inflation)


def said(
    metric: str,
    found: Mean,
    *,
    level: float,
    least: int,
    details: Details | None = None,
    method: str = METHOD,
    **place: Any,
) -> Measurement:
    """Say a mean over users, or why it cannot be said.

    Args:
        metric: what it is called.
        found: the mean.
        level: confidence level.
        least: of fewer users than this it is not estimable.
        details: what stands beside it.
        method: of the interval.
        place: attribute and group.
    """
    if (reason := unsaid(found, least)) is not None:
        return Measurement(metric=metric, n=found.n, status="not_estimable", reason=reason, **place)
    low, high = found.limits(level)
    value = float(np.clip(found.value, low, high))  # but for a last digit it is between them
    interval = Interval(low=low, high=high, level=level, method=method)
    return Measurement(metric=metric, value=value, interval=interval, n=found.n, details=details, **place)


def unsaid(found: Mean, least: int) -> Reason | None:
    """Why a mean cannot be said; None where it can."""
    if min(found.n, found.effective + 1e-9) < least:
        params: dict[str, Scalar] = {
            "needed": least,
            "found": int(min(found.n, found.effective + 1e-9)),
            "what": "users",
        }
        return Reason(code="too_few", params=params)
    return None if found.varies() else Reason(code="no_variation")


def by_group(
    metric: str, attribute: str, means: Mapping[str, Mean], *, level: float, least: int
) -> Iterator[Measurement]:
    """Yield each group's mean."""
    for group, found in means.items():
        yield said(metric, found, level=level, least=least, attribute=attribute, group=group)


def between_groups(
    metric: str, attribute: str, means: Mapping[str, Mean], rng: np.random.Generator, *, level: float, least: int
) -> Measurement:
    """Measure the largest difference between the means of any two groups of users.

    Every pair of groups has a Welch interval at a critical value that all pairs share; the largest true difference
    lies between the largest of their lower and the largest of their upper limits.

    Args:
        metric: what the gap is called.
        attribute: whose groups these are.
        means: by group.
        rng: randomness for the critical value and the gap to be expected.
        level: confidence level.
        least: groups with fewer users than this are left out, and listed.
    """
    reasons = {group: unsaid(found, least) for group, found in means.items()}
    excluded = tuple(Excluded(group=g, n=means[g].n, reason=why) for g, why in reasons.items() if why is not None)
    kept = {group: found for group, found in means.items() if reasons[group] is None}
    n = sum(found.n for found in kept.values())
    place: dict[str, Any] = {"metric": metric, "attribute": attribute, "n": n}
    if len(kept) < 2:
        params: dict[str, Scalar] = {"attribute": attribute, "estimable": len(kept)}
        reason = Reason(code="fewer_than_two_groups", params=params)
        details = Details(excluded=excluded) if excluded else None
        return Measurement(**place, status="not_estimable", reason=reason, details=details)
    values = np.array([found.value for found in kept.values()])
    deviations = np.array([found.deviation() for found in kept.values()])
    degrees = np.array([max(found.effective - 1, 1.0) for found in kept.values()])
    covariance = np.diag(deviations**2)
    critical = shared_critical(covariance, level, rng)
    gap, low, high = gap_interval(
        values, difference_deviations(covariance), difference_degrees(covariance, degrees), critical
    )
    bounds = next(iter(kept.values())).bounds
    if bounds[0] is not None and bounds[1] is not None:
        gap = min(gap, bounds[1] - bounds[0])
        high = max(min(high, bounds[1] - bounds[0]), gap)
    interval = Interval(low=min(low, gap), high=high, level=level, method="Simultaneous Welch intervals over users")
    names = list(kept)
    facts: dict[str, Scalar] = {
        "Lowest group": names[int(values.argmin())],
        "Highest group": names[int(values.argmax())],
        "Largest gap expected if all groups were equal": expected_gap(covariance, rng),
        "Test of equality": "Welch's analysis of variance",
        "Simultaneous critical value": critical,
    }
    p_value = equal_means(values, deviations, degrees)
    return Measurement(
        **place, value=gap, interval=interval, p_value=p_value, details=Details(facts=facts, excluded=excluded)
    )


@dataclass(frozen=True)
class Grouping:
    """Users by group of a sensitive attribute.

    Attributes:
        attribute: `age`, or `sex & age`.
        names: groups, in natural order.
        codes: shape (users,), -1 for a user without a row.
    """

    attribute: str
    names: tuple[str, ...]
    codes: NDArray[np.int64] = field(repr=False)

    def means(self, of: PerUser, weight: Floats) -> dict[str, Mean]:
        """Average within every group."""
        return {name: averaged(of, weight, self.codes == i) for i, name in enumerate(self.names)}
