"""Counts by groups, truth and score: what areas, distances and thresholds by group are functions of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, Coded
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import cells
from fairwitness.audit.tallies.batch import Batch, Counts, Floats, Layout
from fairwitness.audit.tallies.groups import MAX_GROUPS, distinct, group_name, grouped, names_of
from fairwitness.audit.tallies.scores import judged_scores, prefixed

NEGATIVE, POSITIVE, UNKNOWN, UNANSWERED = range(4)  # truth of a row; a row without a score is of the last kind
KEYS = ["group", "truth", "score"]


@dataclass(frozen=True)
class ScoreTable:
    """Rows of the groups of one attribute by truth and score.

    Attributes:
        attribute: `sex`, or `sex & race`; None for the whole.
        groups: names, in natural order; `("",)` for the whole.
        scores: distinct scores of all groups, rising, shape (scores,).
        n: rows with a score by group and truth (negative, positive, unknown), shape (groups, 3).
        unanswered: rows without a score, shape (groups,).
        exact: whether scores are as they were, or lower edges of bins.
        cells: of each cell the place of its group, its truth, and the place of its score; each of shape (cells,).
        w: sum of weights of each cell.
        per_weight: effective rows per unit of weight (Kish: sum w / sum w^2) of each group, shape (groups,).
        parts: of each group the values that it is made of, one a sensitive column; `((),)` for the whole.
    """

    attribute: str | None
    groups: tuple[str, ...]
    scores: Floats
    n: Counts
    unanswered: Counts
    exact: bool
    cells: tuple[Counts, Counts, Counts]
    w: Floats
    per_weight: Floats
    parts: tuple[tuple[str, ...], ...]

    def counts(self, group: int) -> Floats:
        """Effective rows of a group by truth and score.

        Args:
            group: its place.

        Returns:
            Shape (3, scores): truth negative, positive, unknown. Without weights these are rows.
        """
        of, truth, at = self.cells
        kept = of == group
        flat = truth[kept] * len(self.scores) + at[kept]
        weight = np.bincount(flat, self.w[kept], minlength=3 * len(self.scores))
        return np.asarray(weight.reshape(3, -1) * self.per_weight[group], dtype=np.float64)


@dataclass(frozen=True)
class GroupScores:
    """Rows by all sensitive columns, truth and score of the positive label; in a regression by predicted value.

    Scores are kept as they are while there are few distinct cells. Beyond `MOST_CELLS` the order-preserving prefix of
    their float32 is kept, of as many bits as bound the number of cells: edges do not depend on the data, and it does
    not matter in which part, or at which merge, there were too many.

    Attributes:
        groups: names of the sensitive columns' values that occur together, in order.
        table: key columns `group` (place in `groups`), `truth`, `score`; `n`; with weights also `batch`, `w`, `w2`.
        crowded: sensitive columns with too many values: they have one value here.
        bits: of the prefix; 0 where scores are as they are.
    """

    layout: Layout
    groups: tuple[tuple[str, ...], ...]
    table: pa.Table
    crowded: frozenset[str]
    bits: int = 0

    MOST_CELLS: ClassVar[int] = 1 << 21
    PREFIXES: ClassVar[tuple[int, ...]] = (20, 18, 16)

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Count one batch."""
        score = _scores(batch)
        known = np.isfinite(score)
        truth = np.where(known, _truth(batch), UNANSWERED)
        layout = batch.layout
        crowded = frozenset(name for name in layout.attributes if batch.groups[name] is None)
        unknown = Coded(np.zeros(batch.rows, dtype=np.int64), (MISSING,))
        columns = [batch.groups[name] or unknown for name in layout.attributes]
        group, first = distinct([column.codes for column in columns], batch.rows)
        names = [tuple(column.names[column.codes[row]] for column in columns) for row in first]
        # Adding 0 makes -0 the same score as 0.
        coded = {"group": group, "truth": truth, "score": np.where(known, score, 0.0) + 0.0}
        if batch.weights is None:
            found = pa.table({**coded, "n": np.ones(batch.rows, dtype=np.int64)})
        else:
            found = _weighed(coded, batch.weights, batch.index)
        return cls._settled(layout, [(names, found)], crowded, 0)

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join counts."""
        crowded = frozenset[str]().union(*(part.crowded for part in parts))
        tables = [(part.groups, part.table) for part in parts]
        return cls._settled(parts[0].layout, tables, crowded, min(part.bits or 64 for part in parts) % 64)

    @classmethod
    def _settled(
        cls,
        layout: Layout,
        parts: Sequence[tuple[Sequence[tuple[str, ...]], pa.Table]],
        crowded: frozenset[str],
        bits: int,
    ) -> Self:
        """Join parts: number their groups alike, drop crowded attributes, and bound the number of cells."""
        everyone = {group for groups, _ in parts for group in groups}
        values = [{group[i] for group in everyone} for i in range(len(layout.attributes))]
        crowded |= {name for name, there in zip(layout.attributes, values, strict=True) if len(there) > MAX_GROUPS}
        hidden = [name in crowded for name in layout.attributes]

        def shown(group: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(MISSING if hide else value for hide, value in zip(hidden, group, strict=True))

        groups = tuple(sorted({shown(group) for group in everyone}))
        place = {group: i for i, group in enumerate(groups)}
        tables = []
        for names, table in parts:
            renumbered = np.array([place[shown(group)] for group in names], dtype=np.int64)
            tables.append(_with(table, "group", renumbered[table.column("group").to_numpy()]))
        joined = cells.merge([_cut(table, bits) for table in tables], KEYS)
        for prefix in cls.PREFIXES:
            if _distinct(joined) <= cls.MOST_CELLS:
                break
            if not bits or prefix < bits:
                bits = prefix
                joined = cells.merge([_cut(joined, bits)], KEYS)
        return cls(layout, groups, joined, crowded, bits)

    @property
    def names(self) -> list[str]:
        """Sensitive attributes and intersections, in the plan's order."""
        return names_of(self.layout)

    def by_attribute(self) -> Iterator[tuple[str, ScoreTable | NotAssessed]]:
        """Each attribute and intersection with its table, or with why there is none."""
        for name in self.names:
            try:
                yield name, self.of_attribute(name)
            except NotAssessed as why:
                yield name, why

    @cached_property
    def _columns(self) -> list[Coded]:
        """Each sensitive column of the groups."""
        found = []
        for i in range(len(self.layout.attributes)):
            names = tuple(sorted({group[i] for group in self.groups}))
            place = {name: code for code, name in enumerate(names)}
            found.append(Coded(np.array([place[group[i]] for group in self.groups], dtype=np.int64), names))
        return found

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.float64]]:
        found = {name: self.table.column(name).to_numpy() for name in self.table.column_names if name != "batch"}
        return {"w": found["n"].astype(np.float64), "w2": found["n"].astype(np.float64)} | found

    def of_attribute(self, name: str | None = None) -> ScoreTable:
        """The table of one attribute or intersection; of the whole for None.

        Raises:
            NotAssessed: the attribute has too many values, or the intersection too many groups.
        """
        group, parts = grouped(self.layout, name, self._columns, self.crowded, len(self.groups))
        groups = tuple(map(group_name, parts))
        a = self._arrays
        of, truth = group[a["group"].astype(np.int64)], a["truth"].astype(np.int64)
        rows = np.bincount(of * 4 + truth, a["n"], minlength=4 * len(groups)).reshape(-1, 4).astype(np.int64)
        kept = truth < UNANSWERED
        scores, at = np.unique(a["score"][kept], return_inverse=True)
        total, squares = (np.bincount(of[kept], a[key][kept], minlength=len(groups)) for key in ("w", "w2"))
        per_weight = np.divide(total, squares, out=np.zeros(len(groups)), where=squares > 0)
        return ScoreTable(
            name,
            groups,
            scores.astype(np.float64),
            rows[:, :UNANSWERED],
            rows[:, UNANSWERED],
            not self.bits,
            (of[kept], truth[kept], at.astype(np.int64)),
            a["w"][kept],
            per_weight,
            parts,
        )


