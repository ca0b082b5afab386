"""The interval of a share: simulated coverage, and never of zero width."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fairwitness.checks.explanation._shares import share

Draw = Callable[[int, np.random.Generator], tuple[NDArray[Any], NDArray[Any]]]


def log_normal(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    part, rest = np.exp(rng.normal(0, 0.7, (2, n))) * [[1.0], [8.0]]
    return part, part + rest


def half_normal(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    part, rest = np.abs(rng.normal(size=(2, n)))
    return part, part + rest


def seldom(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    part = (rng.random(n) < 0.05) * np.abs(rng.normal(0, 2, n))
    return part, part + np.abs(rng.normal(size=n))


@pytest.mark.parametrize("draw", [log_normal, half_normal, seldom])
@pytest.mark.parametrize("n", [20, 200])
def test_coverage(draw: Draw, n: int) -> None:
    rng = np.random.default_rng(1)
    part, total = draw(2_000_000, rng)
    truth = part.sum() / total.sum()
    covered = 0
    for _ in range(500):
        _, interval = share(*draw(n, rng), 0.95)
        covered += interval.low <= truth <= interval.high
    assert covered / 500 > 0.92


@pytest.mark.parametrize(
    ("part", "total"),
    [
        (np.zeros(40), np.ones(40)),
        (np.ones(40), np.ones(40)),
        (np.full(40, 0.25), np.ones(40)),
        (np.r_[1.0, np.zeros(39)], np.ones(40)),
        (np.ones(1), np.full(1, 2.0)),
        (np.full(40, 1e-300), np.ones(40)),
    ],
)
def test_no_interval_has_zero_width(part: NDArray[Any], total: NDArray[Any]) -> None:
    value, interval = share(part, total, 0.95)
    assert 0 <= interval.low <= value <= interval.high <= 1
    assert interval.high > interval.low


def test_unit_and_order_do_not_matter() -> None:
    part, total = half_normal(50, np.random.default_rng(0))
    value, interval = share(part, total, 0.95)
    again, same = share(part[::-1] * 1e6, total[::-1] * 1e6, 0.95)
    assert (again, same.low, same.high) == pytest.approx((value, interval.low, interval.high))
