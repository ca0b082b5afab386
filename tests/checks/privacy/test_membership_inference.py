"""Attacks against hand-made oracles, what must not look like a leak, and what cannot be measured."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import CheckResult, Evidence, Measurement

CHECK = "privacy.membership_inference"
FEATURES = ["a", "b"]


def rows(n: int, rng: np.random.Generator, *, positives: float = 0.5, slope: float = 1.0) -> pd.DataFrame:
    """Rows in which the label is drawn first, so that its share is no property of the features given it."""
    y = (rng.random(n) < positives).astype(int)
    X = rng.normal(size=(n, 2)) + slope * y[:, None] * [1.0, 0.5]
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "g": rng.choice(["f", "m"], n), "y": y})


def leaky(
    members: pd.DataFrame, *, strength: float = 0.6, only: str | None = None, base: float = -0.9
) -> Callable[[pd.DataFrame], Any]:
    """A scorer that is surer of the true label of rows it remembers (of one group only, if that is named)."""
    kept = members if only is None else members[members.g == only]
    memory = dict(zip(zip(kept.a, kept.b, strict=True), kept.y, strict=True))

    def score(X: pd.DataFrame) -> NDArray[np.float64]:
        margin = 1.2 * X.a.to_numpy() + 0.6 * X.b.to_numpy() + base
        known = [memory.get(key) for key in zip(X.a, X.b, strict=True)]
        pull = np.array([0.0 if y is None else strength * (2 * y - 1) for y in known])
        return np.asarray(1 / (1 + np.exp(-(margin + pull))))

    return score


def audited(model: Any, test: pd.DataFrame, train: pd.DataFrame | None, **more: Any) -> Evidence:
    options = more.pop("options", {})
    seed = more.pop("seed", 0)
    meaning = {"target": "y", "sensitive": ["g"], "features": FEATURES} | more
    return run(model, Dataset(test, train=train, **meaning), checks=[CHECK], options={CHECK: options}, seed=seed)


def result(evidence: Evidence) -> CheckResult:
    found = next(check for check in evidence.checks if check.id == CHECK)
    assert found.status != "error", found.traceback
    return found


def said(evidence: Evidence, metric: str, **which: Any) -> Measurement:
    return evidence.find(f"{CHECK}.{metric}", **which)


def interval(measurement: Measurement) -> tuple[float, float]:
    assert measurement.interval is not None
    return measurement.interval.low, measurement.interval.high


def log_loss_of(model: Callable[[pd.DataFrame], Any], table: pd.DataFrame) -> NDArray[np.float64]:
    p = model(table[FEATURES])
    return np.asarray(-np.log(np.where(table.y == 1, p, 1 - p)))


@pytest.fixture(scope="module")
def leak() -> tuple[Evidence, Callable[[pd.DataFrame], Any], pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    train, test = rows(1500, rng, positives=0.5), rows(1200, rng, positives=0.3)
    model = leaky(train)
    return audited(model, test, train), model, train, test


def test_the_loss_attack_is_scikit_learns_area_at_the_audited_label_mix(leak: Any) -> None:
    evidence, model, train, test = leak
    both = pd.concat([train, test])
    member = np.repeat([1, 0], [len(train), len(test)])
    share = test.y.value_counts(normalize=True)
    weight = both.y.map(share).to_numpy() / np.concatenate(
        [train.y.map(train.y.value_counts()).to_numpy(), test.y.map(test.y.value_counts()).to_numpy()]
    )
    scores = -np.concatenate([log_loss_of(model, train), log_loss_of(model, test)])
    expected = roc_auc_score(member, scores, sample_weight=weight)
    found = said(evidence, "auc", attack="loss")
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.n == len(both)


def test_the_population_attack_is_the_mean_of_the_areas_within_labels(leak: Any) -> None:
    evidence, model, train, test = leak
    expected = 0.0
    for label, share in test.y.value_counts(normalize=True).items():
        sides = [-log_loss_of(model, table[table.y == label]) for table in (train, test)]
        member = np.repeat([1, 0], [len(side) for side in sides])
        expected += share * roc_auc_score(member, np.concatenate(sides))
    assert said(evidence, "auc", attack="population").value == pytest.approx(expected, abs=1e-12)


def test_a_leak_is_found_by_every_metric(leak: Any) -> None:
    evidence = leak[0]
    for attack in ("loss", "population"):
        assert interval(said(evidence, "auc", attack=attack))[0] > 0.55
        assert interval(said(evidence, "auc_above_blind", attack=attack))[0] > 0.02
        assert interval(said(evidence, "advantage", attack=attack))[0] > 0.05
        caught = said(evidence, "tpr_at_fpr", attack=attack, fpr="0.01")
        assert caught.value is not None
        assert caught.value > 0.01
    p_value = said(evidence, "auc", attack="loss").p_value
    assert p_value is not None
    assert p_value < 1e-6


def test_the_curve_rises_from_0_to_1_inside_its_band(leak: Any) -> None:
    for attack in ("loss", "population"):
        details = said(leak[0], "auc", attack=attack).details
        assert details is not None
        points = details.curves[0].points
        values = [(p.x, p.low or 0.0, p.y, p.high or 0.0) for p in points]
        assert values[0][0] == 0
        assert values[-1][0] == values[-1][2] == 1
        assert all(a[2] <= b[2] for a, b in pairwise(values))
        assert all(low <= y <= high for _, low, y, high in values)
        assert details.facts["Members"] == 1500
        assert details.facts["Non-members"] == 1200


def test_a_label_that_is_rarer_among_members_does_not_look_like_a_leak() -> None:
    rng = np.random.default_rng(1)
    train, test = rows(1500, rng, positives=0.5), rows(1500, rng, positives=0.05)
    model = leaky(train.head(0), base=-2.5)  # less sure of the rarer label, as models are
    evidence = audited(model, test, train)
    naive = roc_auc_score([1] * 1500 + [0] * 1500, -np.append(log_loss_of(model, train), log_loss_of(model, test)))
    assert naive < 0.45
    for attack in ("loss", "population"):
        low, high = interval(said(evidence, "auc", attack=attack))
        assert low <= 0.5 <= high
        low, high = interval(said(evidence, "tpr_at_fpr", attack=attack, fpr="0.01"))
        assert low <= 0.01 <= high
    low, high = interval(said(evidence, "member_shift_auc"))
    assert low <= 0.5 <= high


class Margins:
    """A logistic regression that only gives distances."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.classes_, self.feature_names_in_ = inner, inner.classes_, inner.feature_names_in_

    def predict(self, X: Any) -> Any:
        return self.inner.predict(X)

    def decision_function(self, X: Any) -> Any:
        return self.inner.decision_function(X)


