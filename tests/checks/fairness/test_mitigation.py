"""What could be attained, at what cost: against fairlearn, published intervals, and planted subjects."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.postprocessing import ThresholdOptimizer
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairwitness.audit import Dataset, run
from fairwitness.audit.comparison import between_groups
from fairwitness.audit.evidence import Evidence, Measurement
from fairwitness.checks.fairness._mitigation_paired import change, paired_interval
from fairwitness.checks.fairness._mitigation_rows import Rows, Split, outcome
from fairwitness.checks.fairness._mitigation_rules import Constraint, StoredScore, chance, levels, optimized
from fairwitness.reports.plots import plot

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
CHECK = "fairness.mitigation"
CONSTRAINTS: list[Constraint] = ["demographic_parity", "true_positive_rate_parity", "equalized_odds"]


def logistic(x: Any) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


def closable(n: int, seed: int = 0) -> pd.DataFrame:
    """The score is moved for one group without reason: moving it back closes every gap and makes it more accurate."""
    rng = np.random.default_rng(seed)
    sex, x = rng.choice(["F", "M"], n), rng.normal(size=n)
    score = logistic(2 * x - 1.5 * (sex == "F") + 0.75)
    y = (x + rng.normal(0, 0.7, n) > 0).astype(int)
    return pd.DataFrame({"sex": sex, "y": y, "yhat": (score > 0.5).astype(int), "score": score, "x": x})


def only_down(n: int, seed: int = 0) -> pd.DataFrame:
    """The score says nothing of women, and most labels are negative: equal odds are best had by selecting nobody."""
    rng = np.random.default_rng(seed)
    sex, x = rng.choice(["F", "M"], n), rng.normal(size=n)
    score = np.where(sex == "M", logistic(4 * x - 2), rng.random(n) * 0.7)
    y = (x + rng.normal(0, 0.3, n) > 0.5).astype(int)
    return pd.DataFrame({"sex": sex, "y": y, "yhat": (score > 0.5).astype(int), "score": score})


def said(evidence: Evidence, metric: str, constraint: str, attribute: str = "sex", **where: str) -> Measurement:
    where = {"method": "threshold_optimizer", **where}
    return evidence.find(f"{CHECK}.{metric}", attribute=attribute, constraint=constraint, **where)


def limits(measurement: Measurement) -> tuple[float, float]:
    assert measurement.interval is not None
    return measurement.interval.low, measurement.interval.high


def facts(evidence: Evidence, constraint: str, **which: str) -> dict[str, Any]:
    details = said(evidence, "attainable_difference", constraint, **which).details
    assert details is not None
    return details.facts


@pytest.mark.parametrize(
    ("cells", "expected"),
    [((59, 6, 16, 80), (-0.1186, -0.0046)), ((1, 1, 7, 12), (-0.507, -0.026)), ((36, 12, 2, 0), (0.0569, 0.3404))],
)
def test_paired_intervals_as_published(cells: tuple[int, int, int, int], expected: tuple[float, float]) -> None:
    """Cavo et al. 2012 and Bentur et al. 2009 as R's contingencytables has them; Newcombe's own example."""
    assert paired_interval(*cells, 0.95) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(("n", "cells"), [(60, (0.5, 0.05, 0.15, 0.3)), (40, (0.9, 0.02, 0.06, 0.02))])
def test_paired_intervals_cover(n: int, cells: tuple[float, ...]) -> None:
    drawn = np.random.default_rng(0).multinomial(n, cells, size=1500)
    found = [paired_interval(a, b, c, d, 0.95) for a, b, c, d in drawn.tolist()]
    covered = np.mean([low <= cells[1] - cells[2] <= high for low, high in found])
    assert 0.935 <= covered <= 0.995


def test_a_change_is_a_paired_difference_of_means() -> None:
    rng = np.random.default_rng(1)
    after, weight = rng.random(200), rng.exponential(size=200)
    before = (rng.random(200) < 0.4).astype(np.float64)
    found = change(after, before, weight, 0.95)
    assert found.value == pytest.approx(np.average(after - before, weights=weight), abs=1e-12)
    assert found.low < found.value < found.high
    same = change(before, before, None, 0.95)
    assert same.value == 0
    assert -0.1 < same.low < 0 < same.high < 0.1
    equal, scaled = (change(after, before, w, 0.95) for w in (None, np.full(200, 3.0)))
    assert (equal.low, equal.high) == pytest.approx((scaled.low, scaled.high))


def test_the_interval_is_that_of_one_draw_of_lots() -> None:
    """Chances as the truth, decisions drawn from them: the interval from the chances covers the drawn change."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(400):
        before, chances = (rng.random(80) < 0.5).astype(np.float64), rng.choice([0.0, 0.3, 1.0], 80)
        found = change(chances, before, None, 0.95)
        covered.append(found.low <= 1.3 / 3 - 0.5 <= found.high)
    assert np.mean(covered) >= 0.94


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("objective", ["accuracy_score", "balanced_accuracy_score"])
def test_chances_are_those_of_fairlearn(constraint: Constraint, objective: Any) -> None:
    frame = closable(600)
    scores, truth, group = frame.score.to_numpy(), frame.y.to_numpy() == 1, (frame.sex == "M").to_numpy().astype(int)
    rules = optimized(scores, truth, group, constraint, objective)
    theirs = ThresholdOptimizer(
        estimator=StoredScore(), prefit=True, predict_method="decision_function", constraints=constraint,
        objective=objective,
    ).fit(scores[:, None], frame.y, sensitive_features=group)  # fmt: skip
    expected = theirs._pmf_predict(scores[:, None], sensitive_features=group)[:, 1]
    found = chance(rules, scores, group)
    assert found == pytest.approx(expected, abs=1e-12)
    drawn = [theirs.predict(scores[:, None], sensitive_features=group, random_state=i).mean() for i in range(20)]
    assert found.mean() == pytest.approx(np.mean(drawn), abs=0.01)
    rates = [found[(group == g) & (truth | (constraint == "demographic_parity"))].mean() for g in (0, 1)]
    assert rates[0] == pytest.approx(rates[1], abs=1e-9)


