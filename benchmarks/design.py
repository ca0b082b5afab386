"""A planted subject and a question about what a check says of it."""

from collections.abc import Callable
from dataclasses import dataclass

from fairwitness.audit.evidence import Measurement


@dataclass(frozen=True)
class Design:
    """A planted subject and a question about what the check says of it.

    Attributes:
        check: id of the check.
        what: `false alarms`, `power` or `coverage`.
        design: what is planted, in English.
        happened: whether it did, on the subject of a seed.
        share: of the runs that this design gets; slow designs get fewer.
    """

    check: str
    what: str
    design: str
    happened: Callable[[int], bool]
    share: float = 1.0


def covers(measurement: Measurement, truth: float) -> bool:
    """Whether the interval holds the truth."""
    if measurement.interval is None:
        raise ValueError(f"{measurement.metric} has no interval")
    return measurement.interval.low <= truth <= measurement.interval.high
