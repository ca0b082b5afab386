"""Classification performance: how often is the model right, and how well do its scores rank and calibrate?

What it measures: accuracy, precision, recall, F1, balanced accuracy and Matthews correlation of the decisions; the
areas under the ROC and the precision-recall curve, log loss and Brier score of the scores. With more than two labels,
precision, recall and F1 of each label and their unweighted mean ("macro"), and ranking of each label against the rest.

Why it matters: it is the use that every harm is weighed against, and a model near chance makes other numbers moot.

What it cannot show: whether the labels are right, or whether performance here is performance where the model will be
used. Accuracy flatters a model where one label is rare.

References:

- Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22:209-212
- DeLong, DeLong & Clarke-Pearson (1988), Comparing the areas under two or more correlated receiver operating
  characteristic curves, Biometrics 44:837-845
- Goutte & Gaussier (2005), A probabilistic interpretation of precision, recall and F-score, ECIR, LNCS 3408:345-359
- Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient, Computational Biology
  and Chemistry 28:367-374
"""

from collections.abc import Callable, Iterator
from math import log
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.columns import MISSING
from fairwitness.audit.comparison import NO_ANSWER
from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Metric, NotAssessed, Reason
from fairwitness.audit.statistics.intervals import critical_value, mean, wilson
from fairwitness.audit.statistics.ranking import (
    auc_interval,
    average_precision,
    average_precision_interval,
    delong_variance,
    roc_auc,
)
from fairwitness.audit.statistics.resampling import dirichlet_draws
from fairwitness.audit.tallies import Contingency, Crosstab, ScoreCounts
from fairwitness.checks.performance._curves import reliability, roc

SHARE: dict[str, Any] = {"better": "high", "range": (0.0, 1.0), "evidence": ("EV-PERFORMANCE",)}

METRICS = {
    "accuracy": Metric("Accuracy", **SHARE),
    "balanced_accuracy": Metric("Balanced accuracy", **SHARE),
    "precision": Metric("Precision", **SHARE),
    "recall": Metric("Recall", **SHARE),
    "f1": Metric("F1", **SHARE),
    "matthews_correlation": Metric(
        "Matthews correlation", better="high", range=(-1.0, 1.0), evidence=("EV-PERFORMANCE",)
    ),
    "roc_auc": Metric("Area under the ROC curve", **SHARE),
    "average_precision": Metric("Average precision", **SHARE),
    "log_loss": Metric("Log loss", better="low", range=(0.0, None), evidence=("EV-PERFORMANCE",)),
    "brier_score": Metric("Brier score", better="low", range=(0.0, 2.0), evidence=("EV-PERFORMANCE",)),
}

DRAWS = 4_000
ALL_ROWS = "(all rows)"
LARGEST_LOG_LOSS = -log(np.finfo(np.float64).eps)  # scores are clipped there, as in scikit-learn

