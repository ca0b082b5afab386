"""Differential fairness: the largest ratio between two groups' rates of any decision, on the log scale."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fairwitness.audit.comparison import NO_ANSWER, Shares, weighted
from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar
from fairwitness.audit.statistics.intervals import modified_wilson, mover_difference
from fairwitness.audit.statistics.multiplicity import homogeneity, shrunken_deviation, simultaneous_critical
from fairwitness.audit.tallies import Crosstab


def log_ratio(x: npt.ArrayLike, n: npt.ArrayLike, alpha: float, critical: float) -> tuple[float, float, float]:
    """Largest |log ratio| between two groups of the smoothed rates of selection or of rejection, with its interval.

    Rates are smoothed, (x + alpha) / (n + 2 alpha), so that a group in which nobody is selected has a finite ratio; at
    alpha = 1/2 it is AIF360's with its default concentration of 1 = 2 alpha. Every pair and outcome has an interval of
    its log ratio: MOVER (Donner & Zou 2012, Statistical Methods in Medical Research 21:347-359) on the logarithms of
    the Wilson limits, smoothed likewise. If they hold together, the largest true |log ratio| lies between their largest
    lower and their largest upper limit; the lower one is 0 where no pair differs.
    Source: Foulds, Islam, Keya & Pan (2020), An intersectional definition of fairness, ICDE:1918-1921, equation 7.

    Args:
        x: shape (groups,), selected rows, at least two groups.
        n: shape (groups,), rows, more than 0.
        alpha: rows added to each decision of each group, more than 0.
        critical: simultaneous critical value of all pairs.

    Returns:
        The largest |log ratio| and its limits.

    >>> value, low, high = log_ratio([30, 60], [100, 100], 0.5, 1.96)
    >>> round(value, 4), round(low, 4), round(high, 4)
    (0.6849, 0.3595, 1.0239)
    """
    x, n = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    first, second = np.triu_indices(x.size, k=1)
    below, above = modified_wilson(x, n, critical)
    selected = [(rate * n + alpha) / (n + 2 * alpha) for rate in (x / n, below, above)]
    worst = [0.0, 0.0, 0.0]
    for rate, low, high in ([np.log(p) for p in selected], [np.log1p(-selected[i]) for i in (0, 2, 1)]):
        down, up = mover_difference(rate[first], (low[first], high[first]), rate[second], (low[second], high[second]))
        of_outcome = (
            float(np.abs(rate[first] - rate[second]).max()),
            float(np.maximum(down, -up).max()),
            float(np.maximum(up, -down).max()),
        )
        worst = [max(one, other) for one, other in zip(worst, of_outcome, strict=True)]
    value = worst[0]
    return value, min(worst[1], value), max(worst[2], value)


def differential_fairness(
    table: Crosstab, positive: str, alpha: float, rng: np.random.Generator, level: float, least: int
) -> Measurement:
    """Differential fairness of an attribute's decisions, beside that of its labels.

    Args:
        table: rows by group, label and decision.
        positive: label that means selected.
        alpha: rows added to each decision of each group.
        rng: randomness for the critical value and the permutation test.
        level: confidence level.
        least: groups with fewer rows than this are left out, and listed.
    """
    binary = table.binary(positive)
    shares = _shares(table, binary.n, binary.w, binary.w2, binary.w[:, :, 1].sum(axis=1))
    kept = shares.estimable(least)
    excluded = excluded_of(shares, kept, least)
    said: dict[str, Any] = {
        "metric": "differential_fairness", "attribute": table.attribute, "n": int(shares.count[kept].sum())
    }  # fmt: skip
    if kept.sum() < 2:
        params: dict[str, Scalar] = {"attribute": table.attribute, "estimable": int(kept.sum())}
        reason = Reason(code="fewer_than_two_groups", params=params)
        details = Details(excluded=excluded) if excluded else None
        return Measurement(**said, status="not_estimable", reason=reason, details=details)
    x, n = shares.x[kept], shares.n[kept]
    critical = simultaneous_critical([shrunken_deviation(x, n)], level, rng)
    value, low, high = log_ratio(x, n, alpha, critical)
    rates, names = x / n, np.array(shares.groups, dtype=object)[kept]
    facts: dict[str, Scalar] = {
        "Lowest group": str(names[int(rates.argmin())]),
        "Highest group": str(names[int(rates.argmax())]),
        "Largest ratio of rates": float(np.exp(value)),
        "Simultaneous critical value": critical,
    }
    known = slice(0, 2)
    labels = _shares(table, binary.n[:, known], binary.w[:, known], binary.w2[:, known], binary.w[:, 1].sum(axis=1))
    if (labels.estimable(least) | ~kept).all():
        facts["Differential fairness of the labels"] = log_ratio(labels.x[kept], labels.n[kept], alpha, critical)[0]
    return Measurement(
        **said,
        value=value,
        interval=Interval(low=low, high=high, level=level, method="Simultaneous MOVER of log rates"),
        p_value=homogeneity([(x, n)], rng).p_value,
        details=Details(facts=facts, excluded=excluded),
    )


def _shares(table: Crosstab, n: Any, w: Any, w2: Any, hits: Any) -> Shares:
    """Effective rows of every group, and those that count."""
    effective, x = weighted(w.sum(axis=(1, 2)), w2.sum(axis=(1, 2)), hits)
    return Shares(table.attribute, table.groups, n.sum(axis=(1, 2)), effective, x, undecided=table.undecided)


def excluded_of(shares: Shares, kept: Any, least: int) -> tuple[Excluded, ...]:
    """Groups that are too small, and rows without an answer."""
    small = np.flatnonzero(~kept).tolist()
    unanswered = [] if shares.undecided is None else shares.undecided.tolist()
    return (
        *(Excluded(group=shares.groups[i], n=int(shares.count[i]), reason=shares.too_few(i, least)) for i in small),
        *(
            Excluded(group=group, n=n, reason=NO_ANSWER)
            for group, n in zip(shares.groups, unanswered, strict=True)
            if n
        ),
    )
