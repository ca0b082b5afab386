"""Adverse impact: is any category selected, or scored highly, less than four fifths as often as the highest?

What it measures: for every category of every sensitive attribute, and of their intersections, the share that is
selected, and where the model gives scores the share that scores above the median of all rows; the impact ratio, which
is that rate over the highest rate of any category; and the shortfall, the persons by which a category falls short of
the highest rate. Beside a ratio stand Fisher's exact test, the difference in standard deviations, the selections
that are missing for four fifths, and what would remain if a single selection had gone the other way. Categories under
a small share of the rows are left out of the ratios, and rows of unknown category too; their numbers are printed. All
intervals of an attribute hold together, and do not take for granted that the category seen as the highest is it.

Why it matters: employment law in the United States reads such tables: the Uniform Guidelines, as a rule of thumb, at
four fifths, and New York City's rule on automated employment decision tools, which asks for their publication and
sets no bound.

What it cannot show: whether a difference is unlawful. A ratio says nothing about its cause, nor about errors; a large
sample makes a small difference significant, and in a small one a large difference can be chance. The scoring rate
depends on who else is in the data, and its interval takes their median as given.

References:

- Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4(D), and Questions and Answers 18 to 21, 44 Fed.
  Reg. 11996 (1979)
- Rules of the City of New York, title 6, sections 5-300 to 5-303 (Local Law 144 of 2021)
- Hazelwood School District v. United States, 433 U.S. 299, 309 n. 14 (1977)
- Biddle & Morris (2011), Using Lancaster's mid-P correction to the Fisher's exact test for adverse impact analyses,
  Journal of Applied Psychology 96:956-965
- Hothorn, Bretz & Westfall (2008), Simultaneous inference in general parametric models, Biometrical Journal 50:346-363
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.comparison import Shares, by_group, compared, gap, left_out
from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Metric, NotAssessed, Reason, Scalar
from fairwitness.audit.statistics.adverse_impact import (
    AgainstHighest,
    against_highest,
    fisher_exact,
    one_moved,
    pooled_z,
    selections_to_reach,
)
from fairwitness.audit.statistics.multiplicity import holm
from fairwitness.audit.tallies import Contingency, Crosstab, GroupScores
from fairwitness.checks.fairness._impact_rates import (
    Categories,
    Rate,
    categories,
    chosen,
    median_score,
    scoring,
    selection,
)
from fairwitness.checks.fairness._left_out import beside

METRICS = {
    "selection_rate": Metric("Selection rate", range=(0.0, 1.0), evidence=("EV-GROUP-RATE",)),
    "scoring_rate": Metric("Scoring rate (share above the median)", range=(0.0, 1.0), evidence=("EV-GROUP-RATE",)),
    "impact_ratio": Metric(
        "Impact ratio", better="high", range=(0.0, 1.0), ideal=1.0, evidence=("EV-GROUP-GAP", "EV-IMPACT-RATIO")
    ),
    "shortfall": Metric(
        "Shortfall", better="low", range=(0.0, None), ideal=0.0, unit="persons", evidence=("EV-IMPACT-RATIO",)
    ),
}  # fmt: skip

RATES = {"selection": ("selection_rate", "Selected"), "scoring": ("scoring_rate", "Scored above the median")}


def measure(
    contingency: Contingency,
    group_scores: GroupScores | NotAssessed,
    rng: np.random.Generator,
    *,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    smallest_share: Annotated[float, Field(ge=0, lt=1)] = 0.02,
    unknown: tuple[str, ...] = (),
) -> Iterator[Measurement]:
    """Yield the rates, ratios and shortfalls of every category, and the worst of every attribute.

    Args:
        contingency: rows by category and decision; true labels are not looked at.
        group_scores: rows by category and score; without them there is no scoring rate.
        rng: randomness for simultaneous critical values and permutation tests.
        level: confidence level of the intervals.
        smallest_share: categories below this share of all rows are left out of the ratios, and printed.
        unknown: categories that mean that it is not known, besides missing values: "Declined to state", say.
    """
    target = contingency.layout.target
    if target.positive is None and target.task != "regression":
        raise NotAssessed("task", needed="binary", task=target.task)
    if not contingency.names:
        raise NotAssessed("no_attributes")
    median = _median(group_scores)
    if target.positive is None and isinstance(median, NotAssessed):
        raise NotAssessed("needs_predictions")
    for attribute, table in contingency.by_attribute():
        said = _Attribute(attribute, rng, level, smallest_share)
        if isinstance(table, NotAssessed):
            yield said.refused("selection", table.reason)
            continue
        named = categories(table, smallest_share, unknown)
        if target.positive is not None:
            yield from _of_selection(said, named, table, target.positive, contingency.refusal())
        if isinstance(group_scores, GroupScores) and isinstance(median, float):
            yield from said.of_rate("scoring", named, scoring(group_scores.of_attribute(attribute), median, named))


def _median(scores: GroupScores | NotAssessed) -> float | NotAssessed:
    """The median score of all rows, or why there is none."""
    if isinstance(scores, NotAssessed):
        return scores
    try:
        return median_score(scores)
    except NotAssessed as why:
        return why


def _of_selection(
    said: "_Attribute", named: Categories, table: Crosstab, positive: str, refused: Reason | None
) -> Iterator[Measurement]:
    if refused is not None:
        yield said.refused("selection", refused)
        yield said.refused("selection", refused, metric="shortfall")
    else:
        yield from said.of_rate("selection", named, selection(table, positive, named.known))


@dataclass(frozen=True)
class _Attribute:
    """Says what there is to say of one attribute."""

    attribute: str
    rng: np.random.Generator
    level: float
    smallest_share: float

    def refused(self, rate: str, reason: Reason, metric: str = "impact_ratio") -> Measurement:
        """Nothing can be said of the attribute."""
        where = {} if metric == "shortfall" else {"rate": rate}
        return Measurement(
            metric=metric, attribute=self.attribute, n=0, where=where, status="not_estimable", reason=reason
        )

    def of_rate(self, rate: str, named: Categories, found: Rate) -> Iterator[Measurement]:
        """One rate of every category, and how the categories stand to the highest.

        Rows without an answer might make any category the highest, so that all of them stand beside each ratio.
        """
        rows = left_out(found.shares.groups, found.undecided)
        yield from beside(self._of_rate(rate, named, found), rows, across=("impact_ratio", "shortfall"))

    def _of_rate(self, rate: str, named: Categories, found: Rate) -> Iterator[Measurement]:
        metric, counted = RATES[rate]
        shares, small = found.shares, named.small[named.known]
        for i, said in enumerate(by_group(metric, shares, level=self.level, least=1)):
            hits: Scalar = int(found.hits[i]) if float(found.hits[i]).is_integer() else float(found.hits[i])
            facts: dict[str, Scalar] = {counted: hits, "Share of all rows": _share(shares.count[i], named.total)}
            yield said if said.value is None else said.model_copy(update={"details": Details(facts=facts)})
        kept = shares.estimable(1) & ~small
        among = replace(chosen(shares, kept), where={"rate": rate})
        comparison = compared([among], self.rng, level=self.level, least=1)
        critical = comparison.critical
        against = None if critical is None else against_highest(among.x, among.n, critical)
        excluded = (*self._small(named, small), *_without_rows(shares, kept | small))
        whole = gap("impact_ratio", comparison, "ratio")
        facts = found.facts | {"Unknown category (rows)": named.unknown}
        if against is not None:
            # Where the category that the others are held against is small, every ratio is mostly noise.
            facts |= {"Rows of the highest group": int(among.count[against.highest])}
        found_beside = whole.details.facts if whole.details else {}
        details = Details(facts=found_beside | facts, excluded=excluded)
        whole = whole.model_copy(update={"details": details})
        yield whole
        if rate == "selection":
            yield self._largest_shortfall(among, against, whole)
        yield from self._by_category(rate, shares, kept, small, named, against, whole)

    def _by_category(
        self,
        rate: str,
        shares: Shares,
        kept: NDArray[np.bool_],
        small: NDArray[np.bool_],
        named: Categories,
        against: AgainstHighest | None,
        whole: Measurement,
    ) -> Iterator[Measurement]:
        """The ratio and, of selections, the shortfall of every known category."""
        tests = iter(()) if against is None else _tests(chosen(shares, kept), against, counted=rate == "selection")
        place = np.cumsum(kept) - 1
        ratios, shortfalls = [], []
        for i, group in enumerate(shares.groups):
            n = int(shares.count[i])
            common: dict[str, Any] = {"attribute": self.attribute, "group": group, "n": n}
            ratio: dict[str, Any] = common | {"metric": "impact_ratio", "where": {"rate": rate}}
            reason = whole.reason
            would_be: dict[str, Scalar] = {}
            if small[i]:
                reason = self._under_share(int(named.rows[named.known][i]), named.total)
                would_be = _would_be(shares, kept, i)
            elif not kept[i]:
                reason = shares.too_few(i, 1)
            absent: dict[str, Any] = {"status": "not_estimable", "reason": reason}
            if kept[i] and against is not None:
                facts, p_value = next(tests)
                shortfalls.append(self._shortfall(common, against, int(place[i])))
                if reason is None:
                    ratios.append(self._ratio(ratio, against, int(place[i]), facts, p_value))
                    continue
            else:
                shortfalls.append(Measurement(metric="shortfall", **common, **absent))
            ratios.append(Measurement(**ratio, **absent, details=Details(facts=would_be) if would_be else None))
        yield from ratios
        if rate == "selection":
            yield from shortfalls

    def _ratio(
        self,
        said: dict[str, Any],
        against: AgainstHighest,
        i: int,
        facts: dict[str, Scalar],
        p_value: float | None,
    ) -> Measurement:
        interval = Interval(
            low=float(against.ratio_low[i]),
            high=float(against.ratio_high[i]),
            level=self.level,
            method="Simultaneous MOVER-Wilson ratio",
        )
        value = float(against.ratio[i])
        return Measurement(**said, value=value, interval=interval, p_value=p_value, details=Details(facts=facts))

    def _shortfall(self, said: dict[str, Any], against: AgainstHighest, i: int) -> Measurement:
        persons = said["n"]
        low, value, high = (float(gaps[i]) * persons for gaps in (against.gap_low, against.gap, against.gap_high))
        return Measurement(metric="shortfall", **said, value=value, interval=self._persons(low, high))

    def _persons(self, low: float, high: float) -> Interval:
        return Interval(low=low, high=high, level=self.level, method="Simultaneous MOVER-Wilson difference, times rows")

    def _largest_shortfall(self, among: Shares, against: AgainstHighest | None, whole: Measurement) -> Measurement:
        """The largest shortfall of any category; its limits bound it, since the limits of all categories do."""
        said: dict[str, Any] = {"metric": "shortfall", "attribute": self.attribute, "n": whole.n}
        if against is None:
            return Measurement(**said, status="not_estimable", reason=whole.reason)
        persons = [gaps * among.count for gaps in (against.gap_low, against.gap, against.gap_high)]
        low, value, high = (float(each.max()) for each in persons)
        facts: dict[str, Scalar] = {"Category": among.groups[int(persons[1].argmax())]}
        details = Details(facts=facts, excluded=whole.details.excluded if whole.details else ())
        return Measurement(**said, value=value, interval=self._persons(low, high), details=details)

    def _small(self, named: Categories, small: NDArray[np.bool_]) -> Iterator[Excluded]:
        """The categories that are left out for being small."""
        groups = [group for group, known in zip(named.names, named.known, strict=True) if known]
        for group, n, out in zip(groups, named.rows[named.known].tolist(), small, strict=True):
            if out:
                yield Excluded(group=group, n=n, reason=self._under_share(n, named.total))

    def _under_share(self, found: int, rows: int) -> Reason:
        return Reason(code="under_share", params={"found": found, "rows": rows, "needed": self.smallest_share})


def _share(part: Any, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _without_rows(shares: Shares, others: NDArray[np.bool_]) -> Iterator[Excluded]:
    """The categories that are left out because no row with an answer has any weight."""
    for i in np.flatnonzero(~others).tolist():
        yield Excluded(group=shares.groups[i], n=int(shares.count[i]), reason=shares.too_few(i, 1))


def _tests(
    shares: Shares, against: AgainstHighest, *, counted: bool
) -> Iterator[tuple[dict[str, Scalar], float | None]]:
    """What stands beside the ratio of each category: facts, and Fisher's p-value; of the highest nothing is tested.

    Args:
        shares: the categories compared.
        against: how they stand to the highest.
        counted: whether persons are selected, so that selections can be counted and moved.
    """
    top, x, n = against.highest, shares.x, shares.n
    tests = [fisher_exact(x[i], n[i], x[top], n[top]) for i in range(len(n))]
    others = [i for i in range(len(n)) if i != top]
    adjusted = dict(zip(others, holm([tests[i].p_value for i in others]).tolist(), strict=True))
    # Persons are rows: of weighted ones, as many as the weighted rate makes of them.
    persons, rates = shares.count.astype(np.float64), x / n
    hits = rates * persons
    for i in range(len(n)):
        facts: dict[str, Scalar] = {"Highest category": shares.groups[top], "Its rows": int(shares.count[top])}
        if i == top:
            yield facts, None
            continue
        facts |= {
            "Standard deviations (pooled z)": pooled_z(x[i], n[i], x[top], n[top]),
            "Fisher's exact p": tests[i].p_value,
            "Lancaster's mid-p": tests[i].mid_p,
            "Fisher's p adjusted for the categories (Holm)": adjusted[i],
        }
        if counted:
            moved = one_moved(hits[i], persons[i], hits[top], persons[top])
            facts |= {
                "Selections to four fifths": selections_to_reach(hits[i], persons[i], float(rates[top])),
                "Ratio if one selection had gone the other way": moved.ratio if moved else None,
                "One selection would reverse it": moved.reversed if moved else None,
            }
        yield facts, tests[i].p_value


def _would_be(shares: Shares, kept: NDArray[np.bool_], i: int) -> dict[str, Scalar]:
    """The ratio that a category would have if it were not left out."""
    if shares.n[i] <= 0:
        return {}
    with_it = kept.copy()
    with_it[i] = True
    largest = float((shares.x[with_it] / shares.n[with_it]).max())
    return {"Ratio if it were included": float(shares.x[i] / shares.n[i]) / largest} if largest else {}
