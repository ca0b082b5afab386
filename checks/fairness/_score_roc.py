"""How far apart the ROC curves of groups are, and the areas under them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairwitness.audit.evidence import Details, Measurement, Scalar
from fairwitness.audit.statistics.distributions import (
    abroca,
    areas,
    distance_limits,
    largest_gap,
    pair_distances,
    roc_at,
)
from fairwitness.audit.statistics.intervals import critical_value
from fairwitness.audit.statistics.multiplicity import simultaneous_critical
from fairwitness.audit.statistics.ranking import auc_interval, delong_variance, roc_auc
from fairwitness.audit.statistics.resampling import permuted_tables, redrawn, widened
from fairwitness.checks.fairness._score_cells import LABELLED, NEGATIVE, POSITIVE, Cells, Floats, fewer_than_two
from fairwitness.checks.fairness._score_curves import roc_curves, shown
from fairwitness.checks.fairness._score_draws import FURTHEST, METHOD, Equality, binned_for_draws, interval, named
from fairwitness.checks.fairness._score_means import critical_draws

RANKED = ((POSITIVE,), (NEGATIVE,))
# False positive rates: few for draws, many to find the pair that is measured exactly.
FEW_RATES, MANY_RATES = 61, 1000
MOST_PAIRS = 30


@dataclass(frozen=True)
class Area:
    """An area under a ROC curve, DeLong's variance, and effective rows of both classes."""

    value: float
    variance: float
    positives: float
    negatives: float

    @classmethod
    def of(cls, positives: Floats, negatives: Floats) -> "Area":
        """The area of counts by rising score, each with a sum above 0."""
        there = positives + negatives > 0
        m, n = positives[there], negatives[there]
        return cls(roc_auc(m, n), delong_variance(m, n), float(m.sum()), float(n.sum()))

    def limits(self, critical: float) -> tuple[float, float]:
        """Interval at a normal critical value."""
        low, high = auc_interval(self.value, self.variance, self.positives, self.negatives, critical)
        return min(low, self.value), max(high, self.value)


def of_ranking(cells: Cells, rng: np.random.Generator, level: float, least: int) -> Iterator[Measurement]:
    """Yield the largest differences of areas and of ROC curves between groups with enough rows of both labels.

    Labels of groups are permuted among the positives and among the negatives.
    """
    kept, excluded = cells.large(RANKED, least), cells.excluded(RANKED, least)
    n = int(cells.rows(LABELLED)[kept].sum())
    said: dict[str, Any] = {"attribute": cells.attribute, "n": n}
    if kept.sum() < 2:
        yield fewer_than_two({"metric": "roc_auc_difference", **said}, int(kept.sum()), excluded)
        yield fewer_than_two({"metric": "abroca", **said}, int(kept.sum()), excluded)
        return
    cells = cells.only(kept)
    pooled = cells.w[:, [POSITIVE, NEGATIVE]].sum(axis=0)
    grid, draws = binned_for_draws(cells, _mass(pooled[0], pooled[1]))
    seen = grid.counts[:, POSITIVE], grid.counts[:, NEGATIVE]
    permuted = permuted_tables(seen[0], draws, rng), permuted_tables(seen[1], draws, rng)
    of_class = [counts.sum(axis=1) for counts in seen]
    rows = 1 / of_class[0] + 1 / of_class[1]

    equal = Equality.of(areas(*seen)[:, None], areas(*permuted)[:, :, None], None, rows)
    gap, limits, facts = _area_gap(cells, rng, level)
    yield Measurement(
        metric="roc_auc_difference",
        **said,
        value=gap,
        interval=interval(gap, equal.agreed(limits, level), level, "Simultaneous MOVER, DeLong on the logit"),
        p_value=equal.p_value,
        details=Details(facts=facts | equal.facts(grid), excluded=excluded),
    )

    rates, widths = rates_of(pooled[0], pooled[1], FEW_RATES)
    curves = roc_at(*seen, rates)
    equal = Equality.of(curves, roc_at(*permuted, rates), widths, rows)
    smaller = np.minimum(*of_class)
    again = roc_at(redrawn(seen[0], draws, rng), redrawn(seen[1], draws, rng), rates)
    low, high = distance_limits(curves, widened(again, curves, smaller), widths, smaller, level)
    value, apart = furthest(cells)
    # What the grid hides of the distance, the upper limit has to hold as well; and no distance of curves is below that
    # of their areas, whose limits are the better ones where rankings are nearly perfect.
    high = max(high + max(value - float(pair_distances(curves[None], widths).max()), 0.0), limits[1])
    yield Measurement(
        metric="abroca",
        **said,
        value=value,
        interval=interval(value, equal.agreed((low, high), level), level, METHOD),
        p_value=equal.p_value,
        details=Details(
            facts={FURTHEST: named(cells, apart), **equal.facts(grid)},
            curves=roc_curves(cells, shown(cells, apart), level),
            excluded=excluded,
        ),
    )


