"""Rows of the audited data that also stand in the training data."""

from dataclasses import dataclass

import numpy as np

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import Rows


@dataclass(frozen=True)
class Overlap:
    """Equal rows (features and target) in the audited and the training data.

    Attributes:
        rows: audited rows.
        train_rows: training rows.
        shared: audited rows that are also in the training data; an estimate unless `exact`.
        distinct: how many different ones these are, likewise.
        share: shared / rows; 0 without rows.
        effective: number of independent rows that the share rests on; see `Rows.share`.
        exact: whether all rows were compared, and not a random part of the distinct ones.
        columns: what was compared.
    """

    rows: int
    train_rows: int
    shared: float
    distinct: float
    share: float
    effective: float
    exact: bool
    columns: tuple[str, ...]


def overlap(rows: Rows, train_rows: Rows) -> Overlap:
    """Find the audited rows that the model may have been fitted on.

    Args:
        rows: digests of the audited rows.
        train_rows: digests of the training rows, over the same columns.

    Raises:
        NotAssessed: a column holds numbers in one table and text in the other, say, so that no rows could be equal.
    """
    if rows.columns != train_rows.columns:
        raise NotAssessed("train_columns_differ", columns=len({*rows.columns} ^ {*train_rows.columns}))
    for name, kind, other in zip(rows.columns, rows.kinds, train_rows.kinds, strict=True):
        if kind != other and "null" not in (kind, other):
            raise NotAssessed("train_types_differ", column=name, found=kind, train=other)
    level = max(rows.level, train_rows.level)
    here, there = rows.at(level), train_rows.at(level)
    both = np.isin(here.digests, there.digests, assume_unique=True)
    share, effective = here.share(np.where(both, here.counts, 0))
    return Overlap(
        rows=rows.rows,
        train_rows=train_rows.rows,
        shared=share * rows.rows if level else float(here.counts[both].sum()),
        distinct=float(both.sum()) * 2.0**level,
        share=share,
        effective=effective,
        exact=level == 0,
        columns=rows.columns,
    )
