"""Mitigation: how small could the gap between groups be made, and who would pay for it?

What it measures: what is attainable from this model's scores by thresholds that differ between groups (and may draw
lots between two of them), chosen by fairlearn for the best accuracy under a parity constraint; and, where the plan
grants a budget of fits, by retraining the model under the constraint. Rules are chosen on one random half of the rows
and judged on the other: the gap that is left, the accuracy that it costs on the same rows, and what becomes of the rate
of the groups that had the lowest and the highest one. The curve leads from the model as it is to the constraint, by way
of fairlearn's tolerances, or for equalized odds by drawing lots between the two rules. Lots count by their chances, not
by one draw; the intervals are those of one draw. "Levelling down" is said where the gap shrinks because the highest
rate is shown to fall while the lowest does not rise: it falls, or its rise is not shown and at most a quarter of what
closes the gap.

Why it matters: whether a gap can be closed, and at whose expense, is what a decision about it needs to know. A gap that
closes only by taking from one group and giving nothing to the other helps nobody.

What it cannot show: whether any of this should be done. Thresholds that depend on the group need the group at the time
of decision, and are unlawful in some fields. It takes being selected as the benefit; where it is a burden, read the two
changes the other way round. Better data or another model may attain more. Weights of rows count in the judgement, and
in the search by redrawing rows. The numbers are of the one rule that was chosen on one half of the rows: intervals are
of the half that it is judged on, and do not say how far the rule of other halves (another seed) would differ.

References:

- Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning, NeurIPS. arXiv:1610.02413
- Agarwal, Beygelzimer, Dudik, Langford & Wallach (2018), A reductions approach to fair classification, ICML.
  arXiv:1803.02453
- Mittelstadt, Wachter & Russell (2023), The unfairness of fair machine learning: levelling down and strict
  egalitarianism by default. arXiv:2302.02404
- Newcombe (1998), Improved confidence intervals for the difference between binomial proportions based on paired data,
  Statistics in Medicine 17:2635-2650
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.columns import MISSING
from fairwitness.audit.comparison import between_groups
from fairwitness.audit.evidence import (
    Curve,
    Details,
    Interval,
    Measurement,
    Metric,
    NotAssessed,
    Point,
    Reason,
    Scalar,
    Table,
)
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Contingency, Records
from fairwitness.checks.fairness._mitigation_paired import Change
from fairwitness.checks.fairness._mitigation_reductions import Retraining, retraining
from fairwitness.checks.fairness._mitigation_rows import Outcome, Split, answered, changes, outcome, split
from fairwitness.checks.fairness._mitigation_rules import Constraint, Objective, chance, optimized

CHANGE: dict[str, Any] = {"range": (-1.0, 1.0), "evidence": ("EV-MITIGATION",)}

METRICS = {
    "attainable_difference": Metric(
        "Difference attainable by mitigation", better="low", range=(0.0, 1.0), ideal=0.0, evidence=("EV-MITIGATION",)
    ),
    "accuracy_cost": Metric("Accuracy that mitigation costs", better="low", **CHANGE),
    "worst_group_rate_change": Metric("Change of the lowest group's rate by mitigation", better="high", **CHANGE),
    "best_group_rate_change": Metric("Change of the highest group's rate by mitigation", better="high", **CHANGE),
}

THRESHOLDS, SEARCH = "threshold_optimizer", "grid_search"
TOLERANCES = (0.5, 0.25)  # of the gap as it is
MOSTLY = 0.75
MOST_GROUPS = 50  # the search takes up to a tenth of a second for each
SMALLEST_TOLERANCE = 0.002  # fairlearn's grid of rates has steps of .001
AXES: dict[Constraint, str] = {
    "demographic_parity": "Demographic parity difference",
    "true_positive_rate_parity": "Equal opportunity difference",
    "equalized_odds": "Equalized odds difference",
}
COLUMNS = ("Method", "Step", "Difference", "Accuracy", "Rate of the lowest group", "Rate of the highest group")
_AFTER = {name: f"{name} after" for name in ("Lowest group", "Highest group")}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A rule on the way, judged."""

    step: str
    outcome: Outcome


