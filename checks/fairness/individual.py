"""Individual fairness: are people who are alike treated alike, whatever group they are of?

What it measures: how unequally the decisions treat single rows, and what the sensitive attribute itself does to them.
Every row has a benefit of 0 (wrongly rejected), 1 (right) or 2 (wrongly selected); generalised entropy and Theil's
index say how unequal benefits are, and for each attribute how much of that is between its groups. Consistency is one
less the mean distance of a decision from the decisions on the nearest other rows by features (numbers standardised,
categories as 0 and 1, the sensitive columns left out; a row is not its own neighbour, as it is in AIF360; ties are
broken at random). The counterfactual flip rate is the share of rows that the same model decides otherwise when nothing
but the sensitive column is set to another of its values, any of them; the score gap is how far the score moves then.
Differential fairness is the largest ratio, on the log scale, between two groups' smoothed rates of either decision.

Why it matters: groups can have equal rates while like people within and across them are treated unlike. A decision
that changes with the sensitive attribute alone is the plainest case of unequal treatment.

What it cannot show: whether the features are the right ones to call two people alike. A flip rate of 0 does not mean
that the attribute has no influence: other columns may stand in for it, and a real person of another group would differ
in them too. Smoothing draws the rates of small groups towards one half, and so their ratios towards 1. Consistency
rewards a model that decides the same for everybody.

References:

- Speicher et al. (2018), A unified approach to quantifying algorithmic unfairness, KDD:2239-2248.
  arXiv:1807.00787
- Zemel, Wu, Swersky, Pitassi & Dwork (2013), Learning fair representations, ICML
- Foulds, Islam, Keya & Pan (2020), An intersectional definition of fairness, ICDE:1918-1921. arXiv:1807.08362
- Dwork, Hardt, Pitassi, Reingold & Zemel (2012), Fairness through awareness, ITCS:214-226. arXiv:1104.3913
- Efron & Stein (1981), The jackknife estimate of variance, Annals of Statistics 9:586-596
- Steiger (2004), Beyond the F test, Psychological Methods 9:164-182
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.comparison import NO_ANSWER, weighted
from fairwitness.audit.evidence import (
    Details,
    Excluded,
    Interval,
    Measurement,
    Metric,
    NotAssessed,
    Reason,
    Scalar,
    Table,
)
from fairwitness.audit.statistics.intervals import critical_value, mean, wilson
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Contingency, Records
from fairwitness.checks.fairness._individual_benefits import BETWEEN, OVERALL, Benefits
from fairwitness.checks.fairness._individual_flips import Flips, flips
from fairwitness.checks.fairness._individual_neighbours import (
    consistency,
    consistency_interval,
    encoded,
    known,
    nearest_rows,
)
from fairwitness.checks.fairness._individual_ratios import differential_fairness

INDEX: dict[str, Any] = {"better": "low", "range": (0.0, None), "ideal": 0.0, "evidence": ("EV-INDIVIDUAL",)}

METRICS = {
    "generalized_entropy": Metric("Generalised entropy of benefits", **INDEX),
    "theil": Metric("Theil index of benefits", **INDEX),
    "between_group_entropy": Metric("Generalised entropy between groups", **INDEX),
    "between_group_theil": Metric("Theil index between groups", **INDEX),
    "consistency": Metric("Consistency", better="high", range=(0.0, 1.0), ideal=1.0, evidence=("EV-INDIVIDUAL",)),
    "counterfactual_flip_rate": Metric(
        "Counterfactual flip rate", better="low", range=(0.0, 1.0), ideal=0.0, evidence=("EV-INDIVIDUAL",)
    ),
    "counterfactual_score_gap": Metric("Counterfactual score gap", **INDEX),
    "differential_fairness": Metric("Differential fairness", **INDEX | {"evidence": ("EV-GROUP-GAP",)}),
}

POOL_ROWS = 50_000  # from which the rows of consistency are drawn
ALL_ROWS = "(all rows)"
Counted = Iterable[tuple[str, int]]  # groups with some of their rows
FLIPS = ("counterfactual_flip_rate", "counterfactual_score_gap")


def measure(
    contingency: Contingency,
    records: Records | NotAssessed,
    subject: Subject,
    rng: np.random.Generator,
    *,
    entropy_alpha: Annotated[float, Field(gt=0, le=10)] = 2.0,
    smoothing: Annotated[float, Field(gt=0)] = 1.0,
    neighbours: Annotated[int, Field(ge=1, le=100)] = 5,
    sensitive_features: bool = False,
    neighbour_rows: Annotated[int, Field(ge=10, le=20_000)] = 5_000,
    flip_rows: Annotated[int, Field(ge=10, le=50_000)] = 2_000,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield the indices of inequality, consistency, counterfactual flips and differential fairness.

    Args:
        contingency: rows by group, true label and decision.
        records: rows with their features and the model's answers.
        subject: the model, to be asked anew.
        rng: randomness for draws of rows and of counts.
        entropy_alpha: parameter of the generalised entropy; 2 is half the squared coefficient of variation.
        smoothing: rows added to either decision of every group in differential fairness; 0.5 is AIF360's default.
        neighbours: number of nearest rows that a decision is compared with.
        sensitive_features: compare by sensitive columns too, where they are features.
        neighbour_rows: most rows that consistency is computed on.
        flip_rows: most rows that the model is asked about anew, for each attribute.
        level: confidence level of the intervals.
        min_denominator: a number on fewer rows than this is not estimable.
    """
    layout = contingency.layout
    if layout.target.positive is None:
        raise NotAssessed("task", needed="binary", task=layout.target.task)
    if layout.cluster is not None:
        raise NotAssessed("clustered", column=layout.cluster)
    refused = contingency.refusal()
    if refused is not None:
        yield from _nothing((*OVERALL, "consistency"), None, refused)
        for attribute in contingency.names:
            yield from _nothing((*BETWEEN, "differential_fairness", *FLIPS), attribute, refused)
        return
    ask = _Asker(layout.target.positive, level, min_denominator)
    benefits = Benefits(layout.target.positive, entropy_alpha, rng, level, min_denominator)
    yield from benefits.overall(contingency.crosstab())
    for attribute, table in contingency.by_attribute():
        if isinstance(table, NotAssessed):
            yield from _nothing((*BETWEEN, "differential_fairness"), attribute, table.reason)
            continue
        yield from benefits.between(table)
        yield differential_fairness(table, layout.target.positive, smoothing, rng, level, min_denominator)
    if isinstance(records, NotAssessed):
        yield from _nothing(("consistency",), None, records.reason)
        for attribute in contingency.names:
            yield from _nothing(FLIPS, attribute, records.reason)
        return
    order = rng.permutation(records.rows.num_rows)
    unanswered = [(ALL_ROWS, int(contingency.crosstab().undecided.sum()))]
    apart = () if sensitive_features else layout.attributes
    yield ask.consistency(_drawn(records, order[:POOL_ROWS]), neighbours, neighbour_rows, apart, unanswered)
    for attribute in contingency.names:
        yield from ask.counterfactual(records, order, subject, attribute, flip_rows)


