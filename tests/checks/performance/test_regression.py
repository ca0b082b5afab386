"""Regression performance against scikit-learn, and intervals against the bootstrap."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk

from fairwitness.audit.evidence import Evidence, Measurement

Audit = Callable[..., Evidence]
REGRESSION = "performance.regression"
METRICS = ("mean_error", "mean_absolute_error", "root_mean_squared_error", "r2")


def numbers(seed: int, n: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = rng.normal(5, 3, n)
    return pd.DataFrame({"y": y, "yhat": 1 + 0.8 * y + rng.normal(0, 1.5, n), "w": rng.exponential(1, n)})


def find(evidence: Evidence, metric: str) -> Measurement:
    return evidence.find(f"{REGRESSION}.{metric}")


def limits(measurement: Measurement) -> tuple[float, float]:
    assert measurement.interval is not None
    return measurement.interval.low, measurement.interval.high


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_values_are_those_of_scikit_learn(audit: Audit, seed: int, weight: str | None) -> None:
    frame = numbers(seed)
    y, yhat = frame["y"], frame["yhat"]
    w = None if weight is None else frame[weight]
    expected = {
        "mean_error": np.average(yhat - y, weights=w),
        "mean_absolute_error": sk.mean_absolute_error(y, yhat, sample_weight=w),
        "root_mean_squared_error": sk.root_mean_squared_error(y, yhat, sample_weight=w),
        "r2": sk.r2_score(y, yhat, sample_weight=w),
    }
    evidence = audit(frame, REGRESSION, weight=weight)
    assert {metric: find(evidence, metric).value for metric in expected} == pytest.approx(expected, abs=1e-12)
    assert {m.n for m in evidence.measurements()} == {800}


def test_the_mean_error_has_students_interval(audit: Audit) -> None:
    frame = numbers(3)
    errors = frame["yhat"] - frame["y"]
    expected = stats.ttest_1samp(errors, 0).confidence_interval(0.95)
    assert limits(find(audit(frame, REGRESSION), "mean_error")) == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize("metric", ["root_mean_squared_error", "r2"])
def test_intervals_agree_with_the_bootstrap(audit: Audit, metric: str) -> None:
    frame = numbers(4, n=2000)
    rng = np.random.default_rng(4)
    score = sk.r2_score if metric == "r2" else sk.root_mean_squared_error
    drawn = [rng.integers(0, 2000, 2000) for _ in range(400)]
    draws = [score(frame["y"].to_numpy()[rows], frame["yhat"].to_numpy()[rows]) for rows in drawn]
    low, high = limits(find(audit(frame, REGRESSION), metric))
    assert high - low == pytest.approx(3.92 * np.std(draws), rel=0.12)


def test_integer_weights_are_repeated_rows(audit: Audit) -> None:
    frame = numbers(5).assign(w=np.random.default_rng(5).integers(1, 5, 800))
    weighted = audit(frame, REGRESSION, weight="w")
    repeated = audit(frame.loc[frame.index.repeat(frame["w"])], REGRESSION)
    for metric in METRICS:
        one, other = find(weighted, metric), find(repeated, metric)
        assert one.value == pytest.approx(other.value, rel=1e-11)
        assert np.diff(limits(one)) > np.diff(limits(other))


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_a_target_far_from_zero_has_the_same_r2_and_interval(audit: Audit, offset: float) -> None:
    """Both are the same for y + c. From raw moments, y^4 has lost all digits at c = 1e6, and the interval its width."""
    frame = numbers(6)
    moved = frame.assign(y=frame["y"] + offset, yhat=frame["yhat"] + offset)
    one, other = (find(audit(rows, REGRESSION), "r2") for rows in (frame, moved))
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert limits(other) == pytest.approx(limits(one), rel=1e-4)


def test_a_constant_target_has_no_r2(audit: Audit) -> None:
    evidence = audit(numbers(7).assign(y=2.5), REGRESSION, task="regression")
    found = find(evidence, "r2")
    assert found.reason is not None
    assert found.reason.code == "no_variation"
    assert find(evidence, "root_mean_squared_error").status == "ok"


def test_a_constant_prediction_explains_less_than_nothing(audit: Audit) -> None:
    frame = numbers(8).assign(yhat=6.0)
    found = find(audit(frame, REGRESSION), "r2")
    assert found.value is not None
    assert found.value == pytest.approx(sk.r2_score(frame["y"], frame["yhat"]), abs=1e-12)
    assert found.value < 0
    low, high = limits(found)
    assert low < found.value < high


def test_predicting_the_mean_of_the_rows_is_never_certain(audit: Audit) -> None:
    """There the first-order variance of r2 is 0: it is not estimable, rather than 0 without doubt."""
    frame = numbers(8)
    found = find(audit(frame.assign(yhat=frame["y"].mean()), REGRESSION), "r2")
    assert found.interval is None or found.interval.low < found.interval.high


def test_errors_of_one_size_still_have_a_mean_and_explain_something(audit: Audit) -> None:
    """Always off by 1, up or down: the absolute error does not vary, the signed one does."""
    frame = numbers(12)
    off = np.where(frame.index % 3 == 0, 1.0, -1.0)
    evidence = audit(frame.assign(y=frame["y"].round(), yhat=frame["y"].round() + off), REGRESSION, task="regression")
    assert find(evidence, "mean_error").value == pytest.approx(off.mean(), abs=1e-12)
    assert find(evidence, "r2").status == "ok"


@pytest.mark.parametrize(("n", "estimable"), [(9, False), (10, True)])
def test_min_denominator(audit: Audit, n: int, estimable: bool) -> None:
    evidence = audit(numbers(9, n=n), REGRESSION)
    assert {m.status == "ok" for m in evidence.measurements()} == {estimable}


def test_missing_values_are_left_out(audit: Audit) -> None:
    frame = numbers(10)
    frame.loc[:99, "y"], frame.loc[700:, "yhat"] = np.nan, np.nan
    evidence = audit(frame, REGRESSION)
    used = frame.dropna()
    assert find(evidence, "r2").value == pytest.approx(sk.r2_score(used["y"], used["yhat"]), abs=1e-12)
    assert find(evidence, "r2").n == len(used) == 600


def test_rows_of_no_weight_are_no_crash(audit: Audit) -> None:
    evidence = audit(numbers(11).assign(w=0.0), REGRESSION, weight="w")
    assert [check.status for check in evidence.checks] == ["ok"]
    assert {m.status for m in evidence.measurements()} == {"not_estimable"}