def measure(
    records: Records,
    contingency: Contingency,
    subject: Subject,
    estimator: Callable[[], Any] | NotAssessed,
    rng: np.random.Generator,
    *,
    constraints: tuple[Constraint, ...] = ("demographic_parity", "true_positive_rate_parity", "equalized_odds"),
    objective: Objective = "accuracy_score",
    intersections: bool = False,
    fits: Annotated[int, Field(ge=0)] = 0,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield what each constraint would attain and cost, by attribute.

    Args:
        records: rows with scores, decisions and labels.
        contingency: says whether decisions are spelt like labels.
        subject: gives the training data to retraining.
        estimator: gives the fitted model to retraining.
        rng: deals rows out, and is behind simultaneous critical values.
        constraints: what is to be made equal.
        objective: what the thresholds maximize under the constraint.
        intersections: also for intersections of attributes.
        fits: how often the model may be fitted anew, all constraints and attributes together; 0 for thresholds only.
        level: confidence level of the intervals.
        min_denominator: a group needs twice as many rows of either label, half of them to be judged on.
    """
    layout = records.layout
    target = layout.target
    if target.positive is None:
        raise NotAssessed("task", needed="binary", task=target.task)
    if not layout.attributes:
        raise NotAssessed("no_attributes")
    _need(records)
    names = records.names if intersections else list(layout.attributes)
    refused = contingency.refusal()
    rows, unanswered = answered(records)
    methods = (THRESHOLDS, SEARCH) if fits else (THRESHOLDS,)
    retrained = retraining(subject, estimator, fits, searches=len(names) * len(constraints)) if fits else None
    for attribute in names:
        try:
            groups = records.groups(attribute)
        except NotAssessed as why:
            yield from _refused(attribute, constraints, methods, 0, why.reason)
            continue
        if refused is not None:
            yield from _refused(attribute, constraints, methods, len(rows), refused)
            continue
        dealt = split(rows, unanswered, groups, attribute, min_denominator, rng)
        if len(dealt.groups) < 2:
            few = Reason(
                code="fewer_than_two_groups", params={"attribute": attribute, "estimable": len(dealt.groups)}
            )  # fmt: skip
            yield from _refused(attribute, constraints, methods, len(rows), few, Details(excluded=dealt.excluded))
            continue
        if len(dealt.groups) > MOST_GROUPS:
            many = Reason(
                code="too_many_thresholds",
                params={"attribute": attribute, "groups": len(dealt.groups), "limit": MOST_GROUPS},
            )
            yield from _refused(attribute, constraints, methods, len(rows), many, Details(excluded=dealt.excluded))
            continue
        for constraint in constraints:
            say = _Speaker(dealt, constraint, objective, level, min_denominator, rng)
            yield from say.thresholds()
            if isinstance(retrained, Retraining):
                yield from say.retrained(records, retrained)
            elif retrained is not None:
                yield from _refused(attribute, (constraint,), (SEARCH,), len(rows), retrained)


def _need(records: Records) -> None:
    """Make sure that there is something to work with."""
    if not (records.labels != MISSING).any():
        raise NotAssessed("needs_labels")
    if not (records.decided != MISSING).any():
        raise NotAssessed("needs_predictions")
    if not np.isfinite(records.score).any():
        raise NotAssessed("needs_scores")


def _refused(
    attribute: str,
    constraints: tuple[Constraint, ...],
    methods: tuple[str, ...],
    n: int,
    reason: Reason,
    details: Details | None = None,
) -> Iterator[Measurement]:
    """Why nothing is said under some constraints, by some methods."""
    for method, constraint in product(methods, constraints):
        where = {"method": method, "constraint": constraint}
        for metric in METRICS:
            yield Measurement(
                metric=metric, attribute=attribute, where=where, n=n, status="not_estimable", reason=reason,
                details=details,
            )  # fmt: skip


class _Speaker:
    """Says what one constraint on one attribute would attain; holds what every sentence needs."""

    def __init__(
        self,
        dealt: Split,
        constraint: Constraint,
        objective: Objective,
        level: float,
        least: int,
        rng: np.random.Generator,
    ) -> None:
        self.dealt, self.constraint, self.objective = dealt, constraint, objective
        self.level, self.least, self.rng = level, least, rng
        self.before = self._judged("as it is", dealt.held.decided)

    def _judged(self, step: str, selected: Floats, method: str = THRESHOLDS) -> Judged:
        return Judged(
            step, outcome(self.dealt, selected, self.constraint, method, self.level)
        )  # fmt: skip

    def thresholds(self) -> Iterator[Measurement]:
        """Thresholds that differ between groups."""
        held = self.dealt.held
        selected = self._by_thresholds(None)
        steps = [self.before]
        if self.constraint == "equalized_odds":  # fairlearn has no tolerance for it
            for mixed in (0.25, 0.5, 0.75):
                lots = (1 - mixed) * held.decided + mixed * selected
                steps.append(self._judged(f"lots: {mixed:g}", lots))
        else:
            gap = self._gap_fitted()
            tolerances = [share * gap for share in TOLERANCES if share * gap >= SMALLEST_TOLERANCE]
            steps += [self._judged(f"tolerance: {each:.3f}", self._by_thresholds(each)) for each in tolerances]
        steps.append(self._judged("constrained", selected))
        yield from self._say(steps, steps[-1], selected, THRESHOLDS)

    def retrained(self, records: Records, by: Retraining) -> Iterator[Measurement]:
        """The model fitted anew under the constraint, with several weights on it."""
        found = by.searched(records, self.dealt, self.constraint)
        if isinstance(found, Reason):
            yield from _refused(self.dealt.attribute, (self.constraint,), (SEARCH,), len(self.dealt.held), found)
            return
        steps = [self.before, *(self._judged(step, selected, SEARCH) for step, selected in found.steps)]
        yield from self._say(steps, self._judged("chosen", found.chosen, SEARCH), found.chosen, SEARCH)

    def _by_thresholds(self, tolerance: float | None) -> Floats:
        fitted, held = self.dealt.fitted, self.dealt.held
        rules = optimized(fitted.score, fitted.truth, fitted.group, self.constraint, self.objective, tolerance)
        return chance(rules, held.score, held.group)

    def _gap_fitted(self) -> float:
        """The gap as it is, on the rows that rules are fitted on."""
        fitted = self.dealt.fitted
        swapped = Split(self.dealt.attribute, self.dealt.groups, fitted, fitted, ())
        return outcome(swapped, fitted.decided, self.constraint, THRESHOLDS, self.level).difference

    def _say(self, steps: list[Judged], reached: Judged, selected: Floats, method: str) -> Iterator[Measurement]:
        cost, lowest, highest = changes(self.dealt, selected, self.constraint, self.level)
        after = between_groups(
            "attainable_difference", reached.outcome.shares, self.rng, level=self.level, least=self.least
        )  # fmt: skip
        own = after.details or Details()
        facts: dict[str, Scalar] = {
            "Difference before": self.before.outcome.difference,
            "Accuracy before": self.before.outcome.accuracy[0],
            "Accuracy after": reached.outcome.accuracy[0],
            "Lowest group before": lowest[0],
            "Highest group before": highest[0],
            **_levelling(self.before.outcome.difference, reached.outcome.difference, lowest[1], highest[1]),
            **{_AFTER.get(name, name): fact for name, fact in own.facts.items()},
        }
        details = Details(
            facts=facts,
            table=self._table(steps, lowest[0], highest[0], method),
            curves=(self._curve(steps),),
            excluded=(*self.dealt.excluded, *own.excluded),
        )
        yield after.model_copy(update={"details": details})
        yield self._change("accuracy_cost", Change(-cost.value, -cost.high, -cost.low, cost.rows), method, {})
        yield self._change("worst_group_rate_change", lowest[1], method, {"Lowest group before": lowest[0]})
        yield self._change("best_group_rate_change", highest[1], method, {"Highest group before": highest[0]})

    def _change(self, metric: str, found: Change, method: str, facts: dict[str, Scalar]) -> Measurement:
        low, high = max(found.low, -1.0), min(found.high, 1.0)
        return Measurement(
            metric=metric,
            value=found.value,
            interval=Interval(low=low, high=high, level=self.level, method="Newcombe, paired"),
            n=found.rows,
            attribute=self.dealt.attribute,
            where={"method": method, "constraint": self.constraint},
            details=Details(facts=facts, excluded=self.dealt.excluded),
        )

    def _table(self, steps: list[Judged], lowest: str, highest: str, method: str) -> Table:
        places = [self.dealt.groups.index(name) for name in (lowest, highest)]
        rows: list[tuple[Scalar, ...]] = []
        for point in steps:
            found = point.outcome
            rates = [float(found.rates[place]) for place in places]
            rows.append((method, point.step, found.difference, found.accuracy[0], *rates))
        return Table(columns=COLUMNS, rows=tuple(rows))

    def _curve(self, steps: list[Judged]) -> Curve:
        """From the smallest difference to the largest."""
        found = sorted((point.outcome for point in steps), key=lambda each: each.difference)
        points = tuple(
            Point(x=each.difference, y=each.accuracy[0], low=each.accuracy[1], high=each.accuracy[2]) for each in found
        )
        return Curve(title="Attainable trade-off", x=AXES[self.constraint], y="Accuracy", points=points)


def _levelling(before: float, after: float, lowest: Change, highest: Change) -> dict[str, Scalar]:
    """Whether the gap shrinks at the expense of one group and to the benefit of none; and what share of it does so."""
    closed = lowest.value - highest.value
    fall = min(max(-highest.value / closed, 0.0), 1.0) if closed > 0 else None
    none_rises = lowest.value <= 0 or (lowest.low <= 0 and fall is not None and fall >= MOSTLY)
    facts: dict[str, Scalar] = {"Levelling down": after < before and highest.high < 0 and none_rises}
    return facts if fall is None else facts | {"Part of the closing that is a fall of the highest rate": fall}
