"""Means of scores by group, how far apart they are, and the same in standard deviations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar, Table
from fairwitness.audit.statistics.distributions import Gap, expected_range, largest_gap, welch
from fairwitness.audit.statistics.intervals import critical_value, mean
from fairwitness.audit.statistics.means import inverted, pooled_variance, too_skewed
from fairwitness.audit.statistics.multiplicity import simultaneous_critical
from fairwitness.checks.fairness._score_cells import ALL, LABELLED, NEGATIVE, POSITIVE, Cells, Floats, fewer_than_two

NO_VARIATION = Reason(code="no_variation")
INVERTED = "Interval that just reaches 0"
EXPECTED = "Largest gap expected if all groups were equal"

# Mean of what, among which rows; and what the largest difference between groups is called.
MEANS: dict[str, tuple[tuple[int, ...], str]] = {
    "mean_score_positives": ((POSITIVE,), "balance_positive_class_difference"),
    "mean_score_negatives": ((NEGATIVE,), "balance_negative_class_difference"),
    "mean_score": (ALL, "mean_score_difference"),
    "calibration_gap": (LABELLED, "calibration_gap_difference"),
}


@dataclass(frozen=True)
class Means:
    """A mean of every group.

    Attributes:
        n: effective rows, shape (groups,).
        value: the means, likewise.
        square: mean squares about them, likewise; where a group has too few rows to tell them, those of all groups.
        bounds: smallest and largest possible value of one row; None where unbounded.
        varies: whether a group's own values do, likewise.
        thin: whether a group has fewer rows than the skewness of the values asks for, likewise.
    """

    n: Floats
    value: Floats
    square: Floats
    bounds: tuple[float | None, float | None]
    varies: NDArray[np.bool_]
    thin: NDArray[np.bool_]

    def limits(self, level: float) -> tuple[Floats, Floats]:
        """Student's interval of each mean, shape (groups,); NaN where nothing varies and nothing is bounded."""
        lowest, highest = self.bounds
        varies = self.varies
        degrees = np.where(varies, self.n - 1, 1.0)
        half = -special.stdtrit(degrees, (1 - level) / 2) * np.sqrt(self.square / degrees)
        low, high = np.where(varies, self.value - half, np.nan), np.where(varies, self.value + half, np.nan)
        for i in np.flatnonzero(~varies & (self.n > 0)):
            if lowest is not None and highest is not None:
                n, value = float(self.n[i]), float(self.value[i])
                low[i], high[i] = mean(n * value, n * value**2, n, level, self.bounds)
        if lowest is not None and highest is not None:
            low, high = np.maximum(low, lowest), np.minimum(high, highest)
        return np.minimum(low, self.value), np.maximum(high, self.value)


def critical_draws(level: float) -> int:
    """Draws for a simultaneous critical value: fewer than its default, unless the tail is thin."""
    return 5_000 if level < 0.98 else 20_000


def means(cells: Cells, metric: str) -> Means:
    """Mean of the scores, or of score less label, of every group with rows; 0 of the others."""
    truths, _ = MEANS[metric]
    labels = np.arange(3.0)[:, None] if metric == "calibration_gap" else np.zeros((3, 1))
    values = (cells.scores - labels)[list(truths)]
    counts = cells.counts[:, list(truths)]
    n = counts.sum(axis=(1, 2))
    divisor = np.where(n > 0, n, 1.0)
    value = np.einsum("gts,ts->g", counts, values) / divisor
    # About the mean, or scores far from 0 would lose their digits.
    square, third = np.zeros(len(n)), np.zeros(len(n))
    for g, (own, centre) in enumerate(zip(counts, value, strict=True)):
        off = values - centre
        squares = own * off**2
        square[g], third[g] = squares.sum(), np.einsum("ts,ts->", squares, off)
    square, third = square / divisor, third / divisor
    varies = (n >= 2) & (square > 64 * np.finfo(np.float64).eps * (square + value**2))
    lowest, thin = 0.0, too_skewed(n, square, third)
    # A few rows of rare values say nothing of how rare they are: then the others' variance counts, if it is larger.
    floor = np.where(thin, pooled_variance(n, square) * (divisor - 1) / divisor, 0.0)
    if metric == "calibration_gap":
        lowest = -1.0
        if cells.unit:
            # Where scores are right labels vary by this much about them, even if the few there are happen not to.
            binomial = cells.scores * (1 - cells.scores)
            expected = np.einsum("gts,s->g", counts, binomial) / divisor
            skewed = np.einsum("gts,s->g", counts, binomial * (1 - 2 * cells.scores)) / divisor
            rare = np.array([bool(too_skewed([n[g]], [expected[g]], [skewed[g]])[0]) for g in range(len(n))])
            thin, floor = thin | rare, np.where(rare, np.maximum(floor, expected), floor)
    bounds = (lowest, 1.0) if cells.unit else (None, None)
    return Means(n, value, np.maximum(square, floor), bounds, varies, thin)