def test_scores_are_finite_and_few() -> None:
    rng = np.random.default_rng(3)
    assert levels(np.array([np.inf, 0.5, -np.inf])).tolist() == [1e300, 0.5, -1e300]
    scores = rng.normal(size=50_000)
    coarse = levels(scores)
    assert len(np.unique(coarse)) <= 1000
    assert (coarse <= scores).all()
    order = np.argsort(scores)
    assert (np.diff(coarse[order]) >= 0).all()


def test_the_attained_gap_covers_that_of_its_rule() -> None:
    """One rule, many halves held out: the interval is that of a gap that the rule truly has, here .1."""
    rng, covered = np.random.default_rng(4), []
    for _ in range(150):
        group = rng.integers(0, 2, 300)
        rows = Rows(
            np.arange(300), group, rng.random(300) < 0.5, np.zeros(300), np.zeros(300), None
        )  # fmt: skip
        held = Split("sex", ("F", "M"), rows, rows, ())
        chances = np.where(rng.random(300) < 0.5, 0.2, 0.6 + 0.2 * group)
        shares = outcome(held, chances, "demographic_parity", "", 0.95).shares
        gap = between_groups("gap", shares, rng, level=0.95, least=10)
        covered.append(limits(gap)[0] <= 0.1 <= limits(gap)[1])
    assert np.mean(covered) >= 0.95


