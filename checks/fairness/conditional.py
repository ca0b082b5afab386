"""Conditional fairness: do groups get the same decisions where their circumstances are the same?

What it measures: for strata that the plan names (the department applied to, the charge, the region), how decisions and
groups hang together within them. The conditional demographic disparity of a group is its share among the rejected less
its share among the selected in each stratum, averaged by the strata's sizes; positive values speak against the group.
The Mantel-Haenszel odds ratio is the odds of selection of a group over those of all other rows, within strata, beside
the Cochran-Mantel-Haenszel test (continuity-corrected, as R's mantelhaen.test; both statistics are given) and
Breslow and Day's test, with Tarone's correction, that all strata share one odds ratio. For an attribute as a whole, the
largest gap between two groups' selection rates when both are spread over the strata they share as all rows are; the
p-value beside it is of the generalised Cochran-Mantel-Haenszel test, which asks whether groups and decisions hang
together in any stratum, and that is another question. The disparity without strata stands beside the one within them,
with a flag where the two are on different sides of 0.

Why it matters: groups that differ in what they ask for differ in what they get, without anybody being treated
unlike; and equal rates over all can hide that one group is held to a higher standard in every stratum. A comparison
that ignores strata can point the wrong way (Simpson's paradox).

What it cannot show: which strata are a fair reason. Conditioning on something that is itself the effect of
discrimination hides it. In a stratum where all or none are selected there is nothing to distribute, and it is left out
of the disparity and of the odds ratio; SageMaker Clarify takes the missing share as 0 there, so that every group seems
to be disadvantaged or favoured by its mere size (that number is given too). Strata in which a group is alone, or
absent, count with a disparity of 0, by definition: where groups hardly mix there is little to be seen. Averages over
strata can cancel out.

References:

- Wachter, Mittelstadt & Russell (2021), Why fairness cannot be automated, Computer Law & Security Review 41:105567.
  doi:10.1016/j.clsr.2021.105567
- Bickel, Hammel & O'Connell (1975), Sex bias in graduate admissions: data from Berkeley, Science 187:398-404
- Mantel & Haenszel (1959), Statistical aspects of the analysis of data from retrospective studies of disease, JNCI
  22:719-748
- Robins, Breslow & Greenland (1986), Estimators of the Mantel-Haenszel variance consistent in both sparse data and
  large-strata limiting models, Biometrics 42:311-323
- Tarone (1985), On heterogeneity tests based on efficient scores, Biometrika 72:91-95
- Zou & Donner (2008), Construction of confidence limits about effect measures, Statistics in Medicine 27:1693-1702
"""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from fairwitness.audit.comparison import NO_ANSWER
from fairwitness.audit.evidence import (
    Column,
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
from fairwitness.audit.statistics.intervals import critical_value
from fairwitness.audit.statistics.stratified import (
    breslow_day,
    cochran_mantel_haenszel,
    mantel_haenszel,
    standardised_difference,
)
from fairwitness.audit.tallies import Stratified
from fairwitness.checks.fairness._conditional_pairs import Pairs, pairs
from fairwitness.checks.fairness._conditional_strata import SELECTED, Strata

GAP: tuple[str, ...] = ("EV-GROUP-GAP",)

METRICS = {
    "conditional_demographic_disparity": Metric(
        "Conditional demographic disparity", range=(-1.0, 1.0), ideal=0.0, evidence=GAP
    ),
    "mantel_haenszel_odds_ratio": Metric("Mantel-Haenszel odds ratio", range=(0.0, None), ideal=1.0, evidence=GAP),
    "conditional_demographic_parity_difference": Metric(
        "Conditional demographic parity difference", better="low", range=(0.0, 1.0), ideal=0.0, evidence=GAP
    ),
}
OF_GROUPS = ("conditional_demographic_disparity", "mantel_haenszel_odds_ratio")
OF_ATTRIBUTE = "conditional_demographic_parity_difference"

MOST_STRATA_SHOWN = 25


def measure(
    stratified: Stratified,
    *,
    strata: Annotated[str | tuple[str, ...], Column()] = (),
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield the disparity and odds ratio of every group, and the gap of every attribute, within strata.

    Args:
        stratified: rows by group, stratum and decision.
        strata: columns whose values, or combinations of values, make the strata; numbers need [data.bins].
        level: confidence level of the intervals.
        min_denominator: groups with fewer rows than this in the strata compared are left out.
    """
    columns = (strata,) if isinstance(strata, str) else tuple(strata)
    columns = tuple(name for name in columns if name)
    if not columns:
        raise NotAssessed("needs_strata")
    target = stratified.layout.target
    if target.positive is None:
        raise NotAssessed("task", needed="binary", task=target.task)
    if not stratified.names:
        raise NotAssessed("no_attributes")
    refused = stratified.refusal()
    for attribute in stratified.names:
        try:
            counts = Strata.of(stratified, attribute, columns, target.positive)
        except NotAssessed as why:
            yield from _nothing(attribute, columns, 0, why.reason)
            continue
        if refused is not None or not counts.groups:
            yield from _nothing(attribute, columns, int(counts.n.sum()), refused or Reason(code="no_rows"))
            continue
        speaker = _Speaker(attribute, counts, level, min_denominator)
        for group in range(len(counts.groups)):
            yield from speaker.of_group(group)
        yield speaker.of_attribute()


def _nothing(attribute: str, columns: tuple[str, ...], n: int, reason: Reason) -> Iterator[Measurement]:
    """No number for an attribute, and why."""
    where = {"strata": " & ".join(columns)}
    for metric in METRICS:
        yield Measurement(metric=metric, attribute=attribute, n=n, where=where, status="not_estimable", reason=reason)


class _Speaker:
    """Says what an attribute's counts within strata have to say; holds what every sentence needs."""

    def __init__(self, attribute: str, counts: Strata, level: float, least: int) -> None:
        self.counts, self.level, self.least = counts, level, least
        self.mixed = counts.at(counts.mixed)
        self.said: dict[str, Any] = {"attribute": attribute, "where": {"strata": counts.columns}}
        self.critical = critical_value(level)

    def of_group(self, group: int) -> Iterator[Measurement]:
        """How a group fares against all others, within strata where some are selected and some are not."""
        said = self.said | {"group": self.counts.groups[group], "n": int(self.mixed.n.sum())}
        if (reason := self._refusal(group)) is not None:
            for metric in OF_GROUPS:
                yield Measurement(**said, metric=metric, status="not_estimable", reason=reason)
            return
        yield self._disparity(group, said)
        yield self._odds_ratio(group, said)

    def _refusal(self, group: int) -> Reason | None:
        """Why a group cannot be compared with all others: a disparity of 0 in strata of one side only is no finding."""
        if not len(self.mixed.names):
            return Reason(code="no_mixed_strata")
        both = self.mixed.at(self.mixed.sides(group))
        if not len(both.names):
            return Reason(code="no_common_strata")
        for members in (np.arange(len(both.groups)) == group, np.arange(len(both.groups)) != group):
            count = int(both.n[:, members].sum())
            w, w2 = both.w[:, members].sum(), both.w2[:, members].sum()
            size = float(w * w / w2)
            if count < self.least or size < self.least - 1e-9:
                found = int(min(count, size + 1e-9))
                return Reason(code="too_few", params={"needed": self.least, "found": found, "what": "rows"})
        return None

    def _disparity(self, group: int, said: dict[str, Any]) -> Measurement:
        value, low, high = self._difference(self.mixed, group)
        overall, overall_low, overall_high = self._difference(self.counts.together(), group)
        left_out = int(self.counts.n.sum() - self.mixed.n.sum())
        facts: dict[str, Scalar] = {
            "Unconditional disparity": overall,
            "Unconditional disparity, lower limit": overall_low,
            "Unconditional disparity, upper limit": overall_high,
            "Direction over all rows": _direction(overall_low, overall_high),
            "Direction within strata": _direction(low, high),
            "Direction reverses within strata": (low > 0 and overall_high < 0) or (high < 0 and overall_low > 0),
            "Strata compared": len(self.mixed.names),
            "Rows where all or none are selected": left_out,
            "Rows where there is only the group or only others": self._one_side(group),
        }
        if left_out:
            facts["With these strata, as SageMaker Clarify counts them"] = self._clarify(group)
        return Measurement(
            **said,
            metric="conditional_demographic_disparity",
            value=value,
            interval=Interval(low=low, high=high, level=self.level, method="MOVER of standardised shares"),
            details=Details(facts=facts, table=self._table(group), excluded=self._unanswered()),
        )

    def _one_side(self, group: int) -> int:
        """Rows in strata that count with a disparity of 0 because only one side occurs there."""
        return int(self.mixed.n[~self.mixed.sides(group)].sum())

    def _difference(self, strata: Strata, group: int) -> tuple[float, float, float]:
        """Disparity of a group with its limits: given the decisions, its two shares are independent."""
        rejected, selected = strata.shares(group)
        weights = strata.w.sum(axis=(1, 2))
        found = standardised_difference(rejected, selected, weights, strata.rows, self.critical)
        value, low, high = (float(limit) for limit in found)
        return value, min(low, value), max(high, value)

    def _each(self, group: int) -> Any:
        """Disparity of a group in every stratum; NaN where all or none are selected."""
        (x0, n0), (x1, n1) = self.counts.shares(group)
        with np.errstate(invalid="ignore", divide="ignore"):
            return x0 / n0 - x1 / n1

    def _clarify(self, group: int) -> float:
        """The disparity if a share of nobody were 0."""
        (x0, n0), (x1, n1) = self.counts.shares(group)
        weights = self.counts.w.sum(axis=(1, 2))
        each = x0 / np.where(n0 > 0, n0, 1) - x1 / np.where(n1 > 0, n1, 1)
        return float(weights @ each / weights.sum())

    def _table(self, group: int) -> Table:
        """The largest strata one by one, in their order."""
        w, n = self.counts.w, self.counts.n.sum(axis=(1, 2))
        total, each = w.sum(axis=1), self._each(group)
        shown = np.sort(np.argsort(-n, kind="stable")[:MOST_STRATA_SHOWN])
        rows = []
        for i in shown.tolist():
            others = total[i] - w[i, group]
            rows.append(
                (
                    self.counts.names[i],
                    int(n[i]),
                    int(self.counts.n[i, :, SELECTED].sum()),
                    _share(w[i, group, SELECTED], w[i, group].sum()),
                    _share(others[SELECTED], others.sum()),
                    float(each[i]) if np.isfinite(each[i]) else None,
                )
            )
        columns = ("Stratum", "Rows", "Selected", "Rate of the group", "Rate of all others", "Disparity")
        return Table(columns=columns, rows=tuple(rows))

    def _odds_ratio(self, group: int, said: dict[str, Any]) -> Measurement:
        tables = self.mixed.tables(group)
        test = cochran_mantel_haenszel(tables[:, :, 0], tables.sum(axis=2))
        found = mantel_haenszel(tables, self.critical)
        facts: dict[str, Scalar] = {
            "Compared with": "all other rows",
            "Chi-square, continuity-corrected": test.corrected,
            "Chi-square, uncorrected": test.statistic,
            "p, uncorrected": test.p_value,
        }
        metric = "mantel_haenszel_odds_ratio"
        if found is None:
            details = Details(facts=facts, excluded=self._unanswered())
            reason = Reason(code="odds_ratio_undefined")
            return Measurement(**said, metric=metric, status="not_estimable", reason=reason, details=details)
        same = breslow_day(tables, found.value)
        if same is not None:
            facts |= {
                "Equal odds ratios: Breslow-Day": same.breslow_day,
                "Equal odds ratios: Tarone": same.tarone,
                "Equal odds ratios: p": same.p_value,
            }
        interval = Interval(low=found.low, high=found.high, level=self.level, method="Robins-Breslow-Greenland")
        return Measurement(
            **said,
            metric=metric,
            value=found.value,
            interval=interval,
            p_value=test.corrected_p,
            details=Details(facts=facts, excluded=self._unanswered()),
        )

    def of_attribute(self) -> Measurement:
        """The largest gap between two groups."""
        rows, effective = self.counts.sizes()
        kept = (rows >= self.least) & (effective >= self.least - 1e-9)
        compared = pairs(self.counts, kept, self.level, self.least)
        said = self.said | {"metric": OF_ATTRIBUTE, "n": int(rows[kept].sum())}
        excluded = (*self._too_few(kept), *_apart(compared), *self._unanswered())
        if compared.value is None:
            params: dict[str, Scalar] = {"attribute": said["attribute"], "estimable": int(kept.sum())}
            few = Reason(code="fewer_than_two_groups", params=params)
            reason = few if kept.sum() < 2 else Reason(code="no_common_strata")
            details = Details(excluded=excluded) if excluded else None
            return Measurement(**said, status="not_estimable", reason=reason, details=details)
        x, n = self.counts.selection()
        test = cochran_mantel_haenszel(x[:, kept], n[:, kept])
        facts: dict[str, Scalar] = {
            "Lowest group": compared.lowest,
            "Highest group": compared.highest,
            "Strata that these two share": compared.strata,
            "Their rows in other strata": compared.outside,
            "Chi-square of the test within strata": test.statistic,
            "Simultaneous critical value": compared.critical,
        }
        method = "Simultaneous MOVER of standardised rates"
        return Measurement(
            **said,
            value=compared.value,
            interval=Interval(low=compared.low, high=compared.high, level=self.level, method=method),
            p_value=test.p_value,
            details=Details(facts=facts, excluded=excluded),
        )

    def _too_few(self, kept: Any) -> tuple[Excluded, ...]:
        rows, effective = self.counts.sizes()
        return tuple(
            Excluded(
                group=name,
                n=int(rows[i]),
                reason=Reason(
                    code="too_few",
                    params={"needed": self.least, "found": int(min(rows[i], effective[i] + 1e-9)), "what": "rows"},
                ),
            )
            for i, name in enumerate(self.counts.groups)
            if not kept[i]
        )

    def _unanswered(self) -> tuple[Excluded, ...]:
        """Rows that the model gave no answer for: a gate cannot pass over them."""
        pairs_of = zip(self.counts.groups, self.counts.undecided.tolist(), strict=True)
        return tuple(Excluded(group=name, n=n, reason=NO_ANSWER) for name, n in pairs_of if n)


def _direction(low: float, high: float) -> str:
    """Which way an interval of a disparity points."""
    return "against the group" if low > 0 else "for the group" if high < 0 else "undecided"


def _apart(compared: Pairs) -> tuple[Excluded, ...]:
    """Pairs of groups that are hardly ever in the same stratum."""
    reason = Reason(code="no_common_strata")
    return tuple(Excluded(group=f"{a} / {b}", n=n, reason=reason) for a, b, n in compared.apart)


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
