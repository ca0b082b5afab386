"""Moments of a regression against numpy, and what becomes of them far from 0."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import MAX_GROUPS, Batch, Moments

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
