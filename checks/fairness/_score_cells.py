"""Rows by group, truth and score on one grid: what every number of `fairness.score` is a function of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Details, Excluded, Measurement, Reason, Scalar
from fairwitness.audit.tallies.group_scores import ScoreTable

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

NEGATIVE, POSITIVE, UNKNOWN = range(3)
ALL = (NEGATIVE, POSITIVE, UNKNOWN)
LABELLED = (NEGATIVE, POSITIVE)
CALLED = {ALL: "rows", LABELLED: "labelled rows", (POSITIVE,): "positives", (NEGATIVE,): "negatives"}

# Scores, and groups times scores, that are laid out in memory. Bins of a 260,000th of the rows move no number visibly.
MOST_SCORES = 1 << 18
MOST_CELLS = 1 << 20


@dataclass(frozen=True)
class Cells:
    """Rows of the groups of one attribute on a grid that all share.

    Attributes:
        attribute: `sex`, or `sex & race`.
        groups: names, in natural order.
        scores: shape (scores,), rising; of a bin the mean of its rows.
        n: rows with a score by truth (negative, positive, unknown), shape (groups, 3).
        w: sums of weights, shape (groups, 3, scores).
        per_weight: effective rows (Kish) per unit of weight, shape (groups,).
        unanswered: rows without a score, shape (groups,).
        binned: whether scores are in bins.
        unit: whether all scores lie between 0 and 1.
    """

    attribute: str
    groups: tuple[str, ...]
    scores: Floats
    n: Counts
    w: Floats
    per_weight: Floats
    unanswered: Counts
    binned: bool
    unit: bool

    @classmethod
    def of(cls, table: ScoreTable) -> Self:
        """Lay a table out; more scores than fit go into bins of equally many rows."""
        groups, size = len(table.groups), len(table.scores)
        of, truth, at = table.cells
        most = min(MOST_SCORES, MOST_CELLS // max(groups, 1))
        place, scores = bins(np.bincount(at, table.w, minlength=size).astype(np.float64), table.scores, most)
        flat = (of * 3 + truth) * len(scores) + place[at]
        w = np.asarray(np.bincount(flat, table.w, minlength=groups * 3 * len(scores)), dtype=np.float64)
        unit = size > 0 and bool(table.scores[0] >= 0 and table.scores[-1] <= 1)
        binned = not table.exact or len(scores) < size
        return cls(
            str(table.attribute),
            table.groups,
            scores,
            table.n,
            w.reshape(groups, 3, len(scores)),
            table.per_weight,
            table.unanswered,
            binned,
            unit,
        )

    def coarse(self, most: int, mass: Floats | None = None) -> "Cells":
        """Put the scores into bins.

        Args:
            most: number of bins at most.
            mass: shape (scores,), what each bin has about as much of; rows where it is not given.
        """
        place, scores = bins(self.w.sum(axis=(0, 1)), self.scores, most, mass)
        if len(scores) == len(self.scores):
            return self
        start = np.flatnonzero(np.diff(place, prepend=-1))
        return replace(self, scores=scores, w=np.add.reduceat(self.w, start, axis=2), binned=True)

    def only(self, kept: NDArray[np.bool_]) -> "Cells":
        """Keep some of the groups."""
        if kept.all():
            return self
        return replace(
            self,
            groups=tuple(group for group, there in zip(self.groups, kept, strict=True) if there),
            n=self.n[kept],
            w=self.w[kept],
            per_weight=self.per_weight[kept],
            unanswered=self.unanswered[kept],
        )

    @cached_property
    def counts(self) -> Floats:
        """Effective rows, shape (groups, 3, scores)."""
        return self.w if np.all(self.per_weight == 1) else np.asarray(self.w * self.per_weight[:, None, None])

    @cached_property
    def effective(self) -> Floats:
        """Effective rows by group and truth, shape (groups, 3)."""
        return np.asarray(self.counts.sum(axis=2))

    def rows(self, truths: Sequence[int]) -> Counts:
        """Rows of some truths by group."""
        return np.asarray(self.n[:, list(truths)].sum(axis=1))

    def found(self, truths: Sequence[int]) -> Counts:
        """What counts towards the least: the smaller of actual and effective rows, rounded down."""
        effective = self.effective[:, list(truths)].sum(axis=1)
        return np.asarray(np.minimum(self.rows(truths), np.floor(effective + 1e-9).astype(np.int64)))

    def too_few(self, group: int, needs: Sequence[tuple[int, ...]], least: int) -> Reason | None:
        """Why a group is too small for what needs so many rows of each kind; None where it is not."""
        for truths in needs:
            found = int(self.found(truths)[group])
            if found < least:
                return Reason(code="too_few", params={"needed": least, "found": found, "what": CALLED[truths]})
        return None

    def excluded(self, needs: Sequence[tuple[int, ...]], least: int) -> tuple[Excluded, ...]:
        """Groups that are too small."""
        each = zip(self.groups, self.rows(needs[0]).tolist(), strict=True)
        small = [(group, n, self.too_few(i, needs, least)) for i, (group, n) in enumerate(each)]
        return tuple(Excluded(group=group, n=n, reason=reason) for group, n, reason in small if reason is not None)

    def large(self, needs: Sequence[tuple[int, ...]], least: int) -> NDArray[np.bool_]:
        """Which groups have so many rows of each kind, shape (groups,)."""
        return np.asarray(np.all([self.found(truths) >= least for truths in needs], axis=0))

    @cached_property
    def _everybody(self) -> tuple[Floats, Floats, Floats]:
        """Weights of all groups together, each group's weight, and its sum of squared weights."""
        total = self.w.sum(axis=(1, 2))
        # Squares come back from effective rows, (sum w)^2 / sum w^2.
        squares = np.divide(total, self.per_weight, out=np.zeros_like(total), where=self.per_weight > 0)
        return self.w.sum(axis=0), total, squares

    def others(self, group: int) -> tuple[Counts, Floats]:
        """Everybody of the attribute who is not in a group: rows (3,) and effective rows (3, scores)."""
        rest = np.arange(len(self.groups)) != group
        whole, total, squares = self._everybody
        # What rounding leaves of a score that only this group has is no row of the others.
        weight = np.where(whole - self.w[group] > 1e-12 * whole, whole - self.w[group], 0.0)
        square = float(squares[rest].sum())
        return self.n[rest].sum(axis=0), weight * (float(total[rest].sum()) / square if square else 0.0)


