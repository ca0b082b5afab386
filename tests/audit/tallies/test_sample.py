"""The sample: the same rows whatever the batches, every row with the same chance."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from fairwitness.audit.tallies import Batch, Sample

Cut = Callable[..., list[Batch]]


def rows(n: int) -> pa.Table:
    """Three labels, one of them rare and one missing."""
    rng = np.random.default_rng(8)
    y = np.array([0, 1, 2, None])[rng.choice(4, n, p=[0.6, 0.25, 0.05, 0.1])]
    return pa.table(
        {
            "y": pa.array(y.tolist(), pa.int64()),
            "yhat": rng.integers(0, 2, n),
            "score": rng.random(n),
            "sex": rng.choice(["F", "M"], n),
        }
    )


def sample(cut: Cut, table: pa.Table, *, size: int, seed: int = 0, reverse: bool = False) -> Sample:
    batches: list[Any] = cut(table, rows=size, seed=seed, task="binary", positive=1, sensitive=["sex"])
    parts = [Sample.of(batch) for batch in batches]
    return Sample.merge(parts[::-1] if reverse else parts)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairwitness.audit.tallies.sample.SAMPLE_ROWS", 200)


def test_batches_and_their_order_do_not_matter(cut: Cut) -> None:
    table = rows(3000)
    whole = sample(cut, table, size=3000)
    for size in (1000, 77):
        for reverse in (False, True):
            found = sample(cut, table, size=size, reverse=reverse)
            assert found.rows.to_pydict() == whole.rows.to_pydict()
            assert found.keys.to_pydict() == whole.keys.to_pydict()


def test_at_most_so_many_rows_of_each_label(cut: Cut) -> None:
    table = rows(3000)
    found = sample(cut, table, size=1000).keys.to_pandas()["label"].value_counts()
    there = table.to_pandas()["y"].map({0: "0", 1: "1", 2: "2"}).fillna("(missing)").value_counts()
    assert found.to_dict() == there.clip(upper=200).to_dict()
    assert there["2"] < 200


def test_rows_are_those_of_the_data(cut: Cut) -> None:
    table = rows(3000)
    found = sample(cut, table, size=999)
    numbers = found.keys["row"].to_numpy()
    assert np.all(np.diff(numbers.astype(np.int64)) > 0)
    assert found.rows.to_pydict() == table.select(found.rows.column_names).take(pa.array(numbers)).to_pydict()
    assert found.scores[:, 0].tolist() == found.rows["score"].to_pylist()
    assert found.groups("sex").tolist() == found.rows["sex"].to_pylist()


def test_another_seed_gives_other_rows(cut: Cut) -> None:
    table = rows(3000)
    drawn = [set(sample(cut, table, size=999, seed=seed).keys["row"].to_pylist()) for seed in (0, 1)]
    assert len(drawn[0] & drawn[1]) < 0.6 * len(drawn[0])


def test_every_row_has_the_same_chance(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row numbers of 40 samples of 500 in 20,000 are uniform over 50 stretches, and over residues modulo 16."""
    monkeypatch.setattr("fairwitness.audit.tallies.sample.SAMPLE_ROWS", 500)
    n = 20_000
    frame = pd.DataFrame({"y": np.ones(n, dtype=int), "yhat": 1})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    (batch,) = cut(table, rows=n, task="binary", positive=1)
    numbers: list[int] = []
    for seed in range(40):
        drawn = Sample.of(replace(batch, layout=replace(batch.layout, seed=seed))).keys["row"].to_pylist()
        assert len(drawn) == 500
        numbers += drawn
    for counts in (np.bincount(np.array(numbers) * 50 // n), np.bincount(np.array(numbers) % 16)):
        assert stats.chisquare(counts).pvalue > 0.01


def test_groups_do_not_depend_on_the_batches_either(cut: Cut) -> None:
    """An attribute with too many groups in one batch only is not a group `(missing)` for the rows of that batch."""
    table = rows(3000).set_column(3, "sex", pa.array([f"{i % (300 if i < 1000 else 3)}" for i in range(3000)]))
    whole, parts = sample(cut, table, size=3000), sample(cut, table, size=1000)
    assert parts.groups("sex").tolist() == whole.groups("sex").tolist()
