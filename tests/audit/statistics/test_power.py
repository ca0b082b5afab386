"""Minimum detectable gap and rows to decide."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.audit.statistics.power import minimum_detectable, rows_to_decide


def test_minimum_detectable_is_the_textbook_factor() -> None:
    # z.975 + z.8 = 2.8016 standard errors (Cohen 1988); the half-width is 1.96 of them.
    assert minimum_detectable(1.959964) == pytest.approx(2.801585, abs=1e-6)


def test_rows_to_decide_by_hand() -> None:
    assert rows_to_decide(500, 0.05, 0.05) == 500
    assert rows_to_decide(500, 0.05, -0.025) == 2000
    assert rows_to_decide(1000, 0.05, 0.03) == math.ceil(1000 * 25 / 9)


def test_no_number_of_rows_decides_on_the_bound() -> None:
    assert rows_to_decide(500, 0.05, 0.0) is None
    assert rows_to_decide(500, 0.05, 5e-324) is None
    assert rows_to_decide(500, 0.05, 1e-9) is None


@given(st.floats(1, 1e6), st.floats(1e-4, 1), st.floats(1e-3, 1))
def test_the_interval_at_the_rows_asked_for_clears_the_bound(n: float, half_width: float, distance: float) -> None:
    rows = rows_to_decide(n, half_width, distance)
    assert rows is not None
    assert half_width * math.sqrt(n / rows) <= distance * (1 + 1e-9)


def test_the_forecast_holds_for_a_wilson_interval() -> None:
    low, high = (float(limit) for limit in wilson(30, 100, critical_value(0.95)))
    rows = rows_to_decide(100, (high - low) / 2, 0.03)
    assert rows is not None
    low, high = (float(limit) for limit in wilson(0.3 * rows, rows, critical_value(0.95)))
    assert (high - low) / 2 == pytest.approx(0.03, rel=0.05)
