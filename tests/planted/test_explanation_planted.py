"""The audit audited: attributions of models whose reasons are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Evidence, Measurement

FEATURES = ["race", "zip", "income", "debt"]
ID = "explanation.attribution"


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """`zip` gives `race` away in nine rows of ten; nothing else is related."""
    rng = np.random.default_rng(0)
    n = 1500
    race = rng.choice(["A", "B", "C"], n, p=[0.6, 0.3, 0.1])
    zip_code = np.where(rng.random(n) < 0.9, race, rng.choice(["A", "B", "C"], n))
    return pd.DataFrame({"race": race, "zip": zip_code, "income": rng.normal(size=n), "debt": rng.normal(size=n)})


def audited(model: Any, frame: pd.DataFrame, features: list[str], *others: str) -> Evidence:
    data = Dataset(frame, target="y", positive=1, sensitive=["race"], features=features)
    options = {ID: {"evaluations": 30_000}}
    evidence = run(model, data, checks=[ID, *others], options=options)
    (result,) = (check for check in evidence.checks if check.id == ID)
    assert result.status == "ok", result.traceback
    return evidence


def said(evidence: Evidence, metric: str, *, attribute: str | None = "race", **where: str) -> Measurement:
    (found,) = (
        m
        for m in evidence.measurements()
        if (m.metric, m.attribute, m.group, m.where) == (f"{ID}.{metric}", attribute, None, where)
    )
    return found


def pipeline(model: Any) -> Any:
    return make_pipeline(
        make_column_transformer((OneHotEncoder(sparse_output=False), ["race", "zip"]), remainder="passthrough"), model
    )


MODELS: dict[str, Callable[[], Any]] = {
    "linear": lambda: pipeline(LogisticRegression()),
    "boosted": lambda: pipeline(HistGradientBoostingClassifier(max_iter=20, random_state=0)),
    "forest": lambda: pipeline(RandomForestClassifier(10, max_depth=4, random_state=0)),
}


def fitted_where_constant(kind: str, frame: pd.DataFrame, unused: dict[str, Any]) -> Any:
    """A model that is given columns and cannot use them: where it was fitted, they did not vary."""
    rows = frame.assign(**unused)
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["race", "zip"]), remainder="passthrough"
    )
    model = make_pipeline(encoded, MODELS[kind]()[-1]).fit(rows[FEATURES], rows["y"])
    if kind == "linear":  # a constant column shares the intercept's job
        names = [name.partition("__")[2].partition("_")[0] for name in encoded.get_feature_names_out()]
        model[-1].coef_[0, np.isin(names, list(unused))] = 0.0
    return model


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_of_race_alone_rests_on_race_alone(people: pd.DataFrame, kind: str) -> None:
    frame = people.assign(y=(people["race"] == "A").astype(int))
    model = fitted_where_constant(kind, frame, {"zip": "A", "income": 0.0, "debt": 0.0})
    share = said(audited(model, frame, FEATURES), "sensitive_share")
    assert share.value == pytest.approx(1.0)
    assert share.interval is not None
    assert share.interval.low > 0.9


def test_a_callable_of_race_alone_rests_on_race_alone(people: pd.DataFrame) -> None:
    frame = people.assign(y=(people["race"] == "A").astype(int))
    evidence = audited(lambda X: np.where(X["race"] == "A", 0.9, 0.2), frame, FEATURES)
    share, error = said(evidence, "sensitive_share"), said(evidence, "additivity_error", attribute=None)
    assert share.value == 1.0
    assert share.interval is not None
    assert 0.9 < share.interval.low < 1.0
    assert error.value == pytest.approx(0, abs=1e-9)
    assert said(evidence, "share", attribute=None, feature="income").value == 0.0


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_ignores_race_and_its_proxy(people: pd.DataFrame, kind: str) -> None:
    frame = people.assign(y=(people["income"] > people["debt"]).astype(int))
    evidence = audited(fitted_where_constant(kind, frame, {"race": "A", "zip": "A"}), frame, FEATURES)
    share, proxies = said(evidence, "sensitive_share"), said(evidence, "proxy_share")
    assert share.value == proxies.value == 0.0
    for found in (share, proxies):
        assert found.interval is not None
        assert 0 < found.interval.high < 0.15


def test_race_by_proxy(people: pd.DataFrame) -> None:
    """A model without race that decides by zip: nothing rests on race, and all on its proxy."""
    frame = people.assign(y=(people["race"] == "A").astype(int))
    features = ["zip", "income", "debt"]
    evidence = audited(lambda X: np.where(X["zip"] == "A", 0.9, 0.2) + 0.01 * np.tanh(X["income"]), frame, features)
    share, proxies = said(evidence, "sensitive_share"), said(evidence, "proxy_share")
    assert (share.value, share.exact) == (0.0, True)
    assert proxies.value is not None
    assert proxies.value > 0.95
    assert proxies.details is not None
    assert proxies.details.table is not None
    assert [row[0] for row in proxies.details.table.rows if row[4]] == ["zip"]


def test_other_checks_change_nothing(people: pd.DataFrame) -> None:
    frame = people.assign(y=(people["income"] > 0).astype(int))
    model = pipeline(HistGradientBoostingClassifier(max_iter=10, random_state=0)).fit(frame[FEATURES], frame["y"])
    alone, among = (audited(model, frame, FEATURES, *others) for others in ((), ("fairness.group", "performance")))
    one, other = (next(check for check in evidence.checks if check.id == ID) for evidence in (alone, among))
    assert one.measurements == other.measurements


def test_intervals_cover_the_share_of_all_rows(people: pd.DataFrame) -> None:
    """Drawn from the same source forty times, most intervals hold the share of a very large sample."""
    coefficients = np.array([1.0, 0.3])

    def share_of(n: int, seed: int) -> Measurement:
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(np.column_stack([rng.standard_t(4, n), rng.exponential(size=n)]), columns=["a", "b"])
        frame = X.assign(y=rng.integers(0, 2, n), g="all")
        model = LogisticRegression().fit(X, frame["y"])
        model.coef_[0] = coefficients
        data = Dataset(frame, target="y", positive=1, sensitive=["g"])
        evidence = run(model, data, checks=[ID], options={ID: {"rows": 5000, "background": 5000}})
        return said(evidence, "share", attribute=None, feature="b")

    rng = np.random.default_rng(9)
    a, b = np.abs(rng.standard_t(4, 10**6)), np.abs(rng.exponential(size=10**6) - 1) * 0.3
    truth = b.mean() / (a.mean() + b.mean())
    covered = 0
    for seed in range(40):
        found = share_of(300, seed)
        assert found.interval is not None
        covered += found.interval.low <= truth <= found.interval.high
    assert covered >= 35
