"""Merging is exact: any order and grouping of the batches leaves the same bits, and they are those of the whole."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairwitness.audit.tallies import (
    Batch,
    Contingency,
    Fingerprint,
    GroupScores,
    Moments,
    Records,
    Sample,
    ScoreCounts,
    Stratified,
    Tally,
    cells,
)

Cut = Callable[..., list[Batch]]

TALLIES: list[type[Any]] = [Contingency, Stratified, ScoreCounts, GroupScores, Moments, Sample, Records, Fingerprint]
VALUES = st.none() | st.floats(-8, 8, allow_subnormal=False)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "sex": st.sampled_from(["F", "M", "X", "", None]),
            "age": st.sampled_from([20.0, 30.5, float("nan"), None]),
            "y": st.sampled_from([0, 1, None]),
            "yhat": st.sampled_from([0, 1, 1, None]),
            "score": st.none() | st.sampled_from([-1.0, -0.0, 0.0, 0.25]) | st.floats(0, 1),
            "value": VALUES,
            "answer": VALUES,
            "weight": st.just(0.0) | st.floats(1e-9, 1e3),
        }
    ),
    min_size=1,
    max_size=40,
)
SCHEMA = pa.schema(
    [("sex", pa.string()), ("age", pa.float64()), ("y", pa.int64()), ("yhat", pa.int64())]
    + [(name, pa.float64()) for name in ("score", "value", "answer", "weight")]
)


def table_of(rows: Sequence[dict[str, Any]], kind: type[Any]) -> pa.Table:
    """Rows as a table; for the moments of a regression the truth and the prediction are numbers."""
    table = pa.Table.from_pylist(list(rows), SCHEMA)
    if kind is Moments:
        table = table.drop_columns(["y", "yhat"])
        return table.rename_columns({"value": "y", "answer": "yhat"})
    return table


def meaning(kind: type[Any], *, weighted: bool) -> dict[str, Any]:
    task: dict[str, Any] = {"task": "regression"} if kind is Moments else {"task": "binary", "positive": 1}
    further = {"further": ("score",)} if kind is Stratified else {}
    return task | further | {"sensitive": ["sex", "age"], "weight": "weight" if weighted else None}


def bits(tally: Tally) -> dict[str, str]:
    """Everything in a tally, floats to their last digit; the chunks of Arrow tables do not count."""
    found = {}
    for field in fields(tally):  # type: ignore[arg-type]
        value = getattr(tally, field.name)
        plain = value.to_pydict() if isinstance(value, pa.Table) else value
        found[field.name] = repr(sorted(plain) if isinstance(plain, frozenset) else plain)
    return found


def joined(kind: type[Any], parts: Sequence[Any], random: Random) -> Any:
    """Merge some at random until one is left."""
    left = list(parts)
    random.shuffle(left)
    while len(left) > 1:
        some = [left.pop() for _ in range(random.randint(1, min(3, len(left))))]
        left.insert(random.randint(0, len(left)), kind.merge(some))
    return kind.merge(left)


@pytest.fixture(params=["as shipped", "crowded and binned"])
def small_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Once with limits that such small tables never reach, once with limits that they often cross."""
    tight: bool = request.param == "crowded and binned"
    if tight:
        monkeypatch.setattr("fairwitness.audit.tallies.contingency.MAX_GROUPS", 2)
        monkeypatch.setattr("fairwitness.audit.tallies.group_scores.MAX_GROUPS", 2)
        monkeypatch.setattr("fairwitness.audit.tallies.groups.MAX_GROUPS", 2)
        monkeypatch.setattr("fairwitness.audit.tallies.stratified.MAX_GROUPS", 2)
        monkeypatch.setattr("fairwitness.audit.subject.MAX_GROUPS", 2)
        monkeypatch.setattr("fairwitness.audit.tallies.sample.SAMPLE_ROWS", 3)
        monkeypatch.setattr(ScoreCounts, "EXACT_CELLS", 5)
        monkeypatch.setattr(GroupScores, "MOST_CELLS", 5)
        monkeypatch.setattr(Records, "MOST_ROWS", 3)
    return tight


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", TALLIES)
@pytest.mark.usefixtures("small_limits")
def test_any_order_and_grouping(kind: type[Any], weighted: bool, cut: Cut) -> None:
    @settings(max_examples=25)
    @given(ROWS, st.integers(1, 9), st.randoms(use_true_random=False))
    def merged(rows: list[dict[str, Any]], size: int, random: Random) -> None:
        batches = cut(table_of(rows, kind), rows=size, **meaning(kind, weighted=weighted))
        parts = [kind.of(batch) for batch in batches]
        at_once = kind.merge(parts)
        assert bits(joined(kind, parts, random)) == bits(at_once)
        assert bits(kind.merge([at_once])) == bits(at_once)

    merged()


