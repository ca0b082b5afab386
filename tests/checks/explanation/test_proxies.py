"""Association of columns with groups: known tables, known independence, any type."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association as scipy_association

from fairwitness.checks.explanation._proxies import association

RNG = np.random.default_rng(0)
GROUPS = RNG.choice(["a", "b"], 2000).astype(object)


def test_it_agrees_with_scipy_up_to_the_correction() -> None:
    column = pd.Series(np.where(RNG.random(2000) < 0.7, GROUPS, RNG.choice(["a", "b", "c"], 2000)))
    found = association(column, GROUPS, 0.95)
    assert found is not None
    table = pd.crosstab(column, GROUPS).to_numpy()
    assert found.value == pytest.approx(scipy_association(table, method="cramer"), abs=0.005)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    "column",
    [
        pd.Series((GROUPS == "a").astype(float)),
        pd.Series(GROUPS).astype("category"),
        pd.Series("yes", range(2000)).where(pd.Series(GROUPS == "a")),
        pd.Series(np.where(GROUPS == "a", np.nan, RNG.normal(size=2000))),
        pd.Series(np.where(GROUPS == "a", 5.0, 0.0) + RNG.normal(size=2000)),
        pd.Series(np.where(GROUPS == "a", RNG.choice([-5.0, 5.0], 2000), 0.0) + RNG.normal(0, 0.5, 2000)),
    ],
    ids=["number", "category", "missing text", "missing number", "shift", "both tails"],
)
def test_what_gives_the_group_away(column: "pd.Series[float]") -> None:
    found = association(column, GROUPS, 0.95)
    assert found is not None
    assert found.low > 0.8


def test_unrelated_columns_are_no_proxies() -> None:
    """At a true association of 0, the lower limit is above .2 never, and above 0 in at most 5 % of the columns."""
    lows = []
    for _ in range(300):
        groups = RNG.choice(["a", "b", "c"], 300, p=[0.8, 0.15, 0.05]).astype(object)
        found = association(pd.Series(RNG.normal(size=300)), groups, 0.95)
        assert found is not None
        lows.append(found.low)
    assert max(lows) < 0.2
    assert np.mean(np.array(lows) > 0) < 0.05


@pytest.mark.parametrize(("q", "n"), [(0.1, 300), (0.3, 300), (0.3, 2000), (0.6, 500)])
def test_coverage(q: float, n: int) -> None:
    """A column that is the group with probability q, and otherwise a fair coin: V is q."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        groups = rng.choice(["a", "b"], n).astype(object)
        column = pd.Series(np.where(rng.random(n) < q, groups, rng.choice(["a", "b"], n)))
        found = association(column, groups, 0.95)
        assert found is not None
        covered += found.low <= q <= found.high
    assert covered / 300 > 0.92


def test_nothing_to_compare() -> None:
    assert association(pd.Series(np.zeros(2000)), GROUPS, 0.95) is None
    assert association(pd.Series(np.arange(2000)), np.full(2000, "a", dtype=object), 0.95) is None
    assert association(pd.Series([1.0, 2.0] * 3), np.array(["a", "b"] * 3, dtype=object), 0.95) is None
