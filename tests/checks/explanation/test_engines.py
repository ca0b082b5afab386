"""Which engine explains which model, and that a wrong one is found out."""

import importlib.util
from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC

from fairwitness.audit.evidence import NotAssessed
from fairwitness.checks.explanation._engines import _attempt, checked, explained
from fairwitness.checks.explanation._games import LOG_ODDS, MARGIN, SCORE, Found, Question
from fairwitness.checks.explanation._gradients import integrated
from fairwitness.checks.explanation._linear import closed_form, is_additive
from fairwitness.checks.explanation._permutation import permuted
from fairwitness.checks.explanation._trees import shap_trees, woodelf

Attributed = Callable[..., Any]


def frame_of(n: int, columns: int = 4, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(n, columns)), columns=[f"x{i}" for i in range(columns)])


def question(model: Any, rows: pd.DataFrame, background: pd.DataFrame, **changes: Any) -> Question:
    scores = {
        SCORE: lambda frame: model.predict_proba(frame)[:, 1],
    }
    margins = {MARGIN: model.decision_function} if hasattr(model, "decision_function") else {}
    given: dict[str, Any] = {
        "games": margins | scores,
        "rows": rows,
        "background": background,
        "estimator": model,
        "gradients": None,
        "evaluations": 1_000_000,
        "seed": 0,
    }
    return Question(**{**given, **changes})


def brute_force(game: Callable[[pd.DataFrame], Any], rows: pd.DataFrame, background: pd.DataFrame) -> Any:
    """Shapley values by their definition."""
    names = list(rows.columns)
    k = len(names)
    values = np.zeros(rows.shape)
    for i in range(len(rows)):
        worth = {}
        for size in range(k + 1):
            for coalition in combinations(names, size):
                hybrid = background.copy()
                for name in coalition:
                    hybrid[name] = rows[name].iloc[i]
                worth[coalition] = float(np.mean(game(hybrid)))
        for j, name in enumerate(names):
            for coalition, value in worth.items():
                if name not in coalition:
                    joined = tuple(c for c in names if c in coalition or c == name)
                    values[i, j] += (worth[joined] - value) / (k * comb(k - 1, len(coalition)))
    return values


@pytest.fixture(scope="module")
def boosted() -> Any:
    X = frame_of(600)
    y = (X["x0"] * X["x1"] + X["x2"] > 0).astype(int)
    return HistGradientBoostingClassifier(max_iter=15, random_state=0).fit(X, y)


def test_woodelf_and_permutations_are_shapley_values(boosted: Any) -> None:
    rows, background = frame_of(6, seed=1), frame_of(9, seed=2)
    asked = question(boosted, rows, background)
    expected = brute_force(boosted.decision_function, rows, background)
    assert woodelf(asked).values == pytest.approx(expected, abs=1e-6)
    assert permuted(asked).values == pytest.approx(expected, abs=1e-9)  # four columns: all coalitions


def test_many_columns_are_permuted_close_to_shapley_values() -> None:
    """One permutation there and back is exact up to interactions of two columns."""
    rows, background = frame_of(3, 9, seed=1), frame_of(5, 9, seed=2)

    def pairs(frame: pd.DataFrame) -> Any:
        return (frame["x0"] * frame["x1"] + frame["x2"] * frame["x8"] + frame["x5"]).to_numpy()

    asked = question(None, rows, background, games={MARGIN: pairs}, evaluations=100_000)
    assert permuted(asked).values == pytest.approx(brute_force(pairs, rows, background), abs=1e-9)


def test_the_budget_bounds_what_is_asked() -> None:
    asked_rows = 0

    def game(frame: pd.DataFrame) -> Any:
        nonlocal asked_rows
        asked_rows += len(frame)
        return frame.sum(axis=1).to_numpy()

    for columns, budget in ((4, 5_000), (20, 20_000), (40, 100_000)):
        asked_rows = 0
        asked = question(
            None, frame_of(500, columns), frame_of(200, columns, 1), games={MARGIN: game}, evaluations=budget
        )
        found = permuted(asked)
        assert 30 <= len(found.values) <= 500
        # shap asks about some coalitions twice.
        assert asked_rows <= 1.5 * budget


