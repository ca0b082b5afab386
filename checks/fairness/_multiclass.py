"""Several labels: each against the rest, and the distance between groups in all of them at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fairwitness.audit.columns import MISSING, OTHER
from fairwitness.audit.comparison import Shares, excluded_from, left_out, shares_of
from fairwitness.audit.evidence import Details, Interval, Measurement, Metric, Reason, Scalar
from fairwitness.audit.statistics.intervals import modified_wilson, mover_difference
from fairwitness.audit.statistics.multiplicity import simultaneous_critical
from fairwitness.audit.tallies import Crosstab

DISTANCE: dict[str, Any] = {"better": "low", "range": (0.0, 1.0), "ideal": 0.0, "evidence": ("EV-GROUP-GAP",)}

DISTANCES = {
    "total_variation_parity": Metric("Total variation distance of decisions", **DISTANCE),
    "confusion_tensor_distance": Metric("Total variation distance of confusion matrices", **DISTANCE),
}
MOST_CLASSES = 50


def classes_of(table: Crosstab) -> list[str]:
    """Labels that occur as a truth or as a decision; none where there are too many to take each in turn."""
    labels = sorted({*table.truths, *table.decisions} - {MISSING, OTHER})
    return labels if len(labels) <= MOST_CLASSES else []


def distances(table: Crosstab, rng: np.random.Generator, *, level: float, least: int) -> Iterator[Measurement]:
    """How far the groups are apart in all labels at once.

    `total_variation_parity` is the largest total variation distance between two groups' distributions of decisions,
    and 0 exactly under demographic parity. `confusion_tensor_distance` is the largest one between two groups' rows of
    the confusion matrix, P(decision | truth), over the truths, and 0 exactly under equalized odds.

    Args:
        table: rows by group, true label and decision.
        rng: randomness for simultaneous critical values.
        level: confidence level of the intervals.
        least: a distribution on fewer rows than this is not estimable.
    """
    every = np.ones((len(table.truths), len(table.decisions)), dtype=bool)
    every[:, [name == MISSING for name in table.decisions]] = False
    yield _largest("total_variation_parity", table, [every], rng, level, least)
    by_truth = [
        every & (np.arange(len(table.truths)) == i)[:, None]
        for i, truth in enumerate(table.truths)
        if truth not in (MISSING, OTHER)
    ]
    yield _largest("confusion_tensor_distance", table, by_truth, rng, level, least)


def _largest(
    metric: str, table: Crosstab, rows: list[NDArray[np.bool_]], rng: np.random.Generator, level: float, least: int
) -> Measurement:
    """The largest distance between two groups over some sets of cells, with an interval.

    The total variation distance is half the sum of |p_a - p_b| over the decisions, and at least each of them. Intervals
    of all these differences that hold together (MOVER on Wilson limits at one critical value; the chance of an error is
    shared out over the decisions, whose shares are not independent) bound it: from below by half the sum of their lower
    limits or by the largest of them, from above by half the sum of their upper limits.
    """
    decision = np.arange(len(table.decisions))
    shares = [[shares_of(table, cells, cells & (decision == d)) for d in _decided(table, cells)] for cells in rows]
    shares = [several for several in shares if several]
    kept = [several[0].estimable(least) for several in shares]
    first = [several[0] for several in shares]
    excluded = excluded_from(first, kept, least) if first else left_out(table.groups, table.undecided)
    usable = [(several, k) for several, k in zip(shares, kept, strict=True) if k.sum() > 1]
    n = int(sum(several[0].count[k].sum() for several, k in usable))
    said: dict[str, Any] = {"metric": metric, "attribute": table.attribute, "n": n}
    if not usable:
        estimable = max((int(k.sum()) for k in kept), default=0)
        params: dict[str, Scalar] = {"attribute": table.attribute, "estimable": estimable}
        reason = Reason(code="fewer_than_two_groups", params=params) if shares else Reason(code="needs_labels")
        return Measurement(
            **said, status="not_estimable", reason=reason, details=Details(excluded=excluded) if excluded else None
        )
    decisions = max(len(several) for several, _ in usable)
    together = 1 - (1 - level) / decisions
    # Of groups with equal distributions the deviations are in the same ratios for every decision, those of 1 / sqrt(n).
    critical = simultaneous_critical([1 / np.sqrt(several[0].n[k]) for several, k in usable], together, rng)
    found = [_between(several, k, critical) for several, k in usable]
    value, low, high = (max(limits) for limits in zip(*[each[:3] for each in found], strict=True))
    pair = found[[each[0] for each in found].index(value)][3]
    facts: dict[str, Scalar] = {
        "Groups furthest apart": " and ".join(pair),
        "Simultaneous critical value": critical,
    }
    p_value, tested = _test(usable)
    if tested:
        facts["Test of equality"] = tested
    interval = Interval(low=low, high=high, level=level, method="Simultaneous MOVER-Wilson")
    details = Details(facts=facts, excluded=excluded)
    return Measurement(**said, value=value, interval=interval, p_value=p_value, details=details)


def _decided(table: Crosstab, cells: NDArray[np.bool_]) -> list[int]:
    """Decisions that occur in some cells."""
    return [d for d in range(len(table.decisions)) if table.n[:, cells[:, d], d].sum() > 0]


def _between(
    several: list[Shares], kept: NDArray[np.bool_], critical: float
) -> tuple[float, float, float, tuple[str, str]]:
    """The largest distance between two groups, its limits, and which groups they are."""
    first, second = np.triu_indices(int(kept.sum()), k=1)
    distance, smallest, largest = (np.zeros(len(first)) for _ in range(3))
    single = np.zeros(len(first))
    for share in several:
        x, n = share.x[kept], share.n[kept]
        rates, (low, high) = x / n, modified_wilson(x, n, critical)
        below, above = mover_difference(
            rates[first], (low[first], high[first]), rates[second], (low[second], high[second])
        )
        apart = np.maximum(0.0, np.maximum(below, -above))
        distance += np.abs(rates[first] - rates[second]) / 2
        smallest += apart / 2
        largest += np.maximum(above, -below) / 2
        single = np.maximum(single, apart)
    at = int(distance.argmax())
    names = [group for group, there in zip(several[0].groups, kept, strict=True) if there]
    value = min(float(distance[at]), 1.0)
    low_limit = min(float(np.maximum(smallest, single).max()), value)
    return value, low_limit, max(min(float(largest.max()), 1.0), value), (names[first[at]], names[second[at]])


def _test(usable: list[tuple[list[Shares], NDArray[np.bool_]]]) -> tuple[float | None, str]:
    """Pearson's chi-square test of homogeneity, summed over the sets of cells; none where a cell expects under 5."""
    statistic, freedom = 0.0, 0
    for several, kept in usable:
        counts = np.array([share.x[kept] for share in several])
        expected = counts.sum(axis=0) * counts.sum(axis=1, keepdims=True) / max(counts.sum(), 1e-300)
        if len(several) < 2:
            continue
        if (expected < 5).any():
            return None, ""
        statistic += float(((counts - expected) ** 2 / expected).sum())
        freedom += (counts.shape[0] - 1) * (counts.shape[1] - 1)
    return (float(stats.chi2.sf(statistic, freedom)), "chi-square") if freedom else (None, "")
