"""Moments of a regression's errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from fairwitness.audit.columns import MISSING, Coded
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import cells
from fairwitness.audit.tallies.batch import Batch, Layout


@dataclass(frozen=True)
class Moments:
    """Sums of errors and values of a regression, by all sensitive columns.

    Attributes:
        table: key columns `a0`, `a1`, ...; `n`, `batch`, and weighted sums: `w`, `w2`, of the error e = prediction -
            truth `e`, `abs_e`, `e2`, `e4`, of the truth y `y`, `y2`, `y3`, `y4`, and `e2y`, `e2y2`, with `we2`
            the sum of (w e)^2.
        missing: rows without a true or a predicted value.
    """

    layout: Layout
    table: pa.Table
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
        return cls(batch.layout, table, int((~used).sum()))

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join moments."""
        keys = [f"a{i}" for i in range(len(parts[0].layout.attributes))]
        return replace(
            parts[0], table=cells.merge([p.table for p in parts], keys), missing=sum(p.missing for p in parts)
        )

    def total(self) -> dict[str, float]:
        """The sums over all rows."""
        _, sums = cells.settle(self.table, [])
        return {name: float(values[0]) for name, values in sums.items()} if self.table.num_rows else {"n": 0.0}