@pytest.mark.parametrize(
    "kind", [Contingency, Stratified, ScoreCounts, GroupScores, Records]
)  # of the sample: test_sample.py
@pytest.mark.usefixtures("small_limits")
def test_counts_are_those_of_the_whole(kind: type[Any], cut: Cut) -> None:
    @settings(max_examples=25)
    @given(ROWS, st.integers(1, 9))
    def whole(rows: list[dict[str, Any]], size: int) -> None:
        table = table_of(rows, kind)
        parts = [kind.of(batch) for batch in cut(table, rows=size, **meaning(kind, weighted=False))]
        (everything,) = cut(table, rows=len(rows), **meaning(kind, weighted=False))
        found, expected = bits(kind.merge(parts)), bits(kind.merge([kind.of(everything)]))
        # Losses are float sums by batch: see below.
        assert found | {"losses": ""} == expected | {"losses": ""}

    whole()


# What the float sums of a tally are sums over. (How moments treat crowded attributes: see test_moments.py.)
CELLS: dict[type[Any], tuple[str, ...]] = {
    Contingency: ("a0", "a1", "truth", "decided"),
    ScoreCounts: ("class", "hit", "score"),
    Moments: (),
}


# A score is a key; sums of d are about the mean of their own batch: test_moments.py adds those up.
NO_SUMS = {"score", "centre", "d", "d2", "d3", "d4", "e2d", "e2d2", "centre_p", "p", "p2", "p3", "p4"}


def sums_of(tally: Any) -> dict[Any, Any]:
    """Every sum of a tally by its cell and name, batches added up."""
    found: dict[Any, Any] = {}
    for name, keys in {"table": CELLS[type(tally)], "losses": ()}.items():
        table = getattr(tally, name, None)
        if table is not None and table.num_rows:
            at, sums = cells.settle(table, keys)
            kept = [key for key in sums if key not in NO_SUMS]
            for i in range(table.num_rows):
                cell = tuple(column.names[column.codes[i]] for column in at.values())
                for key in kept:
                    found[name, cell, key] = found.get((name, cell, key), 0.0) + sums[key][i]
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [Contingency, ScoreCounts, Moments])
@pytest.mark.usefixtures("small_limits")
def test_sums_are_those_of_the_whole(kind: type[Any], weighted: bool, cut: Cut) -> None:
    @settings(max_examples=25)
    @given(ROWS, st.integers(1, 9))
    def whole(rows: list[dict[str, Any]], size: int) -> None:
        table, how = table_of(rows, kind), meaning(kind, weighted=weighted)
        (everything,) = cut(table, rows=len(rows), **how)
        found = kind.merge([kind.of(batch) for batch in cut(table, rows=size, **how)])
        assert sums_of(found) == pytest.approx(sums_of(kind.of(everything)), rel=1e-12, abs=1e-9)

    whole()


@pytest.mark.parametrize("kind", [Contingency, ScoreCounts, Moments])
@pytest.mark.usefixtures("small_limits")
def test_row_order_changes_no_sum(kind: type[Any], cut: Cut) -> None:
    @settings(max_examples=25)
    @given(ROWS, st.integers(1, 9), st.randoms(use_true_random=False))
    def permuted(rows: list[dict[str, Any]], size: int, random: Random) -> None:
        other = list(rows)
        random.shuffle(other)
        one, two = (
            sums_of(kind.merge([kind.of(b) for b in cut(table_of(r, kind), rows=size, **meaning(kind, weighted=True))]))
            for r in (rows, other)
        )
        assert one == pytest.approx(two, rel=1e-12, abs=1e-9)

    permuted()


def test_losses_are_added_without_rounding(cut: Cut) -> None:
    """1e16 + 1 - 1e16 loses the 1 in floats; kept by batch and added by fsum it does not."""
    rows = [{"y": 1, "score": 0.5, "weight": weight} for weight in (1e16, 1.0, 1.0)]
    table = pa.Table.from_pylist(
        rows, pa.schema([("y", pa.int64()), ("score", pa.float64()), ("weight", pa.float64())])
    )
    table = table.append_column("yhat", table.column("y"))
    parts = [ScoreCounts.of(b) for b in cut(table, rows=1, task="binary", positive=1, weight="weight")]
    assert ScoreCounts.merge(parts).total_weight == 1e16 + 2
