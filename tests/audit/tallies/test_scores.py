"""Counts by score against pandas and scikit-learn, and the coarser counts that many distinct scores end up in."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from fairwitness.audit.statistics.ranking import roc_auc
from fairwitness.audit.tallies import Batch, ScoreCounts

Cut = Callable[..., list[Batch]]


def scored(n: int, *, decimals: int | None = None) -> pd.DataFrame:
    """Labels and scores that know something of them."""
    rng = np.random.default_rng(6)
    y = rng.integers(0, 2, n)
    score = 1 / (1 + np.exp(-rng.normal(y * 1.5 - 0.75, 1)))
    if decimals is not None:
        score = score.round(decimals)
    return pd.DataFrame({"y": y, "yhat": 1, "score": score, "weight": rng.exponential(1, n)})


def parts_of(cut: Cut, frame: pd.DataFrame, *, rows: int = 1000, **meaning: Any) -> list[ScoreCounts]:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return [ScoreCounts.of(batch) for batch in cut(table, rows=rows, task="binary", positive=1, **meaning)]


@pytest.mark.parametrize("weighted", [False, True])
def test_counts_by_score_are_those_of_pandas(cut: Cut, weighted: bool) -> None:
    frame = scored(5000, decimals=2).astype({"y": "Int64"})
    rng = np.random.default_rng(7)
    frame.loc[rng.random(5000) < 0.1, "y"] = None
    frame.loc[rng.random(5000) < 0.1, "score"] = np.nan
    found = ScoreCounts.merge(parts_of(cut, frame, weight="weight" if weighted else None))
    labelled = frame.dropna(subset=["y"])
    used = labelled.dropna(subset=["score"]).assign(w=lambda rows: rows["weight"] if weighted else 1.0)
    expected = used.pivot_table(index="score", columns="y", values="w", aggfunc="sum", fill_value=0.0)
    scores, members, others = found.by_score("1")
    assert scores.tolist() == expected.index.tolist()
    assert members == pytest.approx(expected[1].to_numpy(), rel=1e-12)
    assert others == pytest.approx(expected[0].to_numpy(), rel=1e-12)
    assert found.rows_of("1") == ((used["y"] == 1).sum(), (used["y"] == 0).sum())
    assert found.missing == len(labelled) - len(used)
    assert (found.low, found.high) == (used["score"].min(), used["score"].max())
    assert found.exact
    assert found.total_weight == pytest.approx(used["w"].sum(), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_scikit_learn(cut: Cut, weighted: bool) -> None:
    frame = scored(3000)
    frame.loc[:1, "score"] = [0.0, 1.0]  # certain, and clipped
    found = ScoreCounts.merge(parts_of(cut, frame, weight="weight" if weighted else None))
    w = frame["weight"] if weighted else None
    value, _, effective, n = found.loss("log_loss")
    assert value == pytest.approx(log_loss(frame["y"], frame["score"], sample_weight=w), rel=1e-12)
    assert found.loss("brier")[0] == pytest.approx(
        brier_score_loss(frame["y"], frame["score"], sample_weight=w), rel=1e-12
    )
    assert n == 3000
    ones = frame["weight"] if weighted else pd.Series(1.0, frame.index)
    assert effective == pytest.approx(ones.sum() ** 2 / (ones**2).sum(), rel=1e-12)


def test_zero_has_no_sign(cut: Cut) -> None:
    frame = pd.DataFrame({"y": [0, 1], "yhat": 1, "score": [-0.0, 0.0]})
    scores, members, others = ScoreCounts.merge(parts_of(cut, frame, rows=1)).by_score("1")
    assert (scores.tolist(), members.tolist(), others.tolist()) == ([0.0], [1.0], [1.0])


def test_the_limit_is_of_distinct_cells(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact up to the limit and binned beyond it, whatever the number of rows and of batches."""
    frame = pd.DataFrame({"y": [0, 1] * 500, "yhat": 1, "score": np.arange(1000) % 100 / 100, "weight": 1.5})
    for weight in (None, "weight"):
        monkeypatch.setattr(ScoreCounts, "EXACT_CELLS", 100)
        assert ScoreCounts.merge(parts_of(cut, frame, rows=70, weight=weight)).exact
        monkeypatch.setattr(ScoreCounts, "EXACT_CELLS", 99)
        assert not ScoreCounts.merge(parts_of(cut, frame, rows=70, weight=weight)).exact


def test_binning_costs_the_area_nothing_that_matters(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = scored(100_000)
    monkeypatch.setattr(ScoreCounts, "EXACT_CELLS", 1 << 10)
    found = ScoreCounts.merge(parts_of(cut, frame, rows=16_384))
    scores, members, others = found.by_score("1")
    assert not found.exact
    assert len(scores) < 30_000
    assert roc_auc(members, others) == pytest.approx(roc_auc_score(frame["y"], frame["score"]), abs=1e-6)


def binned(cut: Cut, values: list[float]) -> list[float]:
    """The bin of each value, counted one by one."""
    frame = pd.DataFrame({"y": 1, "yhat": 1, "score": values})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    batches = cut(table, rows=1, task="binary", positive=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScoreCounts, "EXACT_CELLS", 0)
        parts = [ScoreCounts.of(batch) for batch in batches]
        again = [ScoreCounts.merge([part]) for part in parts]
    assert [part.table for part in again] == [part.table for part in parts]
    return [part.table.column("score")[0].as_py() for part in parts]


def test_bins_keep_the_order_and_are_within_a_two_thousandth(cut: Cut) -> None:
    @settings(max_examples=30)
    @given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=20))
    def ordered(values: list[float]) -> None:
        rising = sorted(values)
        bins = binned(cut, rising)
        assert bins == sorted(bins)
        for value, edge in zip(rising, bins, strict=True):
            assert edge <= value
            assert value - edge <= max(abs(value) / 2047, 1e-38)

    ordered()


def test_bins_do_not_depend_on_the_other_rows(cut: Cut) -> None:
    values = [0.1, 0.5, 0.10001, 0.9, -3.0]
    assert binned(cut, values) == [binned(cut, [value])[0] for value in values]


def test_scores_beyond_float32_keep_their_order(cut: Cut) -> None:
    huge = 2 * float(np.finfo(np.float32).max)
    bins = binned(cut, [-huge, -1.0, 1.0, huge])
    assert not np.isnan(bins).any()
    assert bins == sorted(bins)


def test_without_scores_there_are_no_classes(cut: Cut) -> None:
    frame = scored(10).drop(columns="score")
    found = ScoreCounts.merge(parts_of(cut, frame, rows=3))
    assert found.classes == ()
    missing = ScoreCounts.merge(parts_of(cut, scored(10).assign(score=np.nan), rows=3))
    assert (missing.classes, missing.missing) == ((), 10)
