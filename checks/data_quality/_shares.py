"""Shares of rows by group, and how far groups are apart in them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar
from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.audit.statistics.multiplicity import (
    homogeneity,
    shrunken_deviation,
    simultaneous_critical,
    spread_interval,
)


@dataclass(frozen=True)
class Shares:
    """A share of the rows of every group.

    Attributes:
        attribute: whose groups these are; None for the whole.
        groups: names; `("",)` for the whole.
        count: rows in the denominator, shape (groups,).
        n: effective rows, (sum w)^2 / sum w^2, likewise.
        x: effective rows that are in the share, likewise.
        what: what the denominator counts.
        where: any further dimension.
    """

    attribute: str | None
    groups: tuple[str, ...]
    count: NDArray[np.int64]
    n: NDArray[np.float64]
    x: NDArray[np.float64]
    what: str = "rows"
    where: dict[str, str] = field(default_factory=dict)


def weighted(w: NDArray[np.float64], w2: NDArray[np.float64], hit: NDArray[np.float64]) -> Any:
    """Effective rows and successes, (n, x), from sums of weights, of their squares, and of those that count."""
    n = np.divide(w * w, w2, out=np.zeros_like(w), where=w2 > 0)
    return n, np.divide(hit, w, out=np.zeros_like(w), where=w > 0) * n


def by_group(metric: str, shares: Shares, level: float, least: int) -> Iterator[Measurement]:
    """Each group's share, with its Wilson interval."""
    low, high = wilson(shares.x, shares.n, critical_value(level))
    for i, group in enumerate(shares.groups):
        count, n = int(shares.count[i]), float(shares.n[i])
        said: dict[str, Any] = {
            "metric": metric,
            "attribute": shares.attribute,
            "group": group if shares.attribute is not None else None,
            "n": count,
            "where": shares.where,
        }
        if count < least or n <= 0:
            yield Measurement(**said, status="not_estimable", reason=_too_few(shares, i, least))
        else:
            interval = Interval(low=float(low[i]), high=float(high[i]), level=level, method="Wilson")
            yield Measurement(**said, value=float(shares.x[i]) / n, interval=interval)


def difference(metric: str, shares: Shares, level: float, least: int, rng: np.random.Generator) -> Measurement:
    """The largest less the smallest share, with the interval spanned by all pairs of groups."""
    kept = (shares.count >= least) & (shares.n > 0)
    excluded = tuple(
        Excluded(group=shares.groups[i], n=int(shares.count[i]), reason=_too_few(shares, int(i), least))
        for i in np.flatnonzero(~kept)
    )
    n = int(shares.count[kept].sum())
    said: dict[str, Any] = {"metric": metric, "attribute": shares.attribute, "n": n, "where": shares.where}
    if kept.sum() < 2:
        params: dict[str, Scalar] = {"attribute": shares.attribute, "estimable": int(kept.sum())}
        reason = Reason(code="fewer_than_two_groups", params=params)
        details = Details(excluded=excluded) if excluded else None
        return Measurement(**said, status="not_estimable", reason=reason, details=details)
    x, trials = shares.x[kept], shares.n[kept]
    critical = simultaneous_critical([shrunken_deviation(x, trials)], level, rng)
    value, low, high = spread_interval(x, trials, critical)
    test = homogeneity([(x, trials)], rng)
    names = [shares.groups[i] for i in np.flatnonzero(kept)]
    facts: dict[str, Scalar] = {
        "Lowest group": names[int((x / trials).argmin())],
        "Highest group": names[int((x / trials).argmax())],
        "Largest gap expected if all groups were equal": test.expected_spread,
        "Test of equality": test.method,
        "Simultaneous critical value": critical,
    }
    interval = Interval(low=low, high=high, level=level, method="Simultaneous MOVER-Wilson")
    details = Details(facts=facts, excluded=excluded)
    return Measurement(**said, value=value, interval=interval, p_value=test.p_value, details=details)


def _too_few(shares: Shares, i: int, least: int) -> Reason:
    params: dict[str, Scalar] = {"needed": least, "found": int(shares.count[i]), "what": shares.what}
    return Reason(code="too_few", params=params)
