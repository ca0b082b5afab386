"""Counts by groups, truth and score against counting by pandas; and rows held in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import Batch, GroupScores, Records

Cut = Callable[..., list[Batch]]
BINARY: dict[str, Any] = {"task": "binary", "positive": 1, "sensitive": ["sex", "race"]}


def people(n: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["F", "M"], n),
            "race": rng.choice(list("ABC"), n),
            "y": pd.array(rng.integers(0, 2, n), dtype="Int64"),
            "yhat": rng.integers(0, 2, n),
            "score": rng.integers(0, 40, n) / 40,
            "weight": rng.exponential(1.0, n),
        }
    )
    frame.loc[rng.random(n) < 0.1, "y"] = None
    frame.loc[rng.random(n) < 0.1, "score"] = np.nan
    return frame


def tally(kind: type[Any], cut: Cut, frame: pd.DataFrame, *, rows: int = 300, **meaning: Any) -> Any:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return kind.merge([kind.of(batch) for batch in cut(table, rows=rows, **BINARY | meaning)])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("attribute", ["sex", "sex & race", None])
def test_counts_are_what_pandas_counts(cut: Cut, attribute: str | None, weighted: bool) -> None:
    frame = people()
    found = tally(GroupScores, cut, frame, weight="weight" if weighted else None).of_attribute(attribute)
    frame["w"] = frame["weight"] if weighted else 1.0
    frame["truth"] = frame["y"].map({0: 0, 1: 1}).fillna(2).astype(int)
    frame["group"] = {"sex": frame["sex"], "sex & race": frame["sex"] + " & " + frame["race"]}.get(str(attribute), "")
    assert list(found.groups) == sorted(frame["group"].unique())
    assert found.exact
    for i, group in enumerate(found.groups):
        rows = frame[frame["group"] == group]
        assert found.unanswered[i] == rows["score"].isna().sum()
        rows = rows[rows["score"].notna()]
        effective = rows["w"].sum() / (rows["w"] ** 2).sum()
        counts = found.counts(i)
        for truth in range(3):
            of = rows[rows["truth"] == truth]
            assert found.n[i, truth] == len(of)
            expected = of.groupby("score")["w"].sum().reindex(found.scores, fill_value=0).to_numpy() * effective
            assert np.allclose(counts[truth], expected)


def test_many_scores_are_binned_by_their_prefix(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = people().assign(score=np.random.default_rng(0).random(2000))
    exact = tally(GroupScores, cut, frame).of_attribute("sex")
    monkeypatch.setattr(GroupScores, "MOST_CELLS", 1000)
    binned = tally(GroupScores, cut, frame)
    assert binned.bits == 16
    table = binned.of_attribute("sex")
    assert not table.exact
    assert np.array_equal(table.n, exact.n)
    means = [(t.scores * t.counts(0).sum(axis=0)).sum() / t.counts(0).sum() for t in (exact, table)]
    assert means[1] == pytest.approx(means[0], rel=2**-7)


def test_predicted_values_are_the_scores_of_a_regression(cut: Cut) -> None:
    frame = people().drop(columns="score")
    frame["y"], frame["yhat"] = 0.5, np.arange(2000) / 7
    found = tally(GroupScores, cut, frame, task="regression", positive=None).of_attribute("sex")
    assert found.n[:, :2].sum() == 0
    assert found.n.sum() == len(found.scores) == 2000


def test_several_classes_and_no_scores_are_refused(cut: Cut) -> None:
    with pytest.raises(NotAssessed, match="multiclass"):
        tally(GroupScores, cut, people().drop(columns="score"), task="multiclass", positive=None)
    with pytest.raises(NotAssessed, match="needs_scores"):
        tally(GroupScores, cut, people().drop(columns="score"))


class TestRecords:
    """Rows held in memory."""

    def test_all_rows_where_they_fit(self, cut: Cut) -> None:
        frame = people()
        found = tally(Records, cut, frame, weight="weight")
        assert found.complete
        assert found.seen == len(frame)
        assert np.array_equal(found.score, frame["score"], equal_nan=True)
        assert np.array_equal(found.weights, frame["weight"])
        assert found.labels.tolist() == frame["y"].astype("string").fillna("(missing)").tolist()
        assert found.decided.tolist() == frame["yhat"].astype(str).tolist()
        assert found.groups("sex & race").tolist() == (frame["sex"] + " & " + frame["race"]).tolist()
        assert found.names == ["sex", "race", "sex & race"]
        assert np.array_equal(found.numbers("weight"), frame["weight"])
        with pytest.raises(NotAssessed, match="not_numeric"):
            found.numbers("sex")

    def test_a_uniform_draw_where_they_do_not(self, cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
        frame = people().assign(weight=np.arange(2000.0))
        monkeypatch.setattr(Records, "MOST_ROWS", 500)
        draws = [tally(Records, cut, frame, rows=rows, weight="weight") for rows in (70, 300, 2000)]
        assert {len(draw.score) for draw in draws} == {500}
        assert not draws[0].complete
        assert all(np.array_equal(draw.weights, draws[0].weights) for draw in draws)
        assert np.all(np.diff(draws[0].weights) > 0)  # rows in order
        assert abs(draws[0].weights.mean() - 999.5) < 4 * 577 / np.sqrt(500)

    def test_columns_count_too(self, cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Records, "MOST_VALUES", 1200)
        found = tally(Records, cut, people())
        assert len(found.score) == 1200 // (found.rows.num_columns + found.keys.num_columns)