def fewer_than_two(said: dict[str, Any], estimable: int, excluded: tuple[Excluded, ...]) -> Measurement:
    """Say that there are no two groups to compare."""
    params: dict[str, Scalar] = {"attribute": said["attribute"], "estimable": estimable}
    reason = Reason(code="fewer_than_two_groups", params=params)
    details = Details(excluded=excluded) if excluded else None
    return Measurement(**said, status="not_estimable", reason=reason, details=details)


def bins(weight: Floats, scores: Floats, most: int, mass: Floats | None = None) -> tuple[Counts, Floats]:
    """Put scores into bins of about equally many rows, no score being split.

    Args:
        weight: shape (scores,), rows at each.
        scores: shape (scores,), rising.
        most: number of bins at most.
        mass: shape (scores,), what the bins have equally much of, instead of rows.

    Returns:
        The place of each score's bin, shape (scores,), and the bins' mean scores.
    """
    if len(scores) <= most or not weight.any():
        return np.arange(len(scores)), scores
    mass = weight if mass is None else mass
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    place = np.unique(np.minimum((middle * most).astype(np.int64), most - 1), return_inverse=True)[1]
    total, count = np.bincount(place, weight), np.bincount(place)
    # A bin of scores without weight is where they are.
    mean = np.where(total > 0, np.bincount(place, weight * scores) / np.where(total > 0, total, 1.0),
                    np.bincount(place, scores) / count)  # fmt: skip
    return place.astype(np.int64), np.asarray(np.maximum.accumulate(mean))
