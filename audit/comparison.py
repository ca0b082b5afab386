"""Shares by group, and how far groups are apart in them: one inference for every check that compares groups."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.measurement import Details, Excluded, Interval, Measurement, Reason, Scalar
from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.audit.statistics.multiplicity import (
    homogeneity,
    ratio_interval,
    shrunken_deviation,
    simultaneous_critical,
    spread_interval,
)

NO_ANSWER = Reason(code="no_answer")


@dataclass(frozen=True)
class Shares:
    """A share of some rows of every group.

    Attributes:
        attribute: whose groups these are; None for the whole.
        groups: names; `("",)` for the whole.
        count: rows in the denominator, shape (groups,).
        n: effective rows, (sum w)^2 / sum w^2, likewise.
        x: effective rows that are in the share, likewise.
        what: what the denominator counts.
        where: any further dimension.
        undecided: rows that the model gave no answer for, shape (groups,): a gate on a gap cannot pass over them.
    """

    attribute: str | None
    groups: tuple[str, ...]
    count: NDArray[np.int64]
    n: NDArray[np.float64]
    x: NDArray[np.float64]
    what: str = "rows"
    where: dict[str, str] = field(default_factory=dict)
    undecided: NDArray[np.int64] | None = None

    def estimable(self, least: int) -> NDArray[np.bool_]:
        """Which groups have at least so many rows, by count and by weight."""
        return (self.count >= least) & (self.n >= least - 1e-9)

    def too_few(self, i: int, least: int) -> Reason:
        """Why a group is not estimable."""
        params: dict[str, Scalar] = {
            "needed": least,
            "found": int(min(self.count[i], self.n[i] + 1e-9)),
            "what": self.what,
        }
        return Reason(code="too_few", params=params)


def weighted(w: NDArray[np.float64], w2: NDArray[np.float64], hit: NDArray[np.float64]) -> Any:
    """Effective rows and successes, (n, x), from sums of weights, of their squares, and of those that count."""
    n = np.divide(w * w, w2, out=np.zeros_like(w), where=w2 > 0)
    return n, np.divide(hit, w, out=np.zeros_like(w), where=w > 0) * n


def by_group(
    metric: str, shares: Shares, *, level: float, least: int, refused: Reason | None = None
) -> Iterator[Measurement]:
    """Yield each group's share with its Wilson interval.

    Args:
        metric: what the share is called.
        shares: of every group.
        level: confidence level.
        least: a share of fewer rows than this is not estimable.
        refused: why none of them can be said.
    """
    low, high = wilson(shares.x, shares.n, critical_value(level))
    for i, kept in enumerate(shares.estimable(least)):
        said: dict[str, Any] = {
            "metric": metric,
            "attribute": shares.attribute,
            "group": shares.groups[i] if shares.attribute is not None else None,
            "n": int(shares.count[i]),
            "where": shares.where,
        }
        if refused is not None or not kept:
            yield Measurement(**said, status="not_estimable", reason=refused or shares.too_few(i, least))
        else:
            interval = Interval(low=float(low[i]), high=float(high[i]), level=level, method="Wilson")
            yield Measurement(**said, value=float(shares.x[i] / shares.n[i]), interval=interval)


def between_groups(
    metric: str, compared: Sequence[Shares], rng: np.random.Generator, *, level: float, least: int, ratio: bool = False
) -> Measurement:
    """Measure the worst gap (or ratio) between any two groups, over all the shares compared.

    Args:
        metric: what the gap is called.
        compared: one share, or several of disjoint rows (equalized odds); the worst of them counts.
        rng: randomness for the critical value and the permutation test.
        level: confidence level of the interval.
        least: groups with fewer rows than this in a share are left out, and listed.
        ratio: the smallest share over the largest, instead of the largest less the smallest.
    """
    kept = [shares.estimable(least) for shares in compared]
    excluded = _excluded(compared, kept, least)
    n = int(max(shares.count[k].sum() for shares, k in zip(compared, kept, strict=True)))
    said: dict[str, Any] = {
        "metric": metric, "attribute": compared[0].attribute, "n": n, "where": compared[0].where
    }  # fmt: skip
    tables = [(shares.x[k], shares.n[k]) for shares, k in zip(compared, kept, strict=True)]
    estimable = int(min(k.sum() for k in kept))
    if estimable < 2 or (ratio and any(not x.any() for x, _ in tables)):
        params: dict[str, Scalar] = {"attribute": compared[0].attribute, "estimable": estimable}
        few = Reason(code="fewer_than_two_groups", params=params)
        reason = few if estimable < 2 else Reason(code="all_rates_zero")
        details = Details(excluded=excluded) if excluded else None
        return Measurement(**said, status="not_estimable", reason=reason, details=details)
    critical = simultaneous_critical([shrunken_deviation(x, trials) for x, trials in tables], level, rng)
    # One critical value covers all pairs of all shares, so the worst of each limit bounds the worst of all.
    between: Callable[..., tuple[float, float, float]] = ratio_interval if ratio else spread_interval
    each = [between(x, trials, critical) for x, trials in tables]
    worst: Callable[..., Any] = min if ratio else max
    value, low, high = (worst(limits) for limits in zip(*each, strict=True))
    decides = [e[0] for e in each].index(value)
    test = homogeneity(tables, rng)
    facts: dict[str, Scalar] = {
        **_extremes(compared[decides], kept[decides]),
        "Largest gap expected if all groups were equal": test.expected_spread,
        "Test of equality": test.method,
        "Simultaneous critical value": critical,
    }
    method = "Simultaneous MOVER-Wilson ratio" if ratio else "Simultaneous MOVER-Wilson"
    interval = Interval(low=low, high=high, level=level, method=method)
    details = Details(facts=facts, excluded=excluded)
    return Measurement(**said, value=value, interval=interval, p_value=test.p_value, details=details)


def _extremes(shares: Shares, kept: NDArray[np.bool_]) -> dict[str, Scalar]:
    """Which groups are furthest apart."""
    names = [group for group, there in zip(shares.groups, kept, strict=True) if there]
    values = shares.x[kept] / shares.n[kept]
    return {"Lowest group": names[int(values.argmin())], "Highest group": names[int(values.argmax())]}


def _excluded(compared: Sequence[Shares], kept: Sequence[NDArray[np.bool_]], least: int) -> tuple[Excluded, ...]:
    """Groups that at least one of the shares cannot be estimated for, each once."""
    found: dict[str, Excluded] = {}
    for shares, k in zip(compared, kept, strict=True):
        for i in np.flatnonzero(~k):
            group, n = shares.groups[i], int(shares.count[i])
            found.setdefault(group, Excluded(group=group, n=n, reason=shares.too_few(int(i), least)))
    undecided = compared[0].undecided
    unanswered = [] if undecided is None else zip(compared[0].groups, undecided.tolist(), strict=True)
    return (*found.values(), *(Excluded(group=group, n=n, reason=NO_ANSWER) for group, n in unanswered if n))