def _nothing(metrics: Iterable[str], attribute: str | None, reason: Reason) -> Iterator[Measurement]:
    """No numbers, and why."""
    for metric in metrics:
        yield Measurement(metric=metric, attribute=attribute, n=0, status="not_estimable", reason=reason)


def _drawn(records: Records, places: Any) -> Records:
    """Some of the rows, in the order given."""
    kept = pa.array(places, pa.int64())
    return replace(records, rows=records.rows.take(kept), keys=records.keys.take(kept))


class _Asker:
    """Compares rows with their neighbours, and with themselves under another group."""

    def __init__(self, positive: str, level: float, least: int) -> None:
        self.positive, self.level, self.least = positive, level, least

    def consistency(
        self, pool: Records, k: int, most: int, apart: tuple[str, ...], unanswered: Counted
    ) -> Measurement:  # fmt: skip
        """How far decisions agree with those on the nearest rows; `apart` are features not to compare by."""
        said: dict[str, Any] = {"metric": "consistency", "where": {"neighbours": str(k)}}
        usable = known(pool.decided)
        if pool.weights is not None:
            usable &= pool.weights > 0
        rows = _drawn(pool, np.flatnonzero(usable)[:most])
        n = rows.rows.num_rows
        weights = np.ones(n) if rows.weights is None else rows.weights
        effective = float(weighted(weights.sum(), (weights**2).sum(), weights.sum())[0])
        columns = tuple(name for name in pool.layout.features if name not in apart)
        if (reason := self._too_few(n, effective, max(self.least, k + 2))) is not None:
            return Measurement(**said, n=n, status="not_estimable", reason=reason)
        if not pool.layout.features:
            return Measurement(**said, n=n, status="not_estimable", reason=Reason(code="features_not_read"))
        found = encoded(rows, columns)
        if not found.used:
            return Measurement(**said, n=n, status="not_estimable", reason=Reason(code="no_comparable_features"))
        decisions = (rows.decided == self.positive).astype(np.float64)
        value, deviation = consistency(decisions, nearest_rows(found.points, k + 1), weights)
        low, high = consistency_interval(value, deviation, effective, self.level)
        facts: dict[str, Scalar] = {"Features compared": ", ".join(found.used)}
        if found.left_out:
            facts["Features left out"] = ", ".join(found.left_out)
        return Measurement(
            **said,
            n=n,
            value=value,
            interval=Interval(low=min(low, value), high=max(high, value), level=self.level, method="Jackknife, logit"),
            details=Details(facts=facts, excluded=_unanswered(unanswered)),
        )

    def counterfactual(
        self, records: Records, order: NDArray[np.int64], subject: Subject, attribute: str, most: int
    ) -> Iterator[Measurement]:
        """How many decisions, and how far scores, change with the attribute alone."""
        if subject.model is None or subject.model.access == "logged":
            yield from _nothing(FLIPS, attribute, Reason(code="needs_model"))
            return
        try:
            model = subject.model
            found = flips(records, order, model.answer, model.columns, attribute, self.positive, most)
        except NotAssessed as why:
            yield from _nothing(FLIPS, attribute, why.reason)
            return
        n, total = len(found.flips), found.weights.sum()
        effective = float(weighted(total, (found.weights**2).sum(), total)[0])
        said: dict[str, Any] = {"attribute": attribute, "n": n}
        if (reason := self._too_few(n, effective, self.least)) is not None:
            details = Details(excluded=_unanswered(found.unanswered))
            for metric in FLIPS:
                yield Measurement(**said, metric=metric, status="not_estimable", reason=reason, details=details)
            return
        yield self._flip_rate(found, effective, said)
        yield self._score_gap(found, effective, said)

    def _flip_rate(self, found: Flips, effective: float, said: dict[str, Any]) -> Measurement:
        share = found.weights / found.weights.sum()
        value = min(float(share @ found.flips), 1.0)
        low, high = wilson(value * effective, effective, critical_value(self.level))
        up, down = float(share @ (found.flips & ~found.selected)), float(share @ (found.flips & found.selected))
        facts: dict[str, Scalar] = {
            "Columns changed": ", ".join(found.changed),
            "Values that rows were given": found.values,
            "Rejected that would be selected": up,
            "Selected that would be rejected": down,
            "Net share that would gain": up - down,
            "Decisions that changed with nothing changed": found.unsteady,
        }
        return Measurement(
            **said,
            metric="counterfactual_flip_rate",
            value=value,
            interval=Interval(low=float(low), high=float(high), level=self.level, method="Wilson"),
            details=Details(facts=facts, table=_by_group(found), excluded=_unanswered(found.unanswered)),
        )

    def _score_gap(self, found: Flips, effective: float, said: dict[str, Any]) -> Measurement:
        said = said | {"metric": "counterfactual_score_gap"}
        if found.gaps is None or found.widest is None or not np.isfinite(found.gaps).all():
            return Measurement(**said, status="not_estimable", reason=Reason(code="needs_scores"))
        share = found.weights / found.weights.sum()
        value, square = float(share @ found.gaps), float(share @ found.gaps**2)
        bounds = (0.0, 1.0 if found.bounded else None)
        try:
            low, high = mean(value * effective, square * effective, effective, self.level, bounds)
        except ValueError:  # equal changes of a score without bounds
            return Measurement(**said, status="not_estimable", reason=Reason(code="no_variation"))
        return Measurement(
            **said,
            value=value,
            interval=Interval(
                low=min(low, value), high=max(high, value), level=self.level, method="Student t of a mean"
            ),
            details=Details(
                facts={"Mean of the largest change": float(share @ found.widest)},
                excluded=_unanswered(found.unanswered),
            ),
        )

    def _too_few(self, n: int, effective: float, needed: int) -> Reason | None:
        if min(n, effective + 1e-9) >= needed:
            return None
        found = int(min(n, effective + 1e-9))
        return Reason(code="too_few", params={"needed": needed, "found": found, "what": "rows"})


def _unanswered(counted: Counted) -> tuple[Excluded, ...]:
    """Rows of groups left out because the model gave them no answer: a gate cannot pass over them."""
    return tuple(Excluded(group=group, n=rows, reason=NO_ANSWER) for group, rows in counted if rows)


def _by_group(found: Flips) -> Table:
    """Flips of each group in either direction, unweighted."""
    rows = []
    for group in sorted(set(found.groups.tolist())):
        members = found.groups == group
        flipped, selected = found.flips[members], found.selected[members]
        gains, losses = int(np.count_nonzero(flipped & ~selected)), int(np.count_nonzero(flipped & selected))
        rows.append((group, int(np.count_nonzero(members)), gains, losses))
    columns = ("Group", "Rows", "Rejected that would be selected", "Selected that would be rejected")
    return Table(columns=columns, rows=tuple(rows))
