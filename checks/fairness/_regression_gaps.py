"""How far groups are apart in their estimates: the gap, the ratio, and the gap in standard deviations."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar, Table
from fairwitness.audit.statistics.intervals import critical_value, mover_difference
from fairwitness.audit.statistics.means import (
    difference_degrees,
    difference_deviations,
    equal_means,
    expected_gap,
    gap_interval,
    inverted,
    pair_intervals,
    shared_critical,
    widest_gap,
)
from fairwitness.checks.fairness._regression_estimates import Estimates, Floats


def by_group(metric: str, found: Estimates, *, level: float, least: int) -> Iterator[Measurement]:
    """Yield each group's estimate with its interval."""
    low, high = found.limits(critical_value(level))
    method = "Student t" if found.rest is None else "Student t on the log scale"
    for i, group in enumerate(found.groups):
        said: dict[str, Any] = {
            "metric": metric, "attribute": found.attribute, "group": group, "n": int(found.rows[i])
        }  # fmt: skip
        reason = found.why_not(i, least)
        ends = float(low[i]), float(high[i])
        if reason is None and not np.isfinite(ends).all():
            reason = Reason(code="no_variation")
        if reason is not None:
            yield Measurement(**said, status="not_estimable", reason=reason)
        else:
            interval = Interval(low=ends[0], high=ends[1], level=level, method=method)
            yield Measurement(**said, value=float(found.value[i]), interval=interval)


def between(
    metric: str, found: Estimates, rng: np.random.Generator, *, level: float, least: int, ratio: bool = False
) -> Measurement:
    """Measure the largest difference between the estimates of two groups, or their smallest ratio.

    Means have Welch's intervals of all pairs. What is positive by nature, and skewed, has them on the log scale if it
    is a ratio; its differences are MOVER's on the log limits of each group (Zou & Donner 2008). The test is on the log
    scale, too: the same for a ratio and a difference. Where a group has too few rows for the tails of the errors, its
    limits are not symmetric on either scale: then MOVER bounds the ratio, too, and the test is that of the interval.

    Args:
        metric: what it is called.
        found: independent estimates by group; for a ratio, of something positive.
        rng: randomness for the critical value.
        level: confidence level.
        least: groups with fewer rows are left out, and listed.
        ratio: min / max instead of max - min.
    """
    kept, said = _kept(metric, found, least)
    if kept.size < 2:
        return _refused(said, found, kept)
    value, deviation, degrees = found.value[kept], found.deviation[kept], found.degrees[kept]
    logs, relative = value, deviation
    if found.rest is not None:
        logs, relative = np.log(found.rest[kept]), deviation / found.rest[kept]
    covariance = np.diag((relative if ratio else deviation) ** 2)
    critical = shared_critical(covariance, level, rng)
    thin = found.rest is not None and bool(found.thin[kept].any())

    def spanned(z: float) -> tuple[float, float, float]:
        if found.rest is None or (ratio and not thin):
            return gap_interval(logs, *_differences(covariance, degrees), z)
        ends = found.rest_limits(z) if ratio else found.limits(z)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            below, above = (np.log(end[kept]) if ratio else end[kept] for end in ends)
            at = logs if ratio else value
            return widest_gap(at, *mover_difference(at[:, None], (below[:, None], above[:, None]), at, (below, above)))

    gap, low, high = spanned(critical)
    expected = expected_gap(covariance, rng)
    if ratio:
        gap, low, high, expected = (float(np.exp(-end)) for end in (gap, high, low, expected))
    names = [found.groups[i] for i in kept]
    facts: dict[str, Scalar] = {
        "Lowest group": names[int(value.argmin())],
        "Highest group": names[int(value.argmax())],
        f"{'Smallest ratio' if ratio else 'Largest gap'} expected if all groups were equal": expected,
        "Simultaneous critical value": critical,
    }
    interval = Interval(
        low=min(low, gap), high=max(high, gap), level=level, method=_method(found, thin=thin, ratio=ratio)
    )
    details = Details(facts=facts, excluded=said.pop("excluded"))
    if thin:
        p_value = inverted(lambda z: spanned(z)[1], relative, rng, critical=critical, level=level, draws=5_000)
    else:
        p_value = equal_means(logs, relative, degrees)
    return Measurement(**said, value=gap, interval=interval, p_value=p_value, details=details)