def of_groups(cells: Cells, metric: str, level: float, least: int, refused: Reason | None) -> Iterator[Measurement]:
    """Yield the mean of each group with its interval."""
    truths, _ = MEANS[metric]
    found, rows = means(cells, metric), cells.rows(truths)
    low, high = found.limits(level)
    for i, group in enumerate(cells.groups):
        said: dict[str, Any] = {"metric": metric, "attribute": cells.attribute, "group": group, "n": int(rows[i])}
        reason = refused or cells.too_few(i, [truths], least)
        if reason is not None or not np.isfinite(low[i]):
            yield Measurement(**said, status="not_estimable", reason=reason or NO_VARIATION)
            continue
        interval = Interval(low=float(low[i]), high=float(high[i]), level=level, method="Student t of a mean")
        yield Measurement(**said, value=float(found.value[i]), interval=interval)


def difference(cells: Cells, metric: str, rng: np.random.Generator, level: float, least: int) -> Measurement:
    """Measure the largest difference between the means of any two groups."""
    truths, called = MEANS[metric]
    found = means(cells, metric)
    kept, excluded = _estimable(cells, found, truths, level, least)
    rows = cells.rows(truths)
    said: dict[str, Any] = {"metric": called, "attribute": cells.attribute, "n": int(rows[kept].sum())}
    if kept.sum() < 2:
        return fewer_than_two(said, int(kept.sum()), excluded)
    places = np.flatnonzero(kept).tolist()
    gap, critical, deviations = _gap(found, places, level, rng)
    values, largest = found.value[kept], 2.0 if metric == "calibration_gap" else 1.0
    facts: dict[str, Scalar] = {
        "Lowest group": cells.groups[places[int(values.argmin())]],
        "Highest group": cells.groups[places[int(values.argmax())]],
        EXPECTED: expected_range(deviations, rng),
        "Test of equality": INVERTED if found.thin[kept].any() else "Welch",
        "Simultaneous critical value": critical,
    }

    def low(z: float) -> float:
        return _gap_at(found, places, z).low

    p_value = _p_value(found, kept, low, deviations, rng, critical, level)
    high = min(gap.high, largest) if cells.unit else gap.high
    interval = Interval(low=gap.low, high=max(high, gap.value), level=level, method="Simultaneous MOVER, Student t")
    details = Details(facts=facts, excluded=excluded)
    return Measurement(**said, value=gap.value, interval=interval, p_value=p_value, details=details)


def _estimable(
    cells: Cells, found: Means, truths: tuple[int, ...], level: float, least: int
) -> tuple[NDArray[np.bool_], tuple[Excluded, ...]]:
    """Groups whose mean has an interval; and the others, each with why."""
    kept, excluded, rows = cells.large([truths], least), cells.excluded([truths], least), cells.rows(truths)
    still = np.flatnonzero(kept & ~np.isfinite(found.limits(level)[0])).tolist()
    kept[still] = False
    return kept, (*(Excluded(group=cells.groups[i], n=int(rows[i]), reason=NO_VARIATION) for i in still), *excluded)


def _gap(found: Means, places: list[int], level: float, rng: np.random.Generator) -> tuple[Gap, float, Floats]:
    """The gap, its critical value, and the groups' standard errors."""
    # Half an interval is a standard error that is not 0 where nothing varies.
    width = np.subtract(*found.limits(level)[::-1])[places]
    deviations = np.maximum(width / (2 * critical_value(level)), np.finfo(np.float64).tiny)
    critical = simultaneous_critical([deviations], level, rng, critical_draws(level))
    return _gap_at(found, places, critical), critical, deviations


def _gap_at(found: Means, places: list[int], critical: float) -> Gap:
    low, high = found.limits(_level(critical))
    return largest_gap(found.value[places], low[places], high[places])


def _level(critical: float) -> float:
    """Confidence level of a normal critical value."""
    return 1 - 2 * float(special.ndtr(-critical))


def _half_widths(found: Means, places: NDArray[np.intp], level: float) -> Floats:
    """The longer side of the interval of each of some groups' means."""
    low, high = found.limits(level)
    return np.asarray(np.maximum(found.value - low, high - found.value)[places])


def _p_value(
    found: Means,
    kept: NDArray[np.bool_],
    low: Callable[[float], float],
    deviations: Floats,
    rng: np.random.Generator,
    critical: float,
    level: float,
) -> float | None:
    """Welch's test; where a group has too few rows for it, the one that goes with the interval."""
    if found.thin[kept].any():
        return inverted(low, deviations, rng, critical=critical, level=level, draws=critical_draws(level))
    n = found.n[kept]
    return welch(n, found.value[kept], found.square[kept] * n / (n - 1)) if n.min() >= 2 else None