def test_a_gap_that_closes_at_no_cost(audit: Audit) -> None:
    evidence = audit(closable(4000), CHECK, score="score", sensitive=["sex"])
    for constraint in CONSTRAINTS:
        found = facts(evidence, constraint)
        assert found["Difference before"] > 0.25
        assert limits(said(evidence, "attainable_difference", constraint))[1] < 0.12
        assert limits(said(evidence, "accuracy_cost", constraint))[1] < 0.02
        assert limits(said(evidence, "worst_group_rate_change", constraint))[0] > 0.05
        assert limits(said(evidence, "best_group_rate_change", constraint))[1] < -0.05
        assert found["Levelling down"] is False
        share = found["Part of the closing that is a fall of the highest rate"]
        assert 0.2 < share < 0.8


def test_a_gap_that_closes_only_by_levelling_down(audit: Audit) -> None:
    evidence = audit(only_down(4000), CHECK, score="score", sensitive=["sex"])
    found = facts(evidence, "equalized_odds")
    assert found["Levelling down"] is True
    assert found["Difference before"] > 0.4
    assert limits(said(evidence, "attainable_difference", "equalized_odds"))[1] < 0.1
    assert limits(said(evidence, "accuracy_cost", "equalized_odds"))[0] > 0.02
    assert limits(said(evidence, "worst_group_rate_change", "equalized_odds"))[0] < 0
    assert limits(said(evidence, "best_group_rate_change", "equalized_odds"))[1] < -0.5


def test_the_curve_leads_from_the_model_to_the_constraint(audit: Audit) -> None:
    evidence = audit(closable(4000), CHECK, score="score", sensitive=["sex"])
    for constraint in CONSTRAINTS:
        found = said(evidence, "attainable_difference", constraint)
        assert found.details is not None
        assert found.details.table is not None
        (curve,) = found.details.curves
        rows = found.details.table.rows
        assert [row[1] for row in rows][::-1][0] == "constrained"
        assert rows[-1][2] == found.value
        assert rows[0][2:4] == (found.details.facts["Difference before"], found.details.facts["Accuracy before"])
        assert sorted(p.x for p in curve.points) == [p.x for p in curve.points] == sorted(row[2] for row in rows)  # type: ignore[type-var]
        assert all(p.low is not None and p.high is not None and p.low < p.y < p.high for p in curve.points)
        assert plot(curve) is not None
    lots = said(evidence, "attainable_difference", "equalized_odds").details
    assert lots is not None
    assert lots.table is not None
    accuracy = np.array([row[3] for row in lots.table.rows], dtype=np.float64)
    assert np.diff(accuracy) == pytest.approx(np.full(4, np.ptp(accuracy[[0, -1]]) / 4), abs=1e-12)


def test_the_cost_is_the_difference_of_the_accuracies(audit: Audit) -> None:
    evidence = audit(only_down(1500), CHECK, score="score", sensitive=["sex"])
    for constraint in CONSTRAINTS:
        found = facts(evidence, constraint)
        cost = said(evidence, "accuracy_cost", constraint)
        assert cost.value == pytest.approx(found["Accuracy before"] - found["Accuracy after"], abs=1e-12)
        assert 745 <= cost.n <= 755


@pytest.mark.parametrize(("name", "attribute"), [("adult", "sex"), ("adult", "race"), ("compas", "race")])
def test_real_data(audit: Audit, predicted: Predicted, name: str, attribute: str) -> None:
    frame = predicted(name)
    if name == "adult":  # the other groups have 20 positives or fewer
        frame = frame[frame["race"].isin(["White", "Black"])]
    evidence = audit(frame, CHECK, score="score", sensitive=[attribute])
    for constraint in CONSTRAINTS:
        gap = said(evidence, "attainable_difference", constraint, attribute=attribute)
        cost = said(evidence, "accuracy_cost", constraint, attribute=attribute)
        assert gap.details is not None
        assert gap.value is not None
        assert gap.value < gap.details.facts["Difference before"]  # type: ignore[operator]
        assert limits(gap)[0] < 0.06
        assert -0.03 < limits(cost)[0] <= limits(cost)[1] < 0.1
    if name == "compas":
        details = said(evidence, "attainable_difference", "equalized_odds", attribute="race").details
        assert details is not None
        assert [left_out.group for left_out in details.excluded] == ["Asian", "Native American"]


