"""The fingerprint: the same content has the same one, anything else another."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from fairwitness.audit.tallies import Batch, Fingerprint

Cut = Callable[..., list[Batch]]
CONTENT: dict[str, list[Any]] = {
    "g": ["F", "M", None, "F", ""],
    "x": [0.5, -0.0, float("nan"), None, 2.0],
    "y": [0, 1, 1, None, 0],
    "yhat": [1, 1, 0, 0, 0],
}


def digest(cut: Cut, table: pa.Table, rows: int = 2) -> str:
    batches = cut(table, rows=rows, task="binary", positive=1, sensitive=["g", "x"])
    return Fingerprint.merge([Fingerprint.of(batch) for batch in batches][::-1]).digest


def test_how_values_are_stored_does_not_count(cut: Cut) -> None:
    table = pa.table(CONTENT)
    other = pa.table(
        {
            "yhat": table["yhat"].cast(pa.int8()),
            "y": table["y"].cast(pa.int32()),
            "x": pa.array([0.5, 0.0, None, float("nan"), 2.0], pa.float32()),
            "g": table["g"].dictionary_encode(),
        }
    )
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    unused = table.append_column("id", pa.array(range(5)))
    for same in (other, chunked, unused):
        assert digest(cut, same) == digest(cut, table)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("g", ["F", "M", None, "F", None]),
        ("g", ["F", "M", "", "F", ""]),
        ("x", [0.5, 0.0, None, None, 2.0000000000000004]),
        ("y", [0, 1, 1, 0, 0]),
        ("yhat", [1, 1, 0, 0, 1]),
    ],
)
def test_every_value_counts(cut: Cut, column: str, values: list[Any]) -> None:
    changed = pa.table(CONTENT | {column: values}, schema=pa.table(CONTENT).schema)
    assert digest(cut, changed) != digest(cut, pa.table(CONTENT))


def test_row_order_counts(cut: Cut) -> None:
    table = pa.table(CONTENT)
    assert digest(cut, table.take([1, 0, 2, 3, 4])) != digest(cut, table)


def test_rows_and_batches_are_counted(cut: Cut) -> None:
    batches = cut(pa.table(CONTENT), rows=2, task="binary", positive=1)
    merged = Fingerprint.merge([Fingerprint.of(batch) for batch in batches])
    assert merged.rows == 5
    assert [index for index, _ in merged.batches] == [0, 1, 2]
    assert merged.digest.startswith("sha256:")
