"""Curves are laid out within their view box, and what is drawn can also be read."""

import math

from fairwitness.audit.evidence import Curve, Point
from fairwitness.reports.plots import BOTTOM, HEIGHT, LEFT, RIGHT, SHOWN_POINTS, TOP, WIDTH, plot, thinned


def curve(*points: tuple[float, ...], diagonal: bool = False) -> Curve:
    named = [dict(zip(("x", "y", "low", "high"), point, strict=False)) for point in points]
    return Curve(title="t", x="x", y="y", points=tuple(Point(**p) for p in named), diagonal=diagonal)


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in path.split())]


def test_a_curve_fills_the_plot_and_stays_in_it() -> None:
    drawn = plot(curve((0, 0), (0.5, 0.8), (1, 1)))
    assert drawn is not None
    line = places(drawn.line)
    assert line[0] == (LEFT, HEIGHT - BOTTOM)
    assert line[-1] == (WIDTH - RIGHT, TOP)
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in line)


def test_higher_values_are_higher_up() -> None:
    drawn = plot(curve((0, 1), (1, 3), (2, 2)))
    assert drawn is not None
    first, second, third = (y for _, y in places(drawn.line))
    assert second < third < first


def test_the_band_goes_there_and_back() -> None:
    drawn = plot(curve((0, 0.2, 0.1, 0.3), (1, 0.8, 0.7, 0.9)))
    assert drawn is not None
    outline = places(drawn.band)
    assert [x for x, _ in outline] == [LEFT, WIDTH - RIGHT, WIDTH - RIGHT, LEFT]
    assert outline[0][1] < outline[-1][1]


def test_a_diagonal_needs_equal_scales() -> None:
    drawn = plot(curve((0.2, 0.1), (0.4, 0.9), diagonal=True))
    assert drawn is not None
    assert [mark.label for mark in drawn.x] == [mark.label for mark in drawn.y]
    (x0, y0), (x1, y1) = places(drawn.diagonal)
    assert math.isclose((x1 - x0) / (WIDTH - LEFT - RIGHT), (y0 - y1) / (HEIGHT - TOP - BOTTOM), rel_tol=1e-2)


def test_what_spans_no_plane_is_not_drawn() -> None:
    assert plot(curve()) is None
    assert plot(curve((0.5, 0.5))) is None


def test_the_table_holds_both_ends() -> None:
    points = [Point(x=i, y=i) for i in range(1000)]
    shown = thinned(points)
    assert len(shown) == SHOWN_POINTS
    assert (shown[0], shown[-1]) == (points[0], points[-1])