def test_what_is_left_out_is_listed(audit: Audit) -> None:
    frame = closable(1200)
    frame.loc[:30, "sex"] = "X"
    frame.loc[100:140, "score"] = np.nan
    evidence = audit(frame, CHECK, score="score", sensitive=["sex"])
    for metric in ("attainable_difference", "accuracy_cost"):
        details = said(evidence, metric, "demographic_parity").details
        assert details is not None
        assert details.excluded[0].group == "X"
        assert details.excluded[0].reason.code == "too_few"
        assert details.excluded[0].reason.params["needed"] == 20
        assert {left_out.reason.code for left_out in details.excluded} == {"too_few", "no_answer"}
    of_one_label = frame.assign(y=frame["y"].where(frame["sex"] != "M", 0))
    found = said(audit(of_one_label, CHECK, score="score", sensitive=["sex"]), "accuracy_cost", "equalized_odds")
    assert found.reason is not None
    assert found.reason.code == "fewer_than_two_groups"


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_no_answer(audit: Audit, score: float) -> None:
    frame = closable(600)
    frame.loc[frame.index[frame["sex"] == "F"][:30], "score"] = score
    evidence = audit(frame, CHECK, score="score", sensitive=["sex"])
    details = said(evidence, "accuracy_cost", "demographic_parity").details
    assert details is not None
    assert [(e.group, e.n, e.reason.code) for e in details.excluded] == [("F", 30, "no_answer")]


@pytest.mark.parametrize("weight", [None, "w"])
def test_the_order_of_the_rows_does_not_count(audit: Audit, weight: str | None) -> None:
    frame = closable(600).round({"score": 1}).assign(w=np.random.default_rng(6).integers(1, 4, 600))
    told, again = (
        audit(rows, CHECK, score="score", sensitive=["sex"], weight=weight).measurements()
        for rows in (frame, frame.sample(frac=1, random_state=0, ignore_index=True))
    )
    for one, other in zip(told, again, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-9)
        assert limits(one) == pytest.approx(limits(other), abs=1e-9)


@pytest.mark.filterwarnings("error")
def test_many_groups(audit: Audit) -> None:
    """Fifty have thresholds of their own, without a word of pandas; with more it would take too long."""
    frame = closable(4000)
    fifty, more = (frame.assign(sex=[f"g{i % groups}" for i in range(4000)]) for groups in (50, 51))
    how: dict[str, Any] = {"score": "score", "sensitive": ["sex"], "options": {"min_denominator": 5}}
    assert said(audit(fifty, CHECK, **how), "accuracy_cost", "demographic_parity").value is not None
    how["options"]["fits"] = 6
    evidence = audit(more, CHECK, **how)
    for method in ("threshold_optimizer", "grid_search"):
        found = said(evidence, "accuracy_cost", "demographic_parity", method=method)
        assert found.reason is not None
        assert (found.reason.code, found.reason.params["groups"]) == ("too_many_thresholds", 51)


def test_intersections_only_if_asked(audit: Audit) -> None:
    frame = closable(1500).assign(race=np.random.default_rng(5).choice(["A", "B"], 1500))
    asked, not_asked = (
        {m.attribute for m in audit(frame, CHECK, score="score", sensitive=["sex", "race"], options=o).measurements()}
        for o in ({"intersections": True}, {})
    )
    assert asked - not_asked == {"sex & race"}


def test_weights_count_in_search_and_judgement(audit: Audit) -> None:
    """Rows of next to no weight that would turn the rule round."""
    frame = closable(3000).assign(w=1.0)
    light = frame.assign(score=1 - frame["score"], yhat=1 - frame["yhat"], w=1e-6)
    both = pd.concat([frame, light], ignore_index=True)
    alone, with_light = (
        said(audit(rows, CHECK, score="score", sensitive=["sex"], weight="w"), "accuracy_cost", "demographic_parity")
        for rows in (frame, both)
    )
    assert with_light.value == pytest.approx(alone.value, abs=0.03)
    assert limits(with_light)[1] < 0.02


