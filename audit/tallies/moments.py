"""Moments of a regression's errors and predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, Coded
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import cells
from fairwitness.audit.tallies.batch import Batch, Counts, Floats, Layout
from fairwitness.audit.tallies.contingency import thinned
from fairwitness.audit.tallies.groups import group_name, grouped, names_of


@dataclass(frozen=True)
class MomentsTable:
    """Weighted means by group, each of shape (groups,); a group without rows, or without weight, has zeros.

    Attributes:
        attribute: `sex`, or `sex & race`; None for the whole.
        groups: names, in natural order; `("",)` for the whole.
        rows: rows with a true and a predicted value; `n` is their effective number, (sum w)^2 / sum w^2.
        answered: rows with a predicted value; `m` is their effective number.
        unanswered: rows without a predicted value.
        errors: means over the rows with both, of the error e = prediction - truth and its powers `e`, `abs_e`, `e2`,
            `e3`, `e4`; of the truth, `y`; and with d = truth - its mean in the group, of `d2`, `d4`, `e2d2`.
        predictions: means over the rows with a prediction: `p` itself, and about its mean in the group `p2`, `p3`,
            `p4`.
    """

    attribute: str | None
    groups: tuple[str, ...]
    rows: Counts
    n: Floats
    answered: Counts
    m: Floats
    unanswered: Counts
    errors: dict[str, Floats]
    predictions: dict[str, Floats]


@dataclass(frozen=True)
class Moments:
    """Sums of errors and values of a regression, by all sensitive columns.

    Powers of the truth are summed about the mean of their batch, and moved to the mean of all when they are asked for:
    sums about 0 would lose their digits where the truth is far from it. So are those of the prediction.

    Attributes:
        table: key columns `a0`, `a1`, ...; `n` (all rows), `batch`, the batch's `centre` c and `centre_p`, and sums.
            Over the rows with a true and a predicted value their number `known`, and weighted: `w`, `w2`, of the error
            e = prediction - truth `e`, `abs_e`, `e2`, `e3`, `e4`, of d = truth - c `d`, `d2`, `d3`, `d4`, and `e2d`,
            `e2d2`. Over the rows with a predicted value their number `answered`, and weighted: `v`, `v2`, and of
            prediction - centre_p `p`, `p2`, `p3`, `p4`.
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
        weights = np.ones(len(y)) if batch.weights is None else batch.weights
        answered = np.isfinite(predicted)
        used = np.isfinite(y) & answered
        # A row that is left out of a sum has weight 0 in it, and values that are harmless.
        w, v = np.where(used, weights, 0.0), np.where(answered, weights, 0.0)
        centre, centre_p = (float(c[u].mean()) if u.any() else 0.0 for c, u in ((y, used), (predicted, answered)))
        e = np.where(used, predicted, 0.0) - np.where(used, y, 0.0)
        d, p = np.where(used, y, centre) - centre, np.where(answered, predicted, centre_p) - centre_p
        e2, d2, p2 = e * e, d * d, p * p
        sums = {
            "known": used.astype(np.float64), "w": w, "w2": w * w, "e": w * e, "abs_e": w * np.abs(e), "e2": w * e2,
            "e3": w * e2 * e, "e4": w * e2 * e2, "d": w * d, "d2": w * d2, "d3": w * d2 * d, "d4": w * d2 * d2,
            "e2d": w * e2 * d, "e2d2": w * e2 * d2, "answered": answered.astype(np.float64), "v": v, "v2": v * v,
            "p": v * p, "p2": v * p2, "p3": v * p2 * p, "p4": v * p2 * p2,
        }  # fmt: skip
        unknown = Coded(np.zeros(batch.rows, dtype=np.int64), (MISSING,))
        keys = {f"a{i}": batch.groups[name] or unknown for i, name in enumerate(batch.layout.attributes)}
        table = cells.count(keys, sums, rows=batch.rows, batch=batch.index)
        for name, value in (("centre", centre), ("centre_p", centre_p)):
            table = table.append_column(name, pa.array(np.full(table.num_rows, value)))
        attributes = batch.layout.attributes
        crowded = frozenset(name for name in attributes if batch.groups[name] is None)
        return cls(
            batch.layout,
            *thinned([table], attributes, crowded),
            int((~used).sum()),
            int((np.isfinite(y) & ~used).sum()),
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
        part = self._sums
        total = {name: fsum(part[name]) for name in ("w", "w2", "e", "abs_e", "e2", "e4")}
        total["n"] = fsum(part["known"])
        if not total["w"]:
            return total
        total["y"] = mean = fsum(part["w"] * part["centre"] + part["d"]) / total["w"]
        moved = _moved(part, part["centre"] - mean)
        return total | {name: fsum(moved[name]) for name in ("d2", "d4", "e2d2")}

    @property
    def names(self) -> list[str]:
        """Sensitive attributes and intersections, in the plan's order."""
        return names_of(self.layout)

    def by_attribute(self) -> Iterator[tuple[str, MomentsTable | NotAssessed]]:
        """Each attribute and intersection with its table, or with why there is none."""
        for name in self.names:
            try:
                yield name, self.of_attribute(name)
            except NotAssessed as why:
                yield name, why

    def of_attribute(self, name: str | None = None) -> MomentsTable:
        """The means of the groups of one attribute or intersection; of the whole for None.

        Rows of the table of cells are added up in their own order, which does not depend on how it was merged.

        Raises:
            NotAssessed: the attribute has too many values, or the intersection too many groups.
        """
        columns, part = self._settled
        coded = [columns[f"a{i}"] for i in range(len(self.layout.attributes))]
        group, parts = grouped(self.layout, name, coded, self.crowded, self.table.num_rows)
        groups = tuple(map(group_name, parts))

        def added(values: Floats) -> Floats:
            return np.bincount(group, values, minlength=len(groups)).astype(np.float64)

        def over(values: Floats, weight: Floats) -> Floats:
            return np.divide(values, weight, out=np.zeros(len(groups)), where=weight > 0)

        w, v = added(part["w"]), added(part["v"])
        # Of a group's centres first the mean, then the distances from it: their sum would lose digits.
        y, p = (
            over(added(part[weight] * part[centre]), total)
            for weight, centre, total in (("w", "centre", w), ("v", "centre_p", v))
        )
        y = y + over(added(part["w"] * (part["centre"] - y[group]) + part["d"]), w)
        p = p + over(added(part["v"] * (part["centre_p"] - p[group]) + part["p"]), v)
        moved = _moved(part, part["centre"] - y[group])
        known = part | {name: moved[name] for name in ("d2", "d4", "e2d2")}
        errors = {name: over(added(known[name]), w) for name in ("e", "abs_e", "e2", "e3", "e4", "d2", "d4", "e2d2")}
        h = part["centre_p"] - p[group]
        powers = _about(h, part["v"], part["p"], part["p2"], part["p3"], part["p4"])
        predictions = {f"p{i}": over(added(power), v) for i, power in zip((2, 3, 4), powers, strict=True)}
        rows, known_rows, answered = (added(part[name]).round().astype(np.int64) for name in ("n", "known", "answered"))
        return MomentsTable(
            name,
            groups,
            known_rows,
            over(w * w, added(part["w2"])),
            answered,
            over(v * v, added(part["v2"])),
            rows - answered,
            errors | {"y": y},
            predictions | {"p": p},
        )

    @cached_property
    def _settled(self) -> tuple[dict[str, Coded], dict[str, Floats]]:
        return cells.settle(self.table, [f"a{i}" for i in range(len(self.layout.attributes))])

    @property
    def _sums(self) -> dict[str, Floats]:
        return self._settled[1]


def _moved(part: dict[str, Floats], h: NDArray[np.float64]) -> dict[str, Floats]:
    """Powers of the truth about another point: (d + h) is the truth less that."""
    d2, _, d4 = _about(h, part["w"], part["d"], part["d2"], part["d3"], part["d4"])
    return {"d2": d2, "d4": d4, "e2d2": part["e2d2"] + 2 * h * part["e2d"] + h**2 * part["e2"]}


def _about(h: Floats, w: Floats, d: Floats, d2: Floats, d3: Floats, d4: Floats) -> tuple[Floats, Floats, Floats]:
    """Sums of the second to fourth power of d + h, from those of d."""
    return (
        d2 + 2 * h * d + h**2 * w,
        d3 + 3 * h * d2 + 3 * h**2 * d + h**3 * w,
        d4 + 4 * h * d3 + 6 * h**2 * d2 + 4 * h**3 * d + h**4 * w,
    )
