"""The fingerprint of the columns that an audit used."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from fairwitness.audit.columns import fingerprint_of
from fairwitness.audit.tallies.batch import Batch


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 of the used columns, batch by batch; order-sensitive."""

    rows: int
    columns: tuple[str, ...]
    batches: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Fingerprint one batch."""
        return cls(batch.rows, tuple(batch.table.column_names), ((batch.index, fingerprint_of(batch.table)),))

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join fingerprints."""
        return cls(sum(p.rows for p in parts), parts[0].columns, tuple(sorted(b for p in parts for b in p.batches)))

    @property
    def digest(self) -> str:
        """The whole fingerprint."""
        return "sha256:" + sha256("\n".join([*self.columns, *(d for _, d in self.batches)]).encode()).hexdigest()
