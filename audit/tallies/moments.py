"""Moments of a regression's errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from fairwitness.audit.columns import MISSING, Coded
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import cells
from fairwitness.audit.tallies.batch import Batch, Layout
from fairwitness.audit.tallies.contingency import thinned


@dataclass(frozen=True)
class Moments:
    """Sums of errors and values of a regression, by all sensitive columns.

    Attributes:
        table: key columns `a0`, `a1`, ...; `n`, `batch`, and weighted sums: `w`, `w2`, of the error e = prediction -
            truth `e`, `abs_e`, `e2`, `e4`, of the truth y `y`, `y2`, `y3`, `y4`, and `e2y`, `e2y2`.
        crowded: sensitive columns with too many values: they are not in the table.
        missing: rows without a true or a predicted value.
    """

    layout: Layout
    table: pa.Table
    crowded: frozenset[str]
    missing: int

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Sum up one batch."""
        y, predicted = batch.true_values, batch.predicted_values
        if batch.layout.target.task == "regression" and not batch.rows:
            raise NotAssessed("no_rows")
        if y is None or predicted is None:
            raise NotAssessed("task", needed="regression", task=batch.layout.target.task)
        used = np.isfinite(y) & np.isfinite(predicted)
        y, e = y[used], (predicted - y)[used]
        w = np.ones(len(y)) if batch.weights is None else batch.weights[used]
        e2, y2 = e * e, y * y
        sums = {
            "w": w, "w2": w * w, "e": w * e, "abs_e": w * np.abs(e), "e2": w * e2, "e4": w * e2 * e2,
            "y": w * y, "y2": w * y2, "y3": w * y2 * y, "y4": w * y2 * y2, "e2y": w * e2 * y, "e2y2": w * e2 * y2,
        }  # fmt: skip
        keys = {}
        for i, name in enumerate(batch.layout.attributes):
            column = batch.groups[name] or Coded(np.zeros(batch.rows, dtype=np.int64), (MISSING,))
            keys[f"a{i}"] = Coded(column.codes[used], column.names)
        table = cells.count(keys, sums, rows=len(y), batch=batch.index)
        attributes = batch.layout.attributes
        crowded = frozenset(name for name in attributes if batch.groups[name] is None)
        return cls(batch.layout, *thinned([table], attributes, crowded), int((~used).sum()))

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join moments."""
        first, crowded = parts[0], frozenset[str]().union(*(part.crowded for part in parts))
        joined = thinned([part.table for part in parts], first.layout.attributes, crowded)
        return cls(first.layout, *joined, sum(part.missing for part in parts))

    def total(self) -> dict[str, float]:
        """The sums over all rows."""
        _, sums = cells.settle(self.table, [])
        return {name: float(values[0]) for name, values in sums.items()} if self.table.num_rows else {"n": 0.0}
