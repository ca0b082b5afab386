"""Geometry of curves: a plot of its own size, in the units of an SVG view box."""

from collections.abc import Sequence
from dataclasses import dataclass

from fairwitness.audit.evidence import Curve, Point
from fairwitness.reports.charts import Axis, axis

WIDTH, HEIGHT = 360, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 42
SHOWN_POINTS = 11


@dataclass(frozen=True)
class Mark:
    """A tick: its place in the view box, and its label."""

    at: str
    label: str


@dataclass(frozen=True)
class Plot:
    """A curve laid out.

    Attributes:
        line: points of the curve, as an SVG polyline has them.
        band: outline of its band; empty without one.
        diagonal: ends of the reference line y = x within the plot; empty without one.
        x: ticks of the horizontal axis.
        y: ticks of the vertical axis.
        rows: points for the table beside it, thinned.
    """

    line: str
    band: str
    diagonal: str
    x: tuple[Mark, ...]
    y: tuple[Mark, ...]
    rows: tuple[Point, ...]


def plot(curve: Curve) -> Plot | None:
    """Lay a curve out; None where its points span no plane."""
    points = curve.points
    across, up = [p.x for p in points], [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    if curve.diagonal:  # equal scales, or the reference line would mean nothing
        across = up = [*across, *up]
    x, y = axis(across), axis(up)
    if x is None or y is None or len(points) < 2:
        return None
    banded = [(p.x, p.low, p.high) for p in points if p.low is not None and p.high is not None]
    outline = [(at, high) for at, _, high in banded] + [(at, low) for at, low, _ in reversed(banded)]
    low, high = max(x.low, y.low), min(x.high, y.high)
    return Plot(
        line=_path([(p.x, p.y) for p in points], x, y),
        band=_path(outline, x, y),
        diagonal=_path([(low, low), (high, high)], x, y) if curve.diagonal and low < high else "",
        x=tuple(Mark(f"{_across(x, _value(t.at, x)):.1f}", t.label) for t in x.ticks),
        y=tuple(Mark(f"{_up(y, _value(t.at, y)):.1f}", t.label) for t in y.ticks),
        rows=thinned(points),
    )


def thinned(points: Sequence[Point], most: int = SHOWN_POINTS) -> tuple[Point, ...]:
    """Keep the first, the last, and evenly spaced points between.

    >>> [p.x for p in thinned([Point(x=i, y=0) for i in range(100)], most=4)]
    [0.0, 33.0, 66.0, 99.0]
    """
    if len(points) <= most:
        return tuple(points)
    return tuple(points[round(i * (len(points) - 1) / (most - 1))] for i in range(most))


def _value(percentage: str, scale: Axis) -> float:
    return scale.low + float(percentage.removesuffix("%")) / 100 * (scale.high - scale.low)


def _across(scale: Axis, value: float) -> float:
    return LEFT + scale.share(value) * (WIDTH - LEFT - RIGHT)


def _up(scale: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - scale.share(value) * (HEIGHT - TOP - BOTTOM)


def _path(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    return " ".join(f"{_across(x, a):.1f},{_up(y, b):.1f}" for a, b in points)