def test_margins_say_the_same_as_the_probabilities_they_stand_for() -> None:
    rng = np.random.default_rng(2)
    train, test = rows(300, rng), rows(300, rng)
    model = LogisticRegression().fit(train[FEATURES], train.y)
    margins, chances = audited(Margins(model), test, train), audited(model, test, train)
    for attack in ("loss", "population"):
        assert said(margins, "auc", attack=attack).value == pytest.approx(said(chances, "auc", attack=attack).value)
    details = said(margins, "auc", attack="loss").details
    assert details is not None
    assert details.facts["Ranked by"] == "margin"


def test_points_without_a_zero_are_ranked_within_labels_only() -> None:
    rng = np.random.default_rng(3)
    train, test = rows(300, rng), rows(300, rng)
    model = leaky(train, strength=2.0)
    for table in (train, test):
        table["points"] = 600 + 50 * np.log(model(table) / (1 - model(table)))
    logged = {"adapter": "logged", "score": "points", "threshold": 600.0}
    evidence = audited(logged, test, train, features=None)
    for metric, where in (("auc", {}), ("advantage", {}), ("tpr_at_fpr", {"fpr": "0.01"})):
        refused = said(evidence, metric, attack="loss", **where)
        assert refused.status == "not_estimable"
        assert refused.reason is not None
        assert refused.reason.code == "scores_not_probabilities"
    assert interval(said(evidence, "auc", attack="population"))[0] > 0.6


@pytest.mark.parametrize("score", [0.5, 1.0])
def test_a_constant_score_is_a_coin(score: float) -> None:
    rng = np.random.default_rng(4)
    train, test = rows(1500, rng), rows(1500, rng)
    train["s"] = test["s"] = score
    evidence = audited({"adapter": "logged", "score": "s", "threshold": 0.5}, test, train, features=None, seed=2)
    for attack in ("loss", "population"):
        auc = said(evidence, "auc", attack=attack)
        assert auc.value == pytest.approx(0.5)
        low, high = interval(auc)
        assert low <= 0.5 <= high
        low, high = interval(said(evidence, "tpr_at_fpr", attack=attack, fpr="0.01"))
        assert 0 < low <= 0.01 <= high < 0.05


