"""Selection and scoring rates of the categories of an attribute, as the rules on impact ratios count them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING
from fairwitness.audit.comparison import Shares, shares_of
from fairwitness.audit.evidence import NotAssessed, Scalar
from fairwitness.audit.statistics.adverse_impact import median_of_counts
from fairwitness.audit.tallies import Crosstab, GroupScores, ScoreTable


@dataclass(frozen=True)
class Categories:
    """The categories of an attribute and how many rows each has, whatever the model answered.

    Attributes:
        names: of all groups, those that mean unknown included.
        rows: shape (categories,).
        known: which are categories, and not the lack of one.
        small: known ones with less than the smallest share of all rows.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    known: NDArray[np.bool_]
    small: NDArray[np.bool_]

    @property
    def total(self) -> int:
        """All rows of the data, of unknown category included."""
        return int(self.rows.sum())

    @property
    def unknown(self) -> int:
        """Rows of unknown category."""
        return int(self.rows[~self.known].sum())


@dataclass(frozen=True)
class Rate:
    """A rate of every known category.

    Attributes:
        shares: of the known categories, in the order of `Categories.names`.
        undecided: rows of each without a decision, or without a score, shape (known,).
        hits: persons selected, or scored above the median, shape (known,); effective where rows are weighted.
        facts: what stands beside the numbers of the attribute as a whole.
    """

    shares: Shares
    undecided: NDArray[np.int64]
    hits: NDArray[np.float64]
    facts: dict[str, Scalar]


def categories(table: Crosstab, smallest_share: float, unknown: Sequence[str]) -> Categories:
    """Tell categories from unknowns, and large ones from small ones.

    Args:
        table: the attribute's rows.
        smallest_share: categories below this share of all rows are small.
        unknown: names that mean that the category is not known, besides a missing value.
    """
    rows = table.n.sum(axis=(1, 2))
    lacking = {MISSING, *unknown}
    known = np.array([lacking.isdisjoint(values) for values in table.parts], dtype=bool)
    return Categories(table.groups, rows, known, known & (rows < smallest_share * rows.sum()))


def selection(table: Crosstab, positive: str, known: NDArray[np.bool_]) -> Rate:
    """How many of each category were selected; no true label is needed for that."""
    binary = table.binary(positive)
    everyone, selected = np.ones((3, 2), dtype=bool), np.array([[False, True]] * 3)
    shares = chosen(replace(shares_of(binary, everyone, selected), undecided=None), known)
    return Rate(shares, table.undecided[known], binary.n[known, :, 1].sum(axis=1).astype(np.float64), {})


def chosen(shares: Shares, kept: NDArray[np.bool_]) -> Shares:
    """Some categories of a rate."""
    groups = tuple(group for group, there in zip(shares.groups, kept, strict=True) if there)
    by_group: dict[str, Any] = {
        name: values[kept] for name, values in vars(shares).items() if isinstance(values, np.ndarray)
    }
    return replace(shares, groups=groups, **by_group)


def median_score(scores: GroupScores) -> float:
    """The median of the scores of all rows, of unknown category included.

    Raises:
        NotAssessed: no row has a score.
    """
    whole = scores.of_attribute(None)
    weight = np.bincount(whole.cells[2], whole.w, minlength=len(whole.scores))
    if not weight.any():
        raise NotAssessed("needs_scores")
    return median_of_counts(whole.scores, weight)


def scoring(table: ScoreTable, median: float, named: Categories) -> Rate:
    """How many of each category scored above the median of all; at the median is not above.

    Args:
        table: scores of the attribute's groups.
        median: of all rows.
        named: the attribute's categories; a group without any score has no rows here.
    """
    of, _, at = table.cells
    above = table.scores[at] > median
    groups = len(table.groups)
    effective = np.bincount(of, table.w, minlength=groups) * table.per_weight
    hits = np.bincount(of[above], table.w[above], minlength=groups) * table.per_weight
    place = {name: i for i, name in enumerate(table.groups)}
    chosen = [name for name, known in zip(named.names, named.known, strict=True) if known]
    at_group = np.array([place.get(name, groups) for name in chosen], dtype=np.int64)
    n, count, x, unanswered = (
        np.append(values, 0)[at_group] for values in (effective, table.n.sum(axis=1), hits, table.unanswered)
    )
    shares = Shares(table.attribute, tuple(chosen), count, n, x)
    tied = table.w[table.scores[at] == median].sum() / table.w.sum() if table.w.sum() else 0.0
    facts: dict[str, Scalar] = {
        "Median score of all rows": median,
        "Share of rows at the median": float(tied),
        "Scores as they are (not binned)": table.exact,
    }
    return Rate(shares, unanswered, x, facts)
