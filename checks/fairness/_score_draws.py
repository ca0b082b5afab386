"""Draws of tables behind distances: how fine, how many, and what permutations say."""

from dataclasses import dataclass

import numpy as np

from fairwitness.audit.evidence import Interval, Scalar
from fairwitness.audit.statistics.distributions import pair_distances, reached
from fairwitness.checks.fairness._score_cells import Cells, Floats
from fairwitness.checks.fairness._score_means import EXPECTED

FURTHEST = "Groups furthest apart"
METHOD = "Triangle inequality, Bayesian bootstrap"
DRAWS, DRAWS_OF_MANY, MANY_GROUPS = 400, 200, 15
FEWEST_BINS, MOST_BINS, MOST_DRAWN = 50, 256, 500_000


def binned_for_draws(cells: Cells, mass: Floats | None = None) -> tuple[Cells, int]:
    """The grid on which tables are drawn, and how many of them: bounded by time, not by the data.

    Args:
        cells: rows by group, truth and score.
        mass: see `Cells.coarse`.
    """
    groups = max(len(cells.groups), 1)
    draws = DRAWS if groups <= MANY_GROUPS else DRAWS_OF_MANY
    fine = max(min(int(cells.n.sum()) // 6, MOST_DRAWN // (draws * groups)), FEWEST_BINS)
    return cells.coarse(min(fine, MOST_BINS), mass), draws


@dataclass(frozen=True)
class Equality:
    """What permutations say of a distance.

    Attributes:
        p_value: of the test that all groups are equal.
        expected: the distance to be expected if they were.
        draws: number of permutations.
    """

    p_value: float
    expected: float
    draws: int

    @classmethod
    def of(cls, curves: Floats, permuted: Floats, widths: Floats | None, rows: Floats) -> "Equality":
        """Test the largest distance over its standard error, so that small groups do not drown large ones.

        Args:
            curves: shape (groups, points), on the grid of the draws.
            permuted: shape (draws, groups, points).
            widths: see `pair_distances`.
            rows: shape (groups,), what the variance of each curve is proportional to.
        """
        first, second = np.triu_indices(len(rows), k=1)
        scale = np.sqrt(rows[first] + rows[second])
        observed, under = pair_distances(curves[None], widths)[0], pair_distances(permuted, widths)
        p_value = reached(float((observed / scale).max()), (under / scale).max(axis=1))
        return cls(p_value, float(under.max(axis=1).mean()), len(permuted))

    def facts(self, grid: Cells) -> dict[str, Scalar]:
        """What stands beside the distance."""
        bins: dict[str, Scalar] = {"Bins of scores in the draws": len(grid.scores)} if grid.binned else {}
        return {EXPECTED: self.expected, "Test of equality": "permutation", "Permutations": self.draws, **bins}

    def agreed(self, limits: tuple[float, float], level: float) -> tuple[float, float]:
        """Let the interval reach 0 where the test does not find a difference: the two never contradict each other.

        No p-value is below 1 / (draws + 1): at a high level, that one counts as a difference.
        """
        equal = self.p_value >= max(1 - level, 2 / (self.draws + 1))
        return (0.0 if equal else limits[0], limits[1])


def interval(value: float, limits: tuple[float, float], level: float, method: str, largest: float = 1.0) -> Interval:
    """An interval within [0, largest] that holds the value."""
    low, high = limits
    return Interval(low=min(max(low, 0.0), value), high=max(min(high, largest), value), level=level, method=method)


def named(cells: Cells, apart: tuple[int, int]) -> str:
    """The two groups furthest apart."""
    return " – ".join(cells.groups[g] for g in apart)
