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

from fairwitness.audit.comparison import NO_ANSWER
from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Metric, NotAssessed, Reason
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

MOST = 1e60  # of a sum of squares: fourth powers would overflow


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
    if not all(total.get(name, 0.0) < MOST for name in ("e2", "d2")):
        raise NotAssessed("values_too_large", limit=MOST**0.5)
    n = int(total["n"])
    if n < max(2, min_denominator) or not total["w"]:
        found = n if total["w"] else 0
        reason = Reason(code="too_few", params={"needed": min_denominator, "found": found, "what": "labelled rows"})
        yield from (Measurement(metric=m, n=n, status="not_estimable", reason=reason) for m in METRICS)
        return
    effective = total["w"] ** 2 / total["w2"]
    m = {name: value / total["w"] for name, value in total.items() if name != "y"}  # weighted means

    unanswered = Excluded(group="(all rows)", n=moments.unanswered, reason=NO_ANSWER)
    left_out = Details(excluded=(unanswered,)) if moments.unanswered else None

    def said(metric: str, value: float, limits: tuple[float, float] | None, method: str) -> Measurement:
        if limits is None:
            return Measurement(metric=metric, n=n, status="not_estimable", reason=Reason(code="no_variation"))
        interval = Interval(low=limits[0], high=limits[1], level=level, method=method)
        return Measurement(metric=metric, value=value, interval=interval, n=n, details=left_out)

    def of_mean(value: float, square: float, least: float | None) -> tuple[float, float] | None:
        """Limits of a mean from its square; none where nothing varies, for there is nothing to build them on."""
        if square - value**2 <= 1e-12 * square:
            return None
        return mean(value * effective, square * effective, effective, level, (least, None))

    student = "Student t of a mean"
    yield said("mean_error", m["e"], of_mean(m["e"], m["e2"], None), student)
    yield said("mean_absolute_error", m["abs_e"], of_mean(m["abs_e"], m["e2"], 0.0), student)
    squared = of_mean(m["e2"], m["e4"], 0.0)
    root = None if squared is None else (sqrt(squared[0]), sqrt(squared[1]))
    yield said("root_mean_squared_error", sqrt(m["e2"]), root, "Root of a Student t interval")
    yield said("r2", *_explained(m, effective, critical_value(level)), "Influence function")


def _explained(m: dict[str, float], effective: float, critical: float) -> tuple[float, tuple[float, float] | None]:
    """1 - E[e^2] / Var[y], and its limits from the influence of one row; none where the truth does not vary."""
    a, b = m["e2"], m["d2"]
    if not b:
        return 0.0, None
    influence = (m["e4"] - a**2) / b**2 - 2 * a * (m["e2d2"] - a * b) / b**3 + a**2 * (m["d4"] - b**2) / b**4
    value = 1 - a / b
    if influence <= 0:
        return value, None
    half = critical * sqrt(influence / effective)
    return value, (value - half, min(value + half, 1.0))
