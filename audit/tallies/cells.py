"""Sums by cell: the one mechanism behind every tally.

A table of cells has key columns, a count `n`, and any number of float sums. Integers add exactly. Float sums are kept
apart by batch, in one order whatever was merged first, and are only added up in the end: any order of merging gives the
same bits.
"""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import Coded, whole

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


def settle(table: pa.Table, keys: Sequence[str]) -> tuple[dict[str, Coded], dict[str, NDArray[np.float64]]]:
    """Take a table of cells apart into arrays; `merge` has put its rows into an order of their own.

    Float sums of one cell stand on several rows, one a batch: whoever adds rows up in their order gets the same bits,
    however the table was merged.

    Args:
        table: as `merge` gives it.
        keys: names of the key columns that are wanted.

    Returns:
        The key columns coded, names in lexical order; and `n` and each float sum; all of shape (rows,).
    """
    coded = {}
    for name in keys:
        encoded = whole(table.column(name)).dictionary_encode()
        names = encoded.dictionary.to_pylist()
        order = sorted(range(len(names)), key=names.__getitem__)
        place = np.empty(len(names), dtype=np.int64)
        place[order] = np.arange(len(names))
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        coded[name] = Coded(place[codes] if len(names) else codes.astype(np.int64), tuple(names[i] for i in order))
    text = {name for name in table.column_names if pa.types.is_large_string(table.schema.field(name).type)}
    sums = [name for name in table.column_names if name not in (text | {"batch", *keys})]
    return coded, {name: table.column(name).to_numpy().astype(np.float64) for name in sums}
