"""Presence: is every group in the data at all?

What it measures: the share of rows of each group of every sensitive attribute, and the smallest of them.

Why it matters: nothing can be said about a group that is hardly there.

What it cannot show: whether the data are like the people whom the model will meet.

References:

- Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22:209-212
"""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from fairwitness.audit.evidence import Interval, Measurement, Metric, NotAssessed, Reason
from fairwitness.audit.statistics.intervals import critical_value, wilson

METRICS = {
    "share": Metric("Share of rows", range=(0.0, 1.0)),
    "smallest_share": Metric("Smallest share of rows", better="high", range=(0.0, 1.0)),
}


def measure(
    headcounts: Mapping[str, Mapping[str, int]],
    *,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    quorum: Annotated[int, Field(ge=1)] = 1,
) -> Iterator[Measurement]:
    """Yield the share of each group.

    Args:
        headcounts: rows by attribute and group.
        level: confidence level of the intervals.
        quorum: on fewer rows than this nothing is said.
    """
    for attribute, groups in headcounts.items():
        total = sum(groups.values())
        if total < quorum:
            raise NotAssessed("acme_no_quorum", rows=total, quorum=quorum)
        shares = [_share("share", attribute, group, n, total, level) for group, n in groups.items()]
        yield from shares
        if len(shares) < 2:
            reason = Reason(code="acme_alone", params={"attribute": attribute})
            yield Measurement(
                metric="smallest_share", attribute=attribute, n=total, status="not_estimable", reason=reason
            )
        else:
            yield _share("smallest_share", attribute, None, min(groups.values()), total, level)


def _share(metric: str, attribute: str, group: str | None, n: int, total: int, level: float) -> Measurement:
    low, high = wilson(n, total, critical_value(level))
    interval = Interval(low=float(low), high=float(high), level=level, method="Wilson")
    return Measurement(metric=metric, attribute=attribute, group=group, n=total, value=n / total, interval=interval)
