"""Audited rows that stand in the training data."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairwitness.audit import Dataset
from fairwitness.audit.engines.local import one_pass
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.models import Setting, python
from fairwitness.audit.overlap import Overlap, overlap
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Rows


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "k": rng.integers(0, 9, n),
            "name": [f"p{i}" for i in rng.integers(0, 99, n)],
            "sex": rng.choice(["F", "M"], n),
            "w": rng.random(n),
            "y": rng.integers(0, 2, n),
        }
    )


def compared(test: pd.DataFrame, train: pd.DataFrame, *, with_model: bool = True) -> Overlap:
    """Tally both tables, the training one with the model or with its features only."""
    meaning: dict[str, Any] = {"target": "y", "sensitive": ["sex"], "weight": "w", "features": ["name", "x", "k"]}
    dataset = Dataset(test, **meaning, train=train)
    target = dataset.resolve()
    model = python.adapt(lambda rows: np.zeros(len(rows), int), Setting(dataset, target, Path(), "model"))
    of_test = Subject(dataset, target, model, 0)
    assert dataset.train is not None
    of_train = Subject(dataset.train, target, model if with_model else None, 0, () if with_model else of_test.features)
    here, there = (one_pass(subject, {"rows": Rows})["rows"] for subject in (of_test, of_train))
    assert isinstance(here, Rows)
    assert isinstance(there, Rows)
    assert here.columns == there.columns == ("k", "name", "x", "y")
    return overlap(here, there)


@pytest.mark.parametrize("with_model", [True, False])
def test_planted_rows_are_counted(with_model: bool) -> None:
    train, test = people(500, 0), people(300, 1)
    known = train.iloc[[3, 3, 7, 20]].assign(sex="X", w=5.0)  # neither groups nor weights make another row
    found = compared(pd.concat([test, known]), train, with_model=with_model)
    assert (found.rows, found.train_rows, found.shared, found.distinct, found.exact) == (304, 500, 4, 3, True)
    assert found.share == 4 / 304


def test_another_label_is_another_row() -> None:
    train = people(100, 0)
    assert compared(train.assign(y=1 - train["y"]), train).shared == 0
    assert compared(train, train).shared == 100


def test_how_the_training_data_are_stored_does_not_count() -> None:
    train = people(100, 0)
    other = train.astype({"k": "float64", "name": "category", "y": "int8"})
    assert compared(train, other).shared == 100


def test_numbers_in_one_table_and_text_in_the_other_are_said_to_be() -> None:
    train = people(100, 0)
    with pytest.raises(NotAssessed) as refusal:
        compared(train, train.astype({"k": str}))
    assert refusal.value.reason.code == "train_types_differ"
    assert refusal.value.reason.params == {"column": "k", "found": "number", "train": "text"}


def test_a_column_without_any_value_is_of_any_type() -> None:
    train = people(100, 0)
    assert compared(train, train.assign(name=None)).shared == 0


def test_no_rows() -> None:
    train = people(10, 0)
    assert compared(train.iloc[:0], train).share == 0.0
    assert compared(train, train.iloc[:0]).shared == 0


def test_a_part_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairwitness.audit.tallies.rows.MOST_DIGESTS", 1 << 9)
    train, test = people(4000, 0), people(3000, 1)
    found = compared(pd.concat([test, train[:1000]]), train)
    assert not found.exact
    assert found.share == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / found.effective))
    assert found.shared == found.share * 4000
