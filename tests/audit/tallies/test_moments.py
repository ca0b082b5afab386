"""Moments of a regression against numpy, and what becomes of them far from 0."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import MAX_GROUPS, Batch, Moments
from fairwitness.audit.tallies.moments import MomentsTable

Cut = Callable[..., list[Batch]]


def numbers(n: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    y = rng.normal(3, 2, n)
    frame = pd.DataFrame(
        {"g": rng.choice(["a", "b"], n), "y": y, "yhat": y + rng.normal(0.2, 1, n), "weight": rng.exponential(1, n)}
    )
    frame.loc[rng.random(n) < 0.1, "y"] = np.nan
    frame.loc[rng.random(n) < 0.1, "yhat"] = np.nan
    frame.loc[5, "yhat"] = np.inf
    return frame


def tally(cut: Cut, frame: pd.DataFrame, *, rows: int = 300, **meaning: Any) -> Moments:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    batches = cut(table, rows=rows, task="regression", **meaning)
    return Moments.merge([Moments.of(batch) for batch in batches])


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_numpy(cut: Cut, weighted: bool) -> None:
    frame = numbers()
    found = tally(cut, frame, sensitive=["g"], weight="weight" if weighted else None)
    used = frame[np.isfinite(frame["y"]) & np.isfinite(frame["yhat"])]
    w = used["weight"] if weighted else pd.Series(1.0, used.index)
    e, y = used["yhat"] - used["y"], used["y"]
    d = y - np.average(y, weights=w)
    expected = {
        "n": len(used), "w": w.sum(), "w2": (w**2).sum(), "e": (w * e).sum(), "abs_e": (w * e.abs()).sum(),
        "e2": (w * e**2).sum(), "e4": (w * e**4).sum(), "y": np.average(y, weights=w), "d2": (w * d**2).sum(),
        "d4": (w * d**4).sum(), "e2d2": (w * e**2 * d**2).sum(),
    }  # fmt: skip
    assert found.total() == pytest.approx(expected, rel=1e-11)
    assert found.missing == len(frame) - len(used)


def test_a_classification_has_none(cut: Cut) -> None:
    table = pa.table({"y": [0, 1], "yhat": [1, 1]})
    (batch,) = cut(table, rows=9, task="binary", positive=1)
    with pytest.raises(NotAssessed) as refused:
        Moments.of(batch)
    assert refused.value.reason.params == {"needed": "regression", "task": "binary"}


def test_an_attribute_crowded_in_one_batch_is_out_in_all(cut: Cut) -> None:
    """Else rows of the crowded batch are counted as the group `(missing)` beside the groups of the others."""
    few, many = (pd.DataFrame({"id": [f"{i % k}" for i in range(500)]}) for k in (3, MAX_GROUPS + 1))
    rng = np.random.default_rng(5)
    frame = pd.concat([few, many, few], ignore_index=True).assign(y=rng.normal(size=1500), yhat=rng.normal(size=1500))
    found = tally(cut, frame, rows=500, sensitive=["id"])
    assert set(found.table.column("a0").to_pylist()) == {"(missing)"}


def of_group(table: MomentsTable, group: str) -> dict[str, float]:
    i = table.groups.index(group)
    counts = {
        "rows": table.rows,
        "n": table.n,
        "answered": table.answered,
        "m": table.m,
        "unanswered": table.unanswered,
    }
    return {name: float(values[i]) for name, values in (counts | table.errors | table.predictions).items()}


def by_hand(rows: pd.DataFrame, weight: str | None) -> dict[str, float]:
    w = np.ones(len(rows)) if weight is None else rows[weight].to_numpy()
    y, p = rows["y"].to_numpy(), rows["yhat"].to_numpy()
    answered, known = np.isfinite(p), np.isfinite(y) & np.isfinite(p)

    def mean(values: Any, of: Any) -> float:
        return float(np.average(values[of], weights=w[of]))

    e, d = p - y, y - mean(y, known)
    q = p - mean(p, answered)
    powers = {"e": e, "abs_e": abs(e), "e2": e**2, "e3": e**3, "e4": e**4, "y": y, "d2": d**2, "d4": d**4}
    found = {name: mean(values, known) for name, values in (powers | {"e2d2": e**2 * d**2}).items()}
    found |= {name: mean(values, answered) for name, values in {"p": p, "p2": q**2, "p3": q**3, "p4": q**4}.items()}
    n, m = (w[of].sum() ** 2 / (w[of] ** 2).sum() for of in (known, answered))
    return found | {
        "rows": known.sum(), "n": n, "answered": answered.sum(), "m": m, "unanswered": (~answered).sum()
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("weight", [None, "weight"])
def test_means_of_groups_are_those_of_numpy(cut: Cut, weight: str | None) -> None:
    frame = numbers().assign(h=lambda rows: np.random.default_rng(1).choice([3, 20, 100], len(rows)))
    found = tally(cut, frame, sensitive=["g", "h"], weight=weight)
    names = [name for name, _ in found.by_attribute()]
    assert names == ["g", "h", "g & h"]
    tables = {name: table for name, table in found.by_attribute() if isinstance(table, MomentsTable)}
    assert tables["h"].groups == ("3", "20", "100")
    parts = {"g": frame["g"], "h": frame["h"].astype(str), "g & h": frame["g"] + " & " + frame["h"].astype(str)}
    for name, groups in parts.items():
        for group, rows in frame.groupby(groups):
            assert of_group(tables[name], str(group)) == pytest.approx(by_hand(rows, weight), rel=1e-10)
    assert of_group(found.of_attribute(), "") == pytest.approx(by_hand(frame, weight), rel=1e-10)


def test_rows_without_truth_count_for_predictions_only(cut: Cut) -> None:
    frame = pd.DataFrame({"g": ["a", "a", "a", "b"], "y": [1.0, np.nan, 3.0, np.nan], "yhat": [2.0, 5.0, np.nan, 7.0]})
    table = tally(cut, frame, rows=2, sensitive=["g"]).of_attribute("g")
    assert (table.rows.tolist(), table.answered.tolist(), table.unanswered.tolist()) == ([1, 0], [2, 1], [1, 0])
    assert table.predictions["p"].tolist() == [3.5, 7.0]
    assert table.errors["e"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_far_from_zero_the_spread_of_groups_keeps_its_digits(cut: Cut, offset: float) -> None:
    """From squares about 0 the variance of 1e7 + noise would have two digits left, and its fourth moment none."""
    frame = numbers()
    moved = frame.assign(y=frame["y"] + offset, yhat=frame["yhat"] + offset)
    one, other = (tally(cut, rows, sensitive=["g"]).of_attribute("g") for rows in (frame, moved))
    for name in ("p2", "p4"):
        assert other.predictions[name] == pytest.approx(one.predictions[name], rel=1e-7)
    for name in ("d2", "d4"):
        assert other.errors[name] == pytest.approx(one.errors[name], rel=1e-7)


def test_groups_do_not_depend_on_how_batches_were_merged(cut: Cut) -> None:
    table = pa.Table.from_pandas(numbers(), preserve_index=False)
    parts = [Moments.of(b) for b in cut(table, rows=170, task="regression", sensitive=["g"], weight="weight")]
    one = Moments.merge(parts).of_attribute("g")
    other = Moments.merge([Moments.merge(parts[5:]), *reversed(parts[:5])]).of_attribute("g")
    assert {k: v.tolist() for k, v in one.errors.items()} == {k: v.tolist() for k, v in other.errors.items()}
    assert {k: v.tolist() for k, v in one.predictions.items()} == {k: v.tolist() for k, v in other.predictions.items()}


def test_a_crowded_attribute_has_no_table(cut: Cut) -> None:
    frame = numbers(400).assign(id=[f"p{i}" for i in range(400)])
    found = dict(tally(cut, frame, sensitive=["id", "g"]).by_attribute())
    assert isinstance(found["g"], MomentsTable)
    for name in ("id", "id & g"):
        refused = found[name]
        assert isinstance(refused, NotAssessed)
        assert refused.reason.code == "too_many_groups"
