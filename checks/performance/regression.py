"""Regression performance: how far are the predictions off, and how much do they explain?

What it measures: the mean error (signed: above zero the model predicts too much), the mean absolute error, the root
mean squared error, and the share of the target's variance that is explained.

Why it matters: it is the use that every harm is weighed against.

What it cannot show: whether errors fall on some people more than on others, or whether performance here is performance
where the model will be used.

References:

- van der Vaart (1998), Asymptotic Statistics, chapters 3 and 20: the delta method and influence functions
"""

from collections.abc import Iterator
from math import sqrt
from typing import Annotated

from pydantic import Field

from fairwitness.audit.evidence import Interval, Measurement, Metric, Reason
from fairwitness.audit.statistics.intervals import critical_value, mean
from fairwitness.audit.tallies import Moments

METRICS = {
    "mean_error": Metric("Mean error", ideal=0.0, evidence=("EV-PERFORMANCE",)),
    "mean_absolute_error": Metric("Mean absolute error", better="low", range=(0.0, None), evidence=("EV-PERFORMANCE",)),
    "root_mean_squared_error": Metric(
        "Root mean squared error", better="low", range=(0.0, None), evidence=("EV-PERFORMANCE",)
    ),
    "r2": Metric("Explained variance", better="high", range=(None, 1.0), evidence=("EV-PERFORMANCE",)),
}


def measure(
    moments: Moments,
    *,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield the performance on all rows.

    Args:
        moments: sums of errors and values.
        level: confidence level of the intervals.
        min_denominator: a metric on fewer rows than this is not estimable.
    """
    total = moments.total()
    n = int(total["n"])
    if n < max(2, min_denominator):
        reason = Reason(code="too_few", params={"needed": min_denominator, "found": n, "what": "labelled rows"})
        yield from (Measurement(metric=m, n=n, status="not_estimable", reason=reason) for m in METRICS)
        return
    effective = total["w"] ** 2 / total["w2"]
    m = {name: value / total["w"] for name, value in total.items()}  # weighted means of the monomials
    if m["e4"] <= m["e2"] ** 2 * (1 + 1e-12):
        # All errors are equally large: there is no variance to build an interval on.
        reason = Reason(code="no_variation")
        yield from (Measurement(metric=name, n=n, status="not_estimable", reason=reason) for name in METRICS)
        return

    def of_mean(value: float, square: float, bounds: tuple[float | None, float | None]) -> tuple[float, float]:
        return mean(value * effective, square * effective, effective, level, bounds)

    def said(metric: str, value: float, limits: tuple[float, float], method: str) -> Measurement:
        interval = Interval(low=limits[0], high=limits[1], level=level, method=method)
        return Measurement(metric=metric, value=value, interval=interval, n=n)

    yield said("mean_error", m["e"], of_mean(m["e"], m["e2"], (None, None)), "Student t of a mean")
    yield said("mean_absolute_error", m["abs_e"], of_mean(m["abs_e"], m["e2"], (0.0, None)), "Student t of a mean")
    low, high = of_mean(m["e2"], m["e4"], (0.0, None))
    yield said("root_mean_squared_error", sqrt(m["e2"]), (sqrt(low), sqrt(high)), "Root of a Student t interval")

    # Central moments of the truth about its mean, and the influence of one row on 1 - E[e^2] / Var[y].
    c = m["y"]
    variance = m["y2"] - c**2
    if variance <= 1e-12 * max(m["y2"], 1e-300):
        yield Measurement(metric="r2", n=n, status="not_estimable", reason=Reason(code="no_variation"))
        return
    fourth = m["y4"] - 4 * c * m["y3"] + 6 * c**2 * m["y2"] - 3 * c**4
    cross = m["e2y2"] - 2 * c * m["e2y"] + c**2 * m["e2"]
    a, b = m["e2"], variance
    influence = (m["e4"] - a**2) / b**2 - 2 * a * (cross - a * b) / b**3 + a**2 * (fourth - b**2) / b**4
    value, half = 1 - a / b, critical_value(level) * sqrt(max(influence, 0.0) / effective)
    yield said("r2", value, (value - half, min(value + half, 1.0)), "Influence function")
