"""Digests of rows and missing values: counted exactly, stored anyhow, merged in any order."""

from dataclasses import fields
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairwitness.audit import Dataset
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.models import Setting, logged
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Batch, Missing, Rows

VALUES: dict[str, list[Any]] = {
    "g": ["F", "M", None, "F", ""],
    "x": [0.5, -0.0, float("nan"), None, 2.0],
    "k": [1, 2, None, 4, 2**60],
    "b": [True, False, None, True, True],
    "t": [datetime(2024, 1, 1), None, datetime(2024, 1, 2), datetime(2024, 1, 1), datetime(1960, 1, 1)],
    "y": [0, 1, 1, None, 0],
    "yhat": [1, 1, 0, 0, 0],
}
FEATURES = ["g", "x", "k", "b", "t"]


def cut(table: pa.Table, *, rows: int = 2, features: Any = FEATURES, **meaning: Any) -> list[Batch]:
    """Batches of so many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fairwitness.audit.sources.BATCH_ROWS", rows)
        patch.setattr("fairwitness.audit.subject.BATCH_ROWS", rows)
        how: dict[str, Any] = {"task": "binary", "positive": 1, "sensitive": ["g"]} | meaning
        dataset = Dataset(table, target="y", features=features, **how)
        target = dataset.resolve()
        model = logged.load(Setting(dataset, target, Path(), "model"), prediction="yhat")
        return list(Subject(dataset, target, model, 0).batches())


def rows_of(table: pa.Table, **how: Any) -> Rows:
    return Rows.merge([Rows.of(batch) for batch in cut(table, **how)])


def missing_of(table: pa.Table, **how: Any) -> Missing:
    return Missing.merge([Missing.of(batch) for batch in cut(table, **how)])


def bits(tally: Rows | Missing) -> dict[str, str]:
    found = {}
    for field in fields(tally):
        value = getattr(tally, field.name)
        plain = value.to_pydict() if isinstance(value, pa.Table) else value
        found[field.name] = repr(plain.tolist() if isinstance(plain, np.ndarray) else plain)
    return found


class TestSameValues:
    def test_how_they_are_stored_does_not_count(self) -> None:
        table = pa.table(VALUES)
        other = pa.table(
            {
                "g": table["g"].dictionary_encode(),
                "x": pa.array([0.5, 0.0, None, float("nan"), 2.0], pa.float32()),
                "k": table["k"].cast(pa.uint64()),
                "b": pa.array([1.0, 0.0, None, 1.0, 1.0]),
                "t": table["t"].cast(pa.timestamp("us")).cast(pa.date32()),
                "y": table["y"].cast(pa.float64()),
                "yhat": table["yhat"].cast(pa.int8()),
            }
        )
        text = table.set_column(0, "g", table["g"].cast(pa.string_view()))
        for same in (
            other,
            text,
            pa.concat_tables([table.slice(0, 3), table.slice(3)]),
            table.append_column("z", table["x"]),
        ):
            assert bits(rows_of(same)) == bits(rows_of(table))
            assert missing_of(same).by_column() == missing_of(table).by_column()

    @pytest.mark.parametrize(
        ("column", "values"),
        [
            ("g", ["F", "M", None, "F", None]),
            ("x", [0.5, 0.0, None, None, 2.0000000000000004]),
            ("k", [1, 2, None, 4, 2**60 + 1]),
            ("b", [True, False, False, True, True]),
            ("y", [0, 1, 1, 0, 0]),
        ],
    )
    def test_every_value_counts(self, column: str, values: list[Any]) -> None:
        changed = pa.table(VALUES | {column: values}, schema=pa.table(VALUES).schema)
        assert bits(rows_of(changed)) != bits(rows_of(pa.table(VALUES)))

    def test_what_the_model_answered_does_not(self) -> None:
        assert bits(rows_of(pa.table(VALUES | {"yhat": [0, 0, 1, 1, 1]}))) == bits(rows_of(pa.table(VALUES)))

    def test_values_do_not_slip_into_the_next_column(self) -> None:
        one, other = ({"p": p, "q": q, "y": [0], "yhat": [0]} for p, q in ((["a"], ["b"]), (["b"], ["a"])))
        found = [rows_of(pa.table(t), features=["p", "q"], sensitive=[]).digests.tolist() for t in (one, other)]
        assert found[0] != found[1]

    def test_nested_and_binary_values(self) -> None:
        table = pa.table({"v": [[1, 2], [1, 2], None], "w": [b"\xff", b"\xff", b""], "y": [0, 0, 0], "yhat": [0] * 3})
        assert rows_of(table, features=["v", "w"], sensitive=[]).counts.tolist() in ([2, 1], [1, 2])


def test_features_that_are_not_read() -> None:
    (batch,) = cut(pa.table(VALUES), rows=5, features=None)
    with pytest.raises(NotAssessed, match="features_not_read"):
        Rows.of(batch)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "g": st.sampled_from(["F", "M", "", None]),
            "x": st.sampled_from([0.5, -0.0, 0.0, float("nan"), None]),
            "k": st.sampled_from([1, 2**60, None]),
            "b": st.booleans() | st.none(),
            "y": st.sampled_from([0, 1, None]),
            "yhat": st.just(0),
        }
    ),
    min_size=1,
    max_size=40,
)
SCHEMA = pa.schema(
    [
        ("g", pa.string()),
        ("x", pa.float64()),
        ("k", pa.int64()),
        ("b", pa.bool_()),
        ("y", pa.int64()),
        ("yhat", pa.int8()),
    ]
)


@pytest.fixture(params=["as shipped", "thinned and crowded"])
def small_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    tight: bool = request.param == "thinned and crowded"
    if tight:
        monkeypatch.setattr("fairwitness.audit.tallies.rows.MOST_DIGESTS", 4)
        monkeypatch.setattr("fairwitness.audit.tallies.missing.MAX_GROUPS", 2)
        monkeypatch.setattr("fairwitness.audit.subject.MAX_GROUPS", 2)
    return tight


@pytest.mark.parametrize("kind", [Rows, Missing])
@pytest.mark.usefixtures("small_limits")
def test_any_order_and_grouping(kind: Any) -> None:
    @settings(max_examples=25)
    @given(ROWS, st.integers(1, 9), st.randoms(use_true_random=False))
    def merged(rows: list[dict[str, Any]], size: int, random: Random) -> None:
        parts = [kind.of(b) for b in cut(pa.Table.from_pylist(rows, SCHEMA), rows=size, features=["g", "x", "k", "b"])]
        at_once = kind.merge(parts)
        left = list(parts)
        random.shuffle(left)
        while len(left) > 1:
            some = [left.pop() for _ in range(random.randint(1, min(3, len(left))))]
            left.insert(random.randint(0, len(left)), kind.merge(some))
        assert bits(kind.merge(left)) == bits(at_once)
        assert bits(kind.merge([at_once])) == bits(at_once)

    merged()


@settings(max_examples=50)
@given(ROWS, st.integers(1, 9))
def test_counts_are_those_of_pandas(rows: list[dict[str, Any]], size: int) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    frame = table.to_pandas().astype(object)
    frame = frame.where(frame.notna(), None)
    found = rows_of(table, rows=size, features=["g", "x", "k", "b"])
    compared = frame[["b", "g", "k", "x", "y"]].assign(x=[None if v is None else v + 0.0 for v in frame["x"]])
    assert found.rows == len(rows)
    assert len(found.digests) == len(rows) - compared.map(repr).duplicated().sum()
    assert found.counts.sum() == len(rows)
    lacks = missing_of(table, rows=size, features=["g", "x", "k", "b"])
    expected = {column: int(n) for column, n in frame.isna().sum().items() if n}
    assert lacks.by_column() == expected | {"": int(frame.isna().any(axis=1).sum())}
    of_women = frame[frame["g"] == "F"].drop(columns="g")
    assert lacks.by_group("g").get("F", 0) == of_women.isna().any(axis=1).sum()
    assert lacks.by_group("g", "x").get("F", 0) == of_women["x"].isna().sum()


def test_a_part_of_many_rows_tells_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept digests keep their true counts, and the share over them is right within its own standard error."""
    monkeypatch.setattr("fairwitness.audit.tallies.rows.MOST_DIGESTS", 1 << 10)
    off = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        once, twice = rng.random(8_000), rng.random(1_000)
        values = np.concatenate([once, twice, twice])
        table = pa.table({"x": values, "y": np.zeros(len(values), int), "yhat": np.zeros(len(values), int)})
        found = rows_of(table, rows=1000, features=["x"], sensitive=[])
        assert not found.exact
        assert len(found.digests) <= 1 << 10
        share, effective = found.share(found.counts - 1)
        off.append((share - 0.1) / np.sqrt(0.1 * 0.9 / effective))
    assert np.abs(off).max() < 4
    assert 0.7 < np.std(off) < 1.3


def test_share_without_rows_or_without_any() -> None:
    empty = rows_of(pa.table(VALUES).slice(0, 0))
    assert empty.share(empty.counts) == (0.0, 0.0)
    found = rows_of(pa.table(VALUES))
    assert found.share(found.counts - 1) == (0.0, 5.0)