@pytest.mark.parametrize(
    ("model", "additive"),
    [
        (LogisticRegression(), True),
        (make_pipeline(StandardScaler(), LinearSVC()), True),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()), True),
        (GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2), True),
        (make_pipeline(make_column_transformer((OneHotEncoder(), ["x0"])), LogisticRegression()), True),
        (make_pipeline(PolynomialFeatures(), LogisticRegression()), False),
        (make_pipeline(PCA(2), LogisticRegression()), False),
        (make_pipeline(KNNImputer(), LogisticRegression()), False),
        (make_pipeline(FunctionTransformer(np.cumsum), LogisticRegression()), False),
        (make_pipeline(FunctionTransformer(), LogisticRegression()), True),
        (SVC(kernel="rbf"), False),
        (RandomForestClassifier(2), False),
    ],
)  # fmt: skip
def test_additivity_is_known_by_the_parts(model: Any, additive: bool) -> None:
    X = frame_of(60).round(1)
    model.fit(X, (X["x0"] > 0).astype(int))
    assert is_additive(model) is additive


def test_closed_form_of_a_pipeline_is_a_shapley_value() -> None:
    rng = np.random.default_rng(0)
    X = frame_of(200).assign(c=rng.choice(list("abc"), 200))
    X.loc[::7, "x1"] = np.nan
    transformed = make_column_transformer(
        (OneHotEncoder(), ["c"]), (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["x0", "x1"])
    )
    model = make_pipeline(transformed, LogisticRegression()).fit(X, rng.integers(0, 2, 200))
    rows, background = X[["c", "x0", "x1"]][:7], X[["c", "x0", "x1"]][50:70]
    game = {MARGIN: lambda frame: model.decision_function(frame.assign(x2=0.0, x3=0.0)[X.columns])}
    expected = brute_force(game[MARGIN], rows, background)
    assert closed_form(question(model, rows, background, games=game)).values == pytest.approx(expected, abs=1e-9)


def test_shap_is_caught_on_categorical_splits() -> None:
    """shap 0.51 takes the codes for numbers, and its own check of additivity passes (shap issue 3436)."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"code": rng.integers(0, 12, 1500).astype(float), "x": rng.normal(size=1500)})
    y = (np.isin(X["code"], [1, 4, 6, 11]) + 0.3 * X["x"] + rng.normal(0, 0.3, 1500) > 0.5).astype(int)
    model = HistGradientBoostingClassifier(categorical_features=["code"], max_iter=20, random_state=0).fit(X, y)
    asked = question(model, X[:100], X[100:150])
    wrong = _attempt("shap", shap_trees, asked, 1e-4).explanation
    assert wrong is None or not wrong.complete
    tried = explained(asked, 1e-4)
    assert [attempt.engine.split(",")[0] for attempt in tried] == [
        "woodelf",
        "shap trees",
        "shap permutations of raw columns",
    ]
    assert tried[0].refused is not None
    final = tried[-1].explanation
    assert final is not None
    assert final.complete
    assert final.values == pytest.approx(brute_force(model.decision_function, X[:100], X[100:150]), abs=1e-9)


def test_shap_is_caught_on_thresholds_in_single_precision() -> None:
    """Incomes with cents lie between two numbers of single precision (shap issue 5116)."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(1e6, 1e6 + 50, (3000, 3)).round(2), columns=list("abc"))
    y = (X["a"] - X["b"] + rng.normal(0, 5, 3000) > 0).astype(int)
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(X, y)
    asked = question(model, X[:300], X[300:400])
    wrong = _attempt("shap", shap_trees, asked, 1e-4).explanation
    assert wrong is not None
    assert wrong.largest > 1e-3
    assert not wrong.complete
    (first,) = explained(asked, 1e-4)
    assert first.engine.startswith("woodelf")
    assert first.explanation is not None
    assert first.explanation.largest < 1e-6


