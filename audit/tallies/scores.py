"""Counts by distinct score: what ROC and precision-recall curves and proper scoring rules are functions of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING
from fairwitness.audit.tallies import cells
from fairwitness.audit.tallies.batch import Batch, Counts, Floats, Layout

KEYS = ["class", "hit", "score"]
PREFIX = 20  # bits


@dataclass(frozen=True)
class ScoreCounts:
    """Rows by class, membership and score, and the sums of the proper scoring rules.

    Up to `EXACT_CELLS` distinct cells scores are kept as they are; beyond that by the order-preserving 20-bit prefix
    of their float32, whose edges do not depend on the data.

    Attributes:
        table: key columns `class` and `hit` (`1`: the row is of that class), `score` (float64), `n`; with weights
            also `batch` and `w`.
        losses: one row a batch: `n`, `w`, `w2`, and weighted sums of the log loss, the Brier score and their squares.
        exact: whether scores are kept as they are.
        low: smallest score; inf without rows.
        high: largest score.
        missing: rows without a score.
    """

    layout: Layout
    table: pa.Table
    losses: pa.Table
    exact: bool
    low: float = np.inf
    high: float = -np.inf
    missing: int = 0

    EXACT_CELLS: ClassVar[int] = 1 << 18

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Count one batch."""
        if batch.scores is None or batch.truth is None:
            empty = pa.table(
                {
                    "class": pa.array([], pa.large_string()),
                    "hit": pa.array([], pa.large_string()),
                    "score": pa.array([], pa.float64()),
                    "n": pa.array([], pa.int64()),
                }
            )
            return cls(batch.layout, empty, pa.table({"batch": pa.array([], pa.int64())}), exact=True)
        scores, classes = judged_scores(batch)
        truth = np.array([classes.index(name) if name in classes else -1 for name in batch.truth.names])[
            batch.truth.codes
        ]
        known = np.isfinite(scores).all(axis=1)
        labelled = np.array([name != MISSING for name in batch.truth.names])[batch.truth.codes]
        used = known & labelled
        missing = int((labelled & ~known).sum())
        scores, truth = scores[used] + 0.0, truth[used]
        weights = None if batch.weights is None else batch.weights[used]
        parts = [
            _by_score(name, truth == column, scores[:, column], weights, batch.index)
            for column, name in enumerate(classes)
        ]
        table = cells.merge(parts, KEYS)
        low, high = (float(scores.min()), float(scores.max())) if len(scores) else (np.inf, -np.inf)
        losses = _losses(scores, truth, weights, batch.index, binary=batch.layout.target.positive is not None)
        return cls(batch.layout, table, losses, True, low, high, missing)._bounded()  # noqa: FBT003

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join score counts."""
        filled = [part for part in parts if part.table.num_rows] or [parts[0]]
        exact = all(part.exact for part in filled)
        tables = [part.table if exact else _binned(part.table) for part in filled]
        return replace(
            filled[0],
            table=cells.merge(tables, KEYS),
            losses=pa.concat_tables([part.losses for part in filled]).sort_by("batch"),
            exact=exact,
            low=min(part.low for part in filled),
            high=max(part.high for part in filled),
            missing=sum(part.missing for part in parts),
        )._bounded()

    def _bounded(self) -> Self:
        if not self.exact or self.table.num_rows <= self.EXACT_CELLS:
            return self
        if "batch" in self.table.column_names and self.table.group_by(KEYS).aggregate([]).num_rows <= self.EXACT_CELLS:
            return self
        return replace(self, table=cells.merge([_binned(self.table)], KEYS), exact=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels that have scores: the positive one, or all of them."""
        return tuple(sorted(set(self.table.column("class").to_pylist())))

    def by_score(self, label: str) -> tuple[Floats, Floats, Floats]:
        """Distinct scores of a class, rising, with the weight of its members and of the others at each.

        Returns:
            Three arrays of shape (scores,).
        """
        rows = self.table.filter(pc.equal(self.table.column("class"), label))
        value = "w" if "w" in rows.column_names else "n"
        grouped = rows.sort_by([("score", "ascending"), *([("batch", "ascending")] if value == "w" else [])])
        scores, places = np.unique(grouped.column("score").to_numpy(), return_inverse=True)
        hit = grouped.column("hit").to_numpy(zero_copy_only=False) == "1"
        weight = grouped.column(value).to_numpy().astype(np.float64)
        members, others = np.zeros(len(scores)), np.zeros(len(scores))
        np.add.at(members, places[hit], weight[hit])
        np.add.at(others, places[~hit], weight[~hit])
        return scores.astype(np.float64), members, others

    def rows_of(self, label: str) -> tuple[int, int]:
        """Rows of a class and rows of the others, unweighted."""
        rows = self.table.filter(pc.equal(self.table.column("class"), label))
        hit = rows.column("hit").to_numpy(zero_copy_only=False) == "1"
        n = rows.column("n").to_numpy()
        return int(n[hit].sum()), int(n[~hit].sum())

    @property
    def total_weight(self) -> float:
        """Weight of all rows with a score and a label."""
        return fsum(self.losses.column("w").to_pylist())

    def loss(self, name: str) -> tuple[float, float, float, int]:
        """Mean of a loss, its mean square, the effective and the actual number of rows.

        Args:
            name: `log_loss` or `brier`.
        """
        total = {key: fsum(self.losses.column(key).to_pylist()) for key in ("n", "w", "w2", name, f"{name}_squared")}
        effective = total["w"] ** 2 / total["w2"]
        return total[name] / total["w"], total[f"{name}_squared"] / total["w"], effective, int(total["n"])


