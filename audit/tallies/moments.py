"""Moments of a regression's errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
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

    Powers of the truth are summed about the mean of their batch, and moved to the mean of all when they are asked for:
    sums about 0 would lose their digits where the truth is far from it.

    Attributes:
        table: key columns `a0`, `a1`, ...; `n`, `batch`, the batch's `centre` c, and weighted sums: `w`, `w2`, of the
            error e = prediction - truth `e`, `abs_e`, `e2`, `e4`, of d = truth - c `d`, `d2`, `d3`, `d4`, and `e2d`,
            `e2d2`.
        crowded: sensitive columns with too many values: they are not in the table.
        missing: rows without a true or a predicted value.
        unanswered: those of them that have a true value.
    """

    layout: Layout
    table: pa.Table
    crowded: frozenset[str]
    missing: int
    unanswered: int

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Sum up one batch."""
        y, predicted = batch.true_values, batch.predicted_values
        if batch.layout.target.task == "regression" and not batch.rows:
            raise NotAssessed("no_rows")
        if y is None or predicted is None:
            raise NotAssessed("task", needed="regression", task=batch.layout.target.task)
        y_all, used = y, np.isfinite(y) & np.isfinite(predicted)
        y, e = y[used], (predicted - y)[used]
        w = np.ones(len(y)) if batch.weights is None else batch.weights[used]
        centre = float(y.mean()) if len(y) else 0.0
        d, e2 = y - centre, e * e
        d2 = d * d
        sums = {
            "w": w, "w2": w * w, "e": w * e, "abs_e": w * np.abs(e), "e2": w * e2, "e4": w * e2 * e2,
            "d": w * d, "d2": w * d2, "d3": w * d2 * d, "d4": w * d2 * d2, "e2d": w * e2 * d, "e2d2": w * e2 * d2,
        }  # fmt: skip
        keys = {}
        for i, name in enumerate(batch.layout.attributes):
            column = batch.groups[name] or Coded(np.zeros(batch.rows, dtype=np.int64), (MISSING,))
            keys[f"a{i}"] = Coded(column.codes[used], column.names)
        table = cells.count(keys, sums, rows=len(y), batch=batch.index)
        table = table.append_column("centre", pa.array(np.full(table.num_rows, centre)))
        attributes = batch.layout.attributes
        crowded = frozenset(name for name in attributes if batch.groups[name] is None)
        return cls(
            batch.layout,
            *thinned([table], attributes, crowded),
            int((~used).sum()),
            int((np.isfinite(y_all) & ~used).sum()),
        )

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join moments."""
        first, crowded = parts[0], frozenset[str]().union(*(part.crowded for part in parts))
        joined = thinned([part.table for part in parts], first.layout.attributes, crowded)
        return cls(first.layout, *joined, sum(p.missing for p in parts), sum(p.unanswered for p in parts))

    def total(self) -> dict[str, float]:
        """The sums over all rows, with `y` the mean of the truth and the powers of d about that mean.

        Returns:
            The sums by name; without rows, or without weight, `w` is 0 and there is no mean.
        """
        part = {name: self.table.column(name).to_numpy() for name in self.table.column_names if name not in self._keys}
        total = {name: fsum(part[name]) for name in ("n", "w", "w2", "e", "abs_e", "e2", "e4")}
        if not total["w"]:
            return total
        total["y"] = mean = fsum(part["w"] * part["centre"] + part["d"]) / total["w"]
        h = part["centre"] - mean  # (d + h) is the truth less the mean of all
        d1, d2, d3, d4 = (part[name] for name in ("d", "d2", "d3", "d4"))
        total["d2"] = fsum(d2 + 2 * h * d1 + h**2 * part["w"])
        total["d4"] = fsum(d4 + 4 * h * d3 + 6 * h**2 * d2 + 4 * h**3 * d1 + h**4 * part["w"])
        total["e2d2"] = fsum(part["e2d2"] + 2 * h * part["e2d"] + h**2 * part["e2"])
        return total

    @property
    def _keys(self) -> set[str]:
        return {f"a{i}" for i in range(len(self.layout.attributes))}