def test_woodelf_on_a_forest_is_turned_to_the_positive_label() -> None:
    X = frame_of(400)
    model = RandomForestClassifier(20, max_depth=4, random_state=0).fit(X, (X["x0"] > 0).astype(int))
    asked = question(model, X[:50], X[50:60])
    raw = woodelf(asked)
    as_given = checked("woodelf", Found(raw.values, raw.background), asked, 1e-4)
    assert not as_given.complete
    turned = checked("woodelf", raw, asked, 1e-4)
    assert turned.complete
    assert turned.scale == SCORE
    assert turned.values == pytest.approx(brute_force(asked.games[SCORE], X[:50], X[50:60]), abs=1e-6)


@pytest.mark.parametrize("wrong", ["noise", "missing a column", "not a number"])
def test_attributions_that_do_not_add_up_are_refused(boosted: Any, wrong: str) -> None:
    asked = question(boosted, frame_of(50, seed=1), frame_of(20, seed=2))
    values = woodelf(asked).values.copy()
    match wrong:
        case "noise":
            values[7, 2] += 0.01
        case "missing a column":
            values[:, 0] = 0
        case _:
            values[3, 1] = np.nan
    found = checked("planted", Found(values, asked.background), asked, 1e-4)
    assert not found.complete


def test_gradients_are_taken_where_they_add_up() -> None:
    """The log-odds of a logistic model have the gradients of a linear one."""
    X = frame_of(300)
    model = LogisticRegression().fit(X, (X["x0"] + X["x1"] > 0).astype(int))

    def log_odds(frame: pd.DataFrame) -> Any:
        p = model.predict_proba(frame)[:, 1]
        return np.log(p / (1 - p))

    def gradients(rows: pd.DataFrame, background: pd.DataFrame) -> Any:
        return (model.coef_[0] * (rows - background.mean())).to_numpy()

    games = {SCORE: lambda frame: model.predict_proba(frame)[:, 1], LOG_ODDS: log_odds}
    asked = question(model, X[:80], X[80:], games=games, estimator=None, gradients=gradients)
    (only,) = explained(asked, 1e-4)
    assert only.engine == "integrated gradients"
    assert only.explanation is not None
    assert only.explanation.scale == LOG_ODDS
    off = question(model, X[:40], X[80:], games=games, estimator=None, gradients=lambda r, b: 1.2 * gradients(r, b))
    assert [attempt.engine for attempt in explained(off, 1e-4)][-1].startswith("shap permutations")
    few = question(model, X[:40], X[80:], games=games, estimator=None, gradients=gradients, evaluations=32 * 40 * 7)
    assert len(integrated(few).background) == 7


def test_without_the_extra_the_closed_form_still_works(boosted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "fairwitness.checks.explanation._engines.find_spec",
        lambda name: None if name in ("shap", "woodelf") else there(name),
    )
    X = frame_of(100)
    with pytest.raises(NotAssessed) as missing:
        explained(question(boosted, X[:20], X[20:]), 1e-4)
    assert missing.value.reason.model_dump() == {"code": "missing_extra", "params": {"extra": "explain"}}
    linear = LogisticRegression().fit(X, (X["x0"] > 0).astype(int))
    (only,) = explained(question(linear, X[:20], X[20:]), 1e-4)
    assert only.explanation is not None
    assert only.explanation.complete


def test_a_model_that_answers_at_random_has_no_explanation(attributed: Attributed) -> None:
    rng = np.random.default_rng(0)
    frame = frame_of(300).assign(y=rng.integers(0, 2, 300))
    said = attributed(lambda X: rng.random(len(X)), frame, positive=1, options={"rows": 40, "evaluations": 20_000})
    assert said.one("additivity_error").value > 0.01
    assert said.one("share", feature="(other columns)").reason.code == "not_complete"


def test_an_array_is_given_to_what_was_fitted_on_one(attributed: Attributed) -> None:
    frame = frame_of(200)
    model = LinearRegression().fit(frame.to_numpy(), frame["x0"] * 3 - frame["x1"])
    said = attributed(model, frame.assign(y=frame["x0"] * 3 - frame["x1"]), task="regression")
    assert said.shares()["x0"] == pytest.approx(0.75, abs=0.05)
    assert said.shares()["x3"] == pytest.approx(0, abs=1e-9)
