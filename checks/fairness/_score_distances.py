"""How far apart the score distributions of groups are, whatever the labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fairwitness.audit.evidence import Details, Measurement, Reason
from fairwitness.audit.statistics.distributions import (
    distance_limits,
    distribution,
    pair_distances,
)
from fairwitness.audit.statistics.resampling import permuted_tables, redrawn, widened
from fairwitness.checks.fairness._score_cells import ALL, Cells, Floats, fewer_than_two
from fairwitness.checks.fairness._score_curves import gaps_by_threshold, selection_curves, shown
from fairwitness.checks.fairness._score_draws import FURTHEST, METHOD, Equality, binned_for_draws, interval, named


def of_scores(cells: Cells, rng: np.random.Generator, level: float, least: int) -> Iterator[Measurement]:
    """Yield the largest distances between the score distributions of groups with enough rows."""
    kept, excluded = cells.large([ALL], least), cells.excluded([ALL], least)
    said: dict[str, Any] = {"attribute": cells.attribute, "n": int(cells.rows(ALL)[kept].sum())}
    if kept.sum() < 2:
        yield fewer_than_two({"metric": "kolmogorov_smirnov", **said}, int(kept.sum()), excluded)
        yield fewer_than_two({"metric": "wasserstein", **said}, int(kept.sum()), excluded)
        return
    cells = cells.only(kept)
    grid, draws = binned_for_draws(cells)
    seen = grid.counts.sum(axis=1)
    n = seen.sum(axis=1)
    curves, under = distribution(seen), distribution(permuted_tables(seen, draws, rng))
    drawn = widened(distribution(redrawn(seen, draws, rng)), curves, n)
    exact = distribution(cells.counts.sum(axis=1))
    first, second = np.triu_indices(len(cells.groups), k=1)

    def measured(metric: str, widths: tuple[Floats, Floats] | None, extent: float, **beside: Any) -> Measurement:
        """One distance; `widths` are those of all scores and of the bins, None for the largest difference."""
        fine, rough = widths or (None, None)
        equal = Equality.of(curves, under, rough, 1 / n)
        low, high = distance_limits(curves, drawn, rough, n, level, extent)
        each = pair_distances(exact[None], fine)[0]
        value, pair = float(each.max()), int(each.argmax())
        # What the bins hide of the distance, the upper limit has to hold as well.
        high += max(value - float(pair_distances(curves[None], rough).max()), 0.0)
        apart = int(first[pair]), int(second[pair])
        if widths is None:
            beside = {
                "curves": selection_curves(cells, shown(cells, apart), level),
                "table": gaps_by_threshold(cells, least),
            }
        facts = {FURTHEST: named(cells, apart), **equal.facts(grid)}
        return Measurement(
            metric=metric,
            **said,
            value=value,
            interval=interval(
                value,
                equal.agreed((low, high), level),
                level,
                METHOD,
                extent if cells.unit or widths is None else np.inf,
            ),
            p_value=equal.p_value,
            details=Details(facts=facts, excluded=excluded, **beside),
        )

    yield measured("kolmogorov_smirnov", None, 1.0)
    extent = 1.0 if cells.unit else float(np.ptp(cells.scores))
    if extent:
        yield measured("wasserstein", (_widths(cells.scores), _widths(grid.scores)), extent)
    else:
        reason, details = Reason(code="no_variation"), Details(excluded=excluded) if excluded else None
        yield Measurement(metric="wasserstein", **said, status="not_estimable", reason=reason, details=details)


def _widths(scores: Floats) -> Floats:
    """What each score stands for in the integral over scores: the distance to the next."""
    return np.append(np.diff(scores), 0.0)
