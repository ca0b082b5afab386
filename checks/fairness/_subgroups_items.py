"""Columns cut into items: each value, or each bin of a column of numbers, is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fairwitness.audit.columns import Coded, decoded, groups, is_number, whole

MOST_NUMBERS = 10  # distinct numbers from which on they are cut into bins
MOST_VALUES = 50


@dataclass(frozen=True)
class Items:
    """What rows have.

    Attributes:
        codes: shape (rows, columns), the value of each column by its number.
        column: shape (items,), the column of each item, rising.
        value: shape (items,), its value's number.
        names: of the items, "sex=F".
        columns: names of the columns.
        left_out: names of columns with too many values.
    """

    codes: NDArray[np.int16]
    column: NDArray[np.intp]
    value: NDArray[np.intp]
    names: tuple[str, ...]
    columns: tuple[str, ...]
    left_out: tuple[str, ...]


def items_of(rows: pa.Table, columns: Sequence[str], edges: Mapping[str, Sequence[float]], bins: int) -> Items:
    """Cut columns into items; a missing value is an item of its own, a column that never varies has none.

    Args:
        rows: the data.
        columns: names of those to be cut.
        edges: where to cut some of them.
        bins: number of bins, of equal size as far as can be, of every other column of many numbers.
    """
    codes: list[NDArray[np.int16]] = []
    column, value = list[int](), list[int]()
    names, kept, left_out = list[str](), list[str](), list[str]()
    for name in columns:
        found = _coded(rows.column(name), edges.get(name), bins)
        if found is None:
            left_out.append(name)
        elif len(found.names) > 1:
            order = _order(found, binned=name in edges)
            codes.append(np.argsort(order).astype(np.int16)[found.codes])
            column += [len(kept)] * len(order)
            value += range(len(order))
            names += [f"{name}={found.names[i]}" for i in order]
            kept.append(name)
    return Items(
        np.column_stack(codes) if codes else np.zeros((rows.num_rows, 0), dtype=np.int16),
        np.array(column, dtype=np.intp),
        np.array(value, dtype=np.intp),
        tuple(names),
        tuple(kept),
        tuple(left_out),
    )


def _coded(given: pa.ChunkedArray, edges: Sequence[float] | None, bins: int) -> Coded | None:
    """Number a column's values or bins; None for one with too many values."""
    array = whole(given)
    if edges is None and is_number(array.type) and pc.count_distinct(array).as_py() > MOST_NUMBERS:
        edges = _quantiles(array.cast(pa.float64()).to_numpy(zero_copy_only=False), bins)
    return groups(decoded(array), edges=edges or None, limit=MOST_VALUES)


def _quantiles(values: NDArray[np.float64], bins: int) -> list[float]:
    """Edges of bins of equal size, in few digits; values that many rows share are not torn apart.

    A number most rows have at its smallest value (a capital gain of 0) is cut there: at the value, or above it.
    """
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        return []
    lowest = finite.min()
    edges = {float(edge) for edge in np.quantile(finite, np.arange(1, bins) / bins, method="higher") if edge > lowest}
    edges = edges or {float(finite[finite > lowest].min())}
    short = {float(f"{edge:.4g}") for edge in edges}
    return sorted(short if len(short) == len(edges) and min(short) > lowest else edges)


def _order(found: Coded, *, binned: bool) -> list[int]:
    """Values in an order that does not depend on the rows'."""
    every = range(len(found.names))
    return list(every) if binned else sorted(every, key=lambda i: found.names[i])
