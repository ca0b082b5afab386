"""The contingency table against counting by pandas, and attributes with too many groups."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import MAX_GROUPS, Batch, Contingency

Cut = Callable[..., list[Batch]]
BINARY: dict[str, Any] = {"task": "binary", "positive": 1}


def people(n: int = 3000) -> pd.DataFrame:
    """Rows with some of everything missing."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "sex": pd.Series(rng.choice(["F", "M", "X"], n, p=[0.5, 0.4, 0.1]), dtype="object"),
            "age": rng.integers(18, 90, n).astype(float),
            "y": pd.array(rng.integers(0, 2, n), dtype="Int64"),
            "yhat": pd.array(rng.integers(0, 2, n), dtype="Int64"),
            "weight": rng.exponential(1.0, n),
        }
    )
    for column in ("sex", "age", "y", "yhat"):
        frame.loc[rng.random(n) < 0.1, column] = None
    return frame


def tally(cut: Cut, frame: pd.DataFrame, *, rows: int = 700, **meaning: Any) -> Contingency:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return Contingency.merge([Contingency.of(batch) for batch in cut(table, rows=rows, **BINARY | meaning)])


@pytest.mark.parametrize("weighted", [False, True])
def test_every_marginal_is_what_pandas_counts(cut: Cut, weighted: bool) -> None:
    frame = people()
    edges = [30, 50, 70]
    found = tally(cut, frame, sensitive=["sex", "age"], bins={"age": edges}, weight="weight" if weighted else None)
    names = np.array(["< 30", "[30, 50)", "[50, 70)", "≥ 70"])
    age = pd.Series(names[np.searchsorted(edges, frame["age"].fillna(0), side="right")])
    named = pd.DataFrame(
        {
            "sex": frame["sex"].fillna("(missing)"),
            "age": age.mask(frame["age"].isna(), "(missing)"),
            "truth": frame["y"].astype("string").fillna("(missing)"),
            "decision": frame["yhat"].astype("string").fillna("(missing)"),
            "w": frame["weight"] if weighted else 1.0,
        }
    ).assign(w2=lambda rows: rows["w"] ** 2)
    named["sex & age"] = named["sex"] + " & " + named["age"]
    tables = dict(found.by_attribute())
    assert list(tables) == ["sex", "age", "sex & age"]
    for attribute, table in tables.items():
        assert not isinstance(table, NotAssessed)
        assert sorted(table.groups) == sorted(named[attribute].unique())
        cells = named.groupby([attribute, "truth", "decision"])
        for i, group in enumerate(table.groups):
            for j, truth in enumerate(table.truths):
                for k, decision in enumerate(table.decisions):
                    rows = (
                        cells.get_group((group, truth, decision))
                        if (group, truth, decision) in cells.groups
                        else named[:0]
                    )
                    assert table.n[i, j, k] == len(rows)
                    assert table.w[i, j, k] == pytest.approx(rows["w"].sum(), rel=1e-12)
                    assert table.w2[i, j, k] == pytest.approx(rows["w2"].sum(), rel=1e-12)


def test_groups_are_in_natural_order(cut: Cut) -> None:
    frame = pd.DataFrame({"g": ["10", "9", "b", "a", None, "-1.5"], "y": 1, "yhat": 0})
    assert tally(cut, frame, sensitive=["g"]).crosstab("g").groups == ("-1.5", "9", "10", "a", "b", "(missing)")
    frame = pd.DataFrame({"g": [70.0, 20.0, np.nan, 40.0], "y": 1, "yhat": 0})
    binned = tally(cut, frame, sensitive=["g"], bins={"g": [30, 65]})
    assert binned.crosstab("g").groups == ("< 30", "[30, 65)", "≥ 65", "(missing)")


def test_binary_is_the_positive_label_against_the_rest(cut: Cut) -> None:
    frame = pd.DataFrame(
        {"g": "a", "y": pd.array([0, 1, 2, None, 2], "Int64"), "yhat": pd.array([2, 1, 2, 2, None], "Int64")}
    )
    folded = tally(cut, frame, sensitive=["g"], positive=2).crosstab("g").binary("2")
    assert folded.truths == ("negative", "positive", "(missing)")
    assert folded.decisions == ("negative", "positive")
    # Row by row: 0 as 2, 1 as 1, 2 as 2, missing as 2; the row without a decision is not there.
    assert folded.n[0].tolist() == [[1, 1], [0, 1], [0, 1]]