# Confusion matrices, shape (..., labels, labels), truth by decision -> one number each, NaN where undefined.
Composite = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def measure(
    contingency: Contingency,
    score_counts: ScoreCounts,
    rng: np.random.Generator,
    *,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield the performance on all rows.

    Args:
        contingency: rows by true label and decision.
        score_counts: rows by score and class.
        rng: randomness for the draws behind composite metrics.
        level: confidence level of the intervals.
        min_denominator: a metric on fewer rows than this is not estimable.
    """
    target = contingency.layout.target
    if target.task == "regression":
        raise NotAssessed("task", needed="classification", task=target.task)
    table = contingency.crosstab()
    if not any(name != MISSING for name in table.truths):
        raise NotAssessed("needs_labels")
    if target.positive is not None and (refused := contingency.refusal()) is not None:
        yield from (Measurement(metric=m, n=0, status="not_estimable", reason=refused) for m in METRICS)
        return
    labels, n, w, effective = _confusion(table, target.positive)
    say = _Speaker(labels, n, w, effective, rng, level, min_denominator, _unanswered(int(table.undecided.sum())))
    if target.positive is not None:
        yield from say.binary()
    else:
        yield from say.multiclass()
    yield from _of_scores(score_counts, target.positive, level, min_denominator)


def _confusion(
    table: Crosstab, positive: str | None
) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64], float]:
    """Labels, confusion matrices (truth by decision) of rows and of weights, and effective rows per unit of weight."""
    if positive is not None:
        binary = table.binary(positive)
        labels, cells = ["negative", "positive"], np.ix_([0], [0, 1], [0, 1])
        n, w, w2 = binary.n[cells][0], binary.w[cells][0], binary.w2[cells][0]
    else:
        labels = sorted({*table.truths, *table.decisions} - {MISSING})
        n, w, w2 = (_square(values[0], table, labels) for values in (table.n, table.w, table.w2))
    return labels, n.astype(np.int64), w, float(w.sum() / w2.sum()) if w2.sum() else 0.0


def _square(values: NDArray[Any], table: Crosstab, labels: list[str]) -> NDArray[Any]:
    """Lay a truth-by-decision matrix out over the same labels both ways."""
    square = np.zeros((len(labels), len(labels)))
    for i, truth in enumerate(table.truths):
        for j, decision in enumerate(table.decisions):
            if truth in labels and decision in labels:
                square[labels.index(truth), labels.index(decision)] = values[i, j]
    return square


class _Speaker:
    """Says what a confusion matrix has to say; holds what every sentence needs."""

    def __init__(
        self,
        labels: list[str],
        n: NDArray[np.int64],
        w: NDArray[np.float64],
        effective: float,
        rng: np.random.Generator,
        level: float,
        least: int,
        details: Details | None,
    ) -> None:
        self.labels, self.n, self.w = labels, n, w * effective
        self.level, self.least, self.details = level, least, details
        self.draws = dirichlet_draws(self.w.ravel(), DRAWS, rng).reshape(DRAWS, *n.shape) if n.sum() else None

    def binary(self) -> Iterator[Measurement]:
        """The positive label against the rest."""
        n, w = self.n, self.w
        yield self.rate("accuracy", np.trace(w), w.sum(), int(n.sum()), "labelled rows")
        yield self.composite("balanced_accuracy", _balanced_accuracy)
        yield self.rate("precision", w[1, 1], w[:, 1].sum(), int(n[:, 1].sum()), "predicted positives")
        yield self.rate("recall", w[1, 1], w[1].sum(), int(n[1].sum()), "positives")
        yield self.composite("f1", _of_label(_f1, 1))
        yield self.composite("matthews_correlation", _matthews)

    def multiclass(self) -> Iterator[Measurement]:
        """Every label, and all together."""
        n, w = self.n, self.w
        yield self.rate("accuracy", np.trace(w), w.sum(), int(n.sum()), "labelled rows")
        yield self.composite("balanced_accuracy", _balanced_accuracy)
        yield self.composite("matthews_correlation", _matthews)
        for metric, of_each in (("precision", _precision), ("recall", _recall), ("f1", _f1)):
            yield self.composite(metric, _macro(of_each), {"average": "macro"})
        for i, label in enumerate(self.labels):
            where = {"class": label}
            yield self.rate("precision", w[i, i], w[:, i].sum(), int(n[:, i].sum()), "predicted positives", where)
            yield self.rate("recall", w[i, i], w[i].sum(), int(n[i].sum()), "positives", where)
            yield self.composite("f1", _of_label(_f1, i), where)

    def rate(
        self, metric: str, x: float, effective: float, n: int, what: str, where: dict[str, str] | None = None
    ) -> Measurement:
        """A share, with its Wilson interval."""
        where = where or {}
        if min(n, effective + 1e-9) < self.least:
            return _too_few(metric, self.least, min(n, int(effective)), what, where)
        low, high = wilson(x, effective, critical_value(self.level))
        interval = Interval(low=float(low), high=float(high), level=self.level, method="Wilson")
        value = float(x / effective)
        return Measurement(metric=metric, value=value, interval=interval, n=n, where=where, details=self.details)

    def composite(self, metric: str, of: Composite, where: dict[str, str] | None = None) -> Measurement:
        """A function of the whole matrix, with the interval of its posterior."""
        where, n = where or {}, int(self.n.sum())
        if min(n, self.w.sum() + 1e-9) < self.least or self.draws is None:
            return _too_few(metric, self.least, min(n, int(self.w.sum())), "labelled rows", where)
        value = float(of(self.w))
        if not np.isfinite(value):
            return Measurement(
                metric=metric, n=n, where=where, status="not_estimable", reason=Reason(code="undefined_margin")
            )
        tail = (1 - self.level) / 2
        low, high = np.quantile(of(self.draws), [tail, 1 - tail])
        # The posterior mean is drawn towards the middle: at an extreme value its quantiles may pass it by.
        interval = Interval(
            low=min(float(low), value), high=max(float(high), value), level=self.level, method="Dirichlet posterior"
        )
        return Measurement(metric=metric, value=value, interval=interval, n=n, where=where, details=self.details)


def _unanswered(rows: int) -> Details | None:
    """What stands beside a number that some rows are left out of, because the model gave them no answer."""
    return Details(excluded=(Excluded(group=ALL_ROWS, n=rows, reason=NO_ANSWER),)) if rows else None


def _of_scores(counts: ScoreCounts, positive: str | None, level: float, least: int) -> Iterator[Measurement]:
    """Ranking of each label against the rest, and the proper scoring rules."""
    metrics = ("roc_auc", "average_precision", "log_loss", "brier_score")
    if not counts.classes:
        reason = Reason(code="needs_scores")
        yield from (Measurement(metric=m, n=0, status="not_estimable", reason=reason) for m in metrics)
        return
    if not counts.total_weight:
        yield from (_too_few(m, least, 0, "labelled rows", {}) for m in metrics)
        return
    unanswered = _unanswered(counts.missing)
    log_loss, square, effective, n = counts.loss("log_loss")
    scale = effective / counts.total_weight
    for label in counts.classes:
        where = {} if positive is not None else {"class": label}
        members, others = counts.rows_of(label)
        if min(members, others) < least:
            what = "positives" if members < others else "negatives"
            yield from (_too_few(m, least, min(members, others), what, where) for m in metrics[:2])
            continue
        scores, hits, misses = counts.by_score(label)
        if not hits.any() or not misses.any():
            what = "negatives" if hits.any() else "positives"
            yield from (_too_few(m, least, 0, what, where) for m in metrics[:2])
            continue
        curves = [roc(hits * scale, misses * scale, level)]
        if counts.low >= 0 and counts.high <= 1:
            curves.append(reliability(scores, hits * scale, misses * scale, level))
        yield from _ranking(
            hits * scale,
            misses * scale,
            members + others,
            level,
            where,
            Details(curves=tuple(curves), excluded=unanswered.excluded if unanswered else ()),
        )
    if counts.low < 0 or counts.high > 1:
        reason = Reason(code="scores_not_probabilities", params={"low": counts.low, "high": counts.high})
        yield from (Measurement(metric=m, n=n, status="not_estimable", reason=reason) for m in metrics[2:])
        return
    if n < least:
        yield from (_too_few(m, least, n, "labelled rows", {}) for m in metrics[2:])
        return
    low, high = mean(log_loss * effective, square * effective, effective, level, (0.0, LARGEST_LOG_LOSS))
    yield Measurement(
        metric="log_loss", value=log_loss, interval=_t_interval(low, high, level), n=n, details=unanswered
    )
    brier, square, effective, n = counts.loss("brier")
    bounds = (0.0, 1.0 if positive is not None else 2.0)
    low, high = mean(brier * effective, square * effective, effective, level, bounds)
    yield Measurement(
        metric="brier_score", value=brier, interval=_t_interval(low, high, level), n=n, details=unanswered
    )


def _ranking(
    hits: NDArray[np.float64],
    misses: NDArray[np.float64],
    n: int,
    level: float,
    where: dict[str, str],
    details: Details,
) -> Iterator[Measurement]:
    """The areas under both curves, from counts by rising score."""
    left_out = Details(excluded=details.excluded) if details.excluded else None
    critical = critical_value(level)
    area = roc_auc(hits, misses)
    low, high = auc_interval(area, delong_variance(hits, misses), float(hits.sum()), float(misses.sum()), critical)
    interval = Interval(low=low, high=high, level=level, method="DeLong on the logit, or Newcombe")
    yield Measurement(metric="roc_auc", value=area, interval=interval, n=n, where=where, details=details)
    value = average_precision(hits, misses)
    low, high = average_precision_interval(hits, misses, critical)
    interval = Interval(low=min(low, value), high=max(high, value), level=level, method="Influence function, logit")
    yield Measurement(metric="average_precision", value=value, interval=interval, n=n, where=where, details=left_out)


def _t_interval(low: float, high: float, level: float) -> Interval:
    return Interval(low=low, high=high, level=level, method="Student t of a mean")


def _too_few(metric: str, needed: int, found: int, what: str, where: dict[str, str]) -> Measurement:
    reason = Reason(code="too_few", params={"needed": needed, "found": found, "what": what})
    return Measurement(metric=metric, n=found, where=where, status="not_estimable", reason=reason)


def _divided(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, NaN where b is 0: an undefined rate is never 0."""
    return np.asarray(np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0))


