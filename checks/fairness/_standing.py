"""Where each group stands: against all rows, against a reference group, and shrunk towards the others."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.comparison import Comparison, Shares
from fairwitness.audit.evidence import Details, Interval, Measurement, Reason, Scalar, Table
from fairwitness.audit.statistics.intervals import critical_value, mover_difference, wilson
from fairwitness.audit.statistics.multiplicity import shrunken_rates
from fairwitness.audit.statistics.unknown_groups import gap_bounds

Limits = tuple[NDArray[np.float64], NDArray[np.float64]]


def beside(comparison: Comparison, reference: str | None) -> tuple[Table, dict[str, Scalar]]:
    """What stands beside the gap of one share.

    Args:
        comparison: of one share.
        reference: the group that the others are compared with; None for none.

    Returns:
        A table with a row a group: its share, the share shrunk towards that of all groups, its difference to all rows
        and to the reference with intervals that hold together; and what the gap could be, were the groups of all rows
        known.
    """
    shares, kept = comparison.shares[0], comparison.kept[0]
    x, n = shares.x[kept], shares.n[kept]
    names = [group for group, there in zip(shares.groups, kept, strict=True) if there]
    rates, shrunk = x / n, shrunken_rates(x, n)
    critical = critical_value(1 - (1 - comparison.level) / max(len(names), 1))
    columns = ["Group", "n", "Rate", "Shrunken rate", "Difference to all rows", "low", "high"]
    to_all = np.stack(_to_all(shares, critical))[:, kept]
    rows: list[list[Scalar]] = [
        [name, int(count), float(p), float(s), *map(float, difference)]
        for name, count, p, s, difference in zip(names, shares.count[kept], rates, shrunk, to_all.T, strict=True)
    ]
    if reference in names:
        columns += ["Difference to the reference", "low to the reference", "high to the reference"]
        at = names.index(str(reference))
        low, high = _against(x, n, at, critical)
        for i in range(len(rows)):
            rows[i] += [None, None, None] if i == at else [float(rates[i] - rates[at]), float(low[i]), float(high[i])]
    return Table(columns=tuple(columns), rows=tuple(tuple(row) for row in rows)), _were_all_known(shares, kept)


def _to_all(shares: Shares, critical: float) -> tuple[NDArray[np.float64], ...]:
    """Each group's difference to all rows, with limits: p - whole = (1 - its share of rows) (p - the others' rate).

    All rows are those of small groups, too. The others' effective number is that of a weighted mean of their rates.
    """
    w, n = shares.n if shares.weight is None else shares.weight, shares.n
    hit, used = shares.rates * w, n > 0
    others, rest = w.sum() - w, hit.sum() - hit
    part = np.divide(w * w, n, out=np.zeros_like(w), where=used)
    spread = part.sum() - part
    m = np.divide(others**2, spread, out=np.zeros_like(w), where=spread > 0)
    there = used & (m > 0)
    p, q = shares.rates[there], (rest / np.maximum(others, 1e-300))[there]
    first, second = wilson(p * n[there], n[there], critical), wilson(q * m[there], m[there], critical)
    low, high = mover_difference(p, first, q, second)
    found = np.zeros((3, len(w)))
    found[:, there] = (others / w.sum())[there] * np.stack([p - q, low, high])
    return tuple(found)


def _against(x: NDArray[np.float64], n: NDArray[np.float64], at: int, critical: float) -> Limits:
    """Interval of each group's difference to the one at a place."""
    low, high = wilson(x, n, critical)
    return mover_difference(x / n, (low, high), x[at] / n[at], (low[at], high[at]))


def _were_all_known(shares: Shares, kept: NDArray[np.bool_]) -> dict[str, Scalar]:
    """Bounds of the gap between the groups that are known, over all groups that the other rows could be of."""
    unknown = np.zeros(len(kept), dtype=bool) if shares.unknown is None else shares.unknown
    known = kept & ~unknown
    if not shares.n[unknown].sum() or known.sum() < 2:
        return {}
    w = shares.n if shares.weight is None else shares.weight
    hit = shares.rates * w
    low, high = gap_bounds(hit[known], w[known], float(hit[unknown].sum()), float(w[unknown].sum()))
    return {
        "Rows of unknown group": int(shares.count[unknown].sum()),
        "Gap at the least, were their groups known": low,
        "Gap at the most, were their groups known": high,
    }


def signed(
    metric: str, compared: Sequence[Shares], reference: str, *, level: float, least: int
) -> Iterator[Measurement]:
    """Each group's rate less the reference group's; of two rates the mean of both differences.

    Source: Newcombe (1998), method 10, for one rate; for the mean of two independent differences their limits are
    joined by MOVER (Zou & Donner 2008, Statistics in Medicine 27:1693-1702).

    Args:
        metric: what the difference is called.
        compared: one share, or two of disjoint rows.
        reference: name of the group.
        level: confidence level of each interval.
        least: a share of fewer rows than this is not estimable.
    """
    first = compared[0]
    critical = critical_value(level)
    at = first.groups.index(reference) if reference in first.groups else None
    kept = [shares.estimable(least) for shares in compared]
    for i, group in enumerate(first.groups):
        if group == reference:
            continue
        said: dict[str, Any] = {
            "metric": metric,
            "attribute": first.attribute,
            "group": group,
            "n": int(sum(s.count[[j for j in (i, at) if j is not None]].sum() for s in compared)),
            "where": {**first.where, "reference": reference},
        }
        small = [(s, j) for s, k in zip(compared, kept, strict=True) for j in (i, at) if j is not None and not k[j]]
        if at is None:
            reason = Reason(code="no_reference", params={"attribute": first.attribute, "reference": reference})
            yield Measurement(**said, status="not_estimable", reason=reason)
        elif small:
            yield Measurement(**said, status="not_estimable", reason=small[0][0].too_few(small[0][1], least))
        else:
            value, low, high = _mean_difference(compared, i, at, critical)
            interval = Interval(low=low, high=high, level=level, method="MOVER-Wilson")
            facts: dict[str, Scalar] = {"Rows of the reference group": int(sum(s.count[at] for s in compared))}
            details = Details(facts=facts, excluded=first.unanswered(i, at))
            yield Measurement(**said, value=value, interval=interval, details=details)


def _mean_difference(compared: Sequence[Shares], i: int, at: int, critical: float) -> tuple[float, float, float]:
    """Mean over the shares of a group's difference to another, with limits by MOVER."""
    values, below, above = [], [], []
    for shares in compared:
        x, n = shares.x[[i, at]], shares.n[[i, at]]
        (low, _), (high, _) = _against(x, n, 1, critical)
        difference = float(x[0] / n[0] - x[1] / n[1])
        values.append(difference)
        below.append(difference - float(low))
        above.append(float(high) - difference)
    value = float(np.mean(values))
    return value, value - float(np.linalg.norm(below)) / len(values), value + float(np.linalg.norm(above)) / len(values)