def test_integer_weights_are_repeated_rows(cut: Cut) -> None:
    frame = people(500)
    frame["weight"] = np.random.default_rng(2).integers(0, 4, len(frame)).astype(float)
    weighted = tally(cut, frame, sensitive=["sex"], weight="weight").crosstab("sex")
    repeated = tally(cut, frame.loc[frame.index.repeat(frame["weight"].astype(int))], sensitive=["sex"]).crosstab("sex")
    assert weighted.groups == repeated.groups
    assert weighted.w.tolist() == repeated.n.tolist()


def ids(groups: int, rows: int) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"{i % groups:04}" for i in range(rows)], "sex": "F", "y": 1, "yhat": 0})


@pytest.mark.parametrize(("groups", "rows"), [(MAX_GROUPS + 1, 1000), (MAX_GROUPS + 1, 100), (5000, 1000)])
def test_too_many_groups_are_refused(cut: Cut, groups: int, rows: int) -> None:
    """Whether one batch has too many (1000 rows) or only all together do (100 rows)."""
    found = tally(cut, ids(groups, 5000), sensitive=["id", "sex"], rows=rows)
    tables = dict(found.by_attribute())
    assert found.crowded == {"id"}
    for name in ("id", "id & sex"):
        refusal = tables[name]
        assert isinstance(refusal, NotAssessed)
        assert refusal.reason.code == "too_many_groups"
        assert refusal.reason.params == {"attribute": "id", "limit": MAX_GROUPS}
    other = tables["sex"]
    assert not isinstance(other, NotAssessed)
    assert other.n.sum() == 5000
    assert found.table.num_rows == 1


def test_the_limit_itself_is_allowed(cut: Cut) -> None:
    found = tally(cut, ids(MAX_GROUPS, 5000), sensitive=["id"], rows=1000)
    assert len(found.crosstab("id").groups) == MAX_GROUPS


def test_missing_counts_as_a_group(cut: Cut) -> None:
    frame = ids(MAX_GROUPS, 5000)
    frame.loc[3, "id"] = None
    assert tally(cut, frame, sensitive=["id"], rows=1000).crowded == {"id"}


def test_crowded_in_one_part_only(cut: Cut) -> None:
    frame = pd.concat([ids(3, 1000), ids(MAX_GROUPS + 1, 1000), ids(3, 1000)], ignore_index=True)
    found = tally(cut, frame, sensitive=["id", "sex"], rows=1000, weight=None)
    assert found.crowded == {"id"}
    assert found.table.column("n").to_pylist() == [3000]


def test_an_intersection_may_have_too_many_groups_where_its_parts_do_not(cut: Cut) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.integers(0, 20, 5000), "b": rng.integers(0, 20, 5000), "y": 1, "yhat": 0})
    tables = dict(tally(cut, frame, sensitive=["a", "b"]).by_attribute())
    crossed = tables["a & b"]
    assert not isinstance(tables["a"], NotAssessed)
    assert isinstance(crossed, NotAssessed)
    assert crossed.reason.params["groups"] == len(frame[["a", "b"]].drop_duplicates())


def test_two_groups_that_read_the_same_are_kept_apart(cut: Cut) -> None:
    frame = pd.DataFrame({"a": ["x & y", "x"], "b": ["z", "y & z"], "y": 1, "yhat": [0, 1]})
    crossed = tally(cut, frame, sensitive=["a", "b"]).crosstab("a & b")
    assert sorted(crossed.groups) == ["'x & y' & z", "x & 'y & z'"]
    assert crossed.n.sum(axis=(1, 2)).tolist() == [1, 1]


def test_no_rows(cut: Cut) -> None:
    frame = ids(3, 10).iloc[:0].astype({"y": "int64", "yhat": "int64"})
    found = tally(cut, frame, sensitive=["id"])
    assert found.table.num_rows == 0
    assert found.crosstab("id").groups == ()


def test_dense_and_sparse_counting_agree(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    how: dict[str, Any] = {"sensitive": ["sex", "age"], "bins": {"age": [40, 60]}, "weight": "weight"}
    dense = tally(cut, people(), **how)
    monkeypatch.setattr("fairwitness.audit.tallies.cells.DENSE_CELLS", 0)
    sparse = tally(cut, people(), **how)
    assert sparse.table.drop_columns(["w", "w2"]).equals(dense.table.drop_columns(["w", "w2"]))
    for name in ("w", "w2"):
        assert sparse.table[name].to_numpy() == pytest.approx(dense.table[name].to_numpy(), rel=1e-13)
