"""Audits of a frame with logged predictions, and simple models of real data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Evidence

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]

COMPAS: dict[str, Callable[[Any], Any]] = {
    "days_b_screening_arrest": lambda column: column.between(-30, 30),
    "is_recid": lambda column: column != -1,
    "c_charge_degree": lambda column: column != "O",
    "score_text": lambda column: column != "N/A",
}
ADULT = (
    "age workclass fnlwgt education education_num marital occupation relationship "
    "race sex gain loss hours country income"
)


@pytest.fixture(scope="session")
def audit() -> Audit:
    """Audit a frame: `y` against `yhat` and, where it is named, a score.

    The function takes the frame, the checks, `score`, `seed`, `options`, and what `Dataset` takes.
    """

    def evidence(
        frame: pd.DataFrame,
        checks: str,
        *,
        score: Any = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        **meaning: Any,
    ) -> Evidence:
        model = {"adapter": "logged", "prediction": "yhat"} | ({} if score is None else {"score": score})
        data = Dataset(frame, target="y", **meaning)
        return run(model, data, checks=[checks], seed=seed, options={checks: options or {}})

    return evidence


@pytest.fixture(scope="session")
def predicted(real_data: Callable[[str], Path]) -> Predicted:
    """Give real data by name with labels `y`, decisions `yhat` and scores `score` of a simple model, out of sample.

    For `compas` the decisions are COMPAS's own (medium or high risk), after ProPublica's filter.
    """

    def frame(name: str) -> pd.DataFrame:
        folder = real_data(name)
        match name:
            case "compas":
                rows = pd.read_csv(folder / "compas-scores-two-years-deid.csv", keep_default_na=False, na_values=[""])
                for column, kept in COMPAS.items():
                    rows = rows[kept(rows[column])]
                medium = (rows["score_text"] != "Low").astype(int)
                return rows.assign(y=rows["two_year_recid"], yhat=medium, score=rows["decile_score"] / 10)
            case "adult":
                rows = pd.read_csv(folder / "adult.data", names=ADULT.split(), skipinitialspace=True)
                return _modelled(rows.drop(columns=["income", "fnlwgt"]), rows["income"] == ">50K")
            case "law_school":
                rows = pd.read_csv(folder / "law_school_clean.csv")
                rows["male"] = rows["male"].astype(int)
                return _modelled(rows.drop(columns="pass_bar"), rows["pass_bar"] == 1)
            case _:
                rows = pd.read_csv(folder / "german.csv")
                return _modelled(rows.drop(columns="credit"), rows["credit"] == 1)

    return frame


def _modelled(features: pd.DataFrame, label: "pd.Series[bool]") -> pd.DataFrame:
    """Fit a logistic regression on every other row and give the rest with its answers."""
    numbers = features.select_dtypes("number").columns
    encoded = make_column_transformer(
        (StandardScaler(), numbers), remainder=OneHotEncoder(handle_unknown="ignore", min_frequency=20)
    )
    model = make_pipeline(encoded, LogisticRegression(max_iter=500)).fit(features[::2], label[::2])
    score = model.predict_proba(features[1::2])[:, 1]
    return features[1::2].assign(y=label[1::2].astype(int), yhat=(score >= 0.5).astype(int), score=np.asarray(score))
