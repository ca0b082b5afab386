"""Geometry of the charts: numbers to per cent of a strip's width.

Positions are percentages, so a strip takes the width of its table cell and its text keeps its size at any width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from fairwitness.audit.evidence import Bound
from fairwitness.reports.figures import MINUS

Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: str
    label: str


@dataclass(frozen=True)
class Axis:
    """A linear scale from `low` at 0% to `high` at 100%."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def share(self, value: float) -> float:
        """Give the place of a value as a share of the width, kept within the axis."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def at(self, value: float) -> str:
        """Give the place of a value as an SVG percentage."""
        return _percentage(self.share(value))

    def between(self, low: float, high: float) -> "Zone":
        """Give the stretch between two values."""
        start, stop = self.share(low), self.share(high)
        return Zone(_percentage(start), _percentage(stop - start))


@dataclass(frozen=True)
class Zone:
    """A stretch of an axis."""

    start: str
    width: str


def _percentage(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0") + "%"


def nice_step(span: float, intervals: int = 3) -> float:
    """Give the 1, 2 or 5 times a power of ten that cuts a span into about so many intervals.

    >>> nice_step(0.55), nice_step(100)
    (0.2, 50.0)
    """
    rough = span / intervals
    power = 10.0 ** floor(log10(rough))
    factor = next((f for f in (1, 2, 5) if f * power >= rough * 0.999), 10)
    return factor * power


def axis(values: Sequence[float], limits: Limits = (None, None)) -> Axis | None:
    """Lay an axis with round ends around some values.

    Args:
        values: what must be on the axis: values, interval limits, bounds, the ideal.
        limits: the metric's range; the axis does not go beyond it unless the values do.

    Returns:
        The axis, or None where there is nothing to draw or the numbers are too far apart for a scale.
    """
    if not values:
        return None
    low, high = min(values), max(values)
    if low == high:
        margin = abs(low) * 0.1 or 0.1
        low, high = _within(low - margin, high + margin, low, high, limits)
    span = high - low
    if not isfinite(span) or span <= 0 or span < 1e-12 * max(abs(low), abs(high)):
        return None
    step = nice_step(span)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    start, stop = _within(first * step, last * step, low, high, limits)
    if not isfinite(stop - start) or stop <= start:
        return None
    places = [
        place * step for place in range(first, last + 1) if start - 1e-9 * step <= place * step <= stop + 1e-9 * step
    ]
    bare = Axis(start, stop, ())
    return Axis(start, stop, tuple(Tick(bare.at(place), tick_label(place, step)) for place in places))


def _within(start: float, stop: float, low: float, high: float, limits: Limits) -> tuple[float, float]:
    """Cut an axis at the metric's range on the sides where the values are within it."""
    least, most = limits
    if least is not None and start < least <= low:
        start = least
    if most is not None and stop > most >= high:
        stop = most
    return start, stop


def tick_label(value: float, step: float) -> str:
    """Print a tick with the decimals that its step has.

    >>> tick_label(0.30000000000000004, 0.1), tick_label(-50, 50)
    ('0.3', '−50')
    """
    if not 1e-6 <= step < 1e9:
        return f"{value:.3g}".replace("-", MINUS)
    text = f"{abs(value):,.{max(0, -floor(log10(step) + 1e-9))}f}"
    return f"{MINUS}{text}" if value < 0 and text.strip("0.") else text


def allowed(scale: Axis, bound: Bound) -> Zone:
    """Give the stretch of an axis that a bound allows."""
    start = 0.0 if bound.min is None else scale.share(bound.min)
    stop = 1.0 if bound.max is None else scale.share(bound.max)
    return Zone(_percentage(start), _percentage(max(stop - start, 0.0)))
