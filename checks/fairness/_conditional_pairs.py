"""The largest gap between two groups' selection rates, standardised to the strata that the two share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.statistics.intervals import critical_value
from fairwitness.audit.statistics.stratified import standardised_difference
from fairwitness.checks.fairness._conditional_strata import Strata


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The worst of all pairs of groups.

    Attributes:
        value: the largest gap; None where no two groups share enough.
        low: its lower limit, 0 where no pair differs.
        high: its upper limit.
        critical: critical value that all pairs share.
        lowest: group of the lower rate in the pair that decides.
        highest: group of the higher one.
        strata: number of strata that these two share.
        outside: their rows in other strata.
        apart: pairs that share too little, with the rows of the smaller group that are in strata without the other.
    """

    value: float | None = None
    low: float = 0.0
    high: float = 1.0
    critical: float = 0.0
    lowest: str = ""
    highest: str = ""
    strata: int = 0
    outside: int = 0
    apart: tuple[tuple[str, str, int], ...] = ()


def pairs(counts: Strata, kept: NDArray[np.bool_], level: float, least: int) -> Pairs:
    """Compare every two groups on the strata in which both occur.

    A pair's rates are standardised to all rows (of whatever group) of the strata it shares: with different supports
    there is no one standard that every pair could be held to. The intervals hold together by Sidak's inequality (1967,
    JASA 62:626-633), which needs no assumption on how the pairs' estimates are correlated.

    Args:
        counts: rows by stratum, group and decision.
        kept: which groups are large enough, shape (groups,).
        level: confidence level of all pairs together.
        least: rows that each group of a pair must have in the strata that they share.
    """
    x, n = counts.selection()
    size = counts.w.sum(axis=(1, 2))
    rows = counts.n.sum(axis=2)
    places = np.flatnonzero(kept)
    number = len(places) * (len(places) - 1) // 2
    if not number:
        return Pairs()
    critical = critical_value(level ** (1 / number))
    apart: list[tuple[str, str, int]] = []
    found: list[tuple[float, float, float, int, int]] = []
    for position, a in enumerate(places[:-1].tolist()):
        others = places[position + 1 :]
        shared = (n[:, [a]] > 0) & (n[:, others] > 0)  # (strata, others)
        inside = np.minimum((rows[:, [a]] * shared).sum(axis=0), (rows[:, others] * shared).sum(axis=0))
        enough = (inside >= least) & shared.any(axis=0)
        for b in others[~enough].tolist():
            smaller = a if rows[:, a].sum() <= rows[:, b].sum() else b
            apart.append((counts.groups[a], counts.groups[b], int(rows[:, smaller].sum())))
        if not enough.any():
            continue
        b, common = others[enough], shared[:, enough].T
        weights = size * common
        limits = standardised_difference(
            (np.where(common, x[:, b].T, 0.0), np.where(common, n[:, b].T, 0.0)),
            (np.where(common, x[:, a], 0.0), np.where(common, n[:, a], 0.0)),
            weights,
            np.maximum(_effective(counts, common), 1.0),
            critical,
        )
        found += [(*(float(v) for v in each), a, other) for *each, other in zip(*limits, b.tolist(), strict=True)]
    if not found:
        return Pairs(apart=tuple(apart))
    difference, _, _, a, b = max(found, key=lambda pair: abs(pair[0]))
    lowest, highest = (a, b) if difference >= 0 else (b, a)
    together = (n[:, a] > 0) & (n[:, b] > 0)
    value = abs(difference)
    return Pairs(
        value=value,
        low=min(max(0.0, *(max(low, -high) for _, low, high, _, _ in found)), value),
        high=min(max(value, *(max(high, -low) for _, low, high, _, _ in found)), 1.0),
        critical=critical,
        lowest=counts.groups[lowest],
        highest=counts.groups[highest],
        strata=int(together.sum()),
        outside=int(rows[~together][:, [a, b]].sum()),
        apart=tuple(apart),
    )


def _effective(counts: Strata, common: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Effective rows of all groups in the strata of each pair, shape (pairs,)."""
    w, w2 = common @ counts.w.sum(axis=(1, 2)), common @ counts.w2.sum(axis=(1, 2))
    return np.asarray(np.divide(w * w, w2, out=np.zeros_like(w), where=w2 > 0))
