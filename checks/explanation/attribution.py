"""Attribution: which columns do the model's answers rest on?

What it measures: how much of the difference between the model's answers and its average answer goes back to each
column of the data, as Shapley values against a background of other rows. Reported is a column's share of the mean
absolute attribution, over all rows and by group; the share of each sensitive column itself; and the share of columns
that tell its groups apart (proxies: Cramér's V, corrected for bias, with a lower limit above a threshold; 0.1 is a
weak association and 0.3 a medium one). A column is one player, whatever the model makes of it: a one-hot group is not
a sum over its dummies. Linear models are explained in closed form, trees by WOODELF, differentiable models by
integrated gradients, all others by permutations. Each row's attributions must add up to what the audited model itself
says of that row; an engine that fails this is replaced by the next, and the largest error is reported.

Why it matters: a decision that rests on what people are, or on what gives it away, may be unlawful however good it
is; and a reason that is given to a person must be one that the model has.

What it cannot show: causes. With dependent columns, hidden values are replaced by ones that may not occur together,
and a model can be built to behave differently there. A column that is not a proxy alone may be one jointly with
others. Intervals are over rows, given the background; permutations scatter, which adds to the share of weak columns.

References:

- Lundberg & Lee (2017), A unified approach to interpreting model predictions, NeurIPS. arXiv:1705.07874
- Štrumbelj & Kononenko (2014), Explaining prediction models and individual predictions with feature contributions,
  Knowledge and Information Systems 41:647-665
- Sundararajan, Taly & Yan (2017), Axiomatic attribution for deep networks, ICML. arXiv:1703.01365
- Nadel & Wettenstein (2026), From decision trees to Boolean logic: a fast and unified SHAP algorithm, AAAI
  40:24476-24485. doi:10.1609/aaai.v40i29.39630
- Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, Journal of the Korean Statistical Society
  42:323-328
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.evidence import Details, Interval, Measurement, Metric, NotAssessed, Reason, Scalar, Table
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Sample
from fairwitness.checks.explanation._engines import Attempt, Explanation, explained
from fairwitness.checks.explanation._games import Question, estimator_of, games
from fairwitness.checks.explanation._proxies import Association, association
from fairwitness.checks.explanation._rows import Draw, Rows, drawn
from fairwitness.checks.explanation._shares import share

EVIDENCE: tuple[str, ...] = ("EV-ATTRIBUTION",)
SHARE: dict[str, Any] = {"range": (0.0, 1.0), "evidence": EVIDENCE}

METRICS = {
    "share": Metric("Share of the attributions", **SHARE),
    "sensitive_share": Metric("Share of the sensitive column", better="low", ideal=0.0, **SHARE),
    "proxy_share": Metric("Share of its proxies", better="low", ideal=0.0, **SHARE),
    "additivity_error": Metric(
        "Largest additivity error", better="low", range=(0.0, None), ideal=0.0, evidence=EVIDENCE
    ),
}

OTHERS = "(other columns)"
MOST_PROXIES = 30  # listed by name, those of the largest share
WIDENED = "Delta method on the logit, up to the share of possible proxies"
TOP_IN_GROUPS = 5  # further columns that are listed by group


@dataclass(frozen=True)
class Attributions:
    """Absolute attributions of the rows that were explained.

    Attributes:
        columns: names of the columns.
        size: |attribution|, weighted, shape (rows, columns).
        overall: places of the rows that stand for all.
        groups: places of the rows that stand for a group, by attribute and group.
        level: confidence level.
    """

    columns: tuple[str, ...]
    size: NDArray[np.float64]
    overall: Rows
    groups: dict[tuple[str, str], Rows]
    level: float

    def share(self, names: Sequence[str], rows: Rows) -> tuple[float, Interval]:
        """Share of some columns on some rows."""
        of = self.size[rows]
        return share(of[:, [self.columns.index(name) for name in names]].sum(axis=1), of.sum(axis=1), self.level)

    def still(self, rows: Rows) -> bool:
        """Whether there is nothing to explain on some rows."""
        return not self.size[rows].any()

    def ranked(self) -> list[str]:
        """Columns by falling share, by name where it is equal."""
        means = dict(zip(self.columns, self.size[self.overall].mean(axis=0).tolist(), strict=True))
        return sorted(self.columns, key=lambda name: (-means[name], name))


def measure(
    subject: Subject,
    sample: Sample,
    rng: np.random.Generator,
    *,
    rows: Annotated[int, Field(ge=10)] = 1000,
    background: Annotated[int, Field(ge=1)] = 200,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=2)] = 10,
    top: Annotated[int, Field(ge=1)] = 15,
    proxy_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    tolerance: Annotated[float, Field(gt=0)] = 1e-4,
    evaluations: Annotated[int, Field(ge=1000)] = 500_000,
) -> Iterator[Measurement]:
    """Yield the additivity error, and the shares of columns over all rows, by group and by sensitive attribute.

    Args:
        subject: the model that is asked, and what its columns mean.
        sample: rows to be explained and rows of the background.
        rng: randomness of permutations.
        rows: number of rows to explain.
        background: number of rows that hidden values are taken from.
        level: confidence level of the intervals.
        min_denominator: shares on fewer rows than this are not estimable.
        top: number of columns that are listed besides the sensitive ones and their proxies.
        proxy_threshold: a column is a proxy if the lower limit of its association (Cramér's V) is above this.
        tolerance: largest additivity error of an exact engine, relative to the mean distance from the base value.
        evaluations: rows that the model may be asked about where only its answers are known.
    """
    outputs = games(subject, sample.classes)
    columns = subject.model.columns if subject.model else ()
    if not sample.rows.num_rows or not columns:
        raise NotAssessed("no_rows")
    draw = drawn(sample, rows=rows, background=background)
    if draw.overall < min_denominator:
        yield from _unknown(sample, columns, draw.overall, _too_few(min_denominator, draw.overall))
        return
    table = sample.rows.select(list(columns))
    question = Question(
        games=outputs,
        rows=table.take(pa.array(draw.explained)).to_pandas(),
        background=table.take(pa.array(draw.background)).to_pandas(),
        estimator=estimator_of(subject),
        gradients=subject.model.capabilities.get("gradients") if subject.model else None,
        evaluations=evaluations,
        seed=int(rng.integers(2**31)),
    )
    attempts = explained(question, tolerance)
    best = min((a.explanation for a in attempts if a.explanation), key=lambda e: e.largest)
    places = np.arange(min(draw.overall, len(best.values)), dtype=np.intp)
    yield _additivity(best, attempts, len(places))
    if not best.complete:
        reason = Reason(code="not_complete", params={"tolerance": best.tolerance})
        yield from _unknown(sample, columns, len(places), reason)
        return
    found = _attributions(best, draw, subject.dataset.weights(sample.rows), level)
    if found.still(found.overall):
        yield from _unknown(sample, columns, len(places), Reason(code="no_variation"))
        return
    associations = _associations(sample, draw, columns, level)
    proxies = {a: {c for c, v in of.items() if v.low > proxy_threshold} for a, of in associations.items()}
    yield from _by_column(found, sample.layout.attributes, set().union(*proxies.values()), top, min_denominator)
    for attribute in sample.layout.attributes:
        yield _sensitive(found, attribute)
        yield _of_proxies(found, attribute, associations.get(attribute), proxy_threshold, len(draw.uniform))


def _attributions(
    explanation: Explanation, draw: Draw, weights: NDArray[np.float64] | None, level: float
) -> Attributions:
    """Absolute attributions; what is rounding is 0, so that an ignored column has none."""
    size = np.abs(explanation.values)
    size[size <= explanation.noise] = 0.0
    if weights is not None:
        size *= weights[draw.explained[: len(size)], None]
    groups = {key: places[places < len(size)] for key, places in draw.groups.items()}
    overall = np.arange(min(draw.overall, len(size)), dtype=np.intp)
    return Attributions(explanation.columns, size, overall, groups, level)


def _associations(
    sample: Sample, draw: Draw, columns: Sequence[str], level: float
) -> dict[str, dict[str, Association]]:
    """How well each column tells the groups of each attribute apart; no entry for an attribute of one group."""
    table = sample.rows.select(list(columns)).take(pa.array(draw.uniform)).to_pandas()
    found: dict[str, dict[str, Association]] = {}
    for attribute in sample.layout.attributes:
        groups = sample.groups(attribute)[draw.uniform]
        if len(set(groups.tolist())) < 2:
            continue
        each = {name: association(table[name], groups, level) for name in columns if name != attribute}
        found[attribute] = {name: value for name, value in each.items() if value is not None}
    return found


def _additivity(best: Explanation, attempts: Sequence[Attempt], n: int) -> Measurement:
    """The largest error on the rows explained: of these rows it is exact."""
    above = int(np.count_nonzero(~(best.error <= best.tolerance)))
    facts: dict[str, Scalar] = {
        "Engine": best.engine,
        "Explained": best.scale,
        "Rows explained": len(best.values),
        "Background rows": best.background,
        "Columns": int(best.values.shape[1]),
        "Accepted error": best.tolerance,
        "Rows above it": above,
    }
    tried = Table(
        columns=("Engine", "Largest error", "Used", "Refused with"),
        rows=tuple((a.engine, _error_of(a), a.explanation is best, a.refused) for a in attempts),
    )
    details = Details(facts=facts, table=tried)
    if not np.isfinite(best.largest):
        reason = Reason(code="not_complete", params={"tolerance": best.tolerance})
        return Measurement(metric="additivity_error", n=n, status="not_estimable", reason=reason, details=details)
    return Measurement(metric="additivity_error", value=best.largest, exact=True, n=n, details=details)


def _error_of(attempt: Attempt) -> float | None:
    error = None if attempt.explanation is None else attempt.explanation.largest
    return error if error is not None and np.isfinite(error) else None


def _by_column(
    found: Attributions, attributes: Sequence[str], proxies: set[str], top: int, least: int
) -> Iterator[Measurement]:
    """Shares of the columns worth naming, over all rows and by group, and of the rest together."""
    ranked = found.ranked()
    first = [name for name in ranked if name in attributes]
    first += [name for name in ranked if name in proxies and name not in attributes][:MOST_PROXIES]
    others = [name for name in ranked if name not in first]
    yield from _listed(found, [*first, *others[:top]], found.overall)
    for (attribute, group), rows in found.groups.items():
        if len(rows) < least or found.still(rows):
            short = len(rows) < least
            reason = _too_few(least, len(rows)) if short else Reason(code="no_variation")
            yield Measurement(
                metric="share", attribute=attribute, group=group, n=len(rows), status="not_estimable", reason=reason
            )
            continue
        yield from _listed(found, [*first, *others[: min(top, TOP_IN_GROUPS)]], rows, attribute, group)


def _listed(
    found: Attributions, names: Sequence[str], rows: Rows, attribute: str | None = None, group: str | None = None
) -> Iterator[Measurement]:
    rest = [name for name in found.columns if name not in names]
    for shown, of in [*((name, [name]) for name in names), *([(OTHERS, rest)] if rest else [])]:
        value, interval = found.share(of, rows)
        yield Measurement(
            metric="share",
            attribute=attribute,
            group=group,
            where={"feature": shown},
            value=value,
            interval=interval,
            n=len(rows),
        )


def _sensitive(found: Attributions, attribute: str) -> Measurement:
    """The share of the sensitive column; exactly 0 where the model is not given it."""
    n = len(found.overall)
    if attribute not in found.columns:
        return Measurement(metric="sensitive_share", attribute=attribute, value=0.0, exact=True, n=n)
    value, interval = found.share([attribute], found.overall)
    return Measurement(metric="sensitive_share", attribute=attribute, value=value, interval=interval, n=n)


def _of_proxies(
    found: Attributions, attribute: str, of: dict[str, Association] | None, threshold: float, rows: int
) -> Measurement:
    """The share of an attribute's proxies; the interval reaches up to that of all columns that may be proxies."""
    n = len(found.overall)
    if of is None:
        reason = Reason(code="one_group", params={"attribute": attribute})
        return Measurement(metric="proxy_share", attribute=attribute, n=n, status="not_estimable", reason=reason)
    sure = [name for name in found.columns if name in of and of[name].low > threshold]
    possible = [name for name in found.columns if name in of and of[name].high > threshold]
    value, interval = found.share(sure, found.overall)
    _, widest = found.share(possible, found.overall)
    listed = sorted(possible, key=lambda name: (-of[name].value, name))[:MOST_PROXIES]
    table = Table(
        columns=("Column", "Association", "Lower limit", "Upper limit", "Proxy", "Share"),
        rows=tuple(
            (c, of[c].value, of[c].low, of[c].high, c in sure, found.share([c], found.overall)[0]) for c in listed
        ),
    )
    facts: dict[str, Scalar] = {
        "Threshold of the association": threshold,
        "Rows of the association": rows,
        "Proxies": len(sure),
        "Columns that may be proxies": len(possible) - len(sure),
    }
    return Measurement(
        metric="proxy_share",
        attribute=attribute,
        value=value,
        interval=Interval(low=interval.low, high=max(interval.high, widest.high), level=found.level, method=WIDENED),
        n=n,
        details=Details(facts=facts, table=table if listed else None),
    )


def _unknown(sample: Sample, columns: Sequence[str], n: int, reason: Reason) -> Iterator[Measurement]:
    """All that cannot be said, for one reason."""
    attributes = sample.layout.attributes
    for name in [name for name in columns if name in attributes] or [OTHERS]:
        where = {"feature": name}
        yield Measurement(metric="share", where=where, n=n, status="not_estimable", reason=reason)
    for attribute in attributes:
        if attribute in columns:
            yield Measurement(metric="sensitive_share", attribute=attribute, n=n, status="not_estimable", reason=reason)
        else:
            # What a model is not given has no share, whatever else is unknown.
            yield Measurement(metric="sensitive_share", attribute=attribute, value=0.0, exact=True, n=n)
        yield Measurement(metric="proxy_share", attribute=attribute, n=n, status="not_estimable", reason=reason)


def _too_few(needed: int, found: int) -> Reason:
    return Reason(code="too_few", params={"needed": needed, "found": found, "what": "rows"})
