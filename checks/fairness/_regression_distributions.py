"""Distances between the groups' distributions of predicted values, and who is in the top of all."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fairwitness.audit.comparison import Shares, between_groups
from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar, Table
from fairwitness.audit.statistics import distributions, resampling
from fairwitness.audit.tallies.group_scores import ScoreTable
from fairwitness.checks.fairness._regression_estimates import Floats

# Points that the inference rests on, and numbers that the distances themselves do: these are exact for any usual table.
_POINTS, _FEWEST_POINTS, _MOST_DRAWN = 128, 50, 1 << 21
_MOST_NUMBERS = 1 << 22
DISTANCES = ("kolmogorov_smirnov", "wasserstein")
# Draws and permutations; of many groups the largest distance varies less from draw to draw.
_DRAWS, _DRAWS_OF_MANY, _MANY_GROUPS = 400, 200, 15
_PERMUTATIONS = 200


def quantile_of(whole: ScoreTable, share: float) -> float | None:
    """The smallest predicted value with at least this share of all rows at or below it; None without rows."""
    counts = whole.counts(0).sum(axis=0)
    if not counts.sum() > 0:
        return None
    # Sums of weights are rounded: a share that is reached but for that is reached.
    reached = np.cumsum(counts) / counts.sum() >= share - 1e-12
    return float(whole.scores[int(np.argmax(reached))])


def above_quantile(
    metric: str, table: ScoreTable, cut: float | None, share: str, rng: np.random.Generator, *, level: float, least: int
) -> Measurement:
    """Measure the smallest over the largest share of a group's rows above an overall quantile."""
    n = _rows(table, np.ones(len(table.scores)))
    over = np.zeros(len(n)) if cut is None else _rows(table, (table.scores > cut).astype(np.float64))
    where = {"quantile": share}
    shares = Shares(table.attribute, table.groups, table.n.sum(axis=1), n, np.minimum(over, n), where=where)
    said = between_groups(metric, [shares], rng, level=level, least=least, ratio=True)
    if said.details is None or said.status != "ok":
        return said
    rows = tuple((g, int(shares.count[i]), float(over[i] / n[i])) for i, g in enumerate(table.groups) if n[i] > 0)
    facts: dict[str, Scalar] = {"Quantile of all predictions": cut, **said.details.facts}
    columns = ("Group", "Rows", "Share above the quantile")
    details = said.details.model_copy(update={"facts": facts, "table": Table(columns=columns, rows=rows)})
    return said.model_copy(update={"details": details})


def distances(table: ScoreTable, rng: np.random.Generator, *, level: float, least: int) -> Iterator[Measurement]:
    """Yield the largest distance between the distributions of two groups, by two measures of distance.

    Args:
        table: rows by predicted value.
        rng: randomness for draws and permutations.
        level: confidence level.
        least: groups with fewer rows are left out, and listed.
    """
    rows, n = table.n.sum(axis=1), _rows(table, np.ones(len(table.scores)))
    kept = np.flatnonzero((rows >= least) & (n >= least - 1e-9))
    excluded = _excluded(table, set(kept.tolist()), n, least)
    said: dict[str, Any] = {"attribute": table.attribute, "n": int(rows[kept].sum())}
    if kept.size < 2:
        few = Reason(code="fewer_than_two_groups", params={"attribute": table.attribute, "estimable": int(kept.size)})
        details = Details(excluded=excluded) if excluded else None
        yield from (
            Measurement(metric=m, **said, status="not_estimable", reason=few, details=details) for m in DISTANCES
        )
        return
    names = [table.groups[i] for i in kept]
    fine, values = _on_grid(table, _MOST_NUMBERS // len(n))
    draws = _DRAWS if kept.size <= _MANY_GROUPS else _DRAWS_OF_MANY
    coarse, scores = _on_grid(table, min(_POINTS, max(_MOST_DRAWN // (draws * kept.size), _FEWEST_POINTS)))
    coarse = coarse[kept]
    curves, exact = distributions.distribution(coarse), distributions.distribution(fine[kept])
    drawn = distributions.distribution(resampling.redrawn(coarse, draws, rng))
    drawn = resampling.widened(drawn, curves, n[kept])
    shuffled = distributions.distribution(resampling.permuted_tables(coarse, _PERMUTATIONS, rng))
    for metric in DISTANCES:
        # Wasserstein's distance is a sum over the widths between values, Kolmogorov and Smirnov's the largest of all.
        integrated = metric == "wasserstein"
        gaps, widths = (np.append(np.diff(v), 0.0) if integrated else None for v in (values, scores))
        apart = distributions.pair_distances(exact[None], gaps)[0]
        value, largest = float(apart.max()), float(np.ptp(table.scores)) if integrated else 1.0
        low, high = distributions.distance_limits(curves, drawn, widths, n[kept], level, largest)
        under_equality = distributions.pair_distances(shuffled, widths).max(axis=1)
        on_grid = float(distributions.pair_distances(curves[None], widths).max())
        # What the grid hides of the distance, the upper limit has to hold as well.
        high += max(value - on_grid, 0.0)
        first, second = (int(place[apart.argmax()]) for place in np.triu_indices(kept.size, k=1))
        facts: dict[str, Scalar] = {
            "Groups furthest apart": f"{names[first]}, {names[second]}",
            "Largest gap expected if all groups were equal": float(under_equality.mean()),
            "Draws": draws,
            "Values that the draws tell apart": scores.size,
        }
        ends = min(low, value), max(high, value) if integrated else min(max(high, value), 1.0)
        interval = Interval(low=ends[0], high=ends[1], level=level, method="Bayesian bootstrap, norm bound")
        yield Measurement(
            metric=metric, **said, value=value, interval=interval,
            p_value=distributions.reached(on_grid, under_equality), details=Details(facts=facts, excluded=excluded),
        )  # fmt: skip


def _rows(table: ScoreTable, counted: Floats) -> Floats:
    """Effective rows of each group whose predicted value counts, which is 0 or 1 for each value."""
    of, _, at = table.cells
    return np.asarray(np.bincount(of, table.w * counted[at], minlength=len(table.groups)) * table.per_weight)


def _on_grid(table: ScoreTable, points: int) -> tuple[Floats, Floats]:
    """Effective rows by group and predicted value; about as many rows at each of not more than so many values.

    Values that are joined stand at the largest of them.

    Returns:
        Shape (groups, values), and the values.
    """
    of, _, at = table.cells
    weight, scores = table.w * table.per_weight[of], table.scores
    if scores.size > points:
        reached = np.cumsum(np.bincount(at, weight, minlength=scores.size))
        last = np.unique(np.searchsorted(reached, reached[-1] * np.arange(1, points + 1) / points))
        last = np.append(last[last < scores.size - 1], scores.size - 1)
        at, scores = np.searchsorted(last, at), scores[last]
    flat = np.bincount(of * scores.size + at, weight, minlength=len(table.groups) * scores.size)
    return np.asarray(flat.reshape(len(table.groups), -1), dtype=np.float64), scores


def _excluded(table: ScoreTable, kept: set[int], n: Floats, least: int) -> tuple[Excluded, ...]:
    rows = table.n.sum(axis=1)
    return tuple(
        Excluded(
            group=group,
            n=int(rows[i]),
            reason=Reason(
                code="too_few",
                params={"needed": least, "found": int(min(rows[i], n[i] + 1e-9)), "what": "rows"},
            ),
        )
        for i, group in enumerate(table.groups)
        if i not in kept
    )
