"""A random sample of rows that does not depend on how the data came in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, Coded, groups
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies.batch import Batch, Layout
from fairwitness.audit.tallies.contingency import MAX_GROUPS

SAMPLE_ROWS = 5_000  # of each label


@dataclass(frozen=True)
class Sample:
    """Rows drawn at random within each true label, held in memory, with the model's answers.

    A row is in the sample when its hash, of the seed and its number in the data set, is among the lowest of its
    label: the same rows whatever the batches and their order.

    Attributes:
        layout: what the columns mean.
        rows: the used columns, in the order of the rows.
        keys: beside them `row`, `hash`, `label` and `decided` (text), the scores `s0`, `s1`, ... of `classes`, and in a
            regression `truth` and `predicted`.
        classes: labels that have scores; empty without scores.
    """

    layout: Layout
    rows: pa.Table
    keys: pa.Table
    classes: tuple[str, ...]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Draw from one batch."""
        number = np.arange(batch.start, batch.start + batch.rows, dtype=np.uint64)
        keys: dict[str, Any] = {
            "row": number,
            "hash": _hash(number, batch.layout.seed),
            "label": _decoded(batch.truth, batch.rows),
            "decided": _decoded(batch.decided, batch.rows),
        }
        if batch.scores is not None:
            keys |= {f"s{i}": batch.scores[:, i] for i in range(len(batch.classes))}
        if batch.true_values is not None:
            keys["truth"] = batch.true_values
        if batch.predicted_values is not None:
            keys["predicted"] = batch.predicted_values
        classes = batch.classes if batch.scores is not None else ()
        return cls(batch.layout, batch.table, pa.table(keys), classes)._lowest()

    @property
    def labels(self) -> NDArray[np.object_]:
        """True labels as text, shape (rows,); `(missing)` where there is none."""
        return self.keys.column("label").to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores, shape (rows, classes).

        Raises:
            NotAssessed: the model gives none.
        """
        if not self.classes:
            raise NotAssessed("needs_scores")
        return np.column_stack([self.keys.column(f"s{i}").to_numpy() for i in range(len(self.classes))])

    def groups(self, attribute: str) -> NDArray[np.object_]:
        """Groups of a sensitive column as text, shape (rows,).

        Raises:
            NotAssessed: there are too many of them in the sample.
        """
        column = groups(self.rows.column(attribute), edges=self.layout.bins.get(attribute), limit=MAX_GROUPS)
        if column is None:
            raise NotAssessed("too_many_groups", attribute=attribute, limit=MAX_GROUPS)
        return np.array(column.names, dtype=object)[column.codes]

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join samples."""
        filled = [part for part in parts if part.rows.num_rows] or [parts[0]]
        rows, keys = pa.concat_tables([p.rows for p in filled]), pa.concat_tables([p.keys for p in filled])
        return replace(filled[0], rows=rows, keys=keys)._lowest()

    def _lowest(self) -> Self:
        """Keep the lowest hashes of each label, rows in order."""
        _, code = np.unique(self.labels.astype(str), return_inverse=True)
        order = np.lexsort((self.keys.column("row").to_numpy(), self.keys.column("hash").to_numpy(), code))
        start = np.searchsorted(code[order], code[order], side="left")
        kept = order[np.arange(len(order)) - start < SAMPLE_ROWS]
        kept = pa.array(kept[np.argsort(self.keys.column("row").to_numpy()[kept], kind="stable")])
        return replace(self, rows=self.rows.take(kept), keys=self.keys.take(kept))


def _decoded(column: Coded | None, rows: int) -> pa.Array:
    if column is None:
        return pa.array([MISSING] * rows, pa.large_string())
    return pa.array(column.names, pa.large_string()).take(pa.array(column.codes))


def _hash(number: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea & Flood 2014) of the row number, started from the seed."""
    with np.errstate(over="ignore"):
        x = number + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
