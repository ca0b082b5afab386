"""Metrics of the user's own: against MetricFrame, known coverage, and functions that misbehave."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import accuracy_score, fbeta_score, mean_absolute_error

from fairwitness.audit import Dataset, UserError, run
from fairwitness.audit.evidence import CheckResult, Evidence, Measurement, Reason
from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.audit.statistics.multiplicity import ratio_interval, simultaneous_critical, spread_interval
from fairwitness.checks.fairness._custom_draws import Answers, Estimate, Function, estimate
from fairwitness.checks.fairness._custom_pairs import Pairs, difference, ratio

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
CHECK = "fairness.custom"
OWN = "metrics_of_our_own"


def recall(y: Any, p: Any) -> Any:
    return ((y == 1) & (p == 1)).sum() / (y == 1).sum()


def f1(y: Any, p: Any) -> Any:
    return 2 * ((y == 1) & (p == 1)).sum() / ((y == 1).sum() + (p == 1).sum())


def f2(y: Any, p: Any, sample_weight: Any = None) -> Any:
    w = np.ones(len(y)) if sample_weight is None else sample_weight
    return 5 * (w * ((y == 1) & (p == 1))).sum() / ((w * (p == 1)).sum() + 4 * (w * (y == 1)).sum())


def cost(y: Any, p: Any) -> Any:
    return 5 * ((y == 1) & (p == 0)).sum() + ((y == 0) & (p == 1)).sum()


def hostile(y: Any, p: Any) -> Any:
    raise RuntimeError("<script>alert(1)</script> \u202e \ud800\n" * 100)


def picky(y: Any, p: Any) -> Any:
    """Raises on a group without positives."""
    if not (y == 1).any():
        raise ValueError("no positives")
    return recall(y, p)


def heavy(y: Any, p: Any, sample_weight: Any = None) -> Any:
    """Weights that are no repetitions."""
    w = np.ones(len(y)) if sample_weight is None else np.sqrt(sample_weight)
    return float((w * (y == p)).sum() / w.sum())


def leaves(y: Any, p: Any) -> Any:
    sys.exit(0)


def stops(y: Any, p: Any) -> Any:
    raise KeyboardInterrupt


def labels_seen(y: Any, p: Any) -> Any:
    assert all(isinstance(label, str) for label in y)
    return float((y == p).mean())


@pytest.fixture(autouse=True)
def _own_module() -> Iterator[None]:
    module = ModuleType(OWN)
    for function in (recall, f1, f2, cost, hostile, picky, heavy, leaves, stops, labels_seen):
        setattr(module, function.__name__, function)
    module.nothing, module.not_a_number = lambda y, p: None, lambda y, p: float("nan")  # type: ignore[attr-defined]
    module.array, module.three = lambda y, p: y, lambda y, p: 3.0  # type: ignore[attr-defined]
    module.median = lambda y, p: np.median(np.abs(y - p))  # type: ignore[attr-defined]
    module.huge = lambda y, p: 1e308 * float(np.mean(p))  # type: ignore[attr-defined]
    module.large = lambda y, p: 1e69 * float(np.mean(p))  # type: ignore[attr-defined]
    module.number = 5  # type: ignore[attr-defined]
    sys.modules[OWN] = module
    yield
    del sys.modules[OWN]


def table(n: int = 900, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sex, race = rng.choice(["F", "M"], n, p=[0.6, 0.4]), rng.choice(["A", "B", "C"], n)
    y = (rng.random(n) < 0.4).astype(int)
    yhat = (rng.random(n) < 0.1 + 0.7 * y - 0.2 * y * (sex == "F")).astype(int)
    return pd.DataFrame({"sex": sex, "race": race, "y": y, "yhat": yhat, "w": rng.exponential(1, n)})


def options(**metrics: str) -> dict[str, Any]:
    return {"metrics": {name: f"{OWN}:{function}" for name, function in metrics.items()}, "replicates": 60}


def limits(measurement: Measurement) -> tuple[float, float]:
    assert measurement.interval is not None
    return measurement.interval.low, measurement.interval.high


def said(
    evidence: Evidence, metric: str, name: str, attribute: str | None = None, group: str | None = None
) -> Measurement:
    """The one measurement of the metric that the plan calls by that name."""
    (found,) = (
        m
        for m in evidence.measurements()
        if (m.metric, m.attribute, m.group, m.where) == (f"{CHECK}.{metric}", attribute, group, {"metric": name})
    )
    return found


def result(evidence: Evidence) -> CheckResult:
    (found,) = evidence.checks
    return found


@pytest.mark.parametrize("weight", [None, "w"])
def test_values_are_those_of_metric_frame(audit: Audit, weight: str | None) -> None:
    frame = table()
    evidence = audit(frame, CHECK, sensitive=["sex", "race"], weight=weight, options=options(f2="f2", cost="cost"))
    for name, function in (("f2", f2), ("cost", cost)):
        weighted = weight is not None and name == "f2"
        for attribute in ("sex", "race", "sex & race"):
            sensitive = frame[attribute.split(" & ")].agg(" & ".join, axis=1)
            theirs = MetricFrame(
                metrics=function, y_true=frame.y, y_pred=frame.yhat, sensitive_features=sensitive,
                **({"sample_params": {"sample_weight": frame.w}} if weighted else {}),
            )  # fmt: skip
            for group, value in theirs.by_group.items():
                found = said(evidence, "value", name, attribute=attribute, group=str(group))
                assert found.value == pytest.approx(value, abs=1e-12)
                assert limits(found)[0] < found.value < limits(found)[1]  # type: ignore[operator]
            for metric, expected in (("difference", theirs.difference()), ("ratio", theirs.ratio())):
                between = said(evidence, metric, name, attribute=attribute)
                assert between.value == pytest.approx(expected, abs=1e-12)
        assert said(evidence, "value", name).value == pytest.approx(theirs.overall, abs=1e-12)


def test_functions_of_scikit_learn(audit: Audit) -> None:
    frame = table(400)
    named = {"metrics": {"accuracy": "sklearn.metrics:accuracy_score"}, "replicates": 50}
    found = said(audit(frame, CHECK, sensitive=["sex"], options=named), "value", "accuracy")
    assert found.value == pytest.approx(accuracy_score(frame.y, frame.yhat))
    assert fbeta_score(frame.y, frame.yhat, beta=2) == pytest.approx(f2(frame.y, frame.yhat))


def test_labels_are_text_and_values_are_numbers(audit: Audit) -> None:
    frame = table(300)
    text = frame.assign(y=frame.y.map({0: "no", 1: "yes"}), yhat=frame.yhat.map({0: "no", 1: "yes"}))
    chosen = options(share="labels_seen")
    evidence = audit(text, CHECK, sensitive=["sex"], task="multiclass", options=chosen)
    assert said(evidence, "value", "share").value == pytest.approx((frame.y == frame.yhat).mean())
    positive = audit(text, CHECK, sensitive=["sex"], positive="yes", options=options(recall="recall"))
    assert said(positive, "value", "recall").value == pytest.approx(recall(frame.y, frame.yhat))
    rng = np.random.default_rng(1)
    values = frame.assign(y=rng.normal(size=300), yhat=rng.normal(size=300))
    values.loc[:9, "yhat"] = np.nan
    evidence = audit(
        values, CHECK, sensitive=["sex"], task="regression", options=options(median="median")
    )  # fmt: skip
    found = said(evidence, "value", "median")
    assert found.value == pytest.approx((values.y - values.yhat).abs().median())
    assert found.n == 290
    assert found.details is not None
    assert [(left_out.n, left_out.reason.code) for left_out in found.details.excluded] == [(10, "no_answer")]


@pytest.mark.parametrize(("n", "positives", "hit", "wrong"), [(60, 0.5, 0.8, 0.2), (150, 0.3, 0.9, 0.1)])
@pytest.mark.parametrize("function", [recall, f1])
def test_intervals_cover(function: Callable[..., Any], n: int, positives: float, hit: float, wrong: float) -> None:
    rng, metric, covered = np.random.default_rng(2), Function.of("metric", function), []
    truth = hit if function is recall else 2 * positives * hit / (positives * (1 + hit) + (1 - positives) * wrong)
    for _ in range(150):
        y = (rng.random(n) < positives).astype(int)
        rows = Answers(y, (rng.random(n) < np.where(y == 1, hit, wrong)).astype(int), None)
        found = estimate(metric, rows, function(y, rows.predicted), labels=True, replicates=60, rng=rng)
        assert isinstance(found, Estimate)
        low, high = found.limits(critical_value(0.95))
        covered.append(low <= truth <= high)
    assert np.mean(covered) >= 0.9


def test_intervals_of_a_recall_are_close_to_wilsons() -> None:
    rng, metric = np.random.default_rng(3), Function.of("recall", recall)
    for hits in (30, 38, 40):
        rows = Answers(np.repeat([1, 0], 40), np.repeat([1, 0, 0], [hits, 40 - hits, 40]), None)
        found = estimate(metric, rows, hits / 40, labels=True, replicates=2000, rng=rng)
        assert isinstance(found, Estimate)
        expected = wilson(hits, 40, critical_value(0.95))
        assert found.limits(critical_value(0.95)) == pytest.approx([float(e) for e in expected], abs=0.04)
        assert found.below > 0


def test_no_difference_is_found_where_there_is_none() -> None:
    rng, metric, reached = np.random.default_rng(4), Function.of("f1", f1), []
    for _ in range(80):
        found = []
        for n in (50, 80, 120):
            y = (rng.random(n) < 0.4).astype(int)
            rows = Answers(y, (rng.random(n) < np.where(y == 1, 0.8, 0.2)).astype(int), None)
            each = estimate(metric, rows, f1(y, rows.predicted), labels=True, replicates=50, rng=rng)
            assert isinstance(each, Estimate)
            found.append(each)
        critical = simultaneous_critical([[each.deviation for each in found]], 0.95, rng)
        limits_ = np.array([each.limits(critical) for each in found])
        pairs = Pairs(np.array([each.value for each in found]), limits_[:, 0], limits_[:, 1])
        ratios = ratio(pairs)
        assert not isinstance(ratios, Reason)
        assert (difference(pairs)[1] == 0) == (ratios[2] == 1)
        reached.append(difference(pairs)[1] == 0)
    assert np.mean(reached) >= 0.9


def test_a_bootstrap_of_values_is_students_interval() -> None:
    rng, metric = np.random.default_rng(5), Function.of("mae", mean_absolute_error)
    rows = Answers(rng.normal(size=40), np.zeros(40), None)
    errors = np.abs(rows.truth)
    found = estimate(metric, rows, float(errors.mean()), labels=False, replicates=1000, rng=rng)
    assert isinstance(found, Estimate)
    expected = stats.t.interval(0.95, 39, errors.mean(), stats.sem(errors))
    assert found.limits(critical_value(0.95)) == pytest.approx(expected, abs=0.03)


def test_pairs_of_rates_are_as_elsewhere() -> None:
    x, n = np.array([20, 35, 50]), np.array([60, 70, 80])
    low, high = wilson(x, n, 2.3)
    pairs = Pairs(x / n, low, high)
    assert difference(pairs) == pytest.approx(spread_interval(x, n, 2.3), abs=1e-12)
    assert ratio(pairs) == pytest.approx(ratio_interval(x, n, 2.3), abs=1e-12)


@pytest.mark.parametrize(
    ("value", "code"), [([-0.5, 0.5], "negative_values"), ([0.0, 0.0], "all_rates_zero")]
)  # fmt: skip
def test_ratios_that_have_no_meaning(value: list[float], code: str) -> None:
    values: NDArray[np.float64] = np.array(value)
    found = ratio(Pairs(values, values - 0.1, values + 0.1))
    assert isinstance(found, Reason)
    assert found.code == code


def test_weights_that_are_no_repetitions_are_bootstrapped(audit: Audit) -> None:
    frame = table(300)
    evidence = audit(frame, CHECK, sensitive=["sex"], weight="w", options=options(heavy="heavy", cost="cost"))
    found = said(evidence, "value", "heavy")
    assert found.value == pytest.approx(np.average(frame.y == frame.yhat, weights=np.sqrt(frame.w)))
    for name, takes in (("heavy", True), ("cost", False)):
        details = said(evidence, "value", name).details
        assert details is not None
        assert details.facts == {"Takes weights": takes}


def test_repeated_rows_tell_no_more(audit: Audit) -> None:
    frame = table(500).assign(w=4.0)
    weighted = audit(frame, CHECK, sensitive=["sex"], weight="w", options=options(f2="f2"))
    plain = audit(frame, CHECK, sensitive=["sex"], options=options(f2="f2"))
    for one, other in zip(weighted.measurements(), plain.measurements(), strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-12)
        assert limits(one) == pytest.approx(limits(other), abs=1e-9)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("hostile", "metric_failed"),
        ("nothing", "metric_no_number"),
        ("array", "metric_no_number"),
        ("not_a_number", "metric_undefined"),
        ("three", "no_variation"),
        ("huge", "values_too_large"),
        ("leaves", "metric_failed"),
    ],
)
def test_functions_that_misbehave(audit: Audit, function: str, code: str) -> None:
    evidence = audit(table(200), CHECK, sensitive=["sex"], options=options(it=function, recall="recall"))
    assert result(evidence).status == "ok"
    for group in ("F", "M"):
        found = said(evidence, "value", "it", attribute="sex", group=group)
        assert found.reason is not None
        assert found.reason.code == code
        assert all(len(str(value)) <= 300 for value in found.reason.params.values())
        assert said(evidence, "value", "recall", attribute="sex", group=group).value is not None
    between = said(evidence, "difference", "it", attribute="sex")
    assert between.reason is not None
    assert between.reason.code == "fewer_than_two_groups"
    assert between.details is not None
    assert [left_out.group for left_out in between.details.excluded] == ["F", "M"]
    evidence.to_json().encode("utf-8")


def test_large_numbers_are_computed_with(audit: Audit) -> None:
    evidence = audit(table(300), CHECK, sensitive=["sex"], options=options(it="large"))
    assert said(evidence, "difference", "it", attribute="sex").value is not None
    assert said(evidence, "ratio", "it", attribute="sex").value is not None


def test_stopping_by_hand_is_no_failure_of_the_function() -> None:
    with pytest.raises(KeyboardInterrupt):
        Function.of("it", stops).ask(np.ones(3), np.ones(3))


def excluded(measurement: Measurement) -> list[tuple[str, int, str]]:
    assert measurement.details is not None
    return [(left_out.group, left_out.n, left_out.reason.code) for left_out in measurement.details.excluded]


@pytest.mark.parametrize("lacking", ["labels", "weights", "answers"])
def test_a_group_without_usable_rows_does_not_vanish(audit: Audit, lacking: str) -> None:
    frame = table(600).astype({"y": float, "yhat": float})
    column, value = {"labels": ("y", np.nan), "weights": ("w", 0.0), "answers": ("yhat", np.nan)}[lacking]
    gone = frame["race"] == "C"
    frame.loc[gone, column] = value
    unanswered = [("C", int(gone.sum()), "no_answer")] if lacking == "answers" else []
    chosen, meaning = options(recall="recall"), {"task": "binary", "positive": 1}
    evidence = audit(frame, CHECK, sensitive=["race"], weight="w", options=chosen, **meaning)
    found = said(evidence, "value", "recall", attribute="race", group="C")
    assert found.reason is not None
    assert (found.reason.code, found.n) == ("too_few", 0)
    assert excluded(found) == unanswered
    for metric in ("difference", "ratio"):
        between = said(evidence, metric, "recall", attribute="race")
        assert between.status == "ok"
        assert excluded(between) == [("C", 0, "too_few"), *unanswered]


def test_rows_without_an_answer_are_listed_by_group(audit: Audit) -> None:
    frame = table(600).astype({"yhat": float})
    frame.loc[:29, "yhat"] = np.nan
    evidence = audit(frame, CHECK, sensitive=["sex"], task="binary", positive=1, options=options(recall="recall"))
    lacking = [(group, int((frame["sex"][:30] == group).sum()), "no_answer") for group in ("F", "M")]
    assert excluded(said(evidence, "value", "recall")) == [("(all rows)", 30, "no_answer")]
    for listed in lacking:
        assert excluded(said(evidence, "value", "recall", attribute="sex", group=listed[0])) == [listed]
    assert excluded(said(evidence, "difference", "recall", attribute="sex")) == lacking


def test_the_order_of_the_rows_does_not_count(audit: Audit) -> None:
    rng = np.random.default_rng(7)
    frame = table(300).assign(y=rng.normal(size=300).round(1), yhat=rng.normal(size=300).round(1))
    told, again = (
        audit(rows, CHECK, sensitive=["sex"], task="regression", weight="w", options=options(median="median"))
        for rows in (frame, frame.sample(frac=1, random_state=0, ignore_index=True))
    )
    for one, other in zip(told.measurements(), again.measurements(), strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-12)
        assert limits(one) == pytest.approx(limits(other), abs=1e-9)


def test_many_groups_have_fewer_draws(audit: Audit) -> None:
    calls = []

    def counted(y: Any, p: Any) -> Any:
        calls.append(len(y))
        return np.mean(y == p)

    sys.modules[OWN].counted = counted  # type: ignore[attr-defined]
    frame = table(3000).assign(sex=[f"g{i % 100}" for i in range(3000)])
    named = {"metrics": {"it": f"{OWN}:counted"}, "replicates": 500}
    evidence = audit(frame, CHECK, sensitive=["sex"], options=named)
    details = said(evidence, "value", "it").details
    assert details is not None
    assert details.facts == {"Draws, for want of time": 99}
    assert len(calls) < 11_000


def test_a_group_that_the_function_cannot_take_is_listed(audit: Audit) -> None:
    frame = table(600)
    frame.loc[frame["race"] == "C", "y"] = 0
    frame.loc[frame["race"] == "A", "sex"] = "F"
    frame.loc[:4, "race"] = "tiny"
    evidence = audit(frame, CHECK, sensitive=["race"], options=options(recall="picky"))
    found = said(evidence, "difference", "recall", attribute="race")
    assert found.status == "ok"
    assert found.details is not None
    listed = [(left_out.group, left_out.reason.code) for left_out in found.details.excluded]
    assert listed == [("C", "metric_failed"), ("tiny", "too_few")]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (f"{OWN}:recal", "did you mean 'recall'?"),
        (f"{OWN}:number", "is not a function"),
        ("no_such_module_anywhere:f", "No module named"),
        ("recall", "expected module:function"),
    ],
)
def test_functions_that_are_not_there(audit: Audit, reference: str, message: str) -> None:
    with pytest.raises(UserError) as found:
        audit(table(100), CHECK, sensitive=["sex"], options={"metrics": {"it": reference}})
    assert message in str(found.value)
    assert 'checks."fairness.custom".metrics.it' in str(found.value)


def test_messages_begin_with_the_file_of_the_plan() -> None:
    data = Dataset(table(100), target="y", sensitive=["sex"])
    data.where = "audit.toml: data"
    with pytest.raises(UserError) as found:
        run({"adapter": "logged", "prediction": "yhat"}, data, checks=[CHECK], options={CHECK: options(it="recal")})
    assert str(found.value).startswith('audit.toml: checks."fairness.custom".metrics.it: ')


def test_a_module_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def share(y, p):\n    return (y == p).mean()\n")
    frame = table(200)
    data = Dataset(frame, target="y", sensitive=["sex"])
    data.folder = tmp_path
    named = {CHECK: {"metrics": {"share": "beside:share"}, "replicates": 50}}
    evidence = run({"adapter": "logged", "prediction": "yhat"}, data, checks=[CHECK], options=named)
    assert said(evidence, "value", "share").value == pytest.approx((frame.y == frame.yhat).mean())


def test_without_metrics_it_is_not_assessed(audit: Audit) -> None:
    found = result(audit(table(100), CHECK, sensitive=["sex"]))
    assert found.reason is not None
    assert (found.status, found.reason.code) == ("not_assessed", "no_metrics_declared")


def test_real_data(audit: Audit, predicted: Predicted) -> None:
    """COMPAS with a cost of five for a missed case: the totals by group, and a difference that is there."""
    frame = predicted("compas")
    evidence = audit(frame, CHECK, sensitive=["race"], options=options(f2="f2", recall="recall"))
    by_group = MetricFrame(metrics=f2, y_true=frame.y, y_pred=frame.yhat, sensitive_features=frame.race).by_group
    for group in ("African-American", "Caucasian"):
        found = said(evidence, "value", "f2", attribute="race", group=group)
        assert found.value == pytest.approx(by_group[group], abs=1e-12)
    gap = said(evidence, "difference", "recall", attribute="race")
    assert limits(gap)[0] > 0.1
