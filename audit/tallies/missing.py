"""Missing values by column, and by group."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import whole
from fairwitness.audit.tallies import cells
from fairwitness.audit.tallies.batch import Batch, Layout
from fairwitness.audit.tallies.groups import MAX_GROUPS

ANY = ""  # in place of a column: a row in which any value is missing; of an attribute: the whole


@dataclass(frozen=True)
class Missing:
    """Rows without a value, null or NaN, in the columns that the audit reads.

    Attributes:
        columns: what was read, sorted by name.
        rows: number of rows.
        table: `attribute`, `group`, `column` and the count `n` of rows that lack the column's value; attribute and
            group are "" for the whole, column "" for rows that lack any value (but that of the attribute itself).
            A group that lacks nothing is not in it.
        crowded: sensitive columns with more than `MAX_GROUPS` groups: only the whole is counted.
    """

    layout: Layout
    columns: tuple[str, ...]
    rows: int
    table: pa.Table
    crowded: frozenset[str]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Count one batch."""
        columns = tuple(batch.table.column_names)
        lacks = {name: _missing(batch.table.column(name)) for name in columns}
        lacking = sum(lacks.values(), np.zeros(batch.rows, dtype=np.int64))
        there = {name: values for name, values in lacks.items() if values.any()}
        found = [("", "", ANY, int((lacking > 0).sum()))]
        found += [("", "", name, int(values.sum())) for name, values in there.items()]
        for attribute in batch.layout.attributes:
            if (coded := batch.groups[attribute]) is None:
                continue
            others = {ANY: lacking - lacks[attribute] > 0} | {n: v for n, v in there.items() if n != attribute}
            for column, values in others.items():
                counts = np.bincount(coded.codes[values], minlength=len(coded.names)).tolist()
                found += [(attribute, group, column, n) for group, n in zip(coded.names, counts, strict=True)]
        crowded = frozenset(name for name in batch.layout.attributes if batch.groups[name] is None)
        return cls(batch.layout, columns, batch.rows, _table(found), crowded)._thinned()

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Add up the counts."""
        table = cells.merge([part.table for part in parts], ("attribute", "group", "column"))
        crowded = frozenset[str]().union(*(part.crowded for part in parts))
        return replace(parts[0], rows=sum(part.rows for part in parts), table=table, crowded=crowded)._thinned()

    def _thinned(self) -> Self:
        """Drop groups of crowded attributes."""
        counts = self._counts()
        groups: dict[str, set[str]] = {}
        for attribute, group, _ in counts:
            groups.setdefault(attribute, set()).add(group)
        crowded = self.crowded | {attribute for attribute, names in groups.items() if len(names) > MAX_GROUPS}
        kept = [(*cell, n) for cell, n in counts.items() if cell[0] not in crowded]
        return replace(self, crowded=crowded, table=_table(kept))

    def _counts(self) -> dict[tuple[str, str, str], int]:
        attribute, group, column, n = (self.table.column(i).to_pylist() for i in range(4))
        return dict(zip(zip(attribute, group, column, strict=True), n, strict=True))

    def by_column(self) -> dict[str, int]:
        """Rows that lack the value of each column that lacks any, and under "" of at least one column."""
        return {column: n for (attribute, _, column), n in self._counts().items() if attribute == ""}

    def by_group(self, attribute: str, column: str = ANY) -> dict[str, int]:
        """Rows of each group that lack a column's value (or any but the attribute's own); groups with none left out."""
        return {group: n for (name, group, other), n in self._counts().items() if name == attribute and other == column}


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    array: Any = whole(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return np.asarray(array.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), dtype=bool)


def _table(found: Sequence[tuple[str, str, str, int]]) -> pa.Table:
    """Counts as a table, sorted; zeros are left out but for the whole."""
    kept = sorted(row for row in found if row[3] or row[:3] == ("", "", ANY))
    columns = list(zip(*kept, strict=True)) or [(), (), (), ()]
    names = ("attribute", "group", "column")
    texts = {name: pa.array(values, pa.large_string()) for name, values in zip(names, columns[:3], strict=True)}
    return pa.table(texts | {"n": pa.array(columns[3], pa.int64())})
