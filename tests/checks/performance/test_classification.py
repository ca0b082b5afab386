"""Classification performance against scikit-learn: weighted and not, two labels and more, ties and extremes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk

from fairwitness.audit.evidence import Evidence, Measurement

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
PERFORMANCE = "performance.classification"
CLASSES = ["a", "b", "c"]
PROBABILITIES = [f"p_{name}" for name in CLASSES]


def find(evidence: Evidence, metric: str, **where: str) -> Measurement:
    return evidence.find(f"{PERFORMANCE}.{metric}", **where)


def binary(seed: int, n: int = 700, decimals: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.35).astype(int)
    score = (1 / (1 + np.exp(-rng.normal(2 * y - 1, 1.5)))).round(decimals)
    return pd.DataFrame({"y": y, "yhat": (score > 0.4).astype(int), "score": score, "w": rng.exponential(1, n)})


def multiclass(seed: int, n: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    logits = rng.normal(0, 1, (n, 3)) + 1.5 * np.eye(3)[codes]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array(CLASSES)
    frame = pd.DataFrame({"y": labels[codes], "yhat": labels[scores.argmax(axis=1)], "w": rng.exponential(1, n)})
    return frame.assign(**dict(zip(PROBABILITIES, scores.T, strict=True)))


def expected(frame: pd.DataFrame, weight: str | None) -> dict[str, float]:
    y, yhat, score = frame["y"], frame["yhat"], frame["score"]
    w: dict[str, Any] = {"sample_weight": None if weight is None else frame[weight]}
    return {
        "accuracy": sk.accuracy_score(y, yhat, **w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, yhat, **w),
        "precision": sk.precision_score(y, yhat, **w),
        "recall": sk.recall_score(y, yhat, **w),
        "f1": sk.f1_score(y, yhat, **w),
        "matthews_correlation": sk.matthews_corrcoef(y, yhat, **w),
        "roc_auc": sk.roc_auc_score(y, score, **w),
        "average_precision": sk.average_precision_score(y, score, **w),
        "log_loss": sk.log_loss(y, score, **w),
        "brier_score": sk.brier_score_loss(y, score, **w),
    }


def said(evidence: Evidence) -> dict[str, float | None]:
    return {m.metric.rpartition(".")[2]: m.value for m in evidence.measurements()}


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("decimals", [12, 1, 0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_labels(audit: Audit, seed: int, decimals: int, weight: str | None) -> None:
    """Scores rounded to 1 and to 0 decimals are mostly ties."""
    frame = binary(seed, decimals=decimals)
    evidence = audit(frame, PERFORMANCE, score="score", weight=weight)
    assert said(evidence) == pytest.approx(expected(frame, weight), abs=1e-12)


@pytest.mark.parametrize("name", ["compas", "adult", "law_school", "german_credit"])
def test_real_data(audit: Audit, predicted: Predicted, name: str) -> None:
    frame = predicted(name)
    assert said(audit(frame, PERFORMANCE, score="score")) == pytest.approx(expected(frame, None), abs=1e-12)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("seed", [0, 1])
def test_three_labels(audit: Audit, seed: int, weight: str | None) -> None:
    frame = multiclass(seed)
    y, yhat, probabilities = frame["y"], frame["yhat"], frame[PROBABILITIES].to_numpy()
    w: dict[str, Any] = {"sample_weight": None if weight is None else frame[weight]}
    evidence = audit(frame, PERFORMANCE, score=dict(zip(CLASSES, PROBABILITIES, strict=True)), weight=weight)
    whole = {
        "accuracy": sk.accuracy_score(y, yhat, **w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, yhat, **w),
        "matthews_correlation": sk.matthews_corrcoef(y, yhat, **w),
        "log_loss": sk.log_loss(y, probabilities, labels=CLASSES, **w),
        "brier_score": sk.brier_score_loss(y, probabilities, labels=CLASSES, **w),
    }
    assert {metric: find(evidence, metric).value for metric in whole} == pytest.approx(whole, abs=1e-12)
    of_labels = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
    for metric, score in of_labels.items():
        each = score(y, yhat, labels=CLASSES, average=None, **w)
        assert [find(evidence, metric, **{"class": c}).value for c in CLASSES] == pytest.approx(each, abs=1e-12)
        macro = find(evidence, metric, average="macro").value
        assert macro == pytest.approx(score(y, yhat, average="macro", **w), abs=1e-12)
    for column, label in zip(PROBABILITIES, CLASSES, strict=True):
        area, precision = (find(evidence, m, **{"class": label}).value for m in ("roc_auc", "average_precision"))
        assert area == pytest.approx(sk.roc_auc_score(y == label, frame[column], **w), abs=1e-12)
        assert precision == pytest.approx(sk.average_precision_score(y == label, frame[column], **w), abs=1e-12)


def test_integer_weights_are_repeated_rows(audit: Audit) -> None:
    frame = binary(3).assign(w=np.random.default_rng(3).integers(1, 5, 700))
    weighted = audit(frame, PERFORMANCE, score="score", weight="w")
    repeated = audit(frame.loc[frame.index.repeat(frame["w"])], PERFORMANCE, score="score")
    assert said(weighted) == pytest.approx(said(repeated), abs=1e-12)
    for one, other in zip(weighted.measurements(), repeated.measurements(), strict=True):
        assert one.interval is not None
        assert other.interval is not None
        assert one.interval.high - one.interval.low > other.interval.high - other.interval.low


def test_intervals_hold_their_values_and_are_never_points(audit: Audit) -> None:
    for frame in (binary(4), binary(4, n=30), binary(4).assign(yhat=1), binary(4).assign(score=0.5)):
        for found in audit(frame, PERFORMANCE, score="score").measurements():
            if found.status == "ok":
                assert found.interval is not None
                assert found.value is not None
                assert found.interval.low <= found.value <= found.interval.high, found.metric
                assert found.interval.low < found.interval.high, found.metric


def test_shares_have_wilson_intervals(audit: Audit) -> None:
    frame = binary(5)
    found = find(audit(frame, PERFORMANCE), "recall")
    hits, positives = int((frame["y"] & frame["yhat"]).sum()), int(frame["y"].sum())
    limits = stats.binomtest(hits, positives).proportion_ci(0.95, "wilson")
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(limits), abs=1e-12)
    assert found.n == positives


def test_a_perfect_model_is_sure_of_nothing(audit: Audit) -> None:
    frame = binary(6, n=60)
    frame = frame.assign(yhat=frame["y"], score=frame["y"].astype(float))
    evidence = audit(frame, PERFORMANCE, score="score")
    for metric, value in {"accuracy": 1, "f1": 1, "roc_auc": 1, "average_precision": 1, "log_loss": 0}.items():
        found = find(evidence, metric)
        assert found.value == pytest.approx(value, abs=1e-12)
        assert found.interval is not None
        assert found.interval.high - found.interval.low > 0.01


def test_what_a_constant_model_leaves_undefined(audit: Audit) -> None:
    """scikit-learn says 0 and warns."""
    evidence = audit(binary(7).assign(yhat=0), PERFORMANCE)
    assert find(evidence, "precision").status == "not_estimable"
    assert find(evidence, "matthews_correlation").status == "not_estimable"
    assert find(evidence, "balanced_accuracy").value == pytest.approx(0.5, abs=1e-12)
    assert find(evidence, "recall").value == 0.0


def test_a_label_that_is_never_predicted_has_no_precision(audit: Audit) -> None:
    frame = multiclass(2)
    evidence = audit(frame.assign(yhat=frame["yhat"].replace("c", "a")), PERFORMANCE)
    assert find(evidence, "precision", **{"class": "c"}).status == "not_estimable"
    assert find(evidence, "precision", average="macro").status == "not_estimable"
    assert find(evidence, "recall", **{"class": "c"}).value == 0.0
    assert find(evidence, "f1", **{"class": "c"}).value == 0.0


def test_a_label_that_never_occurs_has_no_recall(audit: Audit) -> None:
    """Nor has the mean over labels: scikit-learn leaves the label out, with a warning."""
    frame = multiclass(3)
    evidence = audit(frame.assign(yhat=frame["yhat"].where(frame.index > 50, "d")), PERFORMANCE)
    assert find(evidence, "recall", **{"class": "d"}).status == "not_estimable"
    for metric in ("balanced_accuracy", "precision", "recall"):
        where = {} if metric == "balanced_accuracy" else {"average": "macro"}
        assert (find(evidence, metric, **where).status == "ok") is (metric == "precision")


def test_scores_that_are_no_probabilities_still_rank(audit: Audit) -> None:
    frame = binary(8)
    logits = np.log(frame["score"] / (1 - frame["score"]))
    evidence = audit(frame.assign(score=logits), PERFORMANCE, score="score")
    assert find(evidence, "roc_auc").value == pytest.approx(sk.roc_auc_score(frame["y"], logits), abs=1e-12)
    for metric in ("log_loss", "brier_score"):
        found = find(evidence, metric)
        assert found.reason is not None
        assert found.reason.code == "scores_not_probabilities"
        assert found.reason.params == pytest.approx({"low": logits.min(), "high": logits.max()})


def test_without_scores_there_is_no_ranking(audit: Audit) -> None:
    evidence = audit(binary(9), PERFORMANCE)
    for metric in ("roc_auc", "average_precision", "log_loss", "brier_score"):
        found = find(evidence, metric)
        assert found.reason is not None
        assert found.reason.code == "needs_scores"


@pytest.mark.parametrize(("positives", "estimable"), [(9, False), (10, True)])
def test_min_denominator(audit: Audit, positives: int, estimable: bool) -> None:
    frame = binary(10, n=100).assign(y=[1] * positives + [0] * (100 - positives))
    evidence = audit(frame, PERFORMANCE, score="score")
    for metric in ("recall", "roc_auc", "average_precision"):
        assert (find(evidence, metric).status == "ok") is estimable
    assert find(evidence, "accuracy").status == "ok"


def test_rows_without_label_decision_or_score_are_left_out(audit: Audit) -> None:
    frame = binary(11).astype({"y": "Int64", "yhat": "Int64"})
    rng = np.random.default_rng(11)
    for column in ("y", "yhat", "score"):
        frame.loc[rng.random(len(frame)) < 0.1, column] = None
    evidence = audit(frame, PERFORMANCE, score="score")
    decided, scored = frame.dropna(subset=["y", "yhat"]), frame.dropna(subset=["y", "score"])
    accuracy, area = find(evidence, "accuracy"), find(evidence, "roc_auc")
    assert accuracy.value == pytest.approx((decided["y"] == decided["yhat"]).mean(), abs=1e-12)
    assert accuracy.n == len(decided)
    assert area.value == pytest.approx(sk.roc_auc_score(scored["y"].astype(int), scored["score"]), abs=1e-12)
    assert area.n == len(scored)


@pytest.mark.parametrize("nothing", ["all", "positives"])
def test_rows_of_no_weight_are_no_crash(audit: Audit, nothing: str) -> None:
    frame = binary(12)
    weights = np.zeros(len(frame)) if nothing == "all" else 1.0 - frame["y"]
    evidence = audit(frame.assign(w=weights), PERFORMANCE, score="score", weight="w")
    assert [(check.status, check.reason) for check in evidence.checks] == [("ok", None)]
    assert find(evidence, "roc_auc").status == "not_estimable"
    assert find(evidence, "recall").status == "not_estimable"
