"""Attributions of a model on a frame, without the rest of an audit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairwitness.audit import Dataset
from fairwitness.audit.artifacts import Artifacts
from fairwitness.audit.engines.local import one_pass
from fairwitness.audit.evidence import Measurement
from fairwitness.audit.models import Model, Setting, logged, python, sklearn
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Sample
from fairwitness.checks.explanation import attribution

Attributed = Callable[..., "Said"]


class Said:
    """Measurements by what they are about."""

    def __init__(self, measurements: list[Measurement]) -> None:
        self.all = measurements

    def one(self, metric: str, *, attribute: str | None = None, group: str | None = None, **where: str) -> Measurement:
        (found,) = [
            m for m in self.all if (m.metric, m.attribute, m.group, m.where) == (metric, attribute, group, where)
        ]
        return found

    def shares(self, attribute: str | None = None, group: str | None = None) -> dict[str, float]:
        """Share by column."""
        return {
            m.where["feature"]: m.value
            for m in self.all
            if m.metric == "share" and (m.attribute, m.group) == (attribute, group) and m.value is not None
        }

    @property
    def engine(self) -> str:
        """Name of the engine that was used."""
        details = self.one("additivity_error").details
        assert details is not None
        return str(details.facts["Engine"])

    @property
    def tried(self) -> list[str]:
        """Names of the engines that were tried."""
        details = self.one("additivity_error").details
        assert details is not None
        assert details.table is not None
        return [str(row[0]) for row in details.table.rows]


def subject_of(model: Any, frame: pd.DataFrame, **meaning: Any) -> Subject:
    """A model (an estimator, a callable, a `Model` or the column of logged predictions) on a frame."""
    dataset = Dataset(frame, **{"target": "y", **meaning})
    setting = Setting(dataset, dataset.resolve(), Path(), "model")
    if isinstance(model, Model):
        made = model
    elif isinstance(model, str):
        made = logged.load(setting, prediction=model)
    else:
        made = (sklearn.adapt if hasattr(model, "predict") else python.adapt)(model, setting)
    return Subject(dataset, setting.target, made, 0)


@pytest.fixture(scope="session")
def attributed() -> Attributed:
    """Run the check on a model and a frame; `options` are the check's, all else is the data set's."""

    def said(model: Any, frame: pd.DataFrame, *, options: dict[str, Any] | None = None, **meaning: Any) -> Said:
        subject = subject_of(model, frame, **meaning)
        artifacts = Artifacts(subject, one_pass(subject, {"sample": Sample}), 0)
        handed = artifacts.handed(attribution.measure, "explanation.attribution")
        return Said(list(attribution.measure(*handed, **(options or {}))))

    return said


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """Columns of several types: `job` has six levels, `income` goes with `sex`."""
    rng = np.random.default_rng(0)
    n = 800
    sex = rng.choice(["f", "m"], n)
    frame = pd.DataFrame(
        {
            "sex": sex,
            "job": rng.choice(list("abcdef"), n),
            "income": np.where(sex == "f", 40.0, 50.0) + rng.normal(0, 5, n),
            "age": rng.integers(18, 80, n).astype(float),
            "noise": rng.normal(size=n),
        }
    )
    margin = (frame["income"] - 45) / 5 + frame["job"].isin(["a", "b"]) + rng.normal(0, 1, n)
    return frame.assign(y=(margin > 0).astype(int))