def standardized(cells: Cells, rng: np.random.Generator, level: float, least: int) -> Measurement:
    """Measure the largest difference of mean scores between two groups in standard deviations of all scores.

    The standard deviation is that of all rows' scores, as in US fair lending practice, not the one within groups. Its
    own error, and its covariance with the means, are in the variance by the delta method: with Q = (x - m)^2 - s^2
    over all N rows,

        var(d_ab) = v_a + v_b - 2 k (t_a - t_b) + k^2 sum(Q^2),  k = (m_a - m_b) / (2 s^3 N),

    v_g = var(x | g) / (n_g s^2), for which Student's interval of the group's mean stands, and t_g = cov(x, Q | g) / s.
    With one variance within groups and scores normal there, this is near the large-sample variance of
    Hedges & Olkin (1985), Statistical Methods for Meta-Analysis, chapter 5.
    """
    found = means(cells, "mean_score")
    kept, excluded = _estimable(cells, found, ALL, level, least)
    said: dict[str, Any] = {
        "metric": "standardized_mean_difference", "attribute": cells.attribute, "n": int(cells.rows(ALL).sum())
    }  # fmt: skip
    if kept.sum() < 2:
        return fewer_than_two(said, int(kept.sum()), excluded)
    pooled = cells.w.sum(axis=(0, 1))
    centre = pooled @ cells.scores / pooled.sum()
    square = (cells.scores - centre) ** 2
    s = float(np.sqrt(pooled @ square / pooled.sum()))
    if s <= 64 * np.finfo(np.float64).eps * float(np.abs(cells.scores).max()):
        details = Details(excluded=excluded) if excluded else None
        return Measurement(**said, status="not_estimable", reason=NO_VARIATION, details=details)
    places = np.flatnonzero(kept)
    value = found.value[places]
    rows = cells.counts[places].sum(axis=1)
    off = square - s**2
    t = (rows @ ((cells.scores - centre) * off) - (value - centre) * (rows @ off)) / (rows.sum(axis=1) * s)
    effective = _effective(cells)
    fourth = float(pooled @ off**2 / pooled.sum()) * effective
    single = _half_widths(found, places, level) / s
    deviations = np.maximum(single / critical_value(level), np.finfo(np.float64).tiny)
    critical = simultaneous_critical([deviations], level, rng, critical_draws(level))
    first, second = np.triu_indices(len(places), k=1)

    def limits(a: Any, b: Any, z: float) -> tuple[Floats, Floats, Floats]:
        own = _half_widths(found, places, _level(z)) / s
        k = (value[a] - value[b]) / (2 * s**3 * effective)
        shared = k**2 * fourth - 2 * k * (t[a] - t[b])
        half = np.sqrt(np.maximum(own[a] ** 2 + own[b] ** 2 + z**2 * shared, 0.0))
        d = np.asarray((value[a] - value[b]) / s)
        return d, d - half, d + half

    def lowest(z: float) -> float:
        _, below, above = limits(first, second, z)
        return float(np.maximum(0.0, np.maximum(below, -above)).max())

    d, below, above = limits(first, second, critical)
    worst = float(np.abs(d).max())
    low = min(lowest(critical), worst)
    high = max(float(np.maximum(above, -below).max()), worst)
    top = int(value.argmax())
    every = limits(np.arange(len(places)), np.full(len(places), top), critical_value(level))
    table = Table(
        columns=("Group", "Rows", "Mean score", "In standard deviations from the highest group", "Low", "High"),
        rows=tuple(
            (cells.groups[g], int(cells.rows(ALL)[g]), float(value[i]), *((0.0, None, None) if i == top else limit))
            for i, (g, *limit) in enumerate(zip(places.tolist(), *(x.tolist() for x in every), strict=True))
        ),
    )
    facts: dict[str, Scalar] = {
        "Lowest group": cells.groups[int(places[value.argmin()])],
        "Highest group": cells.groups[int(places[top])],
        "Standard deviation of all scores": s,
        EXPECTED: expected_range(deviations, rng),
        "Test of equality": INVERTED if found.thin[kept].any() else "Welch",
    }
    p_value = _p_value(found, kept, lowest, deviations, rng, critical, level)
    interval = Interval(low=low, high=high, level=level, method="Simultaneous delta method")
    details = Details(facts=facts, table=table, excluded=excluded)
    return Measurement(**said, value=worst, interval=interval, p_value=p_value, details=details)


def _effective(cells: Cells) -> float:
    """Effective rows of everybody: (sum w)^2 / sum w^2."""
    total = cells.w.sum(axis=(1, 2))
    there = cells.per_weight > 0
    return float(total.sum() ** 2 / (total[there] / cells.per_weight[there]).sum())
