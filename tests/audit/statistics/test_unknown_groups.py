"""Bounds of a gap with rows of unknown group: against every allotment there is."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairwitness.audit.statistics.unknown_groups import gap_bounds

GROUPS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8)), min_size=2, max_size=3)


def allotments(total: int, groups: int) -> Iterator[tuple[int, ...]]:
    """All ways to give so many rows to so many groups."""
    if groups == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in allotments(total - first, groups - 1):
            yield (first, *rest)


@settings(max_examples=60)
@given(GROUPS, st.integers(0, 4), st.integers(0, 4))
def test_no_allotment_is_outside(groups: list[tuple[int, int]], successes: int, failures: int) -> None:
    x = np.array([min(hits, rows) for hits, rows in groups], dtype=float)
    n = np.array([rows for _, rows in groups], dtype=float)
    gaps = [
        np.ptp((x + u) / (n + u + v))
        for u in map(np.array, allotments(successes, len(groups)))
        for v in map(np.array, allotments(failures, len(groups)))
    ]
    low, high = gap_bounds(x, n, successes, successes + failures)
    assert high == pytest.approx(max(gaps))
    assert low <= min(gaps) + 1e-4


def test_many_rows_can_be_allotted_as_finely_as_one_likes() -> None:
    """Of 2 groups of 100 the best of all allotments of 60 rows is the bound, to the grain of a row."""
    x, n = np.array([20.0, 60.0]), np.array([100.0, 100.0])
    gaps = [
        abs((x[0] + u) / (n[0] + u + v) - (x[1] + 30 - u) / (n[1] + 60 - u - v)) for u in range(31) for v in range(31)
    ]
    low, _ = gap_bounds(x, n, 30, 60)
    assert low == pytest.approx(min(gaps), abs=0.005)


def test_without_unknown_rows_the_gap_is_known() -> None:
    assert gap_bounds([1, 3], [4, 4], 0, 0) == (0.5, 0.5)