def _scores(batch: Batch) -> Floats:
    """The score of the positive label, or the predicted value, of each row."""
    target = batch.layout.target
    if target.task == "regression":
        if batch.predicted_values is None:
            raise NotAssessed("needs_predictions")
        return batch.predicted_values
    if target.positive is None:
        raise NotAssessed("multiclass")
    if batch.scores is None:
        raise NotAssessed("needs_scores")
    return judged_scores(batch)[0][:, 0]


def _truth(batch: Batch) -> Counts:
    """Whether the true label is the positive one, of each row."""
    if batch.truth is None:
        return np.full(batch.rows, UNKNOWN)
    kind = [UNKNOWN if name == MISSING else int(name == batch.layout.target.positive) for name in batch.truth.names]
    return np.array(kind, dtype=np.int64)[batch.truth.codes]


def _weighed(coded: dict[str, NDArray[np.generic]], weights: Floats, index: int) -> pa.Table:
    """Add up the weights of a batch by cell, in the order of its rows."""
    order = np.lexsort((coded["score"], coded["truth"], coded["group"]))
    sorted_ = {name: values[order] for name, values in coded.items()}
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any([values[1:] != values[:-1] for values in sorted_.values()], axis=0)
    start = np.flatnonzero(new)
    w = weights[order]
    ones = np.ones(len(order), dtype=np.int64)
    sums = {"n": ones, "batch": ones, "w": w, "w2": w * w}
    added = {name: np.add.reduceat(v, start) if len(start) else v for name, v in sums.items()}
    added["batch"] = np.full(len(start), index, dtype=np.int64)
    return pa.table({name: values[start] for name, values in sorted_.items()} | added)


def _cut(table: pa.Table, bits: int) -> pa.Table:
    """Replace scores by the lower edge of their bin; a binned score stays as it is."""
    return _with(table, "score", prefixed(table.column("score").to_numpy(), bits)) if bits else table


def _with(table: pa.Table, name: str, values: NDArray[np.generic]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def _distinct(table: pa.Table) -> int:
    """Number of cells, whatever the batches."""
    if "batch" not in table.column_names:
        return int(table.num_rows)
    return int(table.group_by(KEYS).aggregate([]).num_rows)
