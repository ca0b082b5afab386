from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fairwitness.audit.evidence import Bound
from fairwitness.reports.charts import allowed, axis

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=6)


@given(NUMBERS)
def test_an_axis_holds_its_values_or_is_not_drawn(values: list[float]) -> None:
    scale = axis(values)
    if scale is None:
        return
    width = scale.high - scale.low
    assert all(scale.low - 1e-6 * width <= v <= scale.high + 1e-6 * width for v in values)
    assert len(scale.ticks) <= 12
    places = [float(tick.at.removesuffix("%")) for tick in scale.ticks]
    assert all(0 <= place <= 100 for place in places)
    assert all(a < b for a, b in pairwise(places))


def test_round_ends_and_labels() -> None:
    scale = axis([0.11, 0.34])
    assert scale is not None
    assert (scale.low, round(scale.high, 9)) == (0.1, 0.4)
    assert [tick.label for tick in scale.ticks] == ["0.1", "0.2", "0.3", "0.4"]
    assert [tick.at for tick in scale.ticks] == ["0%", "33.3%", "66.7%", "100%"]


def test_the_range_of_the_metric_cuts_the_axis() -> None:
    scale = axis([0.0, 0.0], (0, 1))
    assert scale is not None
    assert scale.low == 0
    beyond = axis([-0.5, 0.5], (0, 1))
    assert beyond is not None
    assert beyond.low <= -0.5


def test_nothing_to_draw() -> None:
    assert axis([]) is None
    assert axis([-1.7e308, 1.7e308]) is None


def test_what_a_bound_allows() -> None:
    scale = axis([0.0, 1.0])
    assert scale is not None
    zone = allowed(scale, Bound(min=0.25, max=0.75))
    assert (zone.start, zone.width) == ("25%", "50%")
    assert allowed(scale, Bound(max=0.1)).start == "0%"
    assert allowed(scale, Bound(min=0.8)).width == "20%"