def _macro(of_each: Composite) -> Composite:
    """The unweighted mean over labels."""
    return lambda m: np.asarray(of_each(m).mean(axis=-1))


def _of_label(of_each: Composite, i: int) -> Composite:
    """One label's share of a metric of every label."""
    return lambda m: np.asarray(of_each(m)[..., i])


def _diagonal(m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diagonal(m, axis1=-2, axis2=-1)


def _recall(m: NDArray[np.float64]) -> NDArray[np.float64]:
    return _divided(_diagonal(m), m.sum(axis=-1))


def _precision(m: NDArray[np.float64]) -> NDArray[np.float64]:
    return _divided(_diagonal(m), m.sum(axis=-2))


def _f1(m: NDArray[np.float64]) -> NDArray[np.float64]:
    return _divided(2 * _diagonal(m), m.sum(axis=-1) + m.sum(axis=-2))


def _balanced_accuracy(m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(_recall(m).mean(axis=-1))


def _matthews(m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gorodkin's correlation of K labels; of two it is Matthews'."""
    total, right = m.sum(axis=(-2, -1)), _diagonal(m).sum(axis=-1)
    truth, decision = m.sum(axis=-1), m.sum(axis=-2)
    spread = (total**2 - (truth**2).sum(axis=-1)) * (total**2 - (decision**2).sum(axis=-1))
    return _divided(right * total - (truth * decision).sum(axis=-1), np.sqrt(np.maximum(spread, 0)))
