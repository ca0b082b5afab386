"""The counts of an attribute's groups within strata, and what can be compared there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.comparison import weighted
from fairwitness.audit.tallies import Stratified

Floats = NDArray[np.float64]
REJECTED, SELECTED = 0, 1


@dataclass(frozen=True)
class Strata:
    """Rows by stratum, group and decision (rejected, selected).

    Attributes:
        columns: what the strata are made of, joined.
        names: of the strata.
        groups: names of the groups.
        n: rows, shape (strata, groups, 2).
        w: sums of weights, same shape.
        w2: sums of squared weights, same shape.
        undecided: rows without a decision, shape (groups,).
    """

    columns: str
    names: tuple[str, ...]
    groups: tuple[str, ...]
    n: NDArray[np.int64]
    w: Floats
    w2: Floats
    undecided: NDArray[np.int64]

    @classmethod
    def of(cls, stratified: Stratified, attribute: str, columns: tuple[str, ...], positive: str) -> "Strata":
        """Count an attribute's groups in each combination of some columns' values.

        Raises:
            NotAssessed: the attribute or a column has too many values.
        """
        tables = stratified.tables(attribute, columns)
        binary = [table.binary(positive) for _, table in tables]
        groups = binary[0].groups if binary else ()
        empty = np.zeros((0, 0, 2))
        n, w, w2 = (
            np.array([values.sum(axis=1) for values in each]) if binary else empty
            for each in ([t.n for t in binary], [t.w for t in binary], [t.w2 for t in binary])
        )
        undecided = sum((table.undecided for _, table in tables), np.zeros(len(groups), dtype=np.int64))
        names = tuple(name for name, _ in tables)
        return cls(" & ".join(columns), names, groups, n.astype(np.int64), w, w2, undecided)

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """Strata with both selected and rejected rows, shape (strata,)."""
        return np.asarray((self.w.sum(axis=1) > 0).all(axis=1))

    def sides(self, group: int) -> NDArray[np.bool_]:
        """Strata with both members of a group and others, shape (strata,)."""
        w = self.w.sum(axis=2)
        return np.asarray((w[:, group] > 0) & (np.delete(w, group, axis=1).sum(axis=1) > 0))

    @property
    def rows(self) -> float:
        """Effective number of all rows."""
        return float(weighted(self.w.sum(), self.w2.sum(), self.w.sum())[0])

    def at(self, kept: NDArray[np.bool_]) -> "Strata":
        """Some of the strata."""
        names = tuple(name for name, there in zip(self.names, kept, strict=True) if there)
        return Strata(self.columns, names, self.groups, self.n[kept], self.w[kept], self.w2[kept], self.undecided)

    def together(self) -> "Strata":
        """All strata as one."""
        n, w, w2 = (values.sum(axis=0, keepdims=True) for values in (self.n, self.w, self.w2))
        return Strata(self.columns, ("",), self.groups, n, w, w2, self.undecided)

    def sizes(self) -> tuple[NDArray[np.int64], Floats]:
        """Rows and effective rows of each group, each of shape (groups,)."""
        w, w2 = self.w.sum(axis=(0, 2)), self.w2.sum(axis=(0, 2))
        return self.n.sum(axis=(0, 2)), weighted(w, w2, w)[0]

    def shares(self, group: int) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """The group's rows among the rejected, and among the selected: effective counts (x, n) by stratum."""
        both = []
        for decision in (REJECTED, SELECTED):
            w, w2 = self.w[:, :, decision], self.w2[:, :, decision]
            n, x = weighted(w.sum(axis=1), w2.sum(axis=1), w[:, group])
            both.append((x, n))
        return both[0], both[1]

    def selection(self) -> tuple[Floats, Floats]:
        """Effective selected rows and rows of every group, (x, n), each of shape (strata, groups)."""
        n, x = weighted(self.w.sum(axis=2), self.w2.sum(axis=2), self.w[:, :, SELECTED])
        return x, n

    def tables(self, group: int) -> Floats:
        """The group and all others by selected and rejected, effective counts, shape (strata, 2, 2).

        One factor scales all strata, so that odds ratios are those of the weights.
        """
        total, squares = self.w.sum(), self.w2.sum()
        counts = self.w[:, :, ::-1] * (total / squares if squares else 0.0)
        return np.stack([counts[:, group], counts.sum(axis=1) - counts[:, group]], axis=1).clip(min=0.0)