def _method(found: Estimates, *, thin: bool, ratio: bool) -> str:
    if found.rest is None:
        return "Simultaneous Welch"
    if thin and ratio:
        return "Simultaneous MOVER on the log scale"
    return "Simultaneous Welch on the log scale" if ratio else "Simultaneous MOVER on log limits"


def in_deviations(
    metric: str,
    found: Estimates,
    standard: tuple[Floats, Floats, float],
    rng: np.random.Generator,
    *,
    level: float,
    least: int,
) -> Measurement:
    """Measure the largest difference between two means in standard deviations of all rows.

    Args:
        metric: what it is called.
        found: the means by group.
        standard: what `standardized` gives of them.
        rng: randomness for the critical value.
        level: confidence level.
        least: groups with fewer rows are left out, and listed.
    """
    kept, said = _kept(metric, found, least)
    z, covariance, s = standard
    if kept.size < 2 or not s > 0:
        return _refused(said, found, kept, Reason(code="no_variation") if not s > 0 else None)
    covariance = covariance + np.diag(found.added / s**2)
    z, covariance, degrees = z[kept], covariance[np.ix_(kept, kept)], found.degrees[kept]
    critical = shared_critical(covariance, level, rng)
    highest = int(z.argmax())
    below, above = pair_intervals(z, *_differences(covariance, degrees), critical)
    # The limit that is nearer to 0 is no farther from it than with s taken as known: near 0 that is the better one.
    known = np.diag((found.deviation[kept] / s) ** 2)
    nearer, farther = pair_intervals(z, *_differences(known, degrees), critical)
    up = z[:, None] >= z
    below, above = np.where(up, np.minimum(below, nearer), below), np.where(up, above, np.maximum(above, farther))
    gap, low, high = widest_gap(z, below, above)
    names = [found.groups[i] for i in kept]
    rows = []
    for i, place in enumerate(kept):
        apart = (z[i] - z[highest], below[i, highest], above[i, highest])
        limits = (0.0, None, None) if i == highest else tuple(float(number) for number in apart)
        rows.append((names[i], int(found.rows[place]), float(found.value[place]), *limits))
    columns = ("Group", "Rows", "Mean", "Standardized difference from the highest group", "Lower limit", "Upper limit")
    facts: dict[str, Scalar] = {
        "Lowest group": names[int(z.argmin())],
        "Highest group": names[highest],
        "Standard deviation of all rows": s,
        "Largest gap expected if all groups were equal": expected_gap(covariance, rng),
        "Simultaneous critical value": critical,
    }
    details = Details(facts=facts, table=Table(columns=columns, rows=tuple(rows)), excluded=said.pop("excluded"))
    interval = Interval(low=low, high=high, level=level, method="Simultaneous Welch, influence function")
    p_value = equal_means(found.value[kept], found.deviation[kept], degrees)
    return Measurement(**said, value=gap, interval=interval, p_value=p_value, details=details)


def _differences(covariance: Floats, degrees: Floats) -> tuple[Floats, Floats]:
    """Standard errors of all differences, and their degrees of freedom."""
    return difference_deviations(covariance), difference_degrees(covariance, degrees)


def _kept(metric: str, found: Estimates, least: int) -> tuple[Any, dict[str, Any]]:
    """Places of the groups that can be compared, and what is said in any case."""
    reasons = [found.why_not(i, least) for i in range(len(found.groups))]
    kept = np.array([i for i, reason in enumerate(reasons) if reason is None], dtype=np.int64)
    excluded = [
        Excluded(group=found.groups[i], n=int(found.rows[i]), reason=reason)
        for i, reason in enumerate(reasons)
        if reason is not None
    ]
    n = int(found.rows[kept].sum())
    return kept, {"metric": metric, "attribute": found.attribute, "n": n, "excluded": tuple(excluded)}


def _refused(said: dict[str, Any], found: Estimates, kept: Any, reason: Reason | None = None) -> Measurement:
    few = Reason(code="fewer_than_two_groups", params={"attribute": found.attribute, "estimable": len(kept)})
    excluded = said.pop("excluded")
    details = Details(excluded=excluded) if excluded else None
    return Measurement(**said, status="not_estimable", reason=reason or few, details=details)