def _area_gap(
    cells: Cells, rng: np.random.Generator, level: float
) -> tuple[float, tuple[float, float], dict[str, Scalar]]:
    """The largest difference of areas, its limits, and which groups it is between."""
    each = [Area.of(of_group[POSITIVE], of_group[NEGATIVE]) for of_group in cells.counts]
    value = np.array([a.value for a in each])
    single = critical_value(level)
    # Half an interval is a standard error that is not 0 where the ranking is perfect.
    deviations = np.array([np.ptp(a.limits(single)) / (2 * single) for a in each])
    critical = simultaneous_critical([deviations], level, rng, critical_draws(level))
    low, high = np.array([a.limits(critical) for a in each]).T
    gap = largest_gap(value, low, high)
    facts: dict[str, Scalar] = {
        "Lowest group": cells.groups[int(value.argmin())],
        "Highest group": cells.groups[int(value.argmax())],
        "Simultaneous critical value": critical,
    }
    return gap.value, (gap.low, gap.high), facts


def furthest(cells: Cells) -> tuple[float, tuple[int, int]]:
    """Largest ABROCA of any two groups, exactly; and the two.

    Heights of a ROC curve inside a piece of the axis are between those at its ends, so that a midpoint sum is off by
    the widest piece at most; pairs that could still be the furthest are integrated exactly (the first `MOST_PAIRS` of
    them, where many are as close).
    """
    positives, negatives = cells.counts[:, POSITIVE], cells.counts[:, NEGATIVE]
    pooled = cells.w[:, [POSITIVE, NEGATIVE]].sum(axis=0)
    rates, widths = rates_of(pooled[0], pooled[1], MANY_RATES)
    rough = pair_distances(roc_at(positives, negatives, rates)[None], widths)[0]
    order = np.argsort(-rough, kind="stable")[:MOST_PAIRS]
    first, second = np.triu_indices(len(cells.groups), k=1)
    exact = [
        (abroca(positives[first[p]], negatives[first[p]], positives[second[p]], negatives[second[p]]), p)
        for p in order[rough[order] >= rough[order[0]] - 2 * widths.max()].tolist()
    ]
    value, pair = max(exact, key=lambda found: (found[0], -found[1]))
    return min(value, 1.0), (int(first[pair]), int(second[pair]))


def _mass(positives: Floats, negatives: Floats) -> Floats:
    """What to cut into equal parts for bins of scores: rows, and pairs ranked wrongly, and rightly, in equal parts.

    Where a ranking is nearly perfect all of its area lies in a few rows; bins of equally many rows would hide it.
    """
    m, n = positives / positives.sum(), negatives / negatives.sum()
    above, below = 1 - np.cumsum(n) + n / 2, np.cumsum(m) - m / 2
    wrong, right = m * above + n * below, m * (1 - above) + n * (1 - below)
    parts = [np.maximum(part, 0.0) for part in (m + n, wrong, right)]
    return np.asarray(sum((part / part.sum() for part in parts if part.any()), np.zeros(len(m))))


def rates_of(positives: Floats, negatives: Floats, points: int) -> tuple[Floats, Floats]:
    """False positive rates at which ROC curves are compared, and the width that each stands for.

    They cut the axis into pieces of equal parts of three masses: the axis itself, the area above everybody's curve, and
    the area below it.

    Args:
        positives: shape (scores,), everybody's positives by rising score.
        negatives: shape (scores,), everybody's negatives.
        points: number of pieces.

    Returns:
        Midpoints and widths of the pieces, each of shape (points,).
    """
    near = np.geomspace(1e-8, 0.01, 200)
    edges = np.concatenate([[0.0], near, np.linspace(0.01, 0.99, 400)[1:-1], 1 - near[::-1], [1.0]])
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    height = roc_at(positives, negatives, middle)
    parts = (width, (1 - height) * width, height * width)
    mass = np.sum([part / part.sum() for part in parts if part.sum() > 0], axis=0)
    along = np.concatenate([[0.0], np.cumsum(mass)])
    cuts = np.interp(np.linspace(0, 1, points + 1), along / along[-1], edges)
    return (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
