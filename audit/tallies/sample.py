"""A random sample of rows that does not depend on how the data came in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, Coded
from fairwitness.audit.tallies.batch import Batch

SAMPLE_ROWS = 5_000  # of each label


@dataclass(frozen=True)
class Sample:
    """Rows drawn at random within each true label, held in memory.

    A row is in the sample when its hash, of the seed and its number in the data set, is among the lowest of its
    label: the same rows whatever the batches and their order.

    Attributes:
        rows: the used columns, in the order of the rows.
        keys: beside them `row`, `hash`, `label`, `decided` (text or null) and `score` (of the positive label).
    """

    rows: pa.Table
    keys: pa.Table

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
        positive = batch.layout.target.positive
        if batch.scores is not None and positive in batch.classes:
            keys["score"] = batch.scores[:, batch.classes.index(positive)]
        return cls(batch.table, pa.table(keys))._lowest()

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join samples."""
        return cls(pa.concat_tables([p.rows for p in parts]), pa.concat_tables([p.keys for p in parts]))._lowest()

    def _lowest(self) -> Self:
        """Keep the lowest hashes of each label, rows in order."""
        label = self.keys.column("label").to_numpy(zero_copy_only=False)
        _, code = np.unique(label.astype(str), return_inverse=True)
        order = np.lexsort((self.keys.column("row").to_numpy(), self.keys.column("hash").to_numpy(), code))
        start = np.searchsorted(code[order], code[order], side="left")
        kept = order[np.arange(len(order)) - start < SAMPLE_ROWS]
        kept = pa.array(kept[np.argsort(self.keys.column("row").to_numpy()[kept], kind="stable")])
        return type(self)(self.rows.take(kept), self.keys.take(kept))


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
