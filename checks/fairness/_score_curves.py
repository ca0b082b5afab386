"""What stands beside the distances: ROC curves, selection rates by threshold, and every gap at some thresholds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Curve, Point, Scalar, Table
from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.checks.fairness._score_cells import NEGATIVE, POSITIVE, Cells, Floats

MOST_POINTS = 31
MOST_CURVES = 6
THRESHOLDS = 11
COLUMNS = (
    "Threshold",
    "Demographic parity difference",
    "Equal opportunity difference",
    "Predictive equality difference",
    "Equalized odds difference",
    "Predictive parity difference",
    "Negative predictive value difference",
    "Accuracy difference",
)


def shown(cells: Cells, apart: tuple[int, int]) -> list[int]:
    """Groups whose curves are drawn: the two furthest apart; of a single attribute with few groups all."""
    few = len(cells.groups) <= MOST_CURVES and " & " not in cells.attribute
    return list(range(len(cells.groups))) if few else sorted(apart)


def roc_curves(cells: Cells, groups: Sequence[int], level: float) -> tuple[Curve, ...]:
    """The ROC curve of some groups, with a pointwise Wilson band on the true positive rate."""
    return tuple(_roc(cells.groups[g], cells.counts[g, POSITIVE], cells.counts[g, NEGATIVE], level) for g in groups)


def _roc(group: str, positives: Floats, negatives: Floats, level: float) -> Curve:
    above, over = (np.concatenate([[0.0], np.cumsum(values[::-1])]) for values in (positives, negatives))
    true_rate, false_rate = above / above[-1], over / over[-1]
    # Evenly spaced along the curve, not along one axis: steep ends keep their shape.
    along = np.searchsorted(true_rate + false_rate, np.linspace(0, 2, MOST_POINTS))
    kept = np.unique(along.clip(0, len(above) - 1))
    x, trials = false_rate[kept], np.full(len(kept), above[-1])
    return _drawn(f"ROC curve: {group}", "False positive rate", "True positive rate", x, above[kept], trials, level)


def selection_curves(cells: Cells, groups: Sequence[int], level: float) -> tuple[Curve, ...]:
    """Share of some groups at or above each threshold, with a pointwise Wilson band."""
    rows = cells.counts.sum(axis=1)
    pooled = np.cumsum(cells.w.sum(axis=(0, 1)))
    at = np.searchsorted(pooled, np.linspace(0, pooled[-1], MOST_POINTS)).clip(0, len(cells.scores) - 1)
    kept = np.unique(at)
    return tuple(
        _drawn(
            f"Selection rate by threshold: {cells.groups[g]}",
            "Threshold",
            "Selection rate",
            cells.scores[kept],
            np.cumsum(rows[g, ::-1])[::-1][kept],
            np.full(len(kept), rows[g].sum()),
            level,
        )
        for g in groups
    )


def _drawn(title: str, x: str, y: str, at: Floats, hits: Floats, trials: Floats, level: float) -> Curve:
    hits = np.minimum(hits, trials)
    low, high = wilson(hits, trials, critical_value(level))
    # A drawing needs no more digits, and the evidence is shorter without them.
    columns = [[float(f"{value:.5g}") for value in values.tolist()] for values in (at, hits / trials, low, high)]
    drawn = tuple(Point(x=a, y=b, low=c, high=d) for a, b, c, d in zip(*columns, strict=True))
    return Curve(title=title, x=x, y=y, points=drawn, diagonal=title.startswith("ROC"))


def gaps_by_threshold(cells: Cells, least: int) -> Table:
    """The largest difference between groups in each rate, would everybody at or above a threshold be selected.

    Thresholds are quantiles of all scores. A rate is compared between the groups that have enough rows for it, and
    left empty where these are fewer than two.
    """
    pooled = np.cumsum(cells.w.sum(axis=(0, 1)))
    wanted = np.linspace(0, pooled[-1], THRESHOLDS + 2)[1:-1]
    at = np.unique(np.searchsorted(pooled, wanted).clip(0, len(cells.scores) - 1))
    above = np.cumsum(cells.counts[..., ::-1], axis=2)[..., ::-1][..., at]
    hits, alarms, selected = above[:, POSITIVE], above[:, NEGATIVE], above.sum(axis=1)
    rows = cells.effective
    parity = _range(selected, np.broadcast_to(rows.sum(axis=1)[:, None], selected.shape), least)
    true_rate = _range(hits, np.broadcast_to(rows[:, [POSITIVE]], hits.shape), least)
    false_rate = _range(alarms, np.broadcast_to(rows[:, [NEGATIVE]], hits.shape), least)
    precision = _range(hits, hits + alarms, least)
    negatives, labelled = rows[:, [NEGATIVE]] - alarms, rows[:, [NEGATIVE]] + rows[:, [POSITIVE]]
    omitted = _range(negatives, labelled - hits - alarms, least)
    right = _range(hits + negatives, np.broadcast_to(labelled, hits.shape), least)
    found: list[tuple[Scalar, ...]] = []
    for i, place in enumerate(at):
        both = (true_rate[i], false_rate[i])
        odds = None if both[0] is None or both[1] is None else max(both[0], both[1])
        rates = (parity[i], true_rate[i], false_rate[i], odds, precision[i], omitted[i], right[i])
        found.append((float(cells.scores[place]), *rates))
    return Table(columns=COLUMNS, rows=tuple(found))


def _range(hits: Floats, trials: NDArray[np.float64], least: int) -> list[float | None]:
    """Largest less smallest rate of the groups with enough trials, at each threshold."""
    enough = trials >= least - 1e-9
    rates = np.divide(hits, trials, out=np.zeros_like(hits), where=enough & (trials > 0))
    top, bottom = np.where(enough, rates, -np.inf).max(axis=0), np.where(enough, rates, np.inf).min(axis=0)
    return [
        float(b - a) if several else None for a, b, several in zip(bottom, top, enough.sum(axis=0) > 1, strict=True)
    ]