def retrained(model: Any, n: int, *, train: bool = True, **options: Any) -> Evidence:
    """A model that is given the group, which the labels depend on."""

    def rows(seed: int) -> pd.DataFrame:
        frame = closable(n, seed)
        frame["man"] = (frame["sex"] == "M").astype(float)
        frame["y"] = ((frame["x"] + 0.8 * frame["man"] - 0.4) > 0).astype(int)
        return frame[["sex", "y", "x", "man"]]

    fitted = rows(1)
    model.fit(fitted[["x", "man"]], fitted["y"])
    data = Dataset(
        rows(2), target="y", sensitive=["sex"], features=["x", "man"], train=fitted if train else None
    )  # fmt: skip
    return run(model, data, checks=[CHECK], options={CHECK: {"constraints": ["demographic_parity"], **options}})


@pytest.mark.parametrize("pipeline", [False, True])
def test_retraining_trades_accuracy_for_the_gap(pipeline: bool) -> None:
    fits = []

    class Counted(LogisticRegression):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            fits.append(len(X))
            return super().fit(X, y, sample_weight)

    model = make_pipeline(StandardScaler(), Counted()) if pipeline else Counted()
    evidence = retrained(model, 1500, fits=15)
    assert len(fits) - 1 <= 15
    assert set(fits) == {1500}
    found = said(evidence, "attainable_difference", "demographic_parity", method="grid_search")
    assert found.details is not None
    before = found.details.facts["Difference before"]
    assert isinstance(before, float)
    assert before > 0.25
    assert limits(found)[1] < before - 0.05
    assert limits(said(evidence, "accuracy_cost", "demographic_parity", method="grid_search"))[0] > 0
    assert found.details.table is not None
    assert [row[1] for row in found.details.table.rows] == [
        "as it is", "weight: 0.1", "weight: 0.25", "weight: 0.5", "weight: 0.75", "weight: 0.9"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "how", "code"),
    [
        (KNeighborsClassifier(), {"fits": 10}, "not_weightable"),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), {"fits": 10}, "not_weightable"),
        (RandomForestClassifier(5, random_state=0), {"fits": 1}, "too_few"),
        (LogisticRegression(), {"fits": 10, "train": False}, "needs_train"),
    ],
)
def test_why_a_model_is_not_retrained(model: Any, how: dict[str, Any], code: str) -> None:
    found = said(retrained(model, 300, **how), "accuracy_cost", "demographic_parity", method="grid_search")
    assert found.reason is not None
    assert found.reason.code == code


def test_logged_predictions_cannot_be_retrained(audit: Audit) -> None:
    evidence = audit(closable(400), CHECK, score="score", sensitive=["sex"], options={"fits": 10})
    found = said(evidence, "accuracy_cost", "demographic_parity", method="grid_search")
    assert found.reason is not None
    assert found.reason.code == "no_such_capability"
    without = audit(closable(400), CHECK, score="score", sensitive=["sex"])
    assert {m.where["method"] for m in without.measurements()} == {"threshold_optimizer"}


@pytest.mark.parametrize(
    ("change_of", "meaning", "code"),
    [
        ({}, {"score": None}, "needs_scores"),
        ({"score": np.nan}, {}, "needs_scores"),
        ({"y": np.nan}, {"task": "binary", "positive": 1}, "needs_labels"),
        ({}, {"sensitive": []}, "no_attributes"),
        ({}, {"task": "multiclass", "score": None}, "task"),
    ],
)
def test_what_cannot_be_assessed(audit: Audit, change_of: dict[str, Any], meaning: dict[str, Any], code: str) -> None:
    how = {"score": "score", "sensitive": ["sex"]} | meaning
    (result,) = audit(closable(100).assign(**change_of), CHECK, **how).checks
    assert result.reason is not None
    assert result.reason.code == code