def judged_scores(batch: Batch) -> tuple[Floats, tuple[str, ...]]:
    """The score of the positive label, or those of all labels."""
    assert batch.scores is not None  # noqa: S101
    positive = batch.layout.target.positive
    if positive is None:
        return batch.scores, batch.classes
    if positive in batch.classes:
        return batch.scores[:, [batch.classes.index(positive)]], (positive,)
    return np.full((batch.rows, 1), np.nan), (positive,)


def _by_score(label: str, hit: NDArray[np.bool_], scores: Floats, weights: Floats | None, batch: int) -> pa.Table:
    """Count one class's members and the others by distinct score."""
    values, place = np.unique(scores, return_inverse=True)
    cell = 2 * place + hit  # others and members of each score side by side
    n = np.bincount(cell, minlength=2 * len(values))
    there = np.flatnonzero(n)
    columns = {
        "class": pa.array([label] * len(there), pa.large_string()),
        "hit": pa.array(["0", "1"], pa.large_string()).take(pa.array(there % 2)),
        "score": values[there // 2],
        "n": n[there],
    }
    if weights is not None:
        columns["batch"] = np.full(len(there), batch, dtype=np.int64)
        columns["w"] = np.bincount(cell, weights, minlength=2 * len(values))[there]
    return pa.table(columns)


def _losses(scores: Floats, truth: Counts, weights: Floats | None, index: int, *, binary: bool) -> pa.Table:
    """Weighted sums of log loss and Brier score over one batch, as scikit-learn defines them."""
    epsilon = np.finfo(np.float64).eps
    if binary:
        hit = (truth == 0).astype(np.float64)
        chance = np.where(hit == 1, scores[:, 0], 1 - scores[:, 0])
        brier = (scores[:, 0] - hit) ** 2
    else:
        inside = truth >= 0
        chance = np.where(inside, np.take_along_axis(scores, np.maximum(truth, 0)[:, None], axis=1)[:, 0], 0.0)
        one_hot = np.eye(scores.shape[1])[np.maximum(truth, 0)] * inside[:, None]
        brier = ((scores - one_hot) ** 2).sum(axis=1)
    log_loss = -np.log(np.clip(chance, epsilon, 1 - epsilon))
    w = np.ones(len(truth)) if weights is None else weights
    sums = {
        "w": w, "w2": w * w,
        "log_loss": w * log_loss, "log_loss_squared": w * log_loss**2,
        "brier": w * brier, "brier_squared": w * brier**2,
    }  # fmt: skip
    return cells.count({}, sums, rows=len(truth), batch=index)


def _binned(table: pa.Table) -> pa.Table:
    """Replace scores by the lower edge of their bin; a binned score stays as it is."""
    place = table.column_names.index("score")
    return table.set_column(place, "score", pa.array(prefixed(table.column("score").to_numpy(), PREFIX)))


def prefixed(scores: Floats, bits: int) -> Floats:
    """Lower edges of the bins that scores are in: the order-preserving prefix of their float32.

    Args:
        scores: shape (rows,).
        bits: how many stay, of 32.
    """
    largest = float(np.finfo(np.float32).max)
    raw = np.clip(scores, -largest, largest).astype(np.float32).view(np.uint32)
    # Flipping makes unsigned order the order of the numbers; the last bits fall away.
    ordered = np.where(raw >> 31, ~raw, raw | 0x80000000).astype(np.uint32) >> (32 - bits) << (32 - bits)
    back = np.where(ordered >> 31, ordered & 0x7FFFFFFF, ~ordered).astype(np.uint32).view(np.float32)
    return np.asarray(back, dtype=np.float64)
