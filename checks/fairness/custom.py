"""Custom metrics: is the organisation's own measure of quality the same for every group?

What it measures: any function of true and predicted labels (or values) that the plan names, by a line such as
`f2 = "my_metrics:f2"` under `[checks."fairness.custom".metrics]`: on all rows, for every group of every sensitive
attribute, and how far the groups are apart, as the largest minus the smallest value and the smallest over the largest.
Groups are formed by fairlearn's MetricFrame. Binary labels are handed over as 1 (the positive one) and 0, others as
text, values of a regression as numbers; weights of rows where the function takes `sample_weight`. Intervals rest on
tables of counts that might have been observed as well, or on a bootstrap over rows where the metric needs rows; those
of differences and ratios on simultaneous intervals of all pairs of groups.

Why it matters: what an error costs differs between applications, and the number that a team steers by is the one whose
gap between groups its users will feel.

What it cannot show: whether the function measures what it is called. Its range is unknown, so limits may lie beyond it;
a function that is not smooth (a quantile, a maximum) or that looks at the order of rows has intervals that are too
narrow.

References:

- Bird, Dudik, Edgar, Horn, Lutz, Milan, Sameki, Wallach & Walker (2020), Fairlearn: A toolkit for assessing and
  improving fairness in AI. Microsoft MSR-TR-2020-32
- Efron & Tibshirani (1993), An introduction to the bootstrap
- Goutte & Gaussier (2005), A probabilistic interpretation of precision, recall and F-score, ECIR, LNCS 3408:345-359
- Zou & Donner (2008), Construction of confidence limits about effect measures, Statistics in Medicine 27:1693-1702
- Hothorn, Bretz & Westfall (2008), Simultaneous inference in general parametric models, Biometrical Journal 50:346-363
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from fairlearn.metrics import MetricFrame
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.columns import MISSING
from fairwitness.audit.errors import UserError
from fairwitness.audit.evidence import (
    Details,
    Excluded,
    Interval,
    Measurement,
    Metric,
    NotAssessed,
    Reason,
    Scalar,
)
from fairwitness.audit.sources import is_reference, resolve
from fairwitness.audit.statistics.intervals import critical_value
from fairwitness.audit.statistics.multiplicity import simultaneous_critical
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Contingency, Records
from fairwitness.checks.fairness._custom_draws import Answers, Estimate, Function, estimate
from fairwitness.checks.fairness._custom_groups import Group, Grouping, group_of, groupings
from fairwitness.checks.fairness._custom_pairs import Pairs, difference, ratio

METRICS = {
    "value": Metric("Custom metric", evidence=("EV-GROUP-RATE",)),
    "difference": Metric(
        "Custom metric: difference between groups", better="low", range=(0.0, None), ideal=0.0,
        evidence=("EV-GROUP-GAP",),
    ),
    "ratio": Metric(
        "Custom metric: ratio between groups", better="high", range=(0.0, 1.0), ideal=1.0, evidence=("EV-GROUP-GAP",)
    ),
}  # fmt: skip

ALL_ROWS = "(all rows)"
MOST_CALLS = 10_000  # of all functions together
FEWEST_REPLICATES = 50


def measure(
    records: Records,
    contingency: Contingency,
    subject: Subject,
    rng: np.random.Generator,
    *,
    metrics: dict[str, str] = {},  # noqa: B006  it is read only
    replicates: Annotated[int, Field(ge=FEWEST_REPLICATES)] = 200,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield each metric on all rows, by group, and how far groups are apart.

    Args:
        records: rows with labels and decisions, or values.
        contingency: says whether decisions are spelt like labels.
        subject: knows where modules of the plan are.
        rng: randomness of the draws and of simultaneous critical values.
        metrics: `module:function` by name.
        replicates: draws behind each interval; where many groups and metrics would need more than 10,000 calls of the
            functions, fewer draws, but at least 50.
        level: confidence level of the intervals.
        min_denominator: a group of fewer rows than this is not estimable.
    """
    if not metrics:
        raise NotAssessed("no_metrics_declared")
    functions = [_resolved(name, reference, subject) for name, reference in sorted(metrics.items())]
    rows, place, unanswered = _answers(records)
    refused = None if records.layout.target.positive is None else contingency.refusal()
    whole = group_of(ALL_ROWS, rows, np.arange(len(rows)), len(unanswered), min_denominator)
    by_attribute = list(groupings(records, contingency, rows, place, unanswered, min_denominator))
    found = [each for _, grouping in by_attribute if isinstance(grouping, Grouping) for each in grouping.groups]
    estimates = len(functions) * sum(each.too_few is None for each in (whole, *found))
    affordable = min(replicates, max(FEWEST_REPLICATES, MOST_CALLS // max(estimates, 1)))
    facts: dict[str, Scalar] = {} if affordable == replicates else {"Draws, for want of time": affordable}
    labels = records.layout.target.task != "regression"
    for function in functions:
        say = _Speaker(function, rows, rng, labels=labels, replicates=affordable, level=level, facts=facts)
        if refused is not None:
            yield from say.refused(records.names, refused)
            continue
        yield say.overall(whole)
        for attribute, grouping in by_attribute:
            if isinstance(grouping, NotAssessed):
                yield from say.refused([attribute], grouping.reason)
            else:
                yield from say.attribute(grouping)


def _resolved(name: str, reference: str, subject: Subject) -> Function:
    """Find the function that the plan names."""
    where = f'{subject.dataset.where.removesuffix("data")}checks."fairness.custom".metrics.{name}'
    if not is_reference(reference):
        raise UserError(f"{where}: expected module:function, found {reference!r}")
    found = resolve(reference, folder=subject.dataset.folder, where=where)
    if not callable(found):
        raise UserError(f"{where}: {reference!r} is not a function")
    return Function.of(name, found)


def _answers(records: Records) -> tuple[Answers, NDArray[np.int64], NDArray[np.int64]]:
    """Rows that have a truth and an answer, their places in the records, and those of rows that lack the answer."""
    target, weight, regression = records.layout.target, records.weights, records.layout.target.task == "regression"
    if not records.rows.num_rows:
        raise NotAssessed("no_rows")
    if regression and "truth" not in records.keys.column_names:
        raise NotAssessed("needs_labels")
    if regression and "predicted" not in records.keys.column_names:
        raise NotAssessed("needs_predictions")
    if regression:
        truth: NDArray[Any] = records.truth_values
        predicted: NDArray[Any] = records.predicted_values
        true, answered = np.isfinite(truth), np.isfinite(predicted)
    else:
        truth, predicted = records.labels, records.decided
        true, answered = truth != MISSING, predicted != MISSING
        if target.positive is not None:
            truth, predicted = ((each == target.positive).astype(np.int64) for each in (truth, predicted))
        else:
            truth, predicted = truth.astype(str), predicted.astype(str)
    if not true.any():
        raise NotAssessed("needs_labels")
    if not answered.any():
        raise NotAssessed("needs_predictions")
    if weight is not None:
        true = true & (weight > 0)
    place = np.flatnonzero(true & answered)
    weights = None if weight is None else weight[place]
    return Answers(truth[place], predicted[place], weights), place, np.flatnonzero(true & ~answered)


class _Speaker:
    """Says what one metric has to say; holds what every sentence needs."""

    def __init__(
        self,
        function: Function,
        rows: Answers,
        rng: np.random.Generator,
        *,
        labels: bool,
        replicates: int,
        level: float,
        facts: dict[str, Scalar],
    ) -> None:
        self.function, self.labels, self.replicates = function, labels, replicates
        self.level, self.rng = level, rng
        # The function sees weights only where it takes them; how many rows there are in effect, it does not change.
        self.rows = rows if function.takes_weights else replace(rows, weight=None)
        self.where = {"metric": function.name}
        self.facts = facts if rows.weight is None else {"Takes weights": function.takes_weights, **facts}

    def refused(self, attributes: list[str], reason: Reason) -> Iterator[Measurement]:
        """Why nothing is said of some attributes."""
        for attribute in attributes:
            for metric in ("difference", "ratio"):
                yield self._not_estimable(metric, attribute, None, 0, reason)

    def overall(self, whole: Group) -> Measurement:
        """The metric on all rows."""
        found = whole.too_few or self._estimate(self.rows, self.function.of_rows(self.rows))
        return self._value(None, whole, found)

    def attribute(self, by: Grouping) -> Iterator[Measurement]:
        """The metric by group, and between groups."""
        found: list[Estimate | Reason] = []
        values = self._by_group(by.number) if any(each.too_few is None for each in by.groups) else {}
        small, unanswered = list[Excluded](), list[Excluded]()
        for i, each in enumerate(by.groups):
            answer = each.too_few or self._estimate(self.rows.of(each.rows), values[i])
            found.append(answer)
            if isinstance(answer, Reason):
                small.append(Excluded(group=each.name, n=len(each.rows), reason=answer))
            unanswered += each.unanswered
            yield self._value(by.attribute, each, answer)
        names = [each.name for each in by.groups]
        yield from self._between(by.attribute, names, found, (*small, *unanswered), len(self.rows))

    def _by_group(self, number: NDArray[np.int64]) -> dict[int, float | Reason]:
        """What the metric gives for each group, or why it gives none: fairlearn hands the rows out."""
        more = {} if self.rows.weight is None else {"sample_params": {"sample_weight": self.rows.weight}}
        frame = MetricFrame(
            metrics=lambda truth, predicted, sample_weight=None: _Boxed(
                self.function.ask(truth, predicted, sample_weight)
            ),
            y_true=self.rows.truth,
            y_pred=self.rows.predicted,
            sensitive_features=number,
            **more,
        )
        return {int(group): boxed.found for group, boxed in frame.by_group.items()}

    def _estimate(self, rows: Answers, value: float | Reason) -> Estimate | Reason:
        if isinstance(value, Reason):
            return value
        return estimate(self.function, rows, value, labels=self.labels, replicates=self.replicates, rng=self.rng)

    def _value(self, attribute: str | None, of: Group, found: Estimate | Reason) -> Measurement:
        group, n = None if attribute is None else of.name, len(of.rows)
        details = Details(facts=self.facts, excluded=of.unanswered)
        if isinstance(found, Reason):
            return self._not_estimable("value", attribute, group, n, found, details)
        low, high = found.limits(critical_value(self.level))
        interval = Interval(low=low, high=high, level=self.level, method=self._method("split normal"))
        return Measurement(
            metric="value", value=found.value, interval=interval, n=n, attribute=attribute, group=group,
            where=self.where, details=details,
        )  # fmt: skip

    def _between(
        self, attribute: str, names: list[str], found: list[Estimate | Reason], excluded: tuple[Excluded, ...], n: int
    ) -> Iterator[Measurement]:
        """The largest difference and the smallest ratio of any two groups."""
        kept = [(name, each) for name, each in zip(names, found, strict=True) if isinstance(each, Estimate)]
        details = Details(excluded=excluded)
        if len(kept) < 2:
            reason = Reason(
                code="fewer_than_two_groups", params={"attribute": attribute, "estimable": len(kept)}
            )  # fmt: skip
            yield self._not_estimable("difference", attribute, None, n, reason, details)
            yield self._not_estimable("ratio", attribute, None, n, reason, details)
            return
        critical = simultaneous_critical([[each.deviation for _, each in kept]], self.level, self.rng)
        values = np.array([each.value for _, each in kept])
        limits = np.array([each.limits(critical) for _, each in kept])
        pairs = Pairs(values, limits[:, 0], limits[:, 1])
        facts: dict[str, Scalar] = {
            "Lowest group": kept[int(values.argmin())][0],
            "Highest group": kept[int(values.argmax())][0],
            "Simultaneous critical value": critical,
            **self.facts,
        }
        details = Details(facts=facts, excluded=excluded)
        for metric, of_pairs in (("difference", difference), ("ratio", ratio)):
            answer = of_pairs(pairs)
            if isinstance(answer, Reason):
                yield self._not_estimable(metric, attribute, None, n, answer, details)
                continue
            value, low, high = answer
            interval = Interval(low=low, high=high, level=self.level, method=self._method("simultaneous MOVER"))
            yield Measurement(
                metric=metric, value=value, interval=interval, n=n, attribute=attribute, where=self.where,
                details=details,
            )  # fmt: skip

    def _method(self, what: str) -> str:
        return f"Dirichlet draws, {what}" if self.labels else f"Bootstrap, {what}"

    def _not_estimable(
        self,
        metric: str,
        attribute: str | None,
        group: str | None,
        n: int,
        reason: Reason,
        details: Details | None = None,
    ) -> Measurement:
        return Measurement(
            metric=metric, attribute=attribute, group=group, n=n, where=self.where, status="not_estimable",
            reason=reason, details=details,
        )  # fmt: skip


class _Boxed:
    """An answer that a data frame carries as it is: a number, or why there is none."""

    def __init__(self, found: float | Reason) -> None:
        self.found = found
