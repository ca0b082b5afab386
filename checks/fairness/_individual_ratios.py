"""Differential fairness: the largest ratio between two groups' rates of any decision, on the log scale."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fairwitness.audit.comparison import excluded_from, shares_of
from fairwitness.audit.evidence import Details, Interval, Measurement, Reason, Scalar
from fairwitness.audit.statistics.intervals import modified_wilson, mover_difference
from fairwitness.audit.statistics.multiplicity import homogeneity, shrunken_deviation, simultaneous_critical
from fairwitness.audit.tallies import Crosstab

# Cells of the table (truth: negative, positive, missing) x (decision: negative, positive).
_SELECTED = np.array([[0, 1], [0, 1], [0, 1]], dtype=bool)
_LABELLED = np.array([[1, 1], [1, 1], [0, 0]], dtype=bool)
_POSITIVE = np.array([[0, 0], [1, 1], [0, 0]], dtype=bool)


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
    shares = shares_of(binary, np.ones((3, 2), dtype=bool), _SELECTED)
    kept = shares.estimable(least)
    excluded = excluded_from([shares], [kept], least)
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
    labels = shares_of(binary, _LABELLED, _POSITIVE)
    if (labels.estimable(least) | ~kept).all():
        facts["Differential fairness of the labels"] = log_ratio(labels.x[kept], labels.n[kept], alpha, critical)[0]
    return Measurement(
        **said,
        value=value,
        interval=Interval(low=low, high=high, level=level, method="Simultaneous MOVER of log rates"),
        p_value=homogeneity([(x, n)], rng).p_value,
        details=Details(facts=facts, excluded=excluded),
    )
