"""Sums by cell: the one mechanism behind every tally.

A table of cells has key columns (text), a count `n`, and any number of float sums. Integers add exactly. Float sums
are kept apart by batch and joined by `math.fsum`, which is exact, so that any order of merging gives the same bits.
"""

from collections.abc import Mapping, Sequence
from math import fsum, prod

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import Coded

DENSE_CELLS = 1 << 18  # up to here a batch is counted by bincount over all possible cells


def count(
    keys: Mapping[str, Coded], sums: Mapping[str, NDArray[np.float64]], *, rows: int, batch: int | None
) -> pa.Table:
    """Count the rows of one batch by cell.

    Args:
        keys: columns that make a cell, each of shape (rows,).
        sums: columns to be summed within a cell, each of shape (rows,).
        rows: number of rows.
        batch: number of the batch, kept beside float sums; None where there are none.

    Returns:
        A table with the keys as text, `n`, and with `batch` the float sums.
    """
    sizes = [len(key.names) for key in keys.values()]
    if prod(sizes) <= DENSE_CELLS:
        flat = np.zeros(rows, dtype=np.int64)
        for key, size in zip(keys.values(), sizes, strict=True):
            flat = flat * size + key.codes
        n = np.bincount(flat, minlength=prod(sizes))
        there = np.flatnonzero(n)
        places = np.unravel_index(there, sizes) if sizes else ()
        totals = {name: np.bincount(flat, values, minlength=prod(sizes))[there] for name, values in sums.items()}
        counted = n[there]
    else:
        coded = pa.table({name: key.codes for name, key in keys.items()} | {f"+{name}": v for name, v in sums.items()})
        grouped = coded.group_by(list(keys), use_threads=False)
        found = grouped.aggregate([([], "count_all"), *((f"+{name}", "sum") for name in sums)])
        places = tuple(found.column(name).to_numpy() for name in keys)
        totals = {name: found.column(f"+{name}_sum").to_numpy() for name in sums}
        counted = found.column("count_all").to_numpy()
    columns = {
        name: pa.array(key.names, pa.large_string()).take(pa.array(place))
        for (name, key), place in zip(keys.items(), places, strict=True)
    }
    table = pa.table(columns | {"n": pa.array(counted, pa.int64())})
    if batch is not None:
        table = table.append_column("batch", pa.array(np.full(len(counted), batch, dtype=np.int64)))
        for name, total in totals.items():
            table = table.append_column(name, pa.array(total, pa.float64()))
    return table


def merge(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """Add tables of cells; the result does not depend on their order.

    Args:
        parts: tables with the same columns.
        keys: names of the key columns; others are dropped from the key, and counts added up over them.
    """
    together = pa.concat_tables(parts)
    if "batch" in together.column_names:
        sums = [name for name in together.column_names if name not in keys and name not in ("n", "batch")]
        kept = together.select([*keys, "n", "batch", *sums])
        return kept.sort_by([(name, "ascending") for name in (*keys, "batch", "n", *sums)])
    total = together.group_by(list(keys), use_threads=False).aggregate([("n", "sum")])
    table = total.select([*keys, "n_sum"]).rename_columns([*keys, "n"])
    return table.sort_by([(name, "ascending") for name in keys]) if keys else table


def settle(table: pa.Table, keys: Sequence[str]) -> tuple[list[tuple[str, ...]], dict[str, NDArray[np.float64]]]:
    """Add up a table of cells over everything but some keys.

    Returns:
        The distinct cells in order, and for `n` and each float sum an array of shape (cells,).
    """
    names = [name for name in table.column_names if name not in ("batch",) and not _is_text(table, name)]
    found: dict[tuple[str, ...], dict[str, list[float]]] = {}
    cells = zip(*(table.column(name).to_pylist() for name in keys), strict=True) if keys else ((),) * table.num_rows
    values = zip(*(table.column(name).to_pylist() for name in names), strict=True)
    for cell, row in zip(cells, values, strict=True):
        lists = found.setdefault(cell, {name: [] for name in names})
        for name, value in zip(names, row, strict=True):
            lists[name].append(value)
    ordered = sorted(found)
    return ordered, {name: np.array([fsum(found[cell][name]) for cell in ordered]) for name in names}


def _is_text(table: pa.Table, name: str) -> bool:
    return bool(pa.types.is_large_string(table.schema.field(name).type))