def test_ties_do_not_hide_that_most_members_stand_on_top() -> None:
    """A model that is equally sure of 60 % of its members and 10 % of the others catches 6 % at 1 %."""
    rng = np.random.default_rng(5)
    train, test = rows(2000, rng), rows(2000, rng)
    for table, share in ((train, 0.6), (test, 0.1)):
        sure = np.where(np.arange(2000) < 2000 * share, 1.0, 0.6)
        table["s"] = np.where(table.y == 1, sure, 1 - sure)
    train, test = (t.sample(frac=1, random_state=0) for t in (train, test))
    evidence = audited({"adapter": "logged", "score": "s", "threshold": 0.5}, test, train, features=None)
    caught = said(evidence, "tpr_at_fpr", attack="loss", fpr="0.01")
    assert caught.value == pytest.approx(0.06, abs=0.02)
    low, high = interval(caught)
    assert 0.02 < low < 0.06 < high


def test_a_false_positive_rate_that_the_rows_cannot_resolve_is_not_estimated(leak: Any) -> None:
    refused = said(leak[0], "tpr_at_fpr", attack="loss", fpr="0.001")
    assert refused.status == "not_estimable"
    assert refused.reason is not None
    assert refused.reason.code == "fpr_not_resolved"
    assert refused.reason.params["needed"] == 10_000


def test_the_group_that_is_remembered_is_named() -> None:
    rng = np.random.default_rng(6)
    train, test = rows(1500, rng), rows(1500, rng)
    evidence = audited(leaky(train, strength=1.5, only="f"), test, train)
    for attack in ("loss", "population"):
        assert interval(said(evidence, "auc", attribute="g", group="f", attack=attack))[0] > 0.6
        low, high = interval(said(evidence, "auc", attribute="g", group="m", attack=attack))
        assert low <= 0.5 <= high
        gap = said(evidence, "auc_difference", attribute="g", attack=attack)
        assert interval(gap)[0] > 0.1
        assert gap.details is not None
        assert gap.details.facts["Highest group"] == "f"


def test_groups_alike_and_groups_too_small() -> None:
    rng = np.random.default_rng(7)
    train, test = rows(800, rng), rows(800, rng)
    test.loc[:20, "g"] = "x"
    evidence = audited(leaky(train), test, train)
    gap = said(evidence, "auc_difference", attribute="g", attack="loss")
    assert interval(gap)[0] == 0
    assert gap.details is not None
    assert [out.group for out in gap.details.excluded] == ["x"]
    small = said(evidence, "auc", attribute="g", group="x", attack="loss")
    assert small.status == "not_estimable"


def test_members_from_elsewhere_are_no_leak() -> None:
    rng = np.random.default_rng(8)
    train, test = rows(600, rng), rows(600, rng)
    train["a"] += 1.0
    found = result(audited(leaky(train), test, train))
    assert found.status == "not_assessed"
    assert found.reason is not None
    assert found.reason.code == "members_differ"
    assert [m.metric for m in found.measurements] == [f"{CHECK}.member_shift_auc"]


def test_what_cannot_be_measured_says_why() -> None:
    rng = np.random.default_rng(9)
    train, test = rows(300, rng), rows(300, rng)
    model = leaky(train)
    number = Dataset(test.assign(y=test.a), target="y", task="regression", features=["b"], train=train)
    cases: Mapping[str, Evidence] = {
        "needs_train": audited(model, test, None),
        "needs_scores": audited(lambda X: (X.a > 0).astype(int), test, train),
        "too_few": audited(model, test.head(60), train),
        "task": run(lambda X: X.b.to_numpy(), number, checks=[CHECK]),
    }
    for code, evidence in cases.items():
        found = result(evidence)
        assert found.status == "not_assessed"
        assert found.reason is not None
        assert found.reason.code == code
        assert not found.measurements


def test_rows_without_scores_or_labels_are_left_out() -> None:
    rng = np.random.default_rng(10)
    train, test = rows(400, rng), rows(400, rng)
    for table in (train, test):
        table["s"] = leaky(train)(table)
        table.loc[:49, "s"] = np.nan
    test["y"] = test.y.astype("Int64")
    test.loc[350:, "y"] = None
    evidence = audited({"adapter": "logged", "score": "s", "threshold": 0.5}, test, train, features=None)
    auc = said(evidence, "auc", attack="loss")
    assert auc.n == 350 + 300
    assert auc.details is not None
    assert auc.details.facts["Rows left out, without score or of a rare label"] == 100


def test_the_same_plan_gives_the_same_digest(leak: Any) -> None:
    _, model, train, test = leak
    first, second = (audited(model, test.head(300), train.head(300)) for _ in range(2))
    assert first.digest == second.digest
