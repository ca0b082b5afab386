"""Rows held in memory: all of them where they fit, else a uniform random sample."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from fairwitness.audit.tallies.sample import Sample


@dataclass(frozen=True)
class Records(Sample):
    """A uniform random sample of rows with the model's answers; where they fit, all rows.

    A row is held when its hash, of the seed and its number in the data set, is among the lowest of all: the same rows
    whatever the batches and their order.
    """

    MOST_ROWS: ClassVar[int] = 1_000_000
    MOST_VALUES: ClassVar[int] = 1 << 25  # rows times columns: a quarter of a gigabyte of numbers

    def _lowest(self) -> Self:
        """Keep the lowest hashes, rows in order."""
        limit = min(self.MOST_ROWS, self.MOST_VALUES // max(self.rows.num_columns + self.keys.num_columns, 1))
        row = self.keys.column("row").to_numpy()
        kept = np.arange(len(row))
        if len(row) > limit:
            # Hashes are a bijection of row numbers: no two are equal.
            kept = np.argpartition(self.keys.column("hash").to_numpy(), limit)[:limit]
        kept = kept[np.argsort(row[kept], kind="stable")]
        if len(kept) == len(row) and (np.diff(kept) == 1).all():
            return self
        places = pa.array(kept)
        return replace(self, rows=self.rows.take(places), keys=self.keys.take(places))
